"""From what a person asks `fit` to the boards and the question: names looked up, texts read, refused early."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from msgspec.structs import replace

from edgeprof.battery.inputs import refuse_undeclared
from edgeprof.battery.options import REGULATORS, BatteryOptions
from edgeprof.boards import board_file, list_boards, load_board
from edgeprof.errors import UnknownName, UsageError, did_you_mean
from edgeprof.estimate.confidence import core_class
from edgeprof.estimate.engines import known_engine
from edgeprof.fitting.costs import Evidence
from edgeprof.fitting.evidence import Found, calibrated_board, kept_results, scales_of
from edgeprof.fitting.fit import Question, fit_boards, made_up_board
from edgeprof.fitting.wishes import Wishes
from edgeprof.model import read_model
from edgeprof.store import read_result
from edgeprof.targets import board_folders
from edgeprof.units import parse_charge, parse_current, parse_duration, parse_frequency, parse_voltage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeprof.records.board import Board
    from edgeprof.records.calibration import Calibration
    from edgeprof.records.inspection import Fit
    from edgeprof.records.result import Result


class Life(TypedDict, total=False):
    """How a device lives on its cell, as text with units: `every="1s"`, `cell="cr2032"`, `sleep_current="5uA"`.

    `options` says the rest, such as the capacity's reserve, and is what the others change.
    """

    every: str
    cell: str
    capacity: str
    sleep_current: str
    regulator: str
    supply: str
    options: BatteryOptions


DIGEST_LIMIT_BYTES = 2**30
SLOWEST_HZ, FASTEST_HZ = 1e3, 1e11
READ: dict[str, tuple[str, Callable[[str], Any]]] = {
    "every": ("period_s", parse_duration),
    "capacity": ("capacity_c", parse_charge),
    "sleep_current": ("sleep_a", parse_current),
    "supply": ("supply_v", parse_voltage),
    "cell": ("cell", str),
    "regulator": ("regulator", str),
}
"""Option to field of BatteryOptions, and how its text is read."""


def ask_fit(  # noqa: PLR0913  one keyword an option of the command line
    model: Path,
    *,
    boards: Sequence[str],
    core: str | None,
    clock: str | None,
    engine: str | None,
    shapes: dict[str, tuple[int, ...]] | None,
    target: str | None,
    threads: int,
    calibrate_with: Sequence[str | Path],
    use_history: bool,
    npu: str | None,
    wishes: Wishes | None,
    battery: Life,
) -> Fit:
    """Answer what `edgeprof fit` asks; see `edgeprof.fit`."""
    if engine is not None:
        known_engine(engine)
    if npu is not None:
        _check_npu(npu)
    lives = battery_options(battery)
    wanted = wishes or Wishes()
    if wanted.min_life_s is not None and lives is None:
        raise UsageError("--min-life without a battery", hint="--every 1s --cell cr2032 --sleep-current 5uA")
    chosen, calibrations = _boards(boards, core, clock, target, threads)
    # The digest of a giant takes longer than the answer, and serves to find its measured results alone.
    most = inf if calibrate_with or use_history else DIGEST_LIMIT_BYTES
    graph = read_model(model, shapes, batch=1, digest_up_to_bytes=most)
    measured = _measured(calibrate_with, chosen, engine, model, use_history=use_history)
    evidence = Evidence(measured.scales, measured.measured, calibrations, npu or "", model)
    found = fit_boards(graph, chosen, question=Question(engine, lives, wanted, evidence))
    return _with_files(replace(found, assumptions=(*found.assumptions, *measured.notes)))


def _with_files(fit: Fit) -> Fit:
    """Say which file describes a board where it is none of those that ship."""
    folders = board_folders()
    files = {each.board: board_file(each.board, folders) for each in (*fit.boards, *fit.left_out)}
    told = tuple(f"board {name}: the facts are those of {file}" for name, file in files.items() if file)
    boards, left_out = (
        tuple(replace(each, file=files[each.board]) for each in some) for some in (fit.boards, fit.left_out)
    )
    return replace(fit, boards=boards, left_out=left_out, assumptions=(*fit.assumptions, *told))


def _check_npu(name: str) -> None:
    from edgeprof.estimate.npu import CONFIGS

    if name not in CONFIGS:
        hint = did_you_mean(name, CONFIGS)
        raise UnknownName(f"unknown NPU {name!r}", hint=f"{f'{hint}; ' if hint else ''}known: {', '.join(CONFIGS)}")


def battery_options(battery: Life) -> BatteryOptions | None:
    """Return what was said of the device's life, None where nothing was; refuse the half of it."""
    if not battery:
        return None
    given = battery.get("options", BatteryOptions())
    if battery.get("regulator") not in {None, *REGULATORS}:
        raise UsageError(f"--regulator {battery['regulator']}: {', '.join(REGULATORS)} can be")
    texts = {name: str(text) for name, text in battery.items() if name != "options" and text is not None}
    read = {READ[name][0]: READ[name][1](text) for name, text in texts.items()}
    given = given._replace(**read)
    refuse_undeclared(given)
    if given.cell is not None:
        from edgeprof.battery.cells import load_cell

        load_cell(given.cell)
    return given


def _boards(
    names: Sequence[str], core: str | None, clock: str | None, target: str | None, threads: int
) -> tuple[list[Board], dict[str, Sequence[Calibration]]]:
    if clock is not None and core is None:
        raise UsageError("--clock without --core", hint="--core cortex-m4 --clock 150MHz")
    folders = board_folders()
    chosen = [load_board(name, folders) for name in dict.fromkeys(names)]
    calibrations: dict[str, Sequence[Calibration]] = {}
    if core is not None:
        chosen.append(made_up_board(_named_core(core), None if clock is None else _clock_hz(clock)))
    if target:
        board, found = calibrated_board(target, threads)
        chosen = [*(each for each in chosen if each.id != board.id), board]
        calibrations[board.id] = found
    return chosen or [load_board(name, folders) for name in list_boards(folders)], calibrations


def _named_core(text: str) -> str:
    """Return the class of core that a name means, in whatever spelling."""
    if not text.strip():
        raise UsageError("--core is empty: it names the core of a board", hint="--core cortex-m4 --clock 150MHz")
    return core_class(text)


def _clock_hz(text: str) -> float:
    """Return hertz; 150 is a slip for 150MHz."""
    found = parse_frequency(text)
    if not SLOWEST_HZ <= found <= FASTEST_HZ:
        raise UsageError(f"--clock {text}: {SLOWEST_HZ / 1e3:g} kHz to {FASTEST_HZ / 1e9:g} GHz is a core's clock",
                         hint="--clock 150MHz")  # fmt: skip
    return found


def _measured(
    files: Sequence[str | Path], boards: Sequence[Board], engine: str | None, model: Path, *, use_history: bool
) -> Found:
    folders = (model.parent, Path.cwd())
    results = [(read_result(Path(file)), Path(file)) for file in files]
    notes: tuple[str, ...] = ()
    kept: list[tuple[Result, Path | None]] = []
    if use_history:
        kept, notes = kept_results(boards, folders)
    if not results and not kept:
        return Found({}, {}, notes)
    found = scales_of([*results, *kept], boards, engine, folders)
    return found._replace(notes=(*notes, *found.notes))
