"""What would make it last longer: the life against the period, and with half of what can be halved. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.battery.cycle import INFERENCE, SLEEP
from edgeprof.battery.interval import Ranged, outcome, sleepless
from edgeprof.battery.overload import judge_currents
from edgeprof.records.battery import Consumer, WhatIf
from edgeprof.units import format_span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.battery.interval import Corner, Inputs, Outcome
    from edgeprof.records.battery import Cell

FACTORS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0)
CORNERS: tuple[Corner, ...] = ("value", "worst", "best")


def shares(found: Outcome) -> tuple[Consumer, ...]:
    """Return who takes how much of the usable charge over the life, the largest first."""
    whole = sum(found.currents_a.values())
    ordered = sorted(found.currents_a.items(), key=lambda item: -item[1])
    return tuple(Consumer(name=name, current_a=current, share_ratio=current / whole) for name, current in ordered)


def what_if(cell: Cell, inputs: Inputs) -> tuple[WhatIf, ...]:
    """Return the life for a tenth of the period up to a hundred times it, and for half of what draws most."""
    return tuple(_row(cell, change, changed) for change, changed in _changes(inputs))


def _changes(inputs: Inputs) -> Iterator[tuple[str, Inputs]]:
    for factor in FACTORS:
        change = "as it is" if factor == 1.0 else f"every {format_span(inputs.period_s * factor)}"
        yield change, inputs._replace(period_s=inputs.period_s * factor)
    if inputs.inferences > 0 and inputs.energy_j.value > 0:
        peak_w = None if inputs.peak_w is None else inputs.peak_w / 2
        mean_w = None if inputs.mean_w is None else _half(inputs.mean_w)
        halved = inputs._replace(energy_j=_half(inputs.energy_j), peak_w=peak_w, mean_w=mean_w)
        yield f"half the energy of the {INFERENCE}", halved
    if inputs.sleep_a.value > 0:
        yield f"half the {SLEEP} current", inputs._replace(sleep_a=_half(inputs.sleep_a))


def _row(cell: Cell, change: str, inputs: Inputs) -> WhatIf:
    if sleepless(inputs):
        return _without(change, inputs, "the period is shorter than what happens in it")
    too_much = next((one.reason for one in judge_currents(cell, inputs) if one.verdict == "FAIL"), None)
    if too_much is not None:
        return _without(change, inputs, too_much)
    found, worst, best = (outcome(inputs, corner) for corner in CORNERS)
    if found.life_s is None:
        return _without(change, inputs, "a pulse pulls the full cell below its cut-off")
    first = shares(found)[0]
    return WhatIf(
        change=change,
        period_s=inputs.period_s,
        life_s=found.life_s,
        low_s=worst.life_s or 0.0,
        high_s=best.life_s,
        dominating=first.name,
        share_ratio=first.share_ratio,
    )


def _without(change: str, inputs: Inputs, reason: str) -> WhatIf:
    return WhatIf(
        change=change, period_s=inputs.period_s, life_s=None, low_s=None, high_s=None, dominating=None,
        share_ratio=None, reason=reason,
    )  # fmt: skip


def _half(ranged: Ranged) -> Ranged:
    return Ranged(ranged.value / 2, ranged.low / 2, ranged.high / 2)
