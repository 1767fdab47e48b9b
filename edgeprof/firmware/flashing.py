"""Puts an agent onto a board by calling its flash tool; everything is decided before the board is touched."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from edgeprof.bounded import opened
from edgeprof.errors import FileUnreadable, UnknownName, UsageError, did_you_mean
from edgeprof.firmware.elf import LARGEST_IMAGE_BYTES, MAGIC, read_elf, stray
from edgeprof.firmware.listing import find_port, sources_folder
from edgeprof.firmware.presets import Tool, read_presets
from edgeprof.firmware.tools import ToolMissing, found, run_tool
from edgeprof.firmware.uf2 import check_uf2, copy_to_drive, find_drive, mounted
from edgeprof.folders import cache_folder
from edgeprof.targets import Serial, agree_to, flash_table, named_targets, parse_place, resolve_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgeprof.firmware.listing import Port
    from edgeprof.targets import FlashTable

PLACEHOLDERS = ("port", "image", "uid", "target")
_PLACEHOLDER = re.compile(r"\{(port|image|uid|target)\}")
_OPTIONS = {"port": "--port", "image": "PORT or a file", "uid": "--uid", "target": "--chip"}
_IMAGE_SUFFIXES = frozenset({".elf", ".hex", ".bin", ".uf2"})


class FlashAsked(Struct, frozen=True, kw_only=True):
    """What the options say; what they leave empty, the `[flash]` table decides."""

    tool: str = ""
    command: str = ""
    port: str = ""
    uid: str = ""
    chip: str = ""
    drive: Path | None = None
    sources: Path | None = None
    dry_run: bool = False
    """The plan is only shown: a command of a file that nobody has trusted yet may be looked at."""


class FlashPlan(Struct, frozen=True, kw_only=True):
    """What will be done. `build` names the port that is built first, `arguments` the call; a UF2 copy has none."""

    tool: str
    image: str
    arguments: tuple[str, ...]
    build: str | None = None
    board: str = ""
    """What the agent of the port calls its board."""
    serial: Serial | None = None
    uid: str = ""
    drive: str | None = None
    file: str | None = None
    """The `edgeprof.toml` that says how, where one does."""


def plan_flash(what: str, asked: FlashAsked) -> FlashPlan:
    """Decide how an image, or the agent for a port, gets onto the board."""
    table, file = _table(asked)
    image, port = _image(what, asked.sources)
    serial = serial_port(asked.port or table.port)
    own = asked.command or table.command
    name = asked.tool or ("custom" if own else table.tool) or _usual_tool(image, port)
    uid = asked.uid or table.uid
    values = {"port": serial.url if serial else "", "image": str(image), "uid": uid}
    values["target"] = asked.chip or table.chip or _chip(port, name)
    if asked.command and asked.tool not in {"", "custom"}:
        raise UsageError(f"--command and --tool {asked.tool} exclude each other", hint="leave one of them out")
    return FlashPlan(
        tool=name,
        image=str(image),
        arguments=_own_arguments(own, values) if name == "custom" else _preset_arguments(name, image, values),
        build=port.id if port else None,
        board=port.board if port else "",
        serial=serial,
        uid=uid,
        drive=str(asked.drive) if asked.drive else None,
        file=str(file) if file else None,
    )


def _table(asked: FlashAsked) -> tuple[FlashTable, Path | None]:
    """Return what the `[flash]` table adds to the options, and its file where what it adds had to be agreed to."""
    table, file = flash_table()
    keeps_command = not asked.command and asked.tool in {"", "custom"}
    table = replace(
        table,
        command=table.command if keeps_command else "",
        uid="" if asked.uid else table.uid,
        chip="" if asked.chip else table.chip,
        port="" if asked.port else table.port,
    )
    if file is None or not table.power():
        return table, None
    if not asked.dry_run:
        agree_to(file)
    return table, file.path


def run_flash(plan: FlashPlan, timeout_s: float) -> None:
    """Carry the plan out: the image is there now."""
    image = Path(plan.image)
    if not plan.arguments:
        content = check_uf2(image)
        drive = find_drive(Path(plan.drive) if plan.drive else None, plan.uid, mounted())
        copy_to_drive(content, image.name, drive)
        return
    check_image(image)
    run_tool(runnable(plan), timeout_s=timeout_s, log="flash")


def runnable(plan: FlashPlan) -> tuple[str, ...]:
    """Return the call with the path of the tool; one that is not there is told with how to install it."""
    if not plan.arguments:
        return ()
    program = found(plan.arguments[0])
    if program is None:
        known = read_presets().tools.get(plan.tool)
        hint = known.install if known else "is it installed, and on PATH?"
        raise ToolMissing(f"{plan.arguments[0]} is not installed", hint=hint)
    return (program, *plan.arguments[1:])


def check_image(image: Path) -> None:
    """Refuse an ELF file that a tool would write partly below the board's flash."""
    with opened(image, LARGEST_IMAGE_BYTES, "the image") as file:
        elf = file.read(len(MAGIC)) == MAGIC
    found_stray = stray(read_elf(image)) if elf else None
    if found_stray is not None:
        address, size = found_stray
        raise UsageError(
            f"{image} would write its own {size} bytes of headers at {address:#010x}, before its first section",
            hint="link it with -Wl,-n, as edgeprof firmware build does",
        )


