"""What is answered from results, recordings and calibrations: the rest of what the command line can do.

Only `calibrate` touches a board: it measures what `predict` and `fit` answer from.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from edgeprof.api import load_result
from edgeprof.boards import load_board
from edgeprof.errors import UsageError
from edgeprof.targets import board_folders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.battery.options import BatteryOptions
    from edgeprof.calibration.measuring import Heard
    from edgeprof.history.keeping import Entry
    from edgeprof.power.options import EnergyOptions
    from edgeprof.records.battery import BatteryReport
    from edgeprof.records.board import Board
    from edgeprof.records.calibration import Calibration, ModelFormat, Prediction
    from edgeprof.records.energy import EnergyReport
    from edgeprof.records.readiness import ReadinessReport
    from edgeprof.records.result import Basis, Result

__all__ = ["battery_life", "calibrate", "energy", "export", "list_results", "predict", "readiness", "render"]


def energy(trace: str | Path, markers: str | Path | None = None, options: EnergyOptions | None = None) -> EnergyReport:
    """Integrate a recorded power trace (CSV, NPZ or EEMBC) between its marks; see `edgeprof.power.energy_of_file`."""
    from edgeprof.power import energy_of_file

    return energy_of_file(trace, markers, options)


def battery_life(options: BatteryOptions, result: Result | str | Path | None = None) -> BatteryReport:
    """Tell how long a battery lasts, from the energy of a result (a file, or `last`) or from what the options declare.

    Raises UsageError naming each option that is missing: nothing is assumed for sleep current, period or cell.
    """
    from edgeprof.battery import battery_of

    if result is None:
        return battery_of(None, options)
    given = _result(result)
    return battery_of(given, options, _board_of(given))


def readiness(
    result: Result | str | Path,
    deployments: Sequence[str] | str = (),
    *,
    board: str | None = None,
    accept_basis: Sequence[Basis] = (),
) -> ReadinessReport:
    """Tell whether the model of a result is ready for deployments such as `mobile`, with the evidence for each box."""
    from edgeprof.judging.readiness import assess

    given = _result(result)
    facts = load_board(board, board_folders()) if board else _board_of(given)
    names = (deployments,) if isinstance(deployments, str) else deployments
    return assess(given, names, board=facts, accept_basis=accept_basis)


def calibrate(
    target: str = "local",
    *,
    threads: int = 1,
    formats: Sequence[ModelFormat] = ("tflite", "onnx"),
    runtime: str = "",
    keep: bool = True,
    heard: Heard | None = None,
) -> tuple[Calibration, ...]:
    """Measure micro models on a Linux board, one record a runtime, so that `predict` and `fit` can answer for it.

    `keep` puts them where `predict` and `fit` look. `heard` is told each model's name, its number and how many there
    are. Raises EdgeprofError.
    """
    from edgeprof.calibration.keeping import store_calibration
    from edgeprof.calibration.measuring import calibrate as measured

    with TemporaryDirectory(prefix="edgeprof-micro-") as folder:
        found = measured(target, threads=threads, formats=formats, runtime=runtime, folder=Path(folder), heard=heard)
    if keep:
        for each in found:
            store_calibration(each)
    return found


def predict(
    model: str | Path, target: str = "local", *, threads: int = 1, shapes: dict[str, tuple[int, ...]] | None = None
) -> Prediction:
    """Predict a model's latency, with its interval, on a target that was calibrated; UsageError where it was not."""
    from edgeprof.calibration.keeping import needed_calibrations
    from edgeprof.calibration.predicting import predict as predicted
    from edgeprof.model import read_model

    kept = needed_calibrations(target, threads)
    return predicted(read_model(Path(model), shapes, batch=1), kept)


def export(result: Result | str | Path, tracker: str, place: str | Path, experiment: str = "edgeprof") -> str:
    """Write a result's figures into MLflow or TensorBoard and return where they are; see `edgeprof.exports.export`."""
    from edgeprof.exports import export as exported

    return exported(_result(result), tracker, str(place), experiment)


def list_results(
    *, model: str = "", target: str = "", board: str = "", tag: str = "", limit: int = 50
) -> tuple[Entry, ...]:
    """Return kept results in short, the newest first; each word must occur in the field of its name."""
    from edgeprof.history.keeping import Filter, entries

    return entries(Filter(model, target, board, tag, limit))


def render(results: Result | Sequence[Result], format_name: str = "table") -> str:
    """Return results as text: table, json, markdown, html, csv, junit or perfetto."""
    from edgeprof.records.result import Result as OneResult
    from edgeprof.report import FORMATS
    from edgeprof.report import render as drawn

    if format_name not in FORMATS:
        raise UsageError(f"unknown format {format_name!r}", hint=f"known: {', '.join(FORMATS)}")
    return drawn([results] if isinstance(results, OneResult) else results, format_name)


def _result(given: Result | str | Path) -> Result:
    return load_result(given) if isinstance(given, str | Path) else given


def _board_of(result: Result) -> Board | None:
    """Return the facts of a result's board; one that is not known here has none."""
    try:
        return None if result.board.id is None else load_board(result.board.id, board_folders())
    except UsageError:
        return None
