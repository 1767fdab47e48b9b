"""Whether comparisons can be trusted: a model against itself, and against itself slowed down by a known amount.

    python scripts/bench_compare.py SECTION...     aa-kws aa-long 5-kws 5-long saved-kws saved-long edgegate

As a section of `bench.py` it runs a small version. `run(full=True)` has the numbers that a claim needs: 100 comparisons
of a model with itself, 50 with a true 5 %.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

import msgspec

from edgeprof.comparing.interleaving import pairs_for
from edgeprof.comparing.intervals import Estimate, enough, estimate, gate, verdict
from edgeprof.comparing.regression import MAX_REGRESSION
from edgeprof.comparing.saved_changes import changes
from edgeprof.records.result import Metric, Result
from examples.build_models import build_dscnn
from scripts.bench_rows import Row, print_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(__file__).parent
LAUNCH = HERE / "bench_compare_launch.py"
SHORT, LONG = HERE.parent / "examples" / "models" / "kws_int8.tflite", "dscnn_long.tflite"
TRUE_CHANGE = 0.05
MOST_FALSE_WORSE, MOST_INCONCLUSIVE, FEWEST_FOUND = 0.05, 0.10, 0.90
SMALL_COUNT = 6


class Compared(NamedTuple):
    """One comparison: what it said, and what the busy-wait really was."""

    verdict: str
    gate: str
    found: Estimate
    launches: int
    achieved: float
    first: dict[str, Any]


def run(*, full: bool = False) -> list[Row]:
    """Compare with itself and with a true 5 %, a short and a long model."""
    few = SMALL_COUNT
    with tempfile.TemporaryDirectory(prefix="edgeprof-bench-") as folder:
        rows = []
        for model in models(Path(folder)):
            rows += against_itself(model, 100 if full else few)
            rows += against_slower(model, 50 if full else few)
        return rows


def models(folder: Path) -> tuple[Path, Path]:
    """Return a model of tens of microseconds and one of about a millisecond and a half, or those that are named."""
    named = os.environ.get("BENCH_MODELS")
    if named:
        short, long = named.split(":")
        return Path(short), Path(long)
    path = folder / LONG
    path.write_bytes(build_dscnn(channels=256, size=(98, 32)))
    return SHORT, path


# ── in turns ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def against_itself(model: Path, count: int) -> list[Row]:
    """Return how often a model is called worse than itself, how often nothing is said, and what the interval covers."""
    found = list(itertools.islice(comparisons(model, 0.0), count))
    worse = sum(one.verdict == "worse" for one in found) / count
    unsure = sum(one.gate == "INCONCLUSIVE" for one in found) / count
    covered = sum(one.found.low <= 0 <= one.found.high for one in found) / count
    told = _conditions(found)
    name = f"{model.stem} against itself"
    figures = (
        ("called worse", worse, f"at most {MOST_FALSE_WORSE:.0%}", worse <= MOST_FALSE_WORSE),
        ("INCONCLUSIVE", unsure, f"at most {MOST_INCONCLUSIVE:.0%}", unsure <= MOST_INCONCLUSIVE),
        ("interval holds 0", covered, "95 % but for chance", covered >= _least_cover(count)),
    )
    return [Row(f"{name}: {what}", f"{share:.1%}", target, ok, told) for what, share, target, ok in figures]


def _least_cover(count: int) -> float:
    """Return what 95 % may come out as: three standard deviations of a binomial below it."""
    return 0.95 - 3 * math.sqrt(0.95 * 0.05 / count)


def against_slower(model: Path, count: int) -> list[Row]:
    """Return how often a true 5 % is found: called worse, and failed by the gate."""
    found = list(itertools.islice(comparisons(model, TRUE_CHANGE), count))
    worse = sum(one.verdict == "worse" for one in found) / count
    failed = sum(one.gate == "FAIL" for one in found) / count
    achieved = [one.achieved for one in found]
    told = f"{_conditions(found)}; busy-wait {min(achieved):.2%} to {max(achieved):.2%} of B by its own clock"
    name = f"{model.stem} against itself and {TRUE_CHANGE:.0%}"
    return [
        Row(f"{name}: called worse", f"{worse:.1%}", f"at least {FEWEST_FOUND:.0%}", worse >= FEWEST_FOUND, told),
        Row(f"{name}: FAIL beyond 3 %", f"{failed:.1%}", f"at least {FEWEST_FOUND:.0%}", failed >= FEWEST_FOUND, told),
    ]


def _conditions(found: Sequence[Compared]) -> str:
    latency = statistics.median(one.first["base_p50_s"] for one in found)
    launches = statistics.fmean(one.launches for one in found)
    changes_found = [one.found.change_ratio for one in found]
    half = statistics.median((one.found.high - one.found.low) / 2 for one in found)
    return (
        f"{len(found)} comparisons, {latency * 1e6:.0f} µs, {pairs_for(latency)} pairs, {launches:.1f} launches each;"
        f" change {min(changes_found):+.2%} … {statistics.median(changes_found):+.2%} … {max(changes_found):+.2%},"
        f" half-width {half:.2%}; load {os.getloadavg()[0]:.1f}"
    )


def comparisons(model: Path, slower: float) -> Iterator[Compared]:
    """Yield comparisons, each with launches until it is decided, as the product decides."""
    pairs = 300
    while True:
        launches: list[dict[str, Any]] = []
        base_s = 1.0
        while not launches or not enough([x["log_ratio"] for x in launches], base_s, MAX_REGRESSION):
            launches.append(launch(model, pairs, slower))
            base_s = statistics.median(x["base_p50_s"] for x in launches)
            pairs = pairs_for(base_s)
        found = estimate([x["log_ratio"] for x in launches])
        yield Compared(
            verdict(found, base_s, MAX_REGRESSION), gate(found, base_s, MAX_REGRESSION), found, len(launches),
            statistics.median(x["slower"] for x in launches), launches[0],
        )  # fmt: skip


def launch(model: Path, pairs: int, slower: float) -> dict[str, Any]:
    """Return one launch in a fresh process."""
    with tempfile.TemporaryDirectory(prefix="edgeprof-bench-") as folder:
        done = subprocess.run(
            [sys.executable, LAUNCH, model, "ai_edge_litert", str(pairs), str(slower), "1"],
            env={**os.environ, "BENCH_FOLDER": folder}, capture_output=True, check=True, text=True,
        )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# ── saved results ────────────────────────────────────────────────────────────────────────────────────────────────────


def saved(model: Path, count: int, launches: int = 1) -> list[Row]:
    """Return what is said of saved results of one model, and of one whose times are 5 % and 2 times longer."""
    results = [_profiled(model, launches) for _ in range(count)]
    pairs = list(itertools.pairwise(results)) + list(zip(results, results[count // 2 :], strict=False))
    said = {
        factor: [_said(base, _longer(new, factor)) for base, new in pairs] for factor in (1.0, 1 + TRUE_CHANGE, 2.0)
    }
    shares = {factor: {v: words.count(v) / len(words) for v in set(words)} for factor, words in said.items()}
    worse, same = shares[1.0].get("worse", 0.0), shares[1 + TRUE_CHANGE].get("same", 0.0)
    double = shares[2.0].get("worse", 0.0)
    told = f"{count} runs of {launches} launches, {len(pairs)} pairs; of itself {shares[1.0]}, of 5 % {shares[1.05]}"
    name = f"saved results, {model.stem}, {launches} launches"
    return [
        Row(f"{name}: called worse than itself", f"{worse:.1%}", "at most 5 %", worse <= MOST_FALSE_WORSE, told),
        Row(f"{name}: a factor of 2 found", f"{double:.1%}", "always", double == 1, told),
        Row(f"{name}: a true 5 % called the same", f"{same:.1%}", "never", same == 0, told),
    ]


def _profiled(model: Path, launches: int) -> Result:
    edgeprof = Path(sys.executable).with_name("edgeprof")
    with tempfile.TemporaryDirectory(prefix="edgeprof-bench-") as state:
        done = subprocess.run(
            [edgeprof, "profile", model, "--launches", str(launches), "--no-memory", "-q", "--format", "json"],
            env={**os.environ, "EDGEPROF_STATE": state, "EDGEPROF_DB": "off"}, capture_output=True, check=True,
        )  # fmt: skip
    return msgspec.json.decode(done.stdout, type=Result)


def _longer(result: Result, factor: float) -> Result:
    """Return a result as the same run of a model that takes `factor` times as long would have given."""
    metrics = {name: _times(m, factor) if name.startswith("latency_") else m for name, m in result.metrics.items()}
    durations = tuple(duration * factor for duration in result.samples.duration_s)
    samples = msgspec.structs.replace(result.samples, duration_s=durations)
    return msgspec.structs.replace(result, metrics=metrics, samples=samples)


def _times(metric: Metric, factor: float) -> Metric:
    return msgspec.structs.replace(metric, value=None if metric.value is None else metric.value * factor)


def _said(base: Result, new: Result) -> str:
    return next(change.verdict for change in changes(base, new) if change.metric == "latency_p50_s")


# ── beside edgegate ──────────────────────────────────────────────────────────────────────────────────────────────────

GATE_OF_OTHERS = """
import json, sys
from edgegate.compare import evaluate, status
from edgegate.measure import *
asked = json.load(sys.stdin)
def document(ms):
    return {"latency_ms": ms, "memory": {"peak_rss_mb": None}, "model": {"sha256": ""}, "device": {"name": ""}}
