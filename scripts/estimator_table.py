"""Reads the table of published results that the estimator is fitted to, and the models that it speaks of."""

from __future__ import annotations

import csv
import hashlib
import math
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.estimate.confidence import core_class
from edgeprof.estimate.features import features
from edgeprof.model import read_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.estimate.features import Features

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(os.environ.get("EDGEPROF_RESULTS") or ROOT.parent / "shared" / "data" / "mlperf_tiny_calibration.csv")
MODELS = Path(os.environ.get("EDGEPROF_MODELS") or ROOT.parent / "shared" / "models") / "mlperf_tiny"
MODEL_FILES = {
    "ad": "ad01_int8.tflite",
    "ic": "pretrainedResnet_quant.tflite",
    "kws": "kws_ref_model.tflite",
    "vww": "vww_96_int8.tflite",
}


class TableRow(NamedTuple):
    """One published latency. `release` tells runs of one generation of a runtime apart; power is None if unmeasured.

    `published` names the submission: the round and who submitted.
    """

    board: str
    core: str
    clock_hz: float
    engine: str
    release: str
    drops: bool
    model: str
    latency_s: float
    macs: float
    power_w: float | None
    supply: str
    published: str = ""

    @property
    def log_cycles(self) -> float:
        """Return the natural logarithm of the cycles of one inference."""
        return math.log(self.latency_s * self.clock_hz)


def read_table(path: Path = RESULTS) -> list[TableRow]:
    """Return the rows of the table that are marked for fitting: one an inference that was timed, no resubmissions."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_row(cells) for cells in csv.DictReader(file) if cells["use_for_fit"] == "1"]


def _row(cells: dict[str, str]) -> TableRow:
    supply = re.sub(r"\s+", "", cells["supply_note"].split("/")[0].lower())
    return TableRow(
        board=cells["board_id"],
        core=core_class(cells["core"]),
        clock_hz=float(cells["clock_mhz"]) * 1e6,
        engine=cells["runtime_gen"],
        release=cells["runtime_ver"] or f"unnamed, {cells['board_id']}",
        drops=cells["runtime_drops_dead_channels"] == "1",
        model=cells["model"],
        latency_s=float(cells["latency_ms"]) / 1e3,
        macs=float(cells["macs"]),
        power_w=float(cells["power_mW"]) / 1e3 if cells["power_mW"] else None,
        supply=supply,
        published=f"{cells['version']} {cells['submitter']}",
    )


def cores_by_engine(path: Path = RESULTS) -> dict[str, tuple[str, ...]]:
    """Return every engine of the table, of rows that are not for fitting too, with the cores that it ran on."""
    found: dict[str, dict[str, None]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for cells in csv.DictReader(file):
            found.setdefault(cells["runtime_gen"], {})[cells["core"]] = None
    return {engine: tuple(found[engine]) for engine in sorted(found)}


def read_models(folder: Path = MODELS) -> dict[str, Features]:
    """Return what the estimator reads of each model of the table."""
    return {
        name: features(read_model(folder / file), (folder / file).read_bytes()) for name, file in MODEL_FILES.items()
    }


def model_digests(folder: Path = MODELS) -> dict[str, str]:
    """Return the SHA-256 of each model of the table."""
    return {name: hashlib.sha256((folder / file).read_bytes()).hexdigest() for name, file in MODEL_FILES.items()}


def power_log_sd(rows: Sequence[TableRow]) -> float | None:
    """Return how much log power differs between models and releases on one board and supply, pooled."""
    groups: dict[tuple[str, str, float], list[float]] = defaultdict(list)
    for row in rows:
        if row.power_w and row.supply:
            groups[row.board, row.supply, row.clock_hz].append(math.log(row.power_w))
    squares = freedom = 0.0
    for logs in groups.values():
        mean = sum(logs) / len(logs)
        squares += sum((value - mean) ** 2 for value in logs)
        freedom += len(logs) - 1
    return math.sqrt(squares / freedom) if freedom else None
