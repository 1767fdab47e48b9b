"""Boards as data: find, read and check the files in `device_configs/` and in the user's own folder.

A board is one TOML file, `<id>.toml`. Folders that are given come first, then the user's (`boards/` in edgeprof's
configuration folder), then the boards that ship with edgeprof; the first file of a name wins.
"""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import platformdirs

from edgeprof.bounded import read_bounded
from edgeprof.configuration import tell
from edgeprof.errors import EdgeprofError, UnknownName, UsageError, did_you_mean
from edgeprof.records.board import FLASH_KINDS, INTERNAL_RAM_KINDS, Board, MemoryRegion, PowerMode, Source
from edgeprof.units import PLAUSIBLE_CLOCK_HZ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Rule: TypeAlias = Callable[[Board], Iterator[str]]

LARGEST_FILE_BYTES = 1 << 20
_KEBAB_CASE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TOO_WIDE_TO_BE_A_SOURCE = ("memory", "cores", "accelerators", "power")


def list_boards(folders: Sequence[Path] = ()) -> tuple[str, ...]:
    """Return the ids of all known boards in order."""
    return tuple(sorted(board_files(folders)))


def load_board(name: str, folders: Sequence[Path] = ()) -> Board:
    """Return the board with this id, or with the one id that starts like this."""
    files = board_files(folders)
    path = files[name if name in files else _completed(name, files)]
    board = read_board_file(path)
    if board.id != path.stem:
        raise UsageError(f"{path}: the file says id {board.id!r}", hint=f"rename it to {board.id}.toml")
    if instead := replaced(board.id, folders):
        tell(f"warning: {instead} takes the place of the board {board.id} that ships with edgeprof")
    return board


def board_file(name: str, folders: Sequence[Path] = ()) -> str | None:
    """Return the file of a known board, None for those that ship and for what is not known."""
    path = board_files(folders).get(name)
    return None if path is None or path.parent == shipped("device_configs") else str(path)


def replaced(name: str, folders: Sequence[Path]) -> str | None:
    """Return the file in one of these folders that takes the place of a board that ships."""
    path = board_files(folders).get(name)
    instead = path is not None and path.parent in folders and (shipped("device_configs") / path.name).is_file()
    return str(path) if instead else None


def read_board_file(path: Path) -> Board:
    """Return the board that the file describes; what does not fit the schema is named with its place in the file."""
    try:
        return msgspec.toml.decode(read_bounded(path, LARGEST_FILE_BYTES, "the board file"), type=Board)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="edgeprof boards show raspberry-pi-5 shows a good one") from error


def validate_board(board: Board) -> tuple[str, ...]:
    """Return what is wrong with the board, each message after the name of the rule that it breaks."""
    return tuple(f"{rule.__name__}: {message}" for rule in RULES for message in rule(board))


def validate_file(path: Path) -> tuple[str, ...]:
    """Return what is wrong with the board in this file, its name included."""
    board = read_board_file(path)
    if board.id == path.stem:
        return validate_board(board)
    misnamed = f"id_matches_the_file: the id is {board.id!r}, the file's name says {path.stem!r}"
    return (misnamed, *validate_board(board))


def board_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a board file, for editors that complete and check TOML."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Board)}


def sources_of(board: Board, field: str) -> tuple[Source, ...]:
    """Return the sources of one figure: those that name it, and those that name the entry that it is a part of."""
    return tuple(source for source in board.sources if _covers(source.field, field))


def flash_bytes(board: Board) -> int | None:
    """Return the flash that a program may fill: internal flash, or external where there is no internal."""
    if board.kind == "linux":
        return None
    sizes = (sum(region.bytes for region in board.memory if region.kind == kind) for kind in FLASH_KINDS)
    return next((size for size in sizes if size), None)


def largest_contiguous_sram_bytes(board: Board) -> tuple[int, str] | None:
    """Return the size and the name of the largest block of internal RAM, or None where that is not known."""
    internal = [region for region in board.memory if region.kind in INTERNAL_RAM_KINDS]
    blocks: Counter[tuple[bool, str]] = Counter()
    for region in internal:
        if region.contiguous:
            blocks[region.contiguous_group is not None, region.contiguous_group or region.name] += region.bytes
    scattered = max((region.bytes for region in internal if not region.contiguous), default=0)
    if not blocks or scattered > max(blocks.values()):
        return None
    (_, name), size = blocks.most_common(1)[0]
    return size, name


