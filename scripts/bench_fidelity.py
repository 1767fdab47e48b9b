"""What the agent's timing loop adds: alternating blocks of it and of a bare loop around the same `invoke`.

Both loops run in one process on one loaded model. In each pair of blocks chance decides which loop goes first, and the
figure is the median over the pairs of the difference of the two blocks' medians, so that drift and bursts of other
work fall on both alike. On a busy machine more pairs are taken, until the median is known well enough to judge it.
"""

from __future__ import annotations

import gc
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeprof.agent import runtimes, timing
from edgeprof.inputs import random_inputs
from edgeprof.model import read_model
from examples.build_models import build_dscnn
from scripts.bench_rows import Row, median_bounds, spread

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
WARMUP_NS = 500_000_000
FAR_NS = 1 << 62
TARGET_RATIO = 0.01
TARGET_NS = 1000.0
MOST_PAIRS_FACTOR = 5


class Case(NamedTuple):
    """A model, the runtime that executes it, how many inferences a block has, and how many pairs there are at least."""

    name: str
    runtime: str
    path: Path
    inferences: int
    pairs: int


class Pair(NamedTuple):
    """The medians of two neighbouring blocks, in nanoseconds."""

    agent: float
    bare: float


def run() -> list[Row]:
    """Measure each model."""
    with tempfile.TemporaryDirectory(prefix="edgeprof-bench-") as folder:
        return [_row(case, _pairs(case)) for case in _cases(Path(folder))]


def _cases(folder: Path) -> tuple[Case, ...]:
    middle, large = folder / "dscnn_1ms.tflite", folder / "dscnn_30ms.tflite"
    middle.write_bytes(build_dscnn(channels=256, size=(98, 32)))
    large.write_bytes(build_dscnn(channels=512, size=(196, 56), blocks=16))
    small = ROOT / "examples" / "models" / "kws_int8.tflite"
    return (
        Case("DS-CNN small", "ai_edge_litert", small, 100, 200),
        Case("DS-CNN middle", "ai_edge_litert", middle, 11, 200),
        Case("DS-CNN large", "ai_edge_litert", large, 3, 80),
        Case("DS-CNN small", "onnxruntime", small.with_name("kws_fp32.onnx"), 100, 200),
    )


def _pairs(case: Case) -> list[Pair]:
    invoke = _ready(case)
    switches = timing.involuntary_switches(1)
    block = timing.new_block(case.inferences)
    durations = [0] * case.inferences
    chance = random.Random(case.name)  # noqa: S311  an order, no secret

    def agent() -> float:
        timing.time_block(invoke, switches, block, 0, case.inferences, FAR_NS)
        return statistics.median(block.durations)

    def bare() -> float:
        _bare_loop(invoke, durations)
        return statistics.median(durations)

    pairs: list[Pair] = []
    gc.disable()  # as the agent does
    try:
        while not _enough(case, pairs):
            if chance.random() < 0.5:  # noqa: PLR2004  a coin
                first = agent()
                pairs.append(Pair(first, bare()))
            else:
                first = bare()
                pairs.append(Pair(agent(), first))
    finally:
        gc.enable()
    return pairs


def _enough(case: Case, pairs: list[Pair]) -> bool:
    """Tell whether the 95 % bounds of the median difference are within half of what is allowed."""
    if len(pairs) < case.pairs or len(pairs) >= case.pairs * MOST_PAIRS_FACTOR:
        return len(pairs) >= case.pairs
    low, high = median_bounds([pair.agent - pair.bare for pair in pairs])
    return (high - low) / 2 <= _allowed_ns(pairs) / 2


def _allowed_ns(pairs: list[Pair]) -> float:
    return max(TARGET_RATIO * statistics.median(pair.bare for pair in pairs), TARGET_NS)


def _bare_loop(invoke: Callable[[], Any], durations: list[int]) -> None:
    now = time.perf_counter_ns
    for index in range(len(durations)):
        start = now()
        invoke()
        durations[index] = now() - start


def _ready(case: Case) -> Callable[[], Any]:
    """Load the model, give it inputs and warm it up."""
    loaded = runtimes.load(case.runtime, str(case.path), 1, {})
    blob = random_inputs(read_model(case.path), seed=0).blob
    runtimes.give_inputs(loaded, runtimes.read_inputs(blob), 0)
    end = time.perf_counter_ns() + WARMUP_NS
    while time.perf_counter_ns() < end:
        loaded.invoke()
    return loaded.invoke


def _row(case: Case, pairs: list[Pair]) -> Row:
    each = [pair.agent - pair.bare for pair in pairs]
    differences, (low, high) = spread(each), median_bounds(each)
    typical = statistics.median(pair.bare for pair in pairs)
    allowed = _allowed_ns(pairs)
    ratio = differences.middle / typical
    return Row(
        name=f"agent's loop against a bare loop, {case.name}, {case.runtime}",
        value=f"{differences.middle / 1e3:+.3f} µs ({ratio:+.2%}) of {typical / 1e6:.3f} ms",
        target=f"within {allowed / 1e3:.1f} µs",
        ok=abs(differences.middle) <= allowed,
        conditions=f"n = {len(pairs)} pairs of blocks of {case.inferences};"
        f" 95 % bounds {low / 1e3:+.3f} … {high / 1e3:+.3f},"
        f" quartiles {differences.low / 1e3:+.3f} … {differences.high / 1e3:+.3f} µs; 1 thread",
    )
