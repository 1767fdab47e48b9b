"""How the agent gets onto a board: the call of the flash tool, UF2 drives, ELF files, the hello after it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import tty
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from edgeprof import wire
from edgeprof.errors import AgentMismatch, BoardUnreachable, FileUnreadable, UnknownName, UsageError
from edgeprof.firmware import FlashAsked, await_hello, build, list_firmware, plan_flash, run_flash
from edgeprof.firmware.building import GCC, choose_compiler
from edgeprof.firmware.elf import read_elf, sections_of, stray
from edgeprof.firmware.flashing import check_image, runnable, serial_port
from edgeprof.firmware.listing import find_port, list_ports, list_prebuilt, sources_folder
from edgeprof.firmware.presets import read_presets
from edgeprof.firmware.tools import ToolFailed, ToolMissing
from edgeprof.firmware.uf2 import MAGIC, check_uf2, copy_to_drive, find_drive
from edgeprof.links.firmware_files import CORES, agent_elf
from edgeprof.targets import Serial
from tests.conftest import REPOSITORY
from tests.watching import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

needs_tools = pytest.mark.usefixtures("tools_on_path")
needs_sources = pytest.mark.skipif(not (REPOSITORY / "firmware_stubs").is_dir(), reason="no clone: no firmware_stubs")

ODD = "a name with 'single' and \"double\" quotes; $(touch x) {{and}} blanks"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty current folder, with a PATH that holds it first."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EDGEPROF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def elf(here: Path) -> Path:
    path = here / "agent.elf"
    path.write_bytes(agent_elf("cortex-m4").read_bytes())
    return path


def fake_tool(folder: Path, name: str, body: str = "") -> Path:
    """Put a program onto PATH that writes down how it was called, then does what `body` says."""
    record = folder / f"{name}.json"
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    written = f"open({str(record)!r}, 'w').write(json.dumps(sys.argv[1:]))"
    path.write_text(f"#!{sys.executable}\nimport json, os, signal, sys, time\n{written}\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return record


def arguments_of(image: Path, **asked: str) -> tuple[str, ...]:
    return plan_flash(str(image), FlashAsked(**asked)).arguments  # type: ignore[arg-type]  # all of them are texts


# ── how a tool is called ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_preset_leaves_out_what_was_not_said(elf: Path) -> None:
    assert arguments_of(elf, tool="pyocd") == ("pyocd", "load", "--no-wait", "--erase", "sector", str(elf))


def test_a_preset_takes_probe_and_chip(elf: Path) -> None:
    called = arguments_of(elf, tool="pyocd", uid="06 6F", chip="nrf52840")
    assert called == (
        "pyocd", "load", "--no-wait", "--target", "nrf52840", "--uid", "06 6F", "--erase", "sector", str(elf),
    )  # fmt: skip


def test_openocd_gets_the_file_in_braces_of_tcl(here: Path, elf: Path) -> None:
    spaced = elf.rename(here / "my agent.elf")
    called = arguments_of(spaced, tool="openocd", chip="board/st_nucleo_l4.cfg")
    assert called == ("openocd", "-f", "board/st_nucleo_l4.cfg", "-c", f"program {{{spaced}}} verify reset exit")


def test_esptool_gets_the_serial_port(here: Path) -> None:
    image = here / "app.bin"
    image.write_bytes(b"\xe9")
    called = arguments_of(image, tool="esptool", port="/dev/ttyUSB0")
    assert called == ("esptool", "--port", "/dev/ttyUSB0", "write-flash", "0x10000", str(image))


@pytest.mark.parametrize(
    ("asked", "message", "hint"),
    [
        ({"tool": "openocd"}, "must be told {target}", "--chip"),
        ({"tool": "esptool"}, "does not take agent.elf", "--tool"),
        ({"tool": "uf2"}, "does not take agent.elf", "--tool"),
        ({"tool": "custom"}, "needs a command", "--command"),
        ({"command": "tool {uid}"}, "asks for {uid}", "--uid"),
        ({"command": "tool {port}"}, "asks for {port}", "--port"),
        ({"command": "tool {imge}"}, "unknown placeholder {imge}", "image"),
        ({"command": "tool 'open"}, "cannot be split", "quotes"),
        ({"command": "tool", "tool": "pyocd"}, "exclude each other", "leave one"),
        ({}, "no flash tool is named", "--tool"),
        ({"tool": "pyocd", "port": "nonsense://x"}, "no serial port", "/dev/ttyACM0"),
        ({"tool": "pyocd", "port": "serial:"}, "names no port", "slashes"),
    ],
)
def test_what_cannot_be_called_is_refused_before_the_board_is_touched(
    elf: Path, asked: dict[str, str], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as refused:
        arguments_of(elf, **asked)
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert refused.value.exit_code == 2


def test_an_unknown_tool_comes_with_the_nearest_one(elf: Path) -> None:
    with pytest.raises(UnknownName) as refused:
        arguments_of(elf, tool="pyodc")
    assert "pyocd" in refused.value.hint


def test_a_file_that_is_not_there_is_refused(here: Path) -> None:
    for name in ("gone.elf", str(here / "gone")):
        with pytest.raises(FileUnreadable, match="there is no file"):
            plan_flash(name, FlashAsked(tool="pyocd"))


def test_every_preset_names_its_install_command_and_only_known_values() -> None:
    presets = read_presets()
    for name, tool in presets.tools.items():
        assert bool(tool.program) == bool(tool.install) == bool(tool.arguments) == (name != "uf2")
        assert tool.images
    for tools in presets.ports.values():
        assert set(tools) <= set(presets.tools)


def test_the_flash_table_of_edgeprof_toml_says_what_options_leave_out(here: Path, elf: Path) -> None:
    (here / "edgeprof.toml").write_text(
        "[flash]\ncommand = \"west flash --elf-file {image} --dev-id {uid}\"\nuid = 'my probe'\nport = '/dev/ttyS9'\n"
    )
    plan = plan_flash(str(elf), FlashAsked())
    assert plan.tool == "custom"
    assert plan.arguments == ("west", "flash", "--elf-file", str(elf), "--dev-id", "my probe")
    assert plan.serial == Serial(url="/dev/ttyS9")
    assert arguments_of(elf, uid="other")[-1] == "other"
    assert arguments_of(elf, tool="pyocd")[0] == "pyocd"


def test_a_command_in_the_flash_table_may_be_a_list(here: Path, elf: Path) -> None:
    (here / "edgeprof.toml").write_text("[flash]\ncommand = ['a tool', '--file={image}']\n")
    assert arguments_of(elf) == ("a tool", f"--file={elf}")


@pytest.mark.parametrize("content", ["[flash]\ntol = 'x'", "[flash]\ntool = 1", "[flash", "[flash]\ncommand = 3"])
def test_a_bad_flash_table_is_refused_with_its_path(here: Path, elf: Path, content: str) -> None:
    (here / "edgeprof.toml").write_text(content)
    with pytest.raises(UsageError, match=r"edgeprof\.toml"):
        plan_flash(str(elf), FlashAsked(tool="pyocd"))


def test_a_serial_port_is_a_path_a_url_or_a_named_target(here: Path) -> None:
    (here / "edgeprof.toml").write_text(
        "[targets.nucleo]\nurl = 'serial:///dev/ttyACM3?baud=9600'\n[targets.pi]\nurl = 'ssh://pi'\n"
    )
    assert serial_port("") is None
    assert serial_port("/dev/ttyACM0") == Serial(url="/dev/ttyACM0")
    assert serial_port("socket://127.0.0.1:9") == Serial(url="socket://127.0.0.1:9")
    assert serial_port("serial:///dev/ttyACM0?dtr=off") == Serial(url="/dev/ttyACM0", dtr="off")
    assert serial_port("nucleo") == Serial(url="/dev/ttyACM3", baud=9600)
    with pytest.raises(UsageError, match="no serial port"):
        serial_port("pi")


# ── running it ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_with_blanks_and_quotes_arrive_unsplit_and_no_shell_sees_them(
    here: Path, tmp_path: Path, elf: Path
) -> None:
    record = fake_tool(tmp_path, "mytool")
    image = elf.rename(here / f"{ODD}.elf")
    command = "mytool --file {image} 'two words' --probe={uid}"
    run_flash(plan_flash(str(image), FlashAsked(command=command, uid=ODD)), 20)
    assert json.loads(record.read_text()) == ["--file", str(image), "two words", f"--probe={ODD}"]
    assert not (here / "x").exists()


def test_a_preset_calls_the_tool_on_path(tmp_path: Path, elf: Path) -> None:
    record = fake_tool(tmp_path, "pyocd")
    run_flash(plan_flash(str(elf), FlashAsked(tool="pyocd", chip="nrf52840")), 20)
    assert json.loads(record.read_text())[:4] == ["load", "--no-wait", "--target", "nrf52840"]


def test_a_tool_that_fails_is_told_with_its_last_lines_and_all_of_them_are_kept(
    tmp_path: Path, elf: Path, state: Path
) -> None:
    fake_tool(tmp_path, "mytool", "print(*range(100), sep='\\n', flush=True)\nsys.exit('no probe \\x1b[31mfound')")
    with pytest.raises(ToolFailed) as failed:
        run_flash(plan_flash(str(elf), FlashAsked(command="mytool {image}")), 20)
    assert failed.value.exit_code == 3
    assert "mytool ended with 1" in failed.value.message
    assert "no probe" in failed.value.message
    assert "\x1b" not in failed.value.message
    assert len(failed.value.message.splitlines()) < 20
    log = state / "firmware" / "flash.log"
    assert str(log) in failed.value.hint
    assert len(log.read_text().splitlines()) == 101


def test_a_tool_that_dies_of_a_signal_is_told_so(tmp_path: Path, elf: Path) -> None:
    fake_tool(tmp_path, "mytool", "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ToolFailed, match=r"killed by signal 9; it said nothing"):
        run_flash(plan_flash(str(elf), FlashAsked(command="mytool")), 20)


@pytest.mark.slow
def test_a_tool_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, elf: Path) -> None:
    child = tmp_path / "child"
    fake_tool(
        tmp_path,
        "mytool",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\npid = os.fork()\n"
        f"if pid: open({str(child)!r}, 'w').write(str(pid))\nprint('erasing', flush=True)\ntime.sleep(60)",
    )
    began = time.monotonic()
    with pytest.raises(ToolFailed) as failed:
        run_flash(plan_flash(str(elf), FlashAsked(command="mytool")), 2)
    assert time.monotonic() - began < 20
    assert "not done after 2 s" in failed.value.message
    assert "erasing" in failed.value.message
    assert "--timeout" in failed.value.hint
    wait_for(lambda: not _lives(int(child.read_text())))


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_tool_that_is_missing_is_told_with_how_to_install_it(elf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_flash(str(elf), FlashAsked(tool="pyocd"))
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(ToolMissing) as missing:
        runnable(plan)
    assert missing.value.exit_code == 3
    assert "pip install pyocd" in missing.value.hint


def test_a_tool_beside_this_python_is_found_without_an_activated_environment(
    tmp_path: Path, elf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tool(tmp_path, "pyocd")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    assert runnable(plan_flash(str(elf), FlashAsked(tool="pyocd")))[0] == str(tmp_path / "bin" / "pyocd")


def test_a_program_that_cannot_be_started_is_no_bug_of_ours(tmp_path: Path, elf: Path) -> None:
    path = tmp_path / "bin" / "mytool"
    path.parent.mkdir()
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o700)
    with pytest.raises(ToolFailed, match="cannot be started"):
        run_flash(plan_flash(str(elf), FlashAsked(command="mytool")), 5)


# ── UF2 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

BLOCK = MAGIC.ljust(508, b"\0") + struct.pack("<I", 0x0AB16F30)


def a_drive(folder: Path, board: str = "RPI-RP2") -> Path:
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text(f"UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: {board}\r\n")
    return folder


def test_a_uf2_file_is_copied_to_the_drive(here: Path, tmp_path: Path) -> None:
    drive = a_drive(tmp_path / "RPI RP2")
    image = here / "agent.uf2"
    image.write_bytes(BLOCK * 3)
    plan = plan_flash(str(image), FlashAsked(drive=drive))
    assert (plan.tool, plan.arguments) == ("uf2", ())
    run_flash(plan, 5)
    assert (drive / "agent.uf2").read_bytes() == BLOCK * 3


def test_the_drive_is_found_among_what_is_mounted(tmp_path: Path) -> None:
    drive = a_drive(tmp_path / "RPI-RP2")
    (tmp_path / "usb stick").mkdir()
    mounts = [tmp_path / "usb stick", drive, tmp_path / "not there"]
    assert find_drive(None, "", mounts) == drive
    assert find_drive(None, "RPI-RP2", mounts) == drive


def test_without_a_drive_the_way_into_the_bootloader_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing) as missing:
        find_drive(None, "", [tmp_path])
    assert "BOOTSEL" in missing.value.hint
    with pytest.raises(ToolMissing, match=r"INFO_UF2\.TXT"):
        find_drive(tmp_path, "", [])


def test_of_several_drives_one_must_be_named(tmp_path: Path) -> None:
    first, second = a_drive(tmp_path / "a", "one"), a_drive(tmp_path / "b", "two")
    with pytest.raises(UsageError, match="several UF2 drives"):
        find_drive(None, "", [first, second])
    assert find_drive(None, "two", [first, second]) == second
    with pytest.raises(ToolMissing, match="'three'"):
        find_drive(None, "three", [first, second])


@pytest.mark.parametrize("content", [b"", b"\x7fELF" * 128, BLOCK + b"x", BLOCK + bytes(512)])
def test_what_is_no_uf2_file_is_refused(here: Path, content: bytes) -> None:
    (here / "agent.uf2").write_bytes(content)
    with pytest.raises(UsageError, match="no UF2 file"):
        check_uf2(here / "agent.uf2")


def test_a_drive_that_takes_nothing_is_told(tmp_path: Path) -> None:
    drive = a_drive(tmp_path / "drive")
    (drive / "agent.uf2").symlink_to("/dev/full")
    with pytest.raises(ToolFailed, match="took 0 of 512 bytes"):
        copy_to_drive(BLOCK, "agent.uf2", drive)


# ── ELF files ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("core", CORES)
def test_the_sections_of_an_agent_are_those_that_take_room(core: str) -> None:
    sections = {section.name: section.bytes for section in sections_of(read_elf(agent_elf(core)))}
    assert list(sections) == [".text", ".data", ".bss", ".stack"]
    assert 10_000 < sections[".text"] < 16_384 + 4_096
    assert stray(agent_elf(core).read_bytes()) is None


@needs_tools
def test_sizes_are_those_that_readelf_tells(edgeprof_readelf: Callable[[Path], dict[str, int]]) -> None:
    path = agent_elf("cortex-m4")
    assert {section.name: section.bytes for section in sections_of(read_elf(path))} == edgeprof_readelf(path)


@pytest.fixture
def edgeprof_readelf() -> Callable[[Path], dict[str, int]]:
    """Return what the compiler's own tool says of a file."""

    def sizes(path: Path) -> dict[str, int]:
        said = subprocess.run(
            ["arm-none-eabi-readelf", "-SW", str(path)], capture_output=True, text=True, check=True
        ).stdout
        rows = [line.partition("]")[2].split() for line in said.splitlines() if line.lstrip().startswith("[")]
        return {row[0]: int(row[4], 16) for row in rows if len(row) > 7 and "A" in row[6]}

    return sizes


