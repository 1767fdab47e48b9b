"""Which `edgeprof.toml` counts, whose it may be, and what of it somebody has to agree to."""

from __future__ import annotations

import os
import pwd
import stat
from typing import TYPE_CHECKING

import pytest

from edgeprof import ownership
from edgeprof.boards import board_file, load_board
from edgeprof.configuration import Person, answered_by, find_configuration
from edgeprof.errors import ConfigurationRefused, FileUnreadable, UnknownName, UsageError
from edgeprof.firmware import FlashAsked, plan_flash
from edgeprof.links.firmware_files import agent_elf
from edgeprof.targets import Local, board_folders, named_targets, resolve_target
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

STRANGER = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
PLAIN = "[targets.pi]\nurl = 'ssh://pi@board'\n"
POWERS = {
    "python": "[targets.pi]\nurl = 'local:?python=/opt/evil.sh'\n",
    "python-there": "[targets.pi]\nurl = 'ssh://pi@board?python=/opt/evil.sh'\n",
    "cache-there": "[targets.pi]\nurl = 'ssh://pi@board?cache=/opt/planted'\n",
    "writes-a-file": "[targets.pi]\nurl = 'serial+spy:///dev/ttyS0?file=/opt/written'\n",
    "writes-a-file-too": "[targets.pi]\nurl = 'mlperf-tiny+spy:///dev/ttyS0?file=/opt/written'\n",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder: outside any repository, two folders below a home of its own."""
    folder = tmp_path / "home" / "project" / "deeper"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EDGEPROF_TRUST_CONFIG", raising=False)
    return folder


def written(folder: Path, content: str = PLAIN, mode: int = 0o644) -> Path:
    path = folder / "edgeprof.toml"
    path.write_text(content)
    path.chmod(mode)
    return path


# ── how far it is looked for ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_search_ends_at_the_home_folder(here: Path, tmp_path: Path) -> None:
    written(tmp_path)
    assert find_configuration() is None
    path = written(tmp_path / "home")
    found = find_configuration()
    assert found is not None
    assert found.path == path
    assert here.is_dir()


@pytest.mark.parametrize("mark", [".git", ".hg", ".svn", ".jj"])
def test_the_search_ends_at_the_root_of_a_repository(here: Path, mark: str) -> None:
    (here.parent / mark).mkdir()
    written(here.parent.parent)
    assert find_configuration() is None
    written(here.parent)
    assert find_configuration() is not None


def test_the_git_of_a_worktree_is_a_file_and_ends_the_search_too(here: Path) -> None:
    (here / ".git").write_text("gitdir: elsewhere\n")
    written(here.parent)
    assert find_configuration() is None


def test_outside_the_home_folder_the_search_ends_at_the_top(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here / "elsewhere"))
    written(here.parent.parent)
    assert find_configuration() is not None


def test_a_current_folder_that_is_gone_has_no_file(here: Path) -> None:
    written(here.parent)
    here.rmdir()
    assert find_configuration() is None


def test_no_other_file_system_is_looked_at(here: Path, mocker: MockerFixture) -> None:
    written(here.parent)
    real = os.stat
    above = str(here.parent)

    def stat_of(path: str | Path, *, follow_symlinks: bool = True) -> os.stat_result:
        status = real(path, follow_symlinks=follow_symlinks)
        return status if str(path) != above else os.stat_result((*status[:2], status.st_dev + 1, *status[3:10]))

    mocker.patch("os.stat", stat_of)
    assert find_configuration() is None


# ── whose it may be ──────────────────────────────────────────────────────────────────────────────────────────────────


@needs_root
def test_a_file_of_somebody_else_is_refused_with_whose_it_is(here: Path) -> None:
    path = written(here)
    os.chown(path, STRANGER, STRANGER)
    with pytest.raises(ConfigurationRefused) as refused:
        board_folders()
    assert refused.value.exit_code == 2
    assert str(path) in refused.value.message
    assert pwd.getpwuid(STRANGER).pw_name in refused.value.message
    assert "0644" in refused.value.message
    assert "yours or root's" in refused.value.message
    assert "chown" in refused.value.hint


@needs_root
def test_under_sudo_a_file_of_who_called_it_is_good(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(written(here), STRANGER, STRANGER)
    monkeypatch.setenv("SUDO_UID", str(STRANGER))
    assert resolve_target("pi").file == str(here / "edgeprof.toml")


@needs_root
def test_who_did_not_call_sudo_is_a_stranger(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(written(here), STRANGER, STRANGER)
    for other in ("1", "", "-1", "65534x"):
        monkeypatch.setenv("SUDO_UID", other)
        with pytest.raises(ConfigurationRefused):
            resolve_target("pi")


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602, 0o777, 0o4666])
def test_a_file_that_everybody_may_write_is_refused_with_how_to_mend_it(here: Path, mode: int) -> None:
    path = written(here, mode=mode)
    with pytest.raises(ConfigurationRefused, match=f"mode {mode:04o}") as refused:
        resolve_target("pi")
    assert refused.value.hint == f"chmod go-w {path}"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644, 0o755, 0o640])
def test_a_file_that_only_its_owner_may_write_is_good(here: Path, mode: int) -> None:
    written(here, mode=mode)
    assert resolve_target("pi").name == "pi"


def test_a_group_of_ones_own_may_write(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(here, mode=0o664)
    monkeypatch.setattr(ownership, "_is_private", lambda group, user: (group, user) == (os.getgid(), os.geteuid()))
    assert resolve_target("pi").name == "pi"


@needs_root
def test_a_group_with_others_in_it_may_not_write(here: Path) -> None:
    path = written(here, mode=0o664)
    os.chown(path, 0, STRANGER)
    with pytest.raises(ConfigurationRefused, match="0664"):
        resolve_target("pi")


@pytest.mark.parametrize(
    ("gid", "name", "members", "private"),
    [(1000, "ada", [], True), (1000, "ada", ["ada"], True), (1000, "ada", ["ada", "bob"], False),
     (1001, "ada", [], False), (1000, "users", [], False)],
)  # fmt: skip
def test_a_group_is_private_by_its_name_its_number_and_its_members(
    monkeypatch: pytest.MonkeyPatch, gid: int, name: str, members: list[str], *, private: bool
) -> None:
    import grp

    monkeypatch.setattr(grp, "getgrgid", lambda number: grp.struct_group((name, "x", number, members)))
    monkeypatch.setattr(pwd, "getpwuid", lambda number: pwd.struct_passwd(("ada", "x", number, 1000, "", "/", "")))
    assert ownership._is_private(gid, 1000) is private  # noqa: SLF001  what the file system's mode alone cannot show


def test_a_folder_that_everybody_may_write_is_refused(here: Path) -> None:
    written(here)
    here.chmod(0o777)
    with pytest.raises(ConfigurationRefused, match=r"may be replaced by others.*0777") as refused:
        resolve_target("pi")
    assert f"chmod go-w {here}" in refused.value.hint


def test_a_sticky_folder_as_tmp_is_one_is_good(here: Path) -> None:
    written(here)
    here.chmod(0o1777)
    assert resolve_target("pi").name == "pi"


@needs_root
def test_a_link_of_somebody_else_is_refused_though_what_it_names_is_mine(here: Path, tmp_path: Path) -> None:
    link = here / "edgeprof.toml"
    link.symlink_to(written(tmp_path))
    assert resolve_target("pi").name == "pi"
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(ConfigurationRefused, match="belongs to"):
        resolve_target("pi")


def test_what_a_link_names_is_looked_at_and_so_is_its_folder(here: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (here / "edgeprof.toml").symlink_to(written(there, mode=0o666))
    with pytest.raises(ConfigurationRefused, match="0666"):
        resolve_target("pi")
    written(there)
    there.chmod(0o777)
    with pytest.raises(ConfigurationRefused, match="may be replaced"):
        resolve_target("pi")


def test_the_users_own_folder_is_looked_at_as_well(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.mkdir()
    monkeypatch.setenv("EDGEPROF_CONFIG", str(config))
    written(config, mode=0o666)
    with pytest.raises(ConfigurationRefused, match="0666"):
        resolve_target("pi")
    assert here.is_dir()


def test_a_pipe_a_huge_file_and_one_nested_without_end_are_refused(here: Path) -> None:
    os.mkfifo(here / "edgeprof.toml")
    assert find_configuration() is None
    (here / "edgeprof.toml").unlink()
    path = written(here, "x" * (2 << 20))
    with pytest.raises(UsageError, match="larger than"):
        find_configuration()
    path.write_text(f"x = {'[' * 100_000}")
    with pytest.raises(UsageError, match=r"edgeprof\.toml"):
        find_configuration()
    path.unlink()
    path.symlink_to("/proc/self/mem")
    with pytest.raises(FileUnreadable):
        find_configuration()


# ── what somebody has to agree to ────────────────────────────────────────────────────────────────────────────────────


class Answers:
    """Somebody who says the same each time, and what was asked and told."""

    def __init__(self, *, answer: bool) -> None:
        self.answer, self.asked, self.told = answer, list[str](), list[str]()

    def ask(self, question: str) -> bool:
        self.asked.append(question)
        return self.answer

    def person(self) -> Person:
        return Person(self.ask, self.told.append, remembers=True)


@pytest.mark.parametrize("kind", POWERS)
@pytest.mark.parametrize("place", ["above", "repository"])
def test_a_target_that_does_more_than_talk_needs_consent(here: Path, kind: str, place: str) -> None:
    written(here if place == "repository" else here.parent, POWERS[kind])
    if place == "repository":
        (here.parent.parent / ".git").mkdir()
    with pytest.raises(ConfigurationRefused, match="nobody has trusted it: target pi") as refused:
        resolve_target("pi")
    assert "--trust-config" in refused.value.hint
    assert "/opt/" in refused.value.message


@pytest.mark.parametrize(
    "url", ["ssh://pi@board", "ssh://pi@board?python=python3", "local", "sim:raspberry-pi-5", "emu:cortex-m4",
            "qemu:mps2-an386", "serial:///dev/ttyACM0", "serial+socket://h:1", "serial+rfc2217://h:1",
            "mlperf-tiny:///dev/ttyACM0"],
)  # fmt: skip
def test_a_target_that_only_talks_to_a_board_needs_none(here: Path, url: str) -> None:
    (here.parent / ".git").mkdir()
    written(here.parent, f"[targets.pi]\nurl = '{url}'\n[flash]\ntool = 'pyocd'\nport = '/dev/ttyS9'\n")
    assert resolve_target("pi").file == str(here.parent / "edgeprof.toml")
    assert plan_flash(str(agent_elf("cortex-m4")), FlashAsked(chip="x")).tool == "pyocd"


@pytest.mark.parametrize("kind", POWERS)
def test_ones_own_file_in_the_current_folder_needs_none(here: Path, kind: str) -> None:
    written(here, POWERS[kind])
    assert resolve_target("pi").name == "pi"


def test_the_users_own_folder_needs_none(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "config").mkdir()
    monkeypatch.setenv("EDGEPROF_CONFIG", str(tmp_path / "config"))
    written(tmp_path / "config", POWERS["python"] + "[boards]\npath = 'x'\n")
    assert resolve_target("pi").place == Local(python="/opt/evil.sh")
    assert board_folders() == (tmp_path / "config" / "x",)
    assert here.is_dir()


def test_a_flash_command_and_folders_of_boards_need_consent(here: Path) -> None:
    written(here.parent, "[flash]\ncommand = ['a tool', '{image}']\n")
    image = str(agent_elf("cortex-m4"))
    with pytest.raises(ConfigurationRefused, match=r"firmware flash starts 'a tool' '\{image\}'"):
        plan_flash(image, FlashAsked())
    shown = plan_flash(image, FlashAsked(dry_run=True))
    assert shown.file == str(here.parent / "edgeprof.toml")
    assert plan_flash(image, FlashAsked(command="mine {image}")).file is None
    written(here.parent, "[boards]\npath = ['one', 'two']\n")
    with pytest.raises(ConfigurationRefused, match="boards are those in one, two"):
        board_folders()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("tool = 'openocd'\nchip = 'evil.cfg'", "hands chip 'evil.cfg' to its tool"),
        ("tool = 'openocd'\nuid = 'x; exec evil'", "hands uid 'x; exec evil' to its tool"),
        ("port = 'spy:///dev/ttyS0?file=written'", r"opens spy:///dev/ttyS0\?file=written"),
        ("port = 'serial+spy:///dev/ttyS0?file=written'", r"opens serial\+spy:///dev/ttyS0\?file=written"),
    ],
)
def test_what_makes_a_flash_tool_run_other_things_needs_consent_too(here: Path, table: str, words: str) -> None:
    written(here.parent, f"[flash]\n{table}\n")
    image = str(agent_elf("cortex-m4"))
    with pytest.raises(ConfigurationRefused, match=words):
        plan_flash(image, FlashAsked())
    assert not list(here.iterdir())
    mine = plan_flash(image, FlashAsked(tool="openocd", chip="board.cfg", uid="1", port="/dev/ttyS9"))
    assert mine.file is None
    assert "evil.cfg" not in mine.arguments


def test_who_agrees_is_asked_once_for_each_content_of_a_file(here: Path, state: Path) -> None:
    path = written(here.parent, POWERS["python"] + "[boards]\npath = 'x'\n")
    somebody = Answers(answer=True)
    with answered_by(somebody.person()):
        assert resolve_target("pi").place == Local(python="/opt/evil.sh")
        assert board_folders() == (here.parent / "x",)
    assert len(somebody.asked) == 1
    assert str(path) in somebody.asked[0]
    assert "starts /opt/evil.sh here" in somebody.asked[0]
    assert "boards are those in x" in somebody.asked[0]
    assert board_folders()  # kept for the next time, also without anybody there
    assert [kept.read_text() for kept in (state / "trusted").iterdir()] == [f"{path}\n"]
    path.write_text(POWERS["python"].replace("evil", "worse"))
    with pytest.raises(ConfigurationRefused, match="worse"):
        resolve_target("pi")


def test_the_same_content_at_another_place_is_asked_for_again(here: Path) -> None:
    written(here.parent, POWERS["python"])
    with answered_by(Answers(answer=True).person()):
        resolve_target("pi")
    (here / ".git").mkdir()
    written(here, POWERS["python"])
    with pytest.raises(ConfigurationRefused):
        resolve_target("pi")


def test_who_does_not_agree_is_not_asked_twice_and_nothing_is_kept(here: Path, state: Path) -> None:
    written(here.parent, POWERS["python"])
    somebody = Answers(answer=False)
    with answered_by(somebody.person()):
        for _ in range(2):
            with pytest.raises(ConfigurationRefused):
                resolve_target("pi")
    assert len(somebody.asked) == 1
    assert not (state / "trusted").exists()


@pytest.mark.parametrize(("value", "good"), [("1", True), ("yes", True), ("0", False), ("", False), ("false", False)])
def test_a_variable_trusts_for_a_job(here: Path, monkeypatch: pytest.MonkeyPatch, value: str, *, good: bool) -> None:
    written(here.parent, POWERS["python"])
    monkeypatch.setenv("EDGEPROF_TRUST_CONFIG", value)
    if good:
        assert resolve_target("pi").name == "pi"
    else:
        with pytest.raises(ConfigurationRefused):
            resolve_target("pi")


def test_trust_does_not_help_a_file_of_others(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(here, POWERS["python"], mode=0o666)
    monkeypatch.setenv("EDGEPROF_TRUST_CONFIG", "1")
    with pytest.raises(ConfigurationRefused, match="0666"):
        resolve_target("pi")


# ── where things came from ───────────────────────────────────────────────────────────────────────────────────────────


def test_whoever_is_there_is_told_once_where_a_target_is_from(here: Path) -> None:
    path = written(here)
    somebody = Answers(answer=False)
    with answered_by(somebody.person()):
        resolve_target("pi")
        resolve_target("pi")
        resolve_target("local")
    assert somebody.told == [f"target pi is ssh://pi@board, from {path}"]
    assert named_targets()[1] == path


def test_a_board_in_place_of_one_that_ships_is_told_in_a_warning(here: Path) -> None:
    boards = here / "boards"
    boards.mkdir()
    ours = (REPOSITORY / "device_configs" / "nucleo-l4r5zi.toml").read_text()
    (boards / "nucleo-l4r5zi.toml").write_text(ours)
    (boards / "my-board.toml").write_text(ours.replace('id = "nucleo-l4r5zi"', 'id = "my-board"'))
    written(here, "[boards]\npath = 'boards'\n")
    folders, somebody = board_folders(), Answers(answer=False)
    with answered_by(somebody.person()):
        for name in ("my-board", "raspberry-pi-5", "nucleo-l4r5zi"):
            load_board(name, folders)
    assert len(somebody.told) == 1
    assert somebody.told[0].startswith(f"warning: {boards / 'nucleo-l4r5zi.toml'} takes the place of the board")
    assert board_file("my-board", folders) == str(boards / "my-board.toml")
    assert board_file("raspberry-pi-5", folders) is None


def test_a_name_that_is_not_known_needs_no_consent(here: Path) -> None:
    path = written(here.parent, POWERS["python"])
    with pytest.raises(UnknownName, match="unknown target 'pie'"):
        resolve_target("pie")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
