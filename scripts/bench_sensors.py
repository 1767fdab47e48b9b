"""What reading a board's sensors costs: CPU time of the sampling, and the latency with and without it, in turns."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from edgeprof.api import profile
from scripts.bench_rows import Row
from tests.sysfs_trees import build

MODEL = Path(__file__).resolve().parent.parent / "examples" / "models" / "kws_int8.tflite"
BOARDS = ("raspberry-pi-5", "jetson-orin-nano")
ROUNDS, DURATION_S, INTERVAL_S = 7, 1.5, 0.5
MOST_CPU_RATIO, MOST_SLOWER_RATIO = 0.05, 1.02


def run() -> list[Row]:
    """Return two rows a board whose recorded tree of sensors is read."""
    return [row for board in BOARDS for row in _board(board)]


def _board(board: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGEPROF_SYSROOT"] = str(build(board, Path(folder) / "tree"))
        try:
            pairs = [(_latency(0.0)[0], *_latency(INTERVAL_S)) for _ in range(ROUNDS)]
        finally:
            del os.environ["EDGEPROF_SYSROOT"]
    slower = statistics.median(measured / bare for bare, measured, _ in pairs)
    share = statistics.median(cost for _, _, cost in pairs)
    conditions = (
        f"{ROUNDS} pairs of runs of {DURATION_S} s in turns, every {INTERVAL_S} s, {MODEL.name}, sysfs tree of {board}"
    )
    return [
        Row(f"sensors of {board}, CPU of the sampling", f"{share * 100:.2f} %",
            f"at most {MOST_CPU_RATIO * 100:.0f} % of a core", share <= MOST_CPU_RATIO, conditions),
        Row(f"sensors of {board}, latency with / without", f"{slower:.4f}", f"at most {MOST_SLOWER_RATIO}",
            slower <= MOST_SLOWER_RATIO, f"median of the ratios of the least latencies; {conditions}"),
    ]  # fmt: skip


def _latency(interval_s: float) -> tuple[float, float]:
    """Return the least latency of a run, which other work disturbs least, and the sampling's share of a CPU."""
    result = profile(MODEL, duration_s=DURATION_S, sensors_s=interval_s, memory=False, history=False)
    cost = result.breakdowns.get("sensors", {})
    share = cost["cpu_s"] / cost["wall_s"] if "cpu_s" in cost and cost.get("wall_s") else 0.0
    return result.metrics["latency_min_s"].value or 0.0, share
