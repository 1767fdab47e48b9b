"""What `--target` names: a URL, a board of the simulator, or a name from `edgeprof.toml`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Literal, TypeVar, assert_never
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from msgspec import Struct

from edgeprof.configuration import find_configuration, must_be_trusted, tell
from edgeprof.errors import UnknownName, UsageError, did_you_mean
from edgeprof.units import PLAUSIBLE_CLOCK_HZ, parse_frequency

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edgeprof.configuration import ConfigurationFile


class Local(Struct, frozen=True, kw_only=True, tag="local"):
    """This machine."""

    python: str | None = None


class Ssh(Struct, frozen=True, kw_only=True, tag="ssh"):
    """A Linux board over SSH; what is None, the user's SSH configuration decides."""

    host: str
    user: str | None = None
    port: int | None = None
    python: str = "python3"
    cache: str = ""


class Sim(Struct, frozen=True, kw_only=True, tag="sim"):
    """A simulated board; `fault` strikes after `after` samples, `pace` 1 takes as long as the board would.

    `engine` empty: the one that `fit` takes. `clock` is declared by the user, with its unit: `150MHz`.
    """

    board: str
    seed: int = 0
    engine: str = ""
    clock: str = ""
    fault: str = ""
    after: int = 0
    pace: float = 0.0


class Serial(Struct, frozen=True, kw_only=True, tag="serial"):
    """A microcontroller with edgeprof's agent behind a serial port; `url` is a device path or a pyserial URL."""

    url: str
    baud: int = 115200
    dtr: Literal["on", "off", "pulse"] = "on"


class MlperfTiny(Struct, frozen=True, kw_only=True, tag="mlperf-tiny"):
    """A microcontroller with somebody's firmware that speaks the MLPerf Tiny protocol."""

    url: str
    baud: int = 115200
    dtr: Literal["on", "off", "pulse"] = "on"


class Qemu(Struct, frozen=True, kw_only=True, tag="qemu"):
    """A microcontroller board in QEMU, with edgeprof's agent."""

    board: str


class Emu(Struct, frozen=True, kw_only=True, tag="emu"):
    """A microcontroller core in unicorn, with edgeprof's agent."""

    core: str


Place = Local | Ssh | Sim | Serial | MlperfTiny | Qemu | Emu
P = TypeVar("P", Local, Ssh, Sim, Serial, MlperfTiny, Qemu, Emu)


class Target(Struct, frozen=True, kw_only=True):
    """A place, what the user called it, and what the user declares of it."""

    name: str
    place: Place
    board: str | None = None
    basis: Literal["emulated", "simulated"] | None = None
    file: str | None = None
    """The `edgeprof.toml` that names it."""


class TargetEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[targets.NAME]` table."""

    url: str
    board: str | None = None
    basis: Literal["emulated", "simulated"] | None = None


class BoardFolders(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[boards]` table: where the user's own boards are."""

    path: str | list[str] = []

    def folders(self) -> list[str]:
        """Return them as the file names them."""
        return [self.path] if isinstance(self.path, str) else self.path


class FlashTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[flash]` table: what options would say."""

    tool: str = ""
    command: str | list[str] = ""
    port: str = ""
    uid: str = ""
    chip: str = ""

    def power(self) -> str:
        """Return what it makes a flash tool do: a chip may be a script of OpenOCD, a uid a word of its language."""
        command = self.command if isinstance(self.command, str) else shlex.join(self.command)
        named = {"chip": self.chip, "uid": self.uid}
        parts = [f"starts {command}" * bool(command), f"opens {self.port}" * _does_more(self.port)]
        parts += [f"hands {name} {value!r} to its tool" for name, value in named.items() if value]
        return " and ".join(filter(None, parts))


class Configuration(Struct, frozen=True, kw_only=True):
    """An `edgeprof.toml`."""

    targets: dict[str, TargetEntry] = {}
    boards: BoardFolders = BoardFolders()
    flash: FlashTable = FlashTable()


SCHEMES = (
    "local", "ssh://[user@]host[:port]", "serial:///dev/ttyACM0", "mlperf-tiny:///dev/ttyACM0", "qemu:mps2-an386",
    "emu:cortex-m4", "sim:BOARD", "a name from edgeprof.toml",
)  # fmt: skip

PORTS = frozenset({"serial", "socket", "rfc2217", "loop", "hwgrep"})
"""pyserial's URLs that open a port and do nothing else; spy:// also writes a file."""


def resolve_target(text: str) -> Target:
    """Return the target that a person named."""
    place = parse_place(text)
    if place is not None:
        return Target(name=text, place=place)
    file = find_configuration()
    known = {} if file is None else _converted(file).targets
    if file is None or text not in known:
        hint = did_you_mean(text, [*known, "local"]) or f"a target is {', '.join(SCHEMES)}"
        raise UnknownName(f"unknown target {text!r}", hint=hint)
    entry = known[text]
    place = parse_place(entry.url)
    if place is None:
        raise UsageError(f"target {text!r} in {file.path}: {entry.url!r} is not {', '.join(SCHEMES[:-1])}")
    if _power(place):
        agree_to(file)
    tell(f"target {text} is {entry.url}, from {file.path}")
    return Target(name=text, place=place, board=entry.board, basis=entry.basis, file=str(file.path))


def parse_place(text: str) -> Place | None:
    """Return the place of a target URL, None when the text is no URL of ours."""
    try:
        parts = urlsplit(text)
    except ValueError as error:  # brackets that hold no IPv6 address; the other readers come after this one
        raise UsageError(f"target {text!r} is no address: {error}", hint=f"a target is {', '.join(SCHEMES)}") from None
    if text == "local" or parts.scheme == "local":
        return _decode(text, Local, _query(text, parts.query))
    match parts.scheme:
        case "ssh":
            return _ssh(text)
        case "sim":
            return _sim(text, parts.path, parts.query)
        case "qemu" | "emu":
            return _emulated(text, parts.scheme, parts.path)
        case scheme if scheme.partition("+")[0] in {"serial", "mlperf-tiny"}:
            return _serial(text)
        case "":
            return None
        case scheme:
            raise UnknownName(
                f"unknown kind of target {scheme!r} in {text!r}", hint=f"a target is {', '.join(SCHEMES)}"
            )


def _sim(text: str, board: str, query: str) -> Sim:
    if not board:
        raise UsageError(f"target {text!r} names no board", hint="edgeprof boards list")
    options = _query(text, query)
    if "engine" in options:  # a plus is a blank in a query, and no engine has a blank in its name
        options["engine"] = options["engine"].replace(" ", "+")
    for name in ("engine", "clock"):
        if options.get(name) == "":
            raise UsageError(f"target {text!r}: {name}= is empty", hint=f"sim:{board}?{SIM_EXAMPLES[name]}")
    place = _decode(text, Sim, {"board": board, **options})
    declared_clock_hz(place)
    return place


SIM_EXAMPLES = {"engine": "engine=tflm+cmsis-nn", "clock": "clock=150MHz"}


def declared_clock_hz(place: Sim) -> float | None:
    """Return the clock that a simulated board is declared to run at, None where none is declared."""
    if not place.clock:
        return None
    given = f"sim:{place.board}: clock={place.clock}"
    hint = f"sim:{place.board}?{SIM_EXAMPLES['clock']}"
    if not place.clock.strip().lower().endswith("hz"):
        raise UsageError(f"{given} is no frequency with its unit", hint=hint)
    lowest, highest = PLAUSIBLE_CLOCK_HZ
    try:
        clock_hz = parse_frequency(place.clock)
    except UsageError as error:
        raise UsageError(f"{given}: {error.message}", hint=hint) from error
    if not lowest <= clock_hz <= highest:
        raise UsageError(f"{given}: {lowest / 1e6:g} MHz to {highest / 1e9:g} GHz is a core's clock", hint=hint)
    return clock_hz


def _emulated(text: str, scheme: str, name: str) -> Qemu | Emu:
    if not name:
        known = "mps2-an385, mps2-an386, mps2-an500" if scheme == "qemu" else "cortex-m3, cortex-m4, cortex-m7"
        raise UsageError(f"target {text!r} names nothing", hint=f"{scheme}: takes {known}")
    query = _query(text, urlsplit(text).query)
    if scheme == "qemu":
        return _decode(text, Qemu, {"board": name, **query})
    return _decode(text, Emu, {"core": name, **query})


def _serial(text: str) -> Serial | MlperfTiny:
    """Take `serial:///dev/ttyACM0?baud=115200`, or `serial+socket://host:port` and any other pyserial URL."""
    parts = urlsplit(text)
    link, _, inner = parts.scheme.partition("+")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    ours: dict[str, str] = {name: options.pop(name) for name in ("baud", "dtr") if name in options}
    if inner:
        rest = "&".join(name if not value else f"{name}={value}" for name, value in options.items())
        url = f"{inner}://{parts.netloc}{parts.path}{'?' + rest if rest else ''}"
    else:
        if parts.netloc or not parts.path:
            raise UsageError(f"target {text!r} names no port", hint=f"{link}:///dev/ttyACM0, with three slashes")
        ours |= options
        url = parts.path
    if link == "serial":
        return _decode(text, Serial, {"url": url, **ours})
    return _decode(text, MlperfTiny, {"url": url, **ours})


def runs_programs(place: Place) -> bool:
    """Tell whether the agent there runs packed programs instead of model files."""
    return isinstance(place, Serial | Qemu | Emu)