@pytest.mark.parametrize("cut", [6, 40, 52, 15_000])
def test_a_damaged_elf_file_is_refused(here: Path, elf: Path, cut: int) -> None:
    (here / "cut.elf").write_bytes(elf.read_bytes()[:cut])
    with pytest.raises(UsageError, match=r"cut\.elf"):
        read_elf(here / "cut.elf")


def test_a_file_whose_headers_would_be_written_below_the_flash_is_refused(here: Path, elf: Path) -> None:
    content = bytearray(elf.read_bytes())
    at = struct.unpack_from("<I", content, 28)[0]
    _, offset, virtual, _, size, memory = struct.unpack_from("<IIIIII", content, at)
    low = ((virtual - offset) & 0xFFFFFFFF, 0x08000000 - offset)
    struct.pack_into("<IIIIII", content, at, 1, 0, *low, size + offset, memory + offset)
    (here / "low.elf").write_bytes(content)
    with pytest.raises(UsageError) as refused:
        check_image(here / "low.elf")
    assert f"{offset} bytes of headers at 0x07ffff6c" in refused.value.message
    check_image(elf)


# ── what ships, and building ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_ships_is_intact_and_names_compiler_and_flags() -> None:
    agents = list_prebuilt()
    assert {agent.core for agent in agents} == set(CORES)
    for agent in agents:
        assert agent.intact
        assert "gcc" in agent.compiler
        assert agent.sections[".text"] > 0


