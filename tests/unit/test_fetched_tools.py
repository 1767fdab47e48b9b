"""What the tests need besides Python and make is found whatever PATH says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts import debian, npm, uv
from scripts.debian import FetchError, fetch_programs, run, search_path, system_program
from scripts.fetch_compiler import fetch_compiler
from tests.conftest import REPOSITORY


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a PATH that leads to an empty folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_uv_is_the_one_that_make_installs() -> None:
    assert uv.find_uv() == str(REPOSITORY / ".venv-tools" / "bin" / "uv")


def test_without_ours_a_uv_on_path_will_do(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "OWN", bare / "nothing")
    assert uv.find_uv() is None
    (bare / "uv").write_text("#!/bin/sh\n")
    (bare / "uv").chmod(0o755)
    assert uv.find_uv() == str(bare / "uv")


def test_a_program_of_the_system_is_found_where_the_distribution_has_it() -> None:
    assert Path(system_program("sh")).is_absolute()
    assert system_program("no-such-program") == "no-such-program"
    assert "/usr/bin" in run(["sh", "-c", "echo $PATH"])


def test_the_path_that_is_given_is_the_only_one_that_is_searched(bare: Path) -> None:
    assert debian.program("sh", bare, "") is None
    assert debian.program("sh", bare) is not None


def test_npm_is_the_machines_or_comes_with_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm, "search_path", lambda: "/nowhere")
    command = npm.find_npm()
    assert command is not None
    assert command[1:] == ["tool", "run", "--quiet", "--from", npm.NODE, "npm"]
    monkeypatch.setattr(npm, "find_uv", lambda: None)
    assert npm.find_npm() is None


def test_a_machine_without_apt_says_what_to_install(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "search_path", lambda: str(bare))
    with pytest.raises(FetchError, match="no apt-get to fetch gcc and libc6-dev with; install them"):
        fetch_compiler(bare / "compiler", "")
    with pytest.raises(FetchError, match="no apt-get to fetch nothing-of-the-kind"):
        fetch_programs({"nothing-of-the-kind": "nothing-of-the-kind"}, bare / "tools")


def test_the_compiler_compiles(compiler: Path, bare: Path) -> None:
    (bare / "seven.c").write_text("int main(void) { return 7; }\n")
    subprocess.run([compiler, "-o", bare / "seven", bare / "seven.c"], env={"PATH": search_path()}, check=True)
    assert subprocess.run([bare / "seven"], check=False).returncode == 7


def test_libraries_are_found_in_each_folder_that_has_one_but_qemus_modules(bare: Path) -> None:
    for name in (
        "lib/libz.so.1",
        "lib/pulseaudio/libpulsecommon-16.1.so",
        "lib/qemu/libmodule.so.1",
        "share/notes.so.txt",
    ):
        (bare / name).parent.mkdir(parents=True, exist_ok=True)
        (bare / name).touch()
    assert debian.libraries(bare) == (bare / "lib", bare / "lib" / "pulseaudio")