def _ssh(text: str) -> Ssh:
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError as error:
        raise UsageError(f"target {text!r}: {error}") from error
    if not parts.hostname:
        raise UsageError(f"target {text!r} names no host", hint="ssh://[user@]host[:port]")
    if parts.password is not None:
        raise UsageError(
            f"the target for {parts.hostname} has a password in it, which shells and logs would keep",
            hint="leave it out: it is asked for on the terminal, or use a key",
        )
    if parts.path not in {"", "/"}:
        raise UsageError(f"target {text!r}: {parts.path!r} after the host means nothing")
    authority = parts.netloc.rpartition("@")[2]
    host = parts.hostname if authority.startswith("[") else authority.rpartition(":")[0] or authority
    user = None if parts.username is None else unquote(parts.username)
    return _decode(text, Ssh, {"host": host, "user": user, "port": port, **_query(text, parts.query)})


def _query(text: str, query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise UsageError(f"target {text!r}: {query!r} is not NAME=VALUE&NAME=VALUE") from error
    options = dict(pairs)
    if len(options) < len(pairs):
        twice = next(name for name in options if sum(name == given for given, _ in pairs) > 1)
        raise UsageError(f"target {text!r}: {twice}= is given twice")
    return options


def _decode(text: str, kind: type[P], values: Mapping[str, object]) -> P:
    known = {field.name for field in msgspec.structs.fields(kind)}
    for name in values:
        if name not in known:
            raise UsageError(f"target {text!r}: unknown option {name!r}", hint=did_you_mean(name, known))
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"target {text!r}: {error}") from error


def ssh_place(text: str) -> Ssh:
    """Return the SSH host that a URL, a named target or a bare host name means."""
    if "://" not in text and text not in named_targets()[0]:
        text = f"ssh://{text}"
    place = resolve_target(text).place
    if not isinstance(place, Ssh):
        raise UsageError(f"{text!r} is not reached over SSH")
    return place


def link_name(place: Place) -> str:
    """Return the link's name as a result holds it."""
    return str(place.__struct_config__.tag)


# ── edgeprof.toml ────────────────────────────────────────────────────────────────────────────────────────────────────


def _converted(file: ConfigurationFile) -> Configuration:
    try:
        return msgspec.convert(file.tables, Configuration)
    except msgspec.ValidationError as error:
        raise UsageError(f"{file.path}: {error}") from error


def named_targets() -> tuple[dict[str, TargetEntry], Path | None]:
    """Return the named targets and the file that names them."""
    file = find_configuration()
    return ({}, None) if file is None else (_converted(file).targets, file.path)


def flash_table() -> tuple[FlashTable, ConfigurationFile | None]:
    """Return the `[flash]` table and the file that it is in."""
    file = find_configuration()
    return (FlashTable(), None) if file is None else (_converted(file).flash, file)


def agree_to(file: ConfigurationFile) -> None:
    """Refuse what a file could do, unless it is the user's own or somebody agrees to it."""
    must_be_trusted(file, *_powers(_converted(file)))


def board_folders() -> tuple[Path, ...]:
    """Return the folders of the user's own boards that `edgeprof.toml` names, relative to that file."""
    file = find_configuration()
    if file is None:
        return ()
    folders = _converted(file).boards.folders()
    if folders:
        agree_to(file)
    return tuple(file.path.parent / folder for folder in folders)


def _powers(configuration: Configuration) -> Iterator[str]:
    """Yield what a file could do that somebody has to agree to: start programs, write files, change boards."""
    for name, entry in configuration.targets.items():
        try:
            place = parse_place(entry.url)
        except UsageError:
            continue  # it is refused where it is used
        if power := _power(place):
            yield f"target {name} {power}"
    if power := configuration.flash.power():
        yield f"firmware flash {power}"
    if folders := configuration.boards.folders():
        yield f"boards are those in {', '.join(folders)}, also in place of those that ship"


def _does_more(port: str) -> bool:
    """Tell whether a serial port is a URL of pyserial's that does more than open one; ours have it after a plus."""
    scheme, found, _ = port.partition("://")
    return bool(found) and scheme.removeprefix("serial+").removeprefix("mlperf-tiny+") not in PORTS


def _power(place: Place | None) -> str:
    """Return what a target does beside talking to a board; empty where it does nothing else."""
    match place:
        case Local(python=str(python)):
            return f"starts {python} here"
        case Ssh(host=host, python=python, cache=cache) if python != "python3" or cache:
            parts = [f"starts {python}" * (python != "python3"), f"loads what is in {cache}" * bool(cache)]
            return f"{' and '.join(filter(None, parts))} on {host}"
        case Serial(url=url) | MlperfTiny(url=url) if _does_more(url):
            return f"opens {url}"
        case None | Local() | Ssh() | Serial() | MlperfTiny() | Sim() | Qemu() | Emu():
            return ""
        case _:
            assert_never(place)
