"""What --target names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.errors import EdgeprofError, FileUnreadable, UnknownName, UsageError
from edgeprof.targets import Local, Sim, Ssh, board_folders, link_name, parse_place, resolve_target

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.targets import Place


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the current one."""
    folder = tmp_path / "project" / "deeper"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("local", Local()),
        ("local:?python=/usr/bin/python3.8", Local(python="/usr/bin/python3.8")),
        ("ssh://raspberrypi.local", Ssh(host="raspberrypi.local")),
        ("ssh://pi@10.0.0.2:2222", Ssh(host="10.0.0.2", user="pi", port=2222)),
        ("ssh://pi@[fe80::1]:22", Ssh(host="fe80::1", user="pi", port=22)),
        ("ssh://first%20last@board", Ssh(host="board", user="first last")),
        ("ssh://LabPi/?python=/opt/py/bin/python", Ssh(host="LabPi", python="/opt/py/bin/python")),
        ("sim:raspberry-pi-5", Sim(board="raspberry-pi-5")),
        ("sim:x?seed=3&fault=drop&after=10&pace=0.5", Sim(board="x", seed=3, fault="drop", after=10, pace=0.5)),
    ],
)
def test_a_url_is_read_with_its_options(text: str, place: Place) -> None:
    target = resolve_target(text)
    assert target.place == place
    assert target.name == text
    assert link_name(target.place) == {Local: "local", Ssh: "ssh", Sim: "sim"}[type(place)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ftp://host", "unknown kind of target 'ftp'"),
        ("sim:", "names no board"),
        ("sim:x?seed=many", "seed"),
        ("sim:x?sead=1", "unknown option 'sead'"),
        ("sim:x?seed", "NAME=VALUE"),
        ("ssh://", "names no host"),
        ("ssh://host:port", "host:port"),
        ("ssh://host:99999", "99999"),
        ("ssh://host/folder", "'/folder' after the host"),
        ("local:?pyton=x", "unknown option 'pyton'"),
    ],
)
def test_a_url_that_means_nothing_is_refused_with_what_was_written(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_target(text)


def test_a_password_in_a_target_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="password") as refused:
        resolve_target("ssh://pi:raspberry@host")
    assert "raspberry" not in refused.value.message + refused.value.hint


def test_a_wrong_option_comes_with_the_nearest_one() -> None:
    with pytest.raises(UsageError) as refused:
        resolve_target("sim:x?sead=1")
    assert "seed" in refused.value.hint


@given(st.text())
def test_any_text_is_a_target_or_is_refused_politely(text: str) -> None:
    try:
        target = resolve_target(text)
    except EdgeprofError:
        return
    assert parse_place(text) == target.place


# ── edgeprof.toml ────────────────────────────────────────────────────────────────────────────────────────────────────

TOML = """
[boards]
path = "our-boards"

[targets.lab-pi]
url = "ssh://pi@lab"
board = "raspberry-pi-5"
basis = "emulated"
"""


def test_a_name_from_edgeprof_toml_in_a_folder_above_is_found(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here.parent / "edgeprof.toml").write_text(TOML)
    target = resolve_target("lab-pi")
    assert (target.name, target.place, target.board) == ("lab-pi", Ssh(host="lab", user="pi"), "raspberry-pi-5")
    assert target.basis == "emulated"
    assert target.file == str(here.parent / "edgeprof.toml")
    monkeypatch.setenv("EDGEPROF_TRUST_CONFIG", "1")
    assert board_folders() == (here.parent / "our-boards",)


def test_the_nearest_edgeprof_toml_wins(here: Path) -> None:
    (here.parent / "edgeprof.toml").write_text(TOML)
    (here / "edgeprof.toml").write_text('[targets.lab-pi]\nurl = "local"\n')
    assert resolve_target("lab-pi").place == Local()


def test_the_users_own_folder_comes_last(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPROF_CONFIG", str(tmp_path))
    (tmp_path / "edgeprof.toml").write_text(TOML)
    assert resolve_target("lab-pi").board == "raspberry-pi-5"
    assert here.is_dir()


@pytest.mark.usefixtures("here")
def test_without_a_file_there_are_no_names_and_no_boards() -> None:
    assert board_folders() == ()
    with pytest.raises(UnknownName, match="unknown target 'lab-pi'"):
        resolve_target("lab-pi")


def test_an_unknown_name_comes_with_the_nearest_one(here: Path) -> None:
    (here / "edgeprof.toml").write_text(TOML)
    with pytest.raises(UnknownName) as refused:
        resolve_target("lab-pie")
    assert "lab-pi" in refused.value.hint


@pytest.mark.parametrize(
    "content",
    [b"not toml = = =", b"[targets.x]\nurl = 1", b"[targets.x]\nboard = 'y'", b"[targets.x]\nurl = 'local'\nurrl = 1",
     b"\xff\xfe"],
)  # fmt: skip
def test_a_bad_edgeprof_toml_is_refused_with_its_path(here: Path, content: bytes) -> None:
    (here / "edgeprof.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"edgeprof\.toml"):
        resolve_target("x")


def test_a_named_target_with_a_bad_url_says_where_it_is_named(here: Path) -> None:
    (here / "edgeprof.toml").write_text('[targets.x]\nurl = "somewhere"\n')
    with pytest.raises(UsageError, match=r"edgeprof\.toml.*somewhere"):
        resolve_target("x")


def test_a_file_that_cannot_be_read_is_refused_as_such(here: Path) -> None:
    (here / "edgeprof.toml").symlink_to("/proc/self/mem")
    with pytest.raises(FileUnreadable, match=r"edgeprof\.toml"):
        resolve_target("x")
