"""An `edgeprof.toml` that came with a repository: refused, asked for once, trusted for a job; and what is from it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

from edgeprof.cli import main
from tests.conftest import COMMAND, REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = REPOSITORY / "examples" / "models" / "kws_int8.tflite"
ELF = REPOSITORY / "edgeprof" / "data" / "firmware" / "cortex-m4.elf"
BOARD = (REPOSITORY / "device_configs" / "nucleo-l4r5zi.toml").read_text(encoding="utf-8")


class Clone(NamedTuple):
    """A repository that somebody else made: where one works in it, and what shows that its program ran."""

    here: Path
    file: Path
    ran: Path

    def edgeprof(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, with nobody to ask."""
        return subprocess.run(
            [*COMMAND, *map(str, arguments)], cwd=self.here, env={**os.environ, **environment}, capture_output=True,
            text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def answering(self, answer: str, *arguments: object) -> tuple[int, str]:
        """Run a command there on a terminal, with somebody who answers."""
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], cwd=self.here, stdin=follower, stdout=follower, stderr=follower
        )
        os.close(follower)
        os.write(leader, f"{answer}\n".encode())
        seen = b""
        with suppress(OSError):  # how a terminal ends on Linux
            while part := os.read(leader, 65536):
                seen += part
        os.close(leader)
        return process.wait(), seen.decode()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    root, ran = tmp_path / "clone", tmp_path / "ran"
    (root / ".git").mkdir(parents=True)
    (root / "deeper").mkdir()
    boards = root / "boards"
    boards.mkdir()
    (boards / "nucleo-l4r5zi.toml").write_text(BOARD.replace("ST NUCLEO-L4R5ZI", "Hijacked"), encoding="utf-8")
    program = root / "evil.sh"
    program.write_text(f'#!/bin/sh\necho >> {ran}\n[ "$1" = flash ] || exec {sys.executable} "$@"\n')
    program.chmod(0o755)
    file = root / "edgeprof.toml"
    file.write_text(
        f'[targets.pi]\nurl = "local:?python={program}"\n[flash]\ncommand = "{program} flash {{image}}"\n'
        '[boards]\npath = "boards"\n'
    )
    return Clone(root / "deeper", file, ran)


@pytest.mark.parametrize(
    "call", [("profile", EXAMPLE, "-t", "pi"), ("firmware", "flash", ELF), ("doctor", "-t", "pi"),
             ("boards", "show", "nucleo-l4r5zi"), ("boards", "list"), ("fit", EXAMPLE, "--board", "nucleo-l4r5zi"),
             ("compare", EXAMPLE, EXAMPLE, "-t", "pi"), ("check", EXAMPLE, "--board", "nucleo-l4r5zi")],
)  # fmt: skip
def test_with_nobody_to_ask_it_is_refused_and_nothing_runs(
    clone: Clone, call: tuple[object, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(clone.here)
    monkeypatch.setattr("sys.argv", ["edgeprof", *map(str, call)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    message, hint = err.splitlines()
    assert str(clone.file) in message
    assert "evil.sh" in message
    assert "--trust-config" in hint
    assert not clone.ran.exists()


def test_what_is_only_looked_at_is_shown(clone: Clone) -> None:
    listed = json.loads(clone.edgeprof("targets", "list", "--format", "json").stdout)
    assert [one["file"] for one in listed if one["name"] == "pi"] == [str(clone.file)]
    shown = clone.edgeprof("firmware", "flash", ELF, "--dry-run")
    assert shown.stdout == f"{clone.file.parent / 'evil.sh'} flash {ELF}\n"
    assert str(clone.file) in shown.stderr
    assert not clone.ran.exists()


def test_trusted_for_one_call_it_runs_and_is_named_everywhere(clone: Clone, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    done = clone.edgeprof("profile", EXAMPLE, "-t", "pi", "--board", "nucleo-l4r5zi", "--runs", 5, "-o", result,
                          "--trust-config")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert clone.ran.exists()
    content, board = json.loads(result.read_text()), clone.file.parent / "boards" / "nucleo-l4r5zi.toml"
    assert content["target"]["file"] == str(clone.file)
    assert content["board"]["file"] == str(board)
    assert [warned["code"] for warned in content["warnings"]].count("board-file") == 1
    drawn = "".join(done.stdout.split())
    assert f"targetpi:{clone.file}" in drawn
    assert f"warning: {board} takes the place of the board nucleo-l4r5zi" in done.stderr
    assert clone.edgeprof("firmware", "flash", ELF).returncode == 2  # it was for that call


def test_a_variable_trusts_it_for_a_job(clone: Clone) -> None:
    done = clone.edgeprof("firmware", "flash", ELF, EDGEPROF_TRUST_CONFIG="1")
    assert done.returncode == 0, done.stderr
    assert f"as {clone.file} says" in done.stdout
    listed = json.loads(clone.edgeprof("boards", "list", "--trust-config", "--format", "json").stdout)
    files = {one["id"]: one["file"] for one in listed if one["file"]}
    assert files == {"nucleo-l4r5zi": str(clone.file.parent / "boards" / "nucleo-l4r5zi.toml")}


def test_a_person_is_asked_once_until_the_file_changes(clone: Clone) -> None:
    code, seen = clone.answering("n", "boards", "show", "nucleo-l4r5zi")
    assert code == 2
    assert "Trust it, until it changes? [y/N]" in " ".join(seen.split())
    code, seen = clone.answering("y", "boards", "show", "nucleo-l4r5zi")
    assert code == 0
    assert "Hijacked" in seen
    assert "Trust it" in seen
    done = clone.edgeprof("firmware", "flash", ELF)
    assert done.returncode == 0, done.stderr
    clone.file.write_text(clone.file.read_text().replace("evil.sh flash", "evil.sh  flash"))
    assert clone.edgeprof("boards", "show", "nucleo-l4r5zi").returncode == 2


def test_a_person_on_a_terminal_is_asked_before_a_target_starts_a_program(clone: Clone) -> None:
    code, seen = clone.answering("n", "profile", EXAMPLE, "-t", "pi")
    assert code == 2
    assert "target pi starts" in " ".join(seen.split())
    assert not clone.ran.exists()