print(json.dumps([status(evaluate(document(n), asked["thresholds"], document(b))) for b, n in asked["pairs"]]))
"""


def beside_edgegate(model: Path, count: int) -> list[Row]:
    """Judge the same pairs of runs with edgegate's gate, whose Python EDGEGATE_PYTHON names.

    Its rule: the p99 of two separate runs, more than a percentage and more than 0.5 ms apart; once with that floor,
    once without it, and once on the p50 in its place.
    """
    python = os.environ.get("EDGEGATE_PYTHON", "")
    if not python:
        return []
    results = [_profiled(model, 1) for _ in range(count)]
    pairs = list(itertools.pairwise(results))
    rows = []
    for what, metric, floor_ms in (
        ("p99, its floor of 0.5 ms", "latency_p99_s", 0.5),
        ("p99, no floor", "latency_p99_s", 0.0),
        ("p50 in its place, no floor", "latency_p50_s", 0.0),
    ):
        shares = [
            _failed_by(python, [(_ms(b, metric), _ms(_longer(n, factor), metric)) for b, n in pairs], floor_ms)
            for factor in (1.0, 1 + TRUE_CHANGE)
        ]
        told = f"edgegate 0.2.0, {len(pairs)} pairs of {model.stem}, limit 3 %; a true 5 % fails in {shares[1]:.0%}"
        name = f"edgegate on {what}: fails a model against itself"
        rows.append(Row(name=name, value=f"{shares[0]:.0%}", target="for comparison", ok=True, conditions=told))
    return rows


def _ms(result: Result, name: str) -> dict[str, float]:
    return {"p99": (result.metrics[name].value or 0.0) * 1000}


def _failed_by(python: str, pairs: list[tuple[dict[str, float], dict[str, float]]], floor_ms: float) -> float:
    thresholds = {"latency_p99_regression_pct": MAX_REGRESSION * 100, "latency_regression_floor_ms": floor_ms}
    asked = json.dumps({"thresholds": thresholds, "pairs": pairs})
    done = subprocess.run([python, "-c", GATE_OF_OTHERS], input=asked, capture_output=True, check=True, text=True)
    said: list[str] = json.loads(done.stdout)
    return said.count("fail") / len(said)


def main(arguments: Sequence[str]) -> int:
    """Run the named sections at their full size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help="all where none is named")
    names = parser.parse_args(arguments).sections
    with tempfile.TemporaryDirectory(prefix="edgeprof-bench-") as folder:
        short, long = models(Path(folder))
        sections: dict[str, Callable[[], list[Row]]] = {
            "aa-kws": lambda: against_itself(short, 100),
            "aa-long": lambda: against_itself(long, 100),
            "5-kws": lambda: against_slower(short, 50),
            "5-long": lambda: against_slower(long, 50),
            "saved-kws": lambda: saved(short, 40),
            "saved-long": lambda: saved(long, 40),
            "saved5-kws": lambda: saved(short, 20, 5),
            "edgegate-kws": lambda: beside_edgegate(short, 40),
            "edgegate-long": lambda: beside_edgegate(long, 40),
        }
        unknown = [name for name in names if name not in sections]
        if unknown:
            parser.error(f"no section {', '.join(unknown)}; there are {', '.join(sections)}")
        for name in names or sections:
            print_rows(sections[name]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
