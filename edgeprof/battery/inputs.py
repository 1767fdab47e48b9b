"""From a result and what was said of the device to the inputs of a life: refuses, or lists what it assumes."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.battery.bounds import refuse_absurd
from edgeprof.battery.cycle import average_a, inference_w
from edgeprof.battery.interval import Inputs, Ranged, conversion_of, cycle_of, exactly, sleepless
from edgeprof.battery.options import REGULATORS, TOLERANCES
from edgeprof.battery.reservoir import settle_reservoir
from edgeprof.battery.taken import Taken, taken, widened
from edgeprof.errors import UsageError
from edgeprof.units import format_duration

if TYPE_CHECKING:
    from edgeprof.battery.options import BatteryOptions, Burst
    from edgeprof.records.battery import Assumption, Cell, Origin
    from edgeprof.records.result import Basis, Metric, Result

WEAKER: tuple[Basis, ...] = ("measured", "computed", "emulated", "simulated", "estimated", "declared")
"""From the strongest to the weakest."""
TIMES = ("latency_mean_s", "latency_p50_s")
EXAMPLE = "edgeprof battery RESULT --cell CR2032 --every 10s --sleep-current 5uA --supply 3V --regulator none"


class Settled(NamedTuple):
    """All that the life depends on, the basis of its energy, and how each input was got."""

    cell: Cell
    inputs: Inputs
    basis: Basis
    assumptions: tuple[Assumption, ...]


class _Energy(NamedTuple):
    """What the inference takes: gross energy, its time, its power where that was measured, and the weakest basis."""

    energy: Taken
    latency: Taken
    peak_w: float | None
    mean_w: Ranged | None
    basis: Basis


def settle(result: Result | None, options: BatteryOptions, board_supply: tuple[float, str] | None = None) -> Settled:
    """Return the inputs. `board_supply`: the voltage that the board's file states, with where.

    Raises UsageError naming the options that are missing, and where the energy is not gross.
    """
    refuse_undeclared(options)
    inference = _inference(result, options)
    supply = _supply(options, board_supply)
    reservoir = settle_reservoir(options, supply.ranged.value)
    period_s, sleep_a = options.period_s or 0.0, options.sleep_a or 0.0
    tolerances = dict(options.tolerances)
    sleep = taken(
        "sleep current", widened(exactly(sleep_a), tolerances.get("sleep")), "a", "given", "--sleep-current",
        "at the device's supply",
    )  # fmt: skip
    inputs = Inputs(
        energy_j=inference.energy.ranged,
        latency_s=inference.latency.ranged,
        sleep_a=sleep.ranged,
        capacity_c=reservoir.capacity_c,
        usable_ratio=reservoir.usable_ratio,
        efficiency_ratio=reservoir.efficiency_ratio,
        temperature_celsius=reservoir.temperature_celsius,
        self_discharge_ratio=reservoir.self_discharge_ratio,
        period_s=period_s,
        inferences=options.inferences,
        peak_w=inference.peak_w,
        wake_j=options.wake_j,
        wake_s=options.wake_s,
        bursts=options.bursts,
        supply_v=supply.ranged.value,
        regulator=reservoir.regulator,
        quiescent_a=options.quiescent_a or 0.0,
        cell_v=reservoir.cell_v,
        cutoff_v=reservoir.cutoff_v,
        series=options.series,
        parallel=options.parallel,
        health_ratio=options.health,
        derating_ratio=(1.0 if options.cold is None else options.cold) * (1 - options.reserve),
        leak=options.leak,
        profile=reservoir.profile,
        mean_w=inference.mean_w,
    )
    _refuse_without_room(inputs)
    told = [inference.energy, inference.latency, *_pulse(inputs), supply, *_period(options), sleep]
    return Settled(reservoir.cell, inputs, inference.basis, (*(one.assumption for one in told), *reservoir.assumptions))


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


def refuse_undeclared(options: BatteryOptions) -> None:
    """Raise UsageError where an option that nothing can be assumed for is missing, or holds what cannot be."""
    _refuse_missing(options)
    _refuse_impossible(options)
    refuse_absurd(options)


def _refuse_missing(options: BatteryOptions) -> None:
    missing = []
    if options.cell is None and options.capacity_c is None:
        missing.append("--cell or --capacity")
    if options.period_s is None:
        missing.append("--every (how often it infers)")
    if options.sleep_a is None:
        missing.append("--sleep-current (what the device takes between)")
    if missing:
        raise UsageError(f"a battery's life needs {', '.join(missing)}; nothing is assumed for it", hint=EXAMPLE)


def _refuse_impossible(options: BatteryOptions) -> None:
    for option, value in (
        ("--every", options.period_s), ("--capacity", options.capacity_c), ("--cell-voltage", options.cell_v),
        ("--supply", options.supply_v), ("--energy", options.energy_j), ("--latency", options.latency_s),
        ("--usable", options.usable), ("--health", options.health), ("--cold-capacity", options.cold),
        ("--cutoff-voltage", options.cutoff_v), ("--max-continuous", options.max_continuous_a),
        ("--max-pulse", options.max_pulse_a), *((f"--burst {one.name}", one.duration_s) for one in options.bursts),
    ):  # fmt: skip
        if value is not None and not (isfinite(value) and value > 0):
            raise UsageError(f"{option} has to be above 0, it is {value:g}")
    for option, value in (
        ("--sleep-current", options.sleep_a), ("--quiescent-current", options.quiescent_a),
        ("--inferences", options.inferences), ("--wake-energy", options.wake_j), ("--wake-time", options.wake_s),
        *((f"--burst {one.name}", one.current_a) for one in options.bursts),
    ):  # fmt: skip
        if value is not None and not (isfinite(value) and value >= 0):
            raise UsageError(f"{option} cannot be below 0, it is {value:g}")
    for option, value in (
        ("--usable", options.usable),
        ("--health", options.health),
        ("--cold-capacity", options.cold),
    ):
        if value is not None and value > 1:
            raise UsageError(f"{option} is a share of the capacity, at most 100 %; it is {value:.0%}")
    if not 0 <= options.reserve < 1:
        raise UsageError(f"--reserve is a share below 100 % of the capacity, it is {options.reserve:.0%}")
    _refuse_strange(options)
    unknown = [name for name, _ in options.tolerances if name not in TOLERANCES]
    if unknown:
        raise UsageError(f"--tolerance knows no {unknown[0]!r}", hint=f"known: {', '.join(TOLERANCES)}")


def _refuse_strange(options: BatteryOptions) -> None:
    if options.series < 1 or options.parallel < 1:
        raise UsageError(f"--series {options.series} --parallel {options.parallel}: a battery has a cell at least")
    if options.regulator not in {None, *REGULATORS}:
        raise UsageError(f"--regulator {options.regulator}: {', '.join(REGULATORS)} can be")


def _refuse_without_room(inputs: Inputs) -> None:
    if sleepless(inputs):
        what = f"{inputs.inferences:g} inferences of {format_duration(inputs.latency_s.value)}"
        extra = sum(burst.duration_s for burst in inputs.bursts) + inputs.wake_s
        more = f" and {format_duration(extra)} of bursts and waking" if extra else ""
        raise UsageError(
            f"{what}{more} do not fit a period of {format_duration(inputs.period_s)}",
            hint="--every is the time from one start to the next",
        )
    if average_a(cycle_of(inputs), conversion_of(inputs)) <= 0:
        raise UsageError("nothing draws from the battery: no inference, no sleep current, no burst")


# ── what is drawn ────────────────────────────────────────────────────────────────────────────────────────────────────


def _inference(result: Result | None, options: BatteryOptions) -> _Energy:
    energy, energy_basis = _energy(result, options)
    latency, latency_basis = _latency(result, options)
    measured = {} if result is None or options.energy_j is not None else result.metrics
    peak, mean = measured.get("power_peak_w"), measured.get("power_average_w")
    return _Energy(
        energy,
        latency,
        peak.value if peak is not None else None,
        _ranged(mean) if mean is not None and mean.value else None,
        max(energy_basis, latency_basis, key=WEAKER.index),
    )


def _pulse(inputs: Inputs) -> list[Taken]:
    """Return the largest current of an inference, and by what it is known."""
    if not inputs.inferences or not inputs.energy_j.value:
        return []
    known = inference_w(cycle_of(inputs))
    name, source = "largest current of an inference", "by the highest sample of the power in any window"
    origin: Origin = "measured"
    if inputs.peak_w is None and inputs.mean_w is not None:
        source = "by the mean power over the windows; no peak was measured"
    elif inputs.peak_w is None:
        origin, source = "assumed", "its energy over its time; no peak is known, and a shorter one is not in it"
    return [taken(name, known / inputs.supply_v, "a", origin, "", source)]


def _energy(result: Result | None, options: BatteryOptions) -> tuple[Taken, Basis]:
    name, tolerance = "energy an inference", dict(options.tolerances).get("energy")
    if options.energy_j is not None:
        source = "taken as gross: all that is drawn while it infers, idle included"
        ranged = widened(exactly(options.energy_j), tolerance)
        return taken(name, ranged, "j", "given", "--energy", source), "declared"
    if options.inferences == 0:
        return taken(name, 0.0, "j", "given", "--inferences", "there is no inference"), "declared"
    if result is None:
        raise UsageError("a battery's life needs a result or --energy", hint="--energy 7.37mJ --latency 180ms")
    metric = result.metrics.get("energy_per_inference_j")
    if metric is None or metric.value is None:
        raise _no_energy(result, metric)
    if metric.value <= 0:
        raise UsageError(f"the result's energy an inference is {metric.value:g} J, which no inference takes")
    source = f"gross, {metric.basis}: {metric.method}"
    return taken(name, widened(_ranged(metric), tolerance), "j", "measured", "--energy", source), metric.basis


def _no_energy(result: Result, metric: Metric | None) -> UsageError:
    above = result.metrics.get("energy_above_idle_j")
    if above is not None and above.value is not None:
        return UsageError(
            "the result has energy above idle alone, and no battery lives by that: what idle takes comes from it too",
            hint="measure gross energy (energy_per_inference_j), or give it: --energy 7.37mJ",
        )
    reason = f": {metric.reason}" if metric is not None and metric.reason else ""
    return UsageError(
        f"the result has no energy an inference{reason}",
        hint="edgeprof profile MODEL --power … measures it; --energy 7.37mJ declares it",
    )


def _latency(result: Result | None, options: BatteryOptions) -> tuple[Taken, Basis]:
    name, tolerance = "time an inference", dict(options.tolerances).get("latency")
    if options.latency_s is not None:
        ranged = widened(exactly(options.latency_s), tolerance)
        return taken(name, ranged, "s", "given", "--latency", "declared"), "declared"
    if options.inferences == 0:
        return taken(name, 0.0, "s", "given", "--inferences", "there is no inference"), "declared"
    known = [result.metrics[one] for one in TIMES if one in result.metrics] if result is not None else []
    metric = next((one for one in known if one.value is not None), None)
    if metric is None:
        raise UsageError("a battery's life needs the time of an inference: --latency", hint="--latency 180ms")
    ranged, source = widened(_ranged(metric), tolerance), f"{metric.basis}: {metric.method}"
    return taken(name, ranged, "s", "measured", "--latency", source), metric.basis


def _ranged(metric: Metric) -> Ranged:
    value = metric.value or 0.0
    low = value if metric.low is None else min(max(metric.low, 0.0), value)
    high = value if metric.high is None else max(metric.high, value)
    return Ranged(value, low, high)


def _supply(options: BatteryOptions, board_supply: tuple[float, str] | None) -> Taken:
    name = "supply voltage"
    if options.supply_v is not None:
        source = "where the energy was measured and the currents are drawn"
        return taken(name, options.supply_v, "v", "given", "--supply", source)
    if board_supply is not None:
        return taken(name, board_supply[0], "v", "data", "--supply", board_supply[1])
    raise UsageError(
        "energy becomes charge only at a voltage: --supply, the one at which the energy was measured, is missing",
        hint="--supply 3.3V; energy measured at one supply does not carry to another",
    )


def _period(options: BatteryOptions) -> list[Taken]:
    found = [
        taken(
            "period",
            options.period_s or 0.0,
            "s",
            "given",
            "--every",
            f"with {options.inferences:g} inference{'' if options.inferences == 1 else 's'} in each",
        )
    ]
    if options.wake_j or options.wake_s:
        found.append(taken("energy to wake", options.wake_j, "j", "given", "--wake-energy", "once a period"))
    return [*found, *map(_burst, options.bursts)]


def _burst(burst: Burst) -> Taken:
    source = f"for {format_duration(burst.duration_s)} once a period, at the device's supply"
    return taken(f"burst {burst.name}", burst.current_a, "a", "given", "--burst", source)