def test_a_file_that_was_changed_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "firmware"
    shutil.copytree(agent_elf("cortex-m4").parent, folder)
    with (folder / "cortex-m4.elf").open("ab") as file:
        file.write(b"x")
    assert [agent.core for agent in list_prebuilt(folder) if not agent.intact] == ["cortex-m4"]


def test_a_port_says_itself_whether_it_was_run(tmp_path: Path) -> None:
    for name, comment in (
        ("emulated", "# A board (core), run in QEMU 7.2: x"),
        ("compiled", "# B board (core, 64 MHz). Compiled here; NOT RUN ON HARDWARE HERE."),
        ("silent", "# C board"),
        ("host", "# This machine"),
    ):
        (tmp_path / "ports" / name).mkdir(parents=True)
        (tmp_path / "ports" / name / "config.mk").write_text(f"{comment}\nCORE := cortex-m4\n")
    ports = {port.id: (port.description, port.state) for port in list_ports(tmp_path)}
    assert ports == {
        "emulated": ("A board (core)", "run in QEMU"),
        "compiled": ("B board (core, 64 MHz)", "compiled, not run on hardware here"),
        "silent": ("C board", "its config.mk does not say"),
    }


@needs_sources
def test_no_port_for_hardware_claims_that_it_was_run() -> None:
    for port in list_firmware().ports:
        assert (port.state == "run in QEMU") == port.id.startswith("mps2-")
        assert bool(port.tools) == (port.state == "compiled, not run on hardware here")


