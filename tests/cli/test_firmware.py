"""`edgeprof firmware`: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeprof.links.firmware_files import agent_elf
from tests.conftest import REPOSITORY
from tests.provided import firmware_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli

needs_gcc = pytest.mark.usefixtures("tools_on_path")
needs_sources = pytest.mark.skipif(not (REPOSITORY / "firmware_stubs").is_dir(), reason="no clone: no firmware_stubs")
ELF = agent_elf("cortex-m4")


def tool(folder: Path, name: str, body: str = "") -> str:
    """Write a flash tool that writes down how it was called; return a PATH that has it first."""
    path = folder / name
    written = f"open({str(folder / 'called.json')!r}, 'w').write(json.dumps(sys.argv[1:]))"
    path.write_text(f"#!{sys.executable}\nimport json, sys, time\n{written}\n{body}\n")
    path.chmod(0o700)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_list_tells_what_ships_what_can_be_built_and_what_was_run(edgeprof: Cli) -> None:
    for arguments in (("firmware",), ("firmware", "list")):
        listed = edgeprof(*arguments)
        assert listed.returncode == 0, listed.stderr
        for words in ("cortex-m3", "cortex-m4", "cortex-m7", "arm-none-eabi-gcc"):
            assert words in listed.stdout


@needs_sources
def test_list_as_json_has_sizes_hashes_and_the_state_of_each_port(edgeprof: Cli) -> None:
    listed = json.loads(edgeprof("firmware", "list", "--format", "json").stdout)
    assert {agent["core"]: agent["port"] for agent in listed["prebuilt"]}["cortex-m4"] == "mps2-an386"
    assert all(agent["intact"] and agent["sections"][".text"] and agent["flags"] for agent in listed["prebuilt"])
    states = {port["id"]: port["state"] for port in listed["ports"]}
    assert states["mps2-an386"] == "run in QEMU"
    assert states["nucleo-l4r5zi"] == "compiled, not run on hardware here"
    assert listed["sources"] == str(REPOSITORY / "firmware_stubs")


@needs_sources
@needs_gcc
def test_build_prints_the_file_its_sections_and_its_compiler(edgeprof: Cli, tmp_path: Path) -> None:
    built = edgeprof("firmware", "build", "nrf52840-dk", "-o", tmp_path / "out")
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "out" / "nrf52840-dk.elf").is_file()
    for words in (
        "nrf52840-dk.elf",
        "not run on hardware here",
        ".text",
        ".stack",
        "arm-none-eabi-gcc",
        "-mcpu=cortex-m4",
    ):
        assert words in built.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("build", "nrf52840"), 2, "did you mean nrf52840-dk"),
        (("build", "mps2-an386", "--compiler", "/nowhere/gcc"), 2, "no compiler"),
        (("list", "--sources", "/nowhere"), 2, "does not hold the agent's sources"),
        (("flash", "gone.elf"), 2, "no file gone.elf"),
        (("flash", "mps2-an386"), 2, "qemu:mps2-an386"),
        (("flash", str(ELF)), 2, "no flash tool is named"),
        (("flash", str(ELF), "--tool", "openocd"), 2, "--chip"),
        (("flash", str(ELF), "--command", "no-such-tool {image}"), 3, "no-such-tool is not installed"),
    ],
)
@needs_sources
def test_what_cannot_be_done_is_told_with_a_hint(
    edgeprof: Cli, arguments: tuple[str, ...], code: int, message: str
) -> None:
    ended = edgeprof("firmware", *arguments)
    assert ended.returncode == code
    assert message in ended.stderr
    assert "Hint:" in ended.stderr
    assert ended.stdout == ""


def test_without_a_compiler_a_build_ends_with_3_and_says_how_to_get_one(edgeprof: Cli, tmp_path: Path) -> None:
    made = shutil.which("make")
    if made is None or not (REPOSITORY / "firmware_stubs").is_dir():
        pytest.skip("make is not installed, or no clone")
    (tmp_path / "make").symlink_to(made)
    ended = edgeprof("firmware", "build", "mps2-an386", "--compiler", "gcc", "-o", tmp_path, PATH=str(tmp_path))
    assert ended.returncode == 3
    assert "apt install gcc-arm-none-eabi" in ended.stderr


@needs_sources
def test_a_dry_run_prints_the_call_and_neither_builds_nor_needs_the_tool(edgeprof: Cli, own_cache: Path) -> None:
    dry = edgeprof("firmware", "flash", "nucleo-l4r5zi", "--tool", "pyocd", "--uid", "my probe", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    called = shlex.split(dry.stdout)
    assert called[:6] == ["pyocd", "load", "--no-wait", "--target", "stm32l4r5zitx", "--uid"]
    assert called[6] == "my probe"
    assert called[-1] == str(own_cache / "firmware" / "nucleo-l4r5zi.elf")
    assert not own_cache.exists()
    plan = json.loads(
        edgeprof("firmware", "flash", "nucleo-l4r5zi", "--tool", "pyocd", "--dry-run", "--format", "json").stdout
    )
    assert plan["arguments"][0] == "pyocd"
    assert plan["build"] == "nucleo-l4r5zi"


@needs_sources
@needs_gcc
def test_flashing_a_port_builds_it_and_calls_the_tool_with_it(edgeprof: Cli, tmp_path: Path, own_cache: Path) -> None:
    path = tool(tmp_path, "pyocd")
    flashed = edgeprof("firmware", "flash", "nrf52840-dk", "--tool", "pyocd", PATH=path)
    assert flashed.returncode == 0, flashed.stderr
    called = json.loads((tmp_path / "called.json").read_text())
    assert called[-1] == str(own_cache / "firmware" / "nrf52840-dk.elf")
    assert Path(called[-1]).is_file()
    assert "flashed with pyocd" in flashed.stdout
    assert "--port" in flashed.stdout


@pytest.mark.parametrize(
    ("body", "options", "message"),
    [
        ("sys.exit('no probe is there')", (), "no probe is there"),
        ("print('erasing', flush=True)\ntime.sleep(60)", ("--timeout", "1s"), "not done after 1 s"),
    ],
)
def test_a_tool_that_fails_or_hangs_ends_with_3_and_its_last_words(
    edgeprof: Cli, tmp_path: Path, body: str, options: tuple[str, ...], message: str
) -> None:
    path = tool(tmp_path, "mytool", body)
    ended = edgeprof("firmware", "flash", ELF, "--command", "mytool {image}", *options, PATH=path)
    assert ended.returncode == 3
    assert message in ended.stderr
    assert ended.stdout == ""


def test_a_board_that_stays_silent_after_flashing_ends_with_3(edgeprof: Cli, tmp_path: Path) -> None:
    path = tool(tmp_path, "mytool")
    ended = edgeprof(
        "firmware",
        "flash",
        ELF,
        "--command",
        "mytool {image}",
        "--port",
        tmp_path / "ttyACM0",
        "--wait",
        "500ms",
        PATH=path,
    )
    assert ended.returncode == 3
    assert "it was flashed, but no agent said hello" in ended.stderr


@pytest.fixture
def line() -> Iterator[str]:
    """Return the serial line of the real agent in QEMU, as a pyserial URL."""
    tools = firmware_tools()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [
        str(tools.qemu), "-M", "mps2-an386", "-nographic", "-monitor", "none", "-icount", "shift=6,sleep=off",
        "-serial", f"tcp:127.0.0.1:{port},server=on,wait=off", "-kernel", str(ELF),
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        env=tools.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield f"socket://127.0.0.1:{port}"
    process.kill()
    process.wait()


def test_after_flashing_the_real_agents_hello_is_told(edgeprof: Cli, tmp_path: Path, line: str) -> None:
    path = tool(tmp_path, "mytool")
    call = ("firmware", "flash", ELF, "--command", "mytool --port={port} {image}", "--port", line)
    flashed = edgeprof(*call, PATH=path)
    assert flashed.returncode == 0, flashed.stderr
    assert json.loads((tmp_path / "called.json").read_text()) == [f"--port={line}", str(ELF)]
    for words in ("mps2-an386 (QEMU)", "protocol 1.", "counter instructions", "engine: edgeprof reference"):
        assert words in flashed.stdout
    again = json.loads(edgeprof(*call, "--format", "json", PATH=path).stdout)
    assert again["agent"]["basis"] == "emulated"
    assert again["plan"]["tool"] == "custom"
