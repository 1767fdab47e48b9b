"""Measured results as evidence for estimates: which models they are of, and how they rescale a board."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from edgeprof.errors import ModelError, UsageError
from edgeprof.estimate.coefficients import shipped_coefficients
from edgeprof.estimate.confidence import core_class
from edgeprof.estimate.engines import board_engine
from edgeprof.estimate.features import features
from edgeprof.estimate.model import estimate_latency
from edgeprof.estimate.rescale import Point, own_factor, own_level, rescale
from edgeprof.model import read_model
from edgeprof.records.board import Board
from edgeprof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeprof.estimate.rescale import Scale
    from edgeprof.records.calibration import Calibration
    from edgeprof.records.result import Metric, Result

MOST_KEPT = 200


class Found(NamedTuple):
    """The factors by board, and what was said on the way: what each stands on, and what could not be used.

    `measured` are the latencies themselves, by board and the model's SHA-256: the answer for that very model.
    """

    scales: dict[str, Scale]
    measured: dict[tuple[str, str], Metric]
    notes: tuple[str, ...]


def scales_of(
    results: Sequence[tuple[Result, Path | None]], boards: Sequence[Board], engine: str | None, folders: Sequence[Path]
) -> Found:
    """Return how measured results rescale the boards that they were measured on.

    Each result comes with its file, None from the history. Its model is looked for beside the result, in `folders` and
    where its own command line had it, by its SHA-256. Raises UsageError for a result that can rescale nothing.
    """
    known = {board.id: board for board in boards}
    points: dict[str, list[Point]] = {}
    measured: dict[tuple[str, str], Metric] = {}
    notes = []
    for result, path in results:
        board = known.get(result.board.id or "")
        if board is None:
            raise UsageError(
                f"{path or result.id} was measured on {result.board.id or result.board.name}, which is not asked about",
                hint=f"--board {result.board.id}" if result.board.id else "profile with --board to say which board",
            )
        point = _point(result, path, board, board_engine(board, engine), folders)
        points.setdefault(board.id, []).append(point)
        measured.setdefault((board.id, result.model.sha256 or ""), _as_answer(result, path))
        ran = f" by {result.runtime.name}" if result.runtime else ""
        notes.append(
            f"{board.id}: rescaled by {result.model.name}, {format_duration(point.measured_s)} measured{ran}, taken for"
            f" {board_engine(board, engine)}; {format_duration(point.predicted_s)} were estimated"
        )
    scales = {name: rescale(found, board_sd=_board_sd(known[name], engine)) for name, found in points.items()}
    return Found(scales, measured, tuple(notes))


def _as_answer(result: Result, path: Path | None) -> Metric:
    """Return the measured latency with where it is from; the first result of a model and board is the answer."""
    metric = result.metrics["latency_p50_s"]
    ran = f" by {result.runtime.name}" if result.runtime else ""
    return replace(
        metric, method=f"this very model, measured on this board{ran} ({path or result.id}): {metric.method}"
    )


def _board_sd(board: Board, engine: str | None) -> float | None:
    """Return how far a board may be from its estimate where published results narrow that, None elsewhere."""
    if not board.cores:
        return None
    core = board.cores[0]
    fitted = shipped_coefficients()
    own = own_factor(fitted, core_class(core.model), core.max_clock_hz, board_engine(board, engine))
    return None if own is None else own_level(fitted, own).sd


def _point(result: Result, path: Path | None, board: Board, engine: str, folders: Sequence[Path]) -> Point:
    metric = result.metrics.get("latency_p50_s")
    if metric is None or metric.value is None or metric.basis != "measured":
        how = metric.basis if metric is not None and metric.value is not None else "absent"
        raise UsageError(f"{path or result.id} has no measured latency (it is {how}), and only such rescales a board")
    if board.kind == "linux":
        hint = f"edgeprof calibrate --target {result.target.name}"
        raise UsageError(f"{board.name} runs Linux: it is calibrated by micro models, not by a result", hint=hint)
    model = model_of(result, [*([path.parent] if path else []), *folders])
    if model is None:
        raise UsageError(
            f"the model {result.model.name} of {path or result.id} was not found", hint="put it beside the result"
        )
    clock_hz = board.cores[0].max_clock_hz if board.cores else None
    asked = features(read_model(model, batch=1), model.read_bytes())
    found = estimate_latency(asked, board.cores[0].model if board.cores else "", clock_hz, engine)
    if found.latency_s is None:
        raise UsageError(
            f"{result.model.name} on {board.name} cannot be estimated, so it rescales none: {found.reason}"
        )
    return Point(found.latency_s, metric.value)


def model_of(result: Result, folders: Iterable[Path]) -> Path | None:
    """Return the file of a result's model, recognised by its SHA-256, or None."""
    named = [Path(word) for word in result.tool.command if word.endswith((".tflite", ".onnx"))]
    places = [*(folder / result.model.name for folder in folders), *named]
    return next((path for path in places if _is(path, result.model.sha256)), None)


def _is(path: Path, sha256: str | None) -> bool:
    try:
        if sha256 is None or not path.is_file():
            return False
        if path.suffix == ".onnx":  # its weights may lie in other files, which its digest is of, too
            return read_model(path).sha256 == sha256
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except (OSError, ModelError):
        return False


def kept_results(
    boards: Sequence[Board], folders: Sequence[Path]
) -> tuple[list[tuple[Result, Path | None]], tuple[str, ...]]:
    """Return the kept results that can rescale one of these boards, newest first, one a model and board.

    Also returns notes on those whose model is not at hand.
    """
    from edgeprof.history.keeping import Filter, entries, kept

    wanted = {board.id for board in boards if board.kind == "mcu"}
    usable: dict[tuple[str, str], tuple[Result, Path | None]] = {}
    missing: set[str] = set()
    for entry in entries(Filter(limit=MOST_KEPT), ("latency_p50_s",)):
        result = kept(entry.id) if entry.values else None
        if result is None or result.board.id not in wanted or result.metrics["latency_p50_s"].basis != "measured":
            continue
        if model_of(result, folders) is None:
            missing.add(result.model.name)
            continue
        usable.setdefault((result.board.id or "", result.model.sha256 or ""), (result, None))
    notes = (f"results of {', '.join(sorted(missing))} were left out: the model is not here",) if missing else ()
    return list(usable.values()), notes


def calibrated_board(target: str, threads: int) -> tuple[Board, Sequence[Calibration]]:
    """Return the board that a calibrated target is, with its calibrations; one without a file has no facts."""
    from edgeprof.boards import load_board
    from edgeprof.calibration.keeping import needed_calibrations
    from edgeprof.targets import board_folders

    found = needed_calibrations(target, threads)
    last = found[-1].board
    if last.id is not None:
        return load_board(last.id, board_folders()), found
    return Board(id=target, name=last.name or target, vendor="", kind="linux"), found
