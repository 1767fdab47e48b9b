"""From the inputs to the report: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.battery.inputs import settle
from edgeprof.battery.interval import outcome
from edgeprof.battery.overload import judge_currents, sagging
from edgeprof.battery.what_if import shares, what_if
from edgeprof.records.battery import BATTERY_SCHEMA, BatteryReport
from edgeprof.records.result import Metric, Warned
from edgeprof.units import YEAR_S, format_life

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.battery.inputs import Settled
    from edgeprof.battery.interval import Outcome
    from edgeprof.battery.options import BatteryOptions
    from edgeprof.records.board import Board
    from edgeprof.records.result import Finding, Result

LIFE = "battery_life_s"
SHELF_S = 10 * YEAR_S
TEMPERATE_K = 10.0
SUPPLY_DIFFERS = 0.05
METHOD = (
    "usable charge over the mean current at the cell, self-discharge in closed form; low and high by interval"
    " arithmetic: all ranges at their worst and at their best together, not a confidence interval"
)


def reckon(result: Result | None, options: BatteryOptions, board: Board | None = None) -> BatteryReport:
    """Return how long the battery lasts; `battery_of` says how."""
    settled = settle(result, options, _measured_supply(result) or _board_supply(board))
    found = outcome(settled.inputs)
    findings = judge_currents(settled.cell, settled.inputs)
    return BatteryReport(
        schema=BATTERY_SCHEMA,
        subject="the declared energy" if result is None else f"{result.model.name} on {result.board.name}",
        result_id=None if result is None else result.id,
        cell=settled.cell,
        series=options.series,
        parallel=options.parallel,
        regulator=settled.inputs.regulator,
        period_s=settled.inputs.period_s,
        inferences=options.inferences,
        energy_basis=settled.basis,
        current_average_a=found.average_a,
        current_peak_a=found.peak_a,
        usable_c=found.usable_c,
        naive_life_s=settled.inputs.capacity_c.value / found.average_a,
        metrics={LIFE: _life(settled, found, findings)},
        assumptions=settled.assumptions,
        consumers=shares(found),
        what_if=() if _overloaded(findings) else what_if(settled.cell, settled.inputs),
        findings=findings,
        warnings=tuple(_warnings(settled, options, found)),
    )


def _measured_supply(result: Result | None) -> tuple[float, str] | None:
    """Return the voltage at which the result's energy was measured, where its trace holds one."""
    volts = (result.breakdowns.get("energy", {}) if result else {}).get("trace", {}).get("supply_v")
    return (volts, "the voltage of the power trace") if volts else None


def _board_supply(board: Board | None) -> tuple[float, str] | None:
    if board is None or board.power.supply_v is None:
        return None
    return board.power.supply_v, f"the file of the board {board.id}; taken to be that of the measurement"


def _overloaded(findings: tuple[Finding, ...]) -> Finding | None:
    return next((one for one in findings if one.verdict == "FAIL"), None)


def _life(settled: Settled, found: Outcome, findings: tuple[Finding, ...]) -> Metric:
    declared = tuple(one.text for one in settled.assumptions if one.origin != "measured")
    beyond = _overloaded(findings)
    if beyond is not None or found.life_s is None:
        reason = (
            f"beyond what the cell gives: {beyond.reason}" if beyond is not None
            else "the largest pulse pulls even the full cell below its cut-off"
        )  # fmt: skip
        return Metric(value=None, basis=settled.basis, count=None, method=METHOD, reason=reason, assumptions=declared)
    worst, best = outcome(settled.inputs, "worst"), outcome(settled.inputs, "best")
    return Metric(
        value=found.life_s,
        basis=settled.basis,
        count=None,
        method=METHOD,
        low=worst.life_s or 0.0,
        high=best.life_s,
        assumptions=declared,
    )


# ── what makes it less certain ───────────────────────────────────────────────────────────────────────────────────────


def _warnings(settled: Settled, options: BatteryOptions, found: Outcome) -> Iterator[Warned]:
    inputs = settled.inputs
    yield from sagging(settled.cell, inputs, found)
    exact = [name for name, ranged in (("sleep", inputs.sleep_a), ("capacity", inputs.capacity_c)) if not ranged.known]
    if inputs.inferences and not inputs.energy_j.known:
        exact.insert(0, "energy")
    if exact:
        text = f"no tolerance is known of {', '.join(exact)}: the range does not hold it"
        yield Warned(code="no-tolerance", text=text, advice=f"--tolerance {exact[0]}=10%")
    if inputs.regulator != "none" and options.quiescent_a is None:
        text = f"the {inputs.regulator} regulator's own current is taken to be nothing"
        yield Warned(code="no-quiescent", text=text, advice="--quiescent-current 1uA, from its data sheet")
    if inputs.regulator == "none" and inputs.cell_v and abs(inputs.cell_v / inputs.supply_v - 1) > SUPPLY_DIFFERS:
        text = (
            f"the energy was measured at {inputs.supply_v:g} V; without a regulator the device gets {inputs.cell_v:g} V"
        )
        yield Warned(code="supply-differs", text=text, advice="measure at the cell's voltage")
    if abs(inputs.temperature_celsius.value - 25.0) > TEMPERATE_K and options.cold is None and inputs.profile is None:
        text = (
            f"at {inputs.temperature_celsius.value:g} °C a cell holds less or ages faster, and that is not in the life"
        )
        yield Warned(code="not-derated", text=text, advice="--cold-capacity 80%, from the cell's data sheet")
    yield from _too_long(settled, found)


def _too_long(settled: Settled, found: Outcome) -> Iterator[Warned]:
    shelf_s = settled.cell.shelf_life_s or SHELF_S
    if found.life_s is not None and found.life_s > shelf_s:
        known = "the cell is stated to keep" if settled.cell.shelf_life_s else "most cells keep at best"
        text = f"{format_life(found.life_s)} is longer than the {format_life(shelf_s)} that {known}"
        yield Warned(code="beyond-shelf-life", text=text, advice="the cell will age before it is empty")