def recognise(device_tree_strings: Iterable[str], cpu_info: str = "", folders: Sequence[Path] = ()) -> str | None:
    """Return the id of the board whose kernel reports these strings, or None.

    The strings are the contents of /proc/device-tree/compatible and /proc/device-tree/model, NULs and all; the first
    that a board lists decides, so the most specific one goes first. `cpu_info` is /proc/cpuinfo, whose `Model` line
    says on a Raspberry Pi what the device tree says.
    """
    models = re.findall(r"^Model\s*:\s*(.+)$", cpu_info, re.MULTILINE)
    reported = [text for several in (*device_tree_strings, *models) for text in several.split("\0")]
    wanted = dict.fromkeys(text.strip().partition(" Rev ")[0] for text in reported if text.strip())
    boards = map(read_board_file, board_files(folders).values())
    owners = {text: board.id for board in boards for text in board.device_tree}
    return next((owners[text] for text in wanted if text in owners), None)


def shipped(folder: str) -> Path:
    """Return a folder of data that ships with edgeprof, from an installed wheel or from a checkout."""
    installed = Path(str(resources.files("edgeprof"))) / "shipped" / folder
    checkout = Path(__file__).resolve().parents[1] / folder
    for path in (installed, checkout):
        if path.is_dir():
            return path
    raise EdgeprofError(f"edgeprof's own {folder} is missing", hint="pip install --force-reinstall edgeprof")


def ids_are_kebab_case(board: Board) -> Iterator[str]:
    """Check ids that people type: lower-case words joined by hyphens."""
    for text in (board.id, *(core.model for core in board.cores)):
        if not _KEBAB_CASE.fullmatch(text):
            yield f"{text!r} is not lower-case words joined by hyphens"


def names_are_unique(board: Board) -> Iterator[str]:
    """Check that a dotted path names one thing."""
    for part in ("cores", "accelerators", "memory"):
        for name, times in Counter(entry.name for entry in getattr(board, part)).items():
            if times > 1 or not _KEBAB_CASE.fullmatch(name):
                yield f"{part}.{name} is named {times} times or not in kebab-case"
    for mode, times in Counter(mode.id for mode in board.power_modes).items():
        if times > 1:
            yield f"power mode {mode} is listed {times} times"


def every_figure_has_a_source(board: Board) -> Iterator[str]:
    """Check that no number stands without where it comes from."""
    for field in dict.fromkeys(field for field, _ in _figures(board)):
        if not sources_of(board, field):
            yield f"{field} has none"


def sources_name_known_fields(board: Board) -> Iterator[str]:
    """Check that each source is of something that the file says."""
    known = set(_fields(board))
    for source in board.sources:
        if source.field not in known:
            yield f"{source.field} is not in the file"


def disagreements_show_both_sources(board: Board) -> Iterator[str]:
    """Check that a file that speaks of a disagreement lists a field with two sources."""
    if board.disagreements and all(len(sources_of(board, field)) <= 1 for field in _fields(board)):
        yield "no field has two sources"


def sizes_are_positive(board: Board) -> Iterator[str]:
    """Check that what is not known is left out and not written as 0; only an address may be 0."""
    for field, figure in _figures(board):
        if not isfinite(figure) or figure < 0 or (figure == 0 and not field.endswith(".base")):
            yield f"{field} is {figure}"


def ranges_are_in_order(board: Board) -> Iterator[str]:
    """Check that the lower end of a range comes first."""
    power = board.power
    for name in ("supply_range_v", "range_w", "active_range_a", "sleep_range_a"):
        ends = getattr(power, name)
        if ends is not None and not ends[0] < ends[1]:
            yield f"power.{name} is {list(ends)}"


def clocks_are_plausible(board: Board) -> Iterator[str]:
    """Check that clocks are in hertz: 1 MHz to 6 GHz."""
    lowest, highest = PLAUSIBLE_CLOCK_HZ
    for field, figure in _figures(board):
        if field.endswith("clock_hz") and not lowest <= figure <= highest:
            yield f"{field} is {figure}"


def regions_do_not_overlap(board: Board) -> Iterator[str]:
    """Check that no address belongs to two regions."""
    for lower, upper in pairwise(sorted(_placed(board.memory), key=_base)):
        if _base(lower) + lower.bytes > _base(upper):
            yield f"{lower.name} reaches into {upper.name}"


def contiguous_groups_are_internal(board: Board) -> Iterator[str]:
    """Check that only internal RAM forms groups."""
    for region in board.memory:
        if region.contiguous_group is not None and region.kind not in INTERNAL_RAM_KINDS:
            yield f"{region.name} is {region.kind}"


