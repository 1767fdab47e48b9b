"""The scripts of the repository: --help only helps, what they do not know is refused, and nothing dead lies about."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
DEAD = (".orig", ".rej", "~", ".bak", ".swp", ".DS_Store")


def runnable() -> Iterator[Path]:
    for path in sorted(
        [
            *(REPOSITORY / "scripts").glob("*.py"),
            *(REPOSITORY / "examples").glob("*.py"),
            REPOSITORY / "firmware_stubs" / "prebuilt.py",
        ]
    ):
        if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8"):
            yield path


SCRIPTS = tuple(runnable())


def parses_first(path: Path) -> bool:
    """Tell whether a script makes an ArgumentParser and asks it, before which nothing can be done by mistake."""
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return {"ArgumentParser", "parse_args"} <= calls


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
@pytest.mark.parametrize(("word", "code"), [("--help", 0), ("--no-such-option", 2)])
def test_a_script_helps_or_refuses_and_does_nothing_else(
    path: Path,
    word: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    assert parses_first(path), f"{path.name} would run whatever it is given"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), word])
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    said = capsys.readouterr()
    assert ended.value.code == code
    assert f"usage: {path.name}" in (said.out if code == 0 else said.err)
    assert list(tmp_path.iterdir()) == []


def test_the_readme_stays_as_it_is_when_its_writer_is_asked_for_help() -> None:
    readme = REPOSITORY / "README.md"
    before = readme.stat().st_mtime_ns, readme.read_bytes()
    command = [sys.executable, str(REPOSITORY / "scripts" / "write_readme.py"), "--help"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.startswith("usage: write_readme.py [-h] [--check]")
    assert (readme.stat().st_mtime_ns, readme.read_bytes()) == before


def test_no_file_that_an_editor_or_a_merge_left_behind_is_committed() -> None:
    try:
        command = ["git", "ls-files"]
        listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"git does not list the repository's files: {error}")
    names = listed.stdout.splitlines()
    assert len(names) > 500
    assert [name for name in names if name.endswith(DEAD) or "#" in name] == []
