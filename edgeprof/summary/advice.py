"""Warnings as values: what makes the figures less certain, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeprof import stats
from edgeprof.records.result import Warned
from edgeprof.summary.delegation import delegation_warnings
from edgeprof.summary.summarise import LATENCY_KINDS, steady_launches
from edgeprof.summary.sustained import slowed
from edgeprof.wire import THROTTLED, WARMUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeprof.records.result import Measurement, PassMeasurement

BUSY_LOAD = 0.5
PREEMPTED_SHARE = 0.05
NOISE_SHARE = 0.1
DRIFT_SHARE = 0.05
P99_BOUND_SAMPLES = 299


def warnings_of(measurement: Measurement) -> tuple[Warned, ...]:
    """Return what a person should know about this run before using its figures."""
    rules = (_board, _samples, _throttled, slowed, _noise, delegation_warnings, _passes)
    return tuple(warned for rule in rules for warned in rule(measurement))


def _board(measurement: Measurement) -> Iterator[Warned]:
    states = [measured for measured in measurement.passes if measured.state_before]
    if not states:
        return
    before, after = states[0].state_before, states[-1].state_after
    cores, load = before.get("cores"), before.get("load_1m")
    if cores and load is not None and load > BUSY_LOAD * cores:
        yield Warned(
            code="loaded-host",
            text=f"the board was busy before the run: load {load:.1f} on {cores} cores",
            advice="stop what else runs there; look at the unpreempted percentiles beside the raw ones",
        )
    yield from _clocks(before, after)


def _clocks(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Warned]:
    governors = sorted(set(before.get("governor", {}).values()))
    if governors and governors != ["performance"]:
        yield Warned(
            code="governor",
            text=f"the clock may change during the run: governor {', '.join(governors)}",
            advice="sudo cpupower frequency-set -g performance, or keep it and trust only --launches 5 and more",
        )
    hottest = max(after.get("temperature_celsius", {}).values(), default=None)
    if hottest is not None and hottest >= 80:  # noqa: PLR2004  where the Raspberry Pi 4 and 5 begin to throttle
        yield Warned(
            code="hot",
            text=f"the board had {hottest:.0f} °C after the run, where many begin to throttle",
            advice="cool it, or measure what your users will see with --duration 10m",
        )


def _samples(measurement: Measurement) -> Iterator[Warned]:
    launches = steady_launches(measurement)
    if not launches:
        return
    count = sum(len(launch.durations) for launch in launches)
    windows = measurement.agent == "mlperf-tiny"  # each of 10 s and more
    if count < P99_BOUND_SAMPLES and measurement.counter_unit == "seconds" and not windows:
        yield Warned(
            code="few-samples",
            text=f"{count} samples: a limit on p99 passes from {P99_BOUND_SAMPLES} on",
            advice=f"--runs {P99_BOUND_SAMPLES} or more",
        )
    share = sum(sum(launch.preempted) for launch in launches) / count
    if share > PREEMPTED_SHARE:
        yield Warned(
            code="preempted",
            text=f"{share * 100:.0f} % of the samples were interrupted by other work",
            advice="stop what else runs there; the unpreempted percentiles leave those samples out",
        )


def _throttled(measurement: Measurement) -> Iterator[Warned]:
    latency = [measured for measured in measurement.passes if measured.kind in LATENCY_KINDS]
    share = _throttled_share(latency) or _throttled_share(measurement.passes)  # of a deadline or energy pass alone
    if share:
        yield Warned(
            code="throttled",
            text=f"{share * 100:.0f} % of the samples were taken while the board throttled",
            advice="cool it or lower its load; until then these are the figures of a throttled board",
        )


def _throttled_share(passes: Iterable[PassMeasurement]) -> float:
    flags = [flag for measured in passes for flag in measured.samples.flags if not flag & WARMUP]
    return sum(bool(flag & THROTTLED) for flag in flags) / len(flags) if flags else 0.0


def _noise(measurement: Measurement) -> Iterator[Warned]:
    if slowed(measurement):
        return  # that says it better
    for launch in steady_launches(measurement):
        seen = stats.noise(launch.durations)
        if seen is None:
            continue
        if abs(seen.drift_ratio) > max(DRIFT_SHARE, seen.band_ratio):
            word = "slower" if seen.drift_ratio > 0 else "faster"
            yield Warned(
                code="drift",
                text=f"the run became {abs(seen.drift_ratio) * 100:.0f} % {word} from its first to its last third",
                advice="a longer run with --duration 2m shows whether it settles",
            )
            return
        if seen.band_ratio > NOISE_SHARE:
            yield Warned(
                code="noisy",
                text=f"the median moved by ±{seen.band_ratio * 100:.0f} % within the run",
                advice="--launches 5 gives an interval that can be trusted",
            )
            return


SAID_ALOUD = frozenset(
    {
        "window-mean",
        "window-short",
        "few-windows",
        "window-repeated",
        "firmware-clock",
        "outputs-differ",
        "input-unknown",
        "releases-unserved",
        "took-turns",
        "blob-replaced",
        "runtime-damaged",
    }
)
"""Notes that a person should see beside the figures."""


def _passes(measurement: Measurement) -> Iterator[Warned]:
    for measured in measurement.passes:
        if measured.kind in LATENCY_KINDS and measured.figures.get("steady") == 0:
            yield Warned(
                code="not-steady",
                text="the latency had not become steady after 10 s of warm-up",
                advice="something else runs there or the clock moves; see edgeprof doctor",
            )
        if not measured.complete and measured.failure != "lost":
            yield _incomplete(measured)
        for code, text in measured.notes:
            if code.endswith("-unavailable") or code in SAID_ALOUD:
                yield Warned(code=code, text=text, advice="")


def _incomplete(measured: PassMeasurement) -> Warned:
    advice = "edgeprof doctor --target TARGET shows what the board can do"
    if measured.kind == "stages":  # where the user's own code runs
        advice = "mend the file of --hook where that names it"
    return Warned(
        code=f"{measured.kind}-{measured.failure}",
        text=f"the {measured.kind} pass is missing: {measured.failure_text or measured.failure}",
        advice=advice if measured.failure != "cancelled" else "",
    )
