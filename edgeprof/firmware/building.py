"""Builds the agent for a port: make, with GNU's compiler for Arm or with the one in the `ziglang` package."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from edgeprof.errors import OutputUnwritable, UsageError
from edgeprof.firmware.elf import read_elf, sections_of
from edgeprof.firmware.listing import find_port, sources_folder
from edgeprof.firmware.tools import ToolFailed, ToolMissing, found, run_tool
from edgeprof.store import write_atomically

GCC = "arm-none-eabi-gcc"
COMPILER_HINT = "sudo apt install gcc-arm-none-eabi, or pip install ziglang"
BUILD_TIMEOUT_S = 300.0
ASK_TIMEOUT_S = 60.0
MAKE_VARIABLES = (
    "CC",
    "CROSS",
    "OPT",
    "WIRE_OPT",
    "ENGINE",
    "EXTRA",
    "BUILD",
    "PORT",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
)
"""What would change the build behind the user's back, were it in the environment."""

WITHOUT_HEADERS = "-Wl,-n"
"""Keeps the file's own headers out of the first segment: a flash tool would write them below the board's flash."""

# Clang has no such optimisation to switch off, and loops become calls of themselves without -fno-builtin; zig's linker
# has no map. The triple without an ABI keeps calls of __aeabi_memclr away; the M profile has Arm's ABI all the same.
_ZIG_CC = """#!/bin/sh
for argument do
  shift
  case $argument in
    -fno-tree-loop-distribute-patterns) argument=-fno-builtin ;;
    -Wl,-Map=*) continue ;;
  esac
  set -- "$@" "$argument"
done
exec {zig} cc -g0 "$@"
"""
_CC = '#!/bin/sh\nexec {compiler} "$@"\n'


class Compiler(NamedTuple):
    """A compiler: how it is called, what it says it is, and whether it is zig's."""

    command: tuple[str, ...]
    version: str
    zig: bool = False
    named: bool = False
    """The user named its path, so it need not be on PATH."""


class Built(Struct, frozen=True, kw_only=True):
    """An agent that was built, and how."""

    port: str
    core: str
    state: str
    path: str
    bytes: int
    sha256: str
    compiler: str
    flags: str
    sections: dict[str, int]


def build(port: str, output: Path, *, compiler: str = "", sources: Path | None = None) -> Built:
    """Build the agent for a port into OUTPUT/PORT.elf; nothing stays of a build that failed."""
    folder = sources_folder(sources)
    asked = find_port(port, folder)
    make = found("make")
    if make is None:
        raise ToolMissing("the agent is built with make, which is not installed", hint="sudo apt install make")
    chosen = choose_compiler(compiler)
    flags = _cpu_flags(chosen, asked.core)
    elf = output / f"{port}.elf"
    with tempfile.TemporaryDirectory(prefix="edgeprof-") as temporary:
        work = Path(temporary)
        settings = [f"PORT={port}", f"BUILD={work / 'build'}", *_make_settings(chosen, flags, work)]
        environment = {name: value for name, value in os.environ.items() if name not in MAKE_VARIABLES}
        environment["PATH"] = f"{work / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        run_tool(
            [make, "-s", "-C", str(folder), *settings],
            timeout_s=BUILD_TIMEOUT_S,
            log=f"build-{port}",
            environment=environment,
        )
        content = read_elf(work / "build" / port / "agent.elf")
    _write(elf, content)
    return Built(
        port=port,
        core=asked.core,
        state=asked.state,
        path=str(elf),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        compiler=chosen.version,
        flags=_flags_in(content) or flags,
        sections={section.name: section.bytes for section in sections_of(content)},
    )


def choose_compiler(wanted: str) -> Compiler:
    """Return the compiler that is wanted: `gcc`, `zig`, a path, or the first of the two that is there."""
    gcc = found(GCC)
    zig = find_spec("ziglang") is not None
    match wanted:
        case "" if gcc is None and not zig:
            raise ToolMissing(
                f"no compiler for Arm: neither {GCC} nor the ziglang package is there", hint=COMPILER_HINT
            )
        case "gcc" if gcc is None:
            raise ToolMissing(f"{GCC} is not installed", hint="sudo apt install gcc-arm-none-eabi")
        case "zig" if not zig:
            raise ToolMissing("the ziglang package is not installed", hint="pip install ziglang")
        case "" | "gcc" if gcc is not None:
            return Compiler((gcc,), _first_line(gcc, "--version"))
        case "" | "zig":
            return _zig((sys.executable, "-m", "ziglang"))
        case _:
            return _named(wanted)


def _named(wanted: str) -> Compiler:
    path = found(wanted)
    if path is None:
        raise UsageError(
            f"there is no compiler {wanted!r}", hint="--compiler takes gcc, zig, or the path of a compiler"
        )
    path = str(Path(path).absolute())
    if Path(path).name.startswith("zig"):
        return _zig((path,))
    version = _first_line(path, "--version")
    if "clang" in version:
        raise UsageError(
            f"{wanted} is {version}: edgeprof builds with gcc or zig",
            hint="make -C firmware_stubs CC=clang CPU_FLAGS=… takes any compiler; flash its agent.elf",
        )
    machine = _first_line(path, "-dumpmachine")
    if not machine.startswith("arm"):
        raise UsageError(f"{wanted} builds for {machine}, not for Arm", hint=COMPILER_HINT)
    return Compiler((path,), version, named=True)


def _zig(command: tuple[str, ...]) -> Compiler:
    version = f"zig {_first_line(*command, 'version')}, {_first_line(*command, 'cc', '--version')}"
    return Compiler(command, version, zig=True)


def _first_line(*command: str) -> str:
    name = Path(command[0]).name
    try:
        said = subprocess.run(  # noqa: S603  a list of arguments, never a shell
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailed(f"{name} cannot be used as a compiler: {error}", hint=COMPILER_HINT) from error
    line = said.stdout.strip().partition("\n")[0]
    if said.returncode or not line:
        raise ToolFailed(f"{name} does not say what it is: {shlex.join(command)} failed", hint=COMPILER_HINT)
    return line


def _cpu_flags(compiler: Compiler, core: str) -> str:
    if compiler.zig:
        return f"-target thumb-freestanding-none -mcpu={core.replace('-', '_')}"
    return f"-mcpu={core} -mthumb -mfloat-abi=soft"


def _make_settings(compiler: Compiler, flags: str, work: Path) -> list[str]:
    """Return what make is told; a script of one word stands for a compiler whose path may have blanks."""
    if not compiler.zig and not compiler.named:
        return [f"EXTRA={WITHOUT_HEADERS}"]
    name = "zig-cc" if compiler.zig else "gcc-named"
    script = work / "bin" / name
    script.parent.mkdir()
    command = shlex.join(compiler.command)
    script.write_text(_ZIG_CC.format(zig=command) if compiler.zig else _CC.format(compiler=command), encoding="utf-8")
    script.chmod(0o700)
    return [f"CC={name}", f"CPU_FLAGS={flags}", *([] if compiler.zig else [f"EXTRA={WITHOUT_HEADERS}"])]


def _flags_in(content: bytes) -> str:
    """Return the flags that the agent itself will say: the Makefile's, not what is thought of them here."""
    said = re.search(rb"(?:-mcpu=|-target )[ -~]+", content)
    return said[0].decode("ascii") if said else ""


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise OutputUnwritable(f"cannot write {path}: {error.strerror}") from error