def test_a_wheel_without_sources_says_how_to_get_them(here: Path) -> None:
    with pytest.raises(UsageError) as refused:
        find_port("nucleo-l4r5zi", None)
    assert "clone" in refused.value.hint
    with pytest.raises(UsageError, match="does not hold"):
        sources_folder(here)


@needs_sources
def test_an_unknown_port_comes_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName) as refused:
        build("nrf52840", Path())
    assert "nrf52840-dk" in refused.value.hint


@needs_sources
@needs_tools
@pytest.mark.parametrize("port", ["mps2-an386", "nucleo-l4r5zi", "nucleo-h743zi", "nrf52840-dk"])
def test_a_build_writes_nothing_outside_the_boards_flash(
    here: Path, monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    monkeypatch.setenv("CC", "false")
    built = build(port, here / "o ut", compiler="gcc")
    assert Path(built.path) == here / "o ut" / f"{port}.elf"
    assert built.bytes == Path(built.path).stat().st_size
    assert "arm-none-eabi-gcc" in built.compiler
    assert f"-mcpu={built.core}" in built.flags
    assert built.sections[".text"] > 10_000
    check_image(Path(built.path))
    assert sorted(path.name for path in (here / "o ut").iterdir()) == [f"{port}.elf"]


@needs_sources
@needs_tools
def test_a_compiler_by_its_path_builds_the_same(here: Path, tmp_path: Path) -> None:
    path = shutil.which(GCC)
    assert path is not None
    spaced = tmp_path / "my tools" / "my gcc"
    spaced.parent.mkdir()
    spaced.write_text(f'#!/bin/sh\nexec {path} "$@"\n')
    spaced.chmod(0o700)
    by_path = build("mps2-an386", here, compiler=str(spaced))
    assert by_path.sections[".bss"] == build("mps2-an386", here / "usual").sections[".bss"]


def _zig_of_the_machine() -> str:
    return os.environ.get("EDGEPROF_TEST_ZIG") or ("zig" if find_spec("ziglang") else "")


@needs_sources
@pytest.mark.skipif(not _zig_of_the_machine(), reason="neither the ziglang package nor EDGEPROF_TEST_ZIG is there")
@needs_tools
def test_an_agent_built_with_zig_answers_in_qemu(here: Path) -> None:
    built = build("mps2-an386", here, compiler=_zig_of_the_machine())
    assert "zig" in built.compiler
    with QemuBoard(Path(built.path)) as url:
        assert "clang" in await_hello(Serial(url=url), 20).engine


@pytest.mark.parametrize(
    ("says", "error", "message"),
    [
        ("echo x86_64-linux-gnu", UsageError, "not for Arm"),
        ("echo clang version 22", UsageError, "edgeprof builds with gcc or zig"),
        ("exit 1", ToolFailed, "does not say what it is"),
    ],
)
def test_a_compiler_that_will_not_do_is_refused(
    tmp_path: Path, says: str, error: type[Exception], message: str
) -> None:
    path = tmp_path / "cc"
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o700)
    with pytest.raises(error, match=message):
        choose_compiler(str(path))


