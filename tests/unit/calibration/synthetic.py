"""A made-up board whose costs are known, so that what a calibration finds can be told right from wrong."""

from __future__ import annotations

import math
import random
from functools import cache

from edgeprof.calibration.fitted import fit_dtype, micro_graphs
from edgeprof.calibration.work import Machine, model_work, priced
from edgeprof.records.calibration import Calibration, ModelFormat, Observation
from edgeprof.records.result import BoardUsed, Tool

KERNEL_S = 2e-3
COSTS = {
    "invoke": 0.002, "operators": 0.0005, "conv_macs": 5e-8, "pointwise_macs": 4e-8, "depthwise_macs": 1.5e-7,
    "dense_macs": 6e-8, "conv_outputs": 3e-7, "pointwise_outputs": 2e-7, "depthwise_outputs": 2e-7,
    "dense_outputs": 4e-7, "weight_bytes": 3e-8, "add_elements": 3e-7, "relu_elements": 3e-7, "prelu_elements": 4e-7,
    "max_pool_elements": 4e-7, "mean_pool_elements": 2e-7, "softmax_elements": 2e-6, "logistic_elements": 7e-7,
    "pad_elements": 6e-7, "concat_elements": 4e-7,
}  # fmt: skip
"""Of a unit of each kind of work, in times of the kernel."""

TILE = 16


@cache
def observed(
    format_name: ModelFormat = "tflite", dtype: str = "float32", noise: float = 0.0
) -> tuple[Observation, ...]:
    """Return what the micro models take on the made-up board, with some noise of the logarithm."""
    chance = random.Random(7)  # noqa: S311  reproducible, not secret
    rows = []
    for name, graph in micro_graphs(format_name, dtype).items():
        ratio = priced(model_work(graph, Machine(TILE)).amounts, COSTS) * math.exp(chance.gauss(0, noise))
        rows.append(
            Observation(
                model=name, dtype=dtype, log_ratio=math.log(ratio), reference_s=KERNEL_S, model_s=ratio * KERNEL_S,
                pairs=100,
            )
        )  # fmt: skip
    return tuple(rows)


@cache
def calibration(noise: float = 0.05, target: str = "local", board: str | None = None) -> Calibration:
    """Return a calibration of the made-up board, .tflite in float32."""
    rows = observed(noise=noise)
    return Calibration(
        created="2026-01-02T03:04:05+00:00",
        tool=Tool(name="edgeprof", version="0", command=("calibrate",)),
        target=target,
        board=BoardUsed(id=board, name="Made up", kind="linux"),
        basis="measured",
        format="tflite",
        runtime="ai_edge_litert",
        version="2.1",
        threads=1,
        reference="the kernel",
        reference_s=KERNEL_S,
        reference_low_s=0.9 * KERNEL_S,
        reference_high_s=1.2 * KERNEL_S,
        fitted=(fit_dtype(rows, "tflite"),),
        observations=rows,
    )
