"""Inputs as they are taken: each with its range, who says it, and the option that changes it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from edgeprof.battery.interval import Ranged, exactly
from edgeprof.records.battery import Assumption
from edgeprof.units import format_charge, format_current, format_duration, format_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.records.battery import Origin

DECLARED = "declared"
Unit = Literal["j", "s", "a", "c", "v", "ratio", "celsius"]


class Taken(NamedTuple):
    """An input and how it is told."""

    ranged: Ranged
    assumption: Assumption


def taken(name: str, ranged: Ranged | float, unit: Unit, origin: Origin, option: str, source: str) -> Taken:
    """Return an input with its assumption; `source` says who states it, in words."""
    ranged = exactly(ranged) if isinstance(ranged, int | float) else ranged
    text = f"{name}: {_worded(ranged.value, unit)}"
    if ranged.known:
        text += f" ({_worded(ranged.low, unit)} to {_worded(ranged.high, unit)})"
    return Taken(
        ranged,
        Assumption(
            name=name,
            text=text if source == DECLARED else f"{text}; {source}",
            value=ranged.value,
            unit=unit,
            low=ranged.low if ranged.known else None,
            high=ranged.high if ranged.known else None,
            origin=origin,
            option=option,
            source=source,
        ),
    )


def convention(name: str, choice: str, origin: Origin, option: str, source: str) -> Assumption:
    """Return an assumption that is a choice, not a figure."""
    return Assumption(
        name=name, text=f"{name}: {choice}; {source}", value=choice, unit="", low=None, high=None, origin=origin,
        option=option, source=source,
    )  # fmt: skip


def widened(ranged: Ranged, tolerance: float | None, *, absolute: bool = False) -> Ranged:
    """Return a range that also holds a declared tolerance, a share of the value either way (or in its own unit)."""
    if tolerance is None:
        return ranged
    by = tolerance if absolute else abs(ranged.value) * tolerance
    low = ranged.value - by if absolute else max(ranged.value - by, 0.0)
    return Ranged(ranged.value, min(ranged.low, low), max(ranged.high, ranged.value + by))


def _worded(value: float, unit: Unit) -> str:
    written: dict[Unit, Callable[[float], str]] = {
        "a": format_current,
        "c": format_charge,
        "v": "{:g} V".format,
        "s": format_duration,
        "j": partial(format_value, "energy_j"),
        "ratio": lambda ratio: f"{ratio * 100:.3g} %",
        "celsius": "{:g} °C".format,
    }
    return written[unit](value)