def test_without_any_compiler_both_ways_to_get_one_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("edgeprof.firmware.building.find_spec", lambda _name: None)
    with pytest.raises(ToolMissing) as missing:
        choose_compiler("")
    assert missing.value.exit_code == 3
    assert "apt install gcc-arm-none-eabi" in missing.value.hint
    assert "pip install ziglang" in missing.value.hint
    for name in ("gcc", "zig"):
        with pytest.raises(ToolMissing):
            choose_compiler(name)
    with pytest.raises(UsageError, match="no compiler 'nothing'"):
        choose_compiler("nothing")


@needs_sources
@needs_tools
def test_sources_that_do_not_compile_are_told_with_the_compilers_words(here: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(REPOSITORY / "firmware_stubs", sources, ignore=shutil.ignore_patterns("build"))
    with (sources / "core" / "ep_wire.c").open("a") as file:
        file.write("\nnonsense here\n")
    with pytest.raises(ToolFailed, match="nonsense"):
        build("mps2-an386", here, sources=sources)
    assert not list(here.iterdir())


# ── the hello after it ───────────────────────────────────────────────────────────────────────────────────────────────

HELLO = wire.Hello(
    1, 0, 1024, 4, 0, 1, 64_000_000, 1, agent="edgeprof firmware 1.0", board="a board", formats="program", engine="e"
)


class FakeAgent:
    """A board on a pseudo-terminal: deaf for some questions, and with words of its bootloader before an answer."""

    def __init__(self, hello: wire.Hello | None = HELLO, *, deaf: int = 0, first: bytes = b"") -> None:
        self.asked = 0
        self._hello, self._deaf, self._first = hello, deaf, first
        self._board, self._host = pty.openpty()
        tty.setraw(self._host)
        self.path = os.ttyname(self._host)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_ignored: object) -> None:
        os.close(self._host)
        self._thread.join(5)
        os.close(self._board)

    def _run(self) -> None:
        reader = wire.FrameReader()
        with contextlib.suppress(OSError):
            while True:
                content = os.read(self._board, 4096)
                os.write(self._board, self._first)
                for frame in reader.feed(content):
                    reader = wire.FrameReader()
                    self._answer(wire.read(frame))

    def _answer(self, message: object) -> None:
        if isinstance(message, wire.Ask):
            self.asked += 1
            if self._hello is not None and self.asked > self._deaf:
                os.write(self._board, wire.FrameWriter().frame(self._hello))


