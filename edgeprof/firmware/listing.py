"""The agents that ship, and the ports whose sources are at hand."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from edgeprof.boards import shipped
from edgeprof.errors import EdgeprofError, FileUnreadable, UnknownName, UsageError, did_you_mean
from edgeprof.firmware.elf import read_elf, sections_of
from edgeprof.firmware.presets import read_presets
from edgeprof.links.firmware_files import FIRMWARE

if TYPE_CHECKING:
    from pathlib import Path

State = Literal["run in QEMU", "compiled, not run on hardware here", "its config.mk does not say"]
SOURCES_HINT = (
    "the sources are firmware_stubs/ in a clone of edgeprof's repository: work there, or give it as --sources"
)


class Prebuilt(Struct, frozen=True, kw_only=True):
    """An agent that ships; `intact`: it is the file that was recorded."""

    core: str
    port: str
    path: str
    bytes: int
    sha256: str
    intact: bool
    compiler: str
    flags: str
    sections: dict[str, int]


class Port(Struct, frozen=True, kw_only=True):
    """A board that the agent can be built for; `tools` are the flash tools that know it."""

    id: str
    description: str
    core: str
    board: str
    state: State
    tools: tuple[str, ...]


class Listing(Struct, frozen=True, kw_only=True):
    """What `edgeprof firmware list` says."""

    prebuilt: tuple[Prebuilt, ...]
    ports: tuple[Port, ...]
    sources: str | None
    hint: str


class _RecordedFile(Struct, frozen=True):
    port: str
    sha256: str
    bytes: int


class _Recorded(Struct, frozen=True):
    """The firmware.json beside the files."""

    compiler: str
    flags: str
    files: dict[str, _RecordedFile]


def list_firmware(sources: Path | None = None) -> Listing:
    """Return what ships, and the ports where there are sources."""
    folder = sources_folder(sources)
    return Listing(
        prebuilt=list_prebuilt(),
        ports=list_ports(folder) if folder else (),
        sources=str(folder) if folder else None,
        hint="" if folder else SOURCES_HINT,
    )


def list_prebuilt(folder: Path = FIRMWARE) -> tuple[Prebuilt, ...]:
    """Return the agents that ship, with what they were built with."""
    try:
        recorded = msgspec.json.decode((folder / "firmware.json").read_bytes(), type=_Recorded)
    except OSError as error:
        raise FileUnreadable(
            f"cannot read {folder / 'firmware.json'}: {error.strerror}", hint="pip install --force-reinstall edgeprof"
        ) from error
    return tuple(_prebuilt(folder / name, file, recorded) for name, file in sorted(recorded.files.items()))


def _prebuilt(path: Path, file: _RecordedFile, recorded: _Recorded) -> Prebuilt:
    content = read_elf(path)
    sha256 = hashlib.sha256(content).hexdigest()
    return Prebuilt(
        core=path.stem,
        port=file.port,
        path=str(path),
        bytes=len(content),
        sha256=sha256,
        intact=sha256 == file.sha256,
        compiler=recorded.compiler,
        flags=recorded.flags,
        sections={section.name: section.bytes for section in sections_of(content)},
    )


def sources_folder(given: Path | None) -> Path | None:
    """Return the folder of the agent's sources: the one that was given, else the checkout's."""
    if given is not None:
        if not (given / "Makefile").is_file() or not (given / "ports").is_dir():
            raise UsageError(f"{given} does not hold the agent's sources: no Makefile and ports", hint=SOURCES_HINT)
        return given.absolute()
    try:
        return shipped("firmware_stubs")
    except EdgeprofError:
        return None


def list_ports(sources: Path) -> tuple[Port, ...]:
    """Return the ports in a folder of sources."""
    files = sorted(sources.glob("ports/*/config.mk"))
    return tuple(_port(file) for file in files if file.parent.name != "host")


def find_port(name: str, sources: Path | None) -> Port:
    """Return a port by its name."""
    if sources is None:
        raise UsageError(
            f"{name!r} cannot be built: edgeprof was installed without the agent's sources", hint=SOURCES_HINT
        )
    ports = {port.id: port for port in list_ports(sources)}
    if name not in ports:
        hint = did_you_mean(name, ports) or f"known: {', '.join(ports)}"
        raise UnknownName(f"unknown port {name!r}", hint=hint)
    return ports[name]


def _port(file: Path) -> Port:
    text = file.read_text("utf-8", "replace")
    comment = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    core = re.search(r"^CORE\s*:?=\s*(\S+)", text, re.MULTILINE)
    board = re.search(r"""-DEP_BOARD='"(.*?)"'""", text)
    return Port(
        id=file.parent.name,
        description=re.split(r",? run in |\. ", comment, maxsplit=1, flags=re.IGNORECASE)[0],
        core=core[1] if core else "",
        board=board[1] if board else "",
        state=_state(comment.lower()),
        tools=tuple(read_presets().ports.get(file.parent.name, {})),
    )


def _state(comment: str) -> State:
    if "not run on hardware" in comment:
        return "compiled, not run on hardware here"
    return "run in QEMU" if "run in qemu" in comment else "its config.mk does not say"