def contiguous_groups_are_adjacent(board: Board) -> Iterator[str]:
    """Check that the regions of a group, as far as their addresses are known, follow each other without a gap."""
    for group in dict.fromkeys(region.contiguous_group for region in board.memory if region.contiguous_group):
        members = [region for region in board.memory if region.contiguous_group == group]
        if len(_placed(members)) < len(members):
            continue
        for lower, upper in pairwise(sorted(members, key=_base)):
            if _base(lower) + lower.bytes != _base(upper):
                yield f"{group}: {upper.name} does not follow {lower.name}"


def microcontrollers_have_flash_and_sram(board: Board) -> Iterator[str]:
    """Check that a model's fit can be judged on every board that is no Linux board."""
    kinds = {region.kind for region in board.memory}
    if board.kind != "linux" and kinds.isdisjoint(FLASH_KINDS):
        yield "no flash"
    if board.kind != "linux" and kinds.isdisjoint(INTERNAL_RAM_KINDS):
        yield "no sram"


def one_default_power_mode(board: Board) -> Iterator[str]:
    """Check that at most one power mode is the default; some sources do not say which it is."""
    defaults = [mode.name for mode in board.power_modes if mode.default]
    if len(defaults) > 1:
        yield f"{', '.join(defaults)} are all the default"


def included_accelerators_exist(board: Board) -> Iterator[str]:
    """Check that a total says which accelerators it counts."""
    names = {accelerator.name for accelerator in board.accelerators}
    for accelerator in board.accelerators:
        for name in accelerator.includes:
            if name not in names - {accelerator.name}:
                yield f"{accelerator.name} includes {name}, which is not in the file"


RULES: tuple[Rule, ...] = (
    ids_are_kebab_case,
    names_are_unique,
    every_figure_has_a_source,
    sources_name_known_fields,
    disagreements_show_both_sources,
    sizes_are_positive,
    ranges_are_in_order,
    clocks_are_plausible,
    regions_do_not_overlap,
    contiguous_groups_are_internal,
    contiguous_groups_are_adjacent,
    microcontrollers_have_flash_and_sram,
    one_default_power_mode,
    included_accelerators_exist,
)


def board_files(folders: Sequence[Path] = ()) -> dict[str, Path]:
    """Return the file of each board, the user's own before the shipped ones."""
    searched = (*folders, platformdirs.user_config_path("edgeprof") / "boards", shipped("device_configs"))
    return {path.stem: path for folder in reversed(searched) for path in folder.glob("*.toml")}


def _completed(name: str, known: Iterable[str]) -> str:
    starting = sorted(board for board in known if name and board.startswith(name))
    if len(starting) == 1:
        return starting[0]
    if starting:
        raise UnknownName(f"board {name!r} could be {', '.join(starting)}", hint="type more of its id")
    every = "edgeprof boards list shows every board"
    raise UnknownName(f"unknown board {name!r}", hint="; ".join(filter(None, (did_you_mean(name, known), every))))


def _covers(source_field: str, field: str) -> bool:
    is_part = field.startswith(f"{source_field}.") and source_field not in _TOO_WIDE_TO_BE_A_SOURCE
    return is_part or source_field == field


def _figures(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Walk over the numbers of a board and their dotted paths; identifiers are not figures."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value
    elif isinstance(value, tuple):
        for entry in value:
            yield from _figures(entry, _entry_path(path, entry))
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            if not (isinstance(value, PowerMode) and name == "id"):
                yield from _figures(getattr(value, name), f"{path}.{name}".lstrip("."))


def _fields(value: object, path: str = "") -> Iterator[str]:
    """Walk over the dotted paths of everything that a board says."""
    if value in (None, "", ()) or isinstance(value, Source):
        return
    if path:
        yield path
    if isinstance(value, tuple):
        for entry in value:
            if isinstance(entry, msgspec.Struct):
                yield from _fields(entry, _entry_path(path, entry))
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _fields(getattr(value, name), f"{path}.{name}".lstrip("."))


def _entry_path(path: str, entry: object) -> str:
    return f"{path}.{entry.name}" if isinstance(entry, msgspec.Struct) and hasattr(entry, "name") else path


def _placed(regions: Iterable[MemoryRegion]) -> list[MemoryRegion]:
    return [region for region in regions if region.base is not None]


def _base(region: MemoryRegion) -> int:
    return region.base or 0