# ── what is flashed, and where to ────────────────────────────────────────────────────────────────────────────────────


def _image(what: str, sources: Path | None) -> tuple[Path, Port | None]:
    """Return the file, and the port when one was named: it is built into the cache."""
    path = Path(what)
    if path.is_file() or path.suffix.lower() in _IMAGE_SUFFIXES or "/" in what:
        if not path.is_file():
            raise FileUnreadable(f"there is no file {what}", hint="edgeprof firmware build PORT makes one")
        return path.absolute(), None
    folder = sources_folder(sources)
    port = find_port(what, folder)
    if not port.tools and port.state == "run in QEMU":
        raise UsageError(
            f"{what} is a board that QEMU emulates: nothing is flashed",
            hint=f"edgeprof profile MODEL --target qemu:{what}",
        )
    return cache_folder() / "firmware" / f"{port.id}.elf", port


def serial_port(text: str) -> Serial | None:
    """Return a serial port by device path, pyserial URL, `serial://` target, or the name of one in edgeprof.toml."""
    if not text:
        return None
    if text.startswith(("serial:", "serial+")):
        place = parse_place(text)
    elif text in named_targets()[0]:
        place = resolve_target(text).place
    else:
        place = Serial(url=text)
    if not isinstance(place, Serial):
        raise UsageError(f"--port {text!r} is no serial port", hint="edgeprof targets list shows those plugged in")
    _check_url(place.url)
    return place


def _check_url(url: str) -> None:
    import serial

    try:
        serial.serial_for_url(url, do_not_open=True)
    except ValueError as error:
        raise UsageError(f"--port {url!r} is no serial port: {error}", hint="such as /dev/ttyACM0") from error


# ── how the tool is called ───────────────────────────────────────────────────────────────────────────────────────────


def _usual_tool(image: Path, port: Port | None) -> str:
    """Return the tool when none was named: a UF2 file has one, a port's first that is installed is taken."""
    tools = read_presets().tools
    if image.suffix.lower() == ".uf2":
        return "uf2"
    if port is None or not port.tools:
        raise UsageError(
            f"no flash tool is named for {image.name}",
            hint=f"--tool {'|'.join(tools)}, with --chip where it needs one, or --command '… {{image}}'",
        )
    installed = [name for name in port.tools if found(tools[name].program)]
    return installed[0] if installed else port.tools[0]


def _chip(port: Port | None, tool: str) -> str:
    known = read_presets().ports.get(port.id, {}).get(tool) if port else None
    return known.target if known else ""


def _preset_arguments(name: str, image: Path, values: Mapping[str, str]) -> tuple[str, ...]:
    tools = read_presets().tools
    if name not in tools:
        raise UnknownName(
            f"unknown flash tool {name!r}", hint=did_you_mean(name, tools) or f"known: {', '.join(tools)}, custom"
        )
    tool = tools[name]
    if image.suffix.lower().lstrip(".") not in tool.images:
        raise UsageError(
            f"{name} does not take {image.name}: it takes .{', .'.join(tool.images)}",
            hint="another --tool, or your own --command",
        )
    for needed in tool.needs:
        if not values[needed]:
            raise UsageError(f"{name} must be told {{{needed}}}", hint=f"{_OPTIONS[needed]} says it")
    return _filled_groups(tool, values)


def _filled_groups(tool: Tool, values: Mapping[str, str]) -> tuple[str, ...]:
    groups = [group for group in tool.arguments if all(values[name] for part in group for name in _placeholders(part))]
    return (tool.program, *(_filled(part, values) for group in groups for part in group)) if tool.program else ()


def _own_arguments(command: str | Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Split the user's command as a shell would, then fill it: a value is never split, and no shell sees it."""
    try:
        parts = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise UsageError(f"the flash command {command!r} cannot be split: {error}", hint="close its quotes") from error
    if not parts:
        raise UsageError(
            "--tool custom needs a command",
            hint="--command 'west flash --elf-file {image}', or command in a [flash] table of edgeprof.toml",
        )
    for part in parts:
        _check_placeholders(part, values)
    return tuple(_filled(part, values) for part in parts)


def _check_placeholders(part: str, values: Mapping[str, str]) -> None:
    for name in _placeholders(part):
        if not values[name]:
            raise UsageError(f"the flash command asks for {{{name}}}", hint=f"{_OPTIONS[name]} says it")
    for name in re.findall(r"\{([a-z_]+)\}", part):
        meant = did_you_mean(name, PLACEHOLDERS) if name not in PLACEHOLDERS else ""
        if meant:
            raise UsageError(f"unknown placeholder {{{name}}} in the flash command", hint=meant)


def _placeholders(part: str) -> list[str]:
    return _PLACEHOLDER.findall(part)


def _filled(part: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found_name: values[found_name[1]], part)