def test_who_answers_is_told() -> None:
    with FakeAgent() as agent:
        answered = await_hello(Serial(url=agent.path), 10)
    assert (answered.agent, answered.board, answered.counter_hz) == ("edgeprof firmware 1.0", "a board", 64_000_000)


def test_an_agent_that_is_still_starting_is_asked_again() -> None:
    with FakeAgent(deaf=1, first=b"*** Booting MCUboot ***\r\n") as agent:
        assert await_hello(Serial(url=agent.path), 20).board == "a board"
        assert agent.asked == 2


def test_a_port_that_comes_back_later_is_waited_for(tmp_path: Path) -> None:
    link = tmp_path / "ttyACM0"
    with FakeAgent() as agent:
        timer = threading.Timer(0.7, link.symlink_to, [agent.path])
        timer.start()
        assert await_hello(Serial(url=str(link)), 20).board == "a board"
        timer.join()


def test_a_port_that_never_comes_is_told(tmp_path: Path) -> None:
    with pytest.raises(BoardUnreachable, match=r"was flashed, but no agent said hello.*no serial port") as silent:
        await_hello(Serial(url=str(tmp_path / "ttyACM0")), 0.5)
    assert silent.value.exit_code == 3


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (b"", "nothing came over the port"),
        (b"U-Boot 2024.01\r\nwaiting for download\r\n", "a bootloader talks"),
        (b"Hello from another firmware\r\n", "something else talks there"),
        (bytes(range(128, 200)), "no text"),
    ],
)
def test_what_came_instead_of_a_hello_is_told_within_the_deadline(first: bytes, message: str) -> None:
    began = time.monotonic()
    with FakeAgent(None, first=first) as agent, pytest.raises(BoardUnreachable, match=message) as silent:
        await_hello(Serial(url=agent.path), 1.0)
    assert time.monotonic() - began < 5
    assert silent.value.hint


def test_an_agent_of_another_version_is_not_waited_for() -> None:
    with FakeAgent(HELLO._replace(major=9)) as agent, pytest.raises(AgentMismatch):
        await_hello(Serial(url=agent.path), 30)


class QemuBoard:
    """QEMU with an agent, its serial line on a loopback socket."""

    def __init__(self, elf: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self._port = server.getsockname()[1]
        self._command = [
            "qemu-system-arm", "-M", "mps2-an386", "-nographic", "-monitor", "none", "-icount", "shift=6,sleep=off",
            "-serial", f"tcp:127.0.0.1:{self._port},server=on,wait=off", "-kernel", str(elf),
        ]  # fmt: skip

    def __enter__(self) -> str:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return f"socket://127.0.0.1:{self._port}"

    def __exit__(self, *_ignored: object) -> None:
        self._process.kill()
        self._process.wait()


@needs_tools
def test_the_real_agent_answers_over_qemus_serial_line() -> None:
    with QemuBoard(agent_elf("cortex-m4")) as url:
        answered = await_hello(Serial(url=url), 30)
    assert answered.basis == "emulated"
    assert "mps2-an386" in answered.board
