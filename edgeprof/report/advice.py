"""The few sentences of advice that a person reads beside the figures; the JSON has them all, with their evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeprof.records.diagnosis import Advice

SHOWN = 5
HEADING = "What holds it back, and what would help"
WORTH = 1.05
"""Advice that gains less than this at best is left to the JSON."""


def shown_advice(advice: tuple[Advice, ...], count: int = SHOWN) -> tuple[Advice, ...]:
    """Return the first `count` in the order of the diagnosis; what gains little, and a bound not known, come last."""
    return tuple(sorted(advice, key=_says_little)[:count])


def advice_left(advice: tuple[Advice, ...], count: int = SHOWN) -> str:
    """Return the words for what is not shown, empty where all is."""
    left = len(advice) - count
    return f"{left} more in the JSON (--format json), with the evidence of each" if left > 0 else ""


def _says_little(one: Advice) -> bool:
    timed = [effect for effect in one.effects if effect.metric == "latency_p50_s" and effect.low]
    if one.kind == "batch":  # it gains items, and its inferences become longer
        return False
    return one.bound_by == "unknown" or any(effect.now < WORTH * (effect.low or 0.0) for effect in timed)
