"""What a chart is before it is drawn: numbers with their axes, a sentence that says what they show, and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from edgeprof.units import format_value, parse_duration, parse_frequency, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind: TypeAlias = Literal["histogram", "scatter", "bars", "steps", "roofline", "lines"]
FREQUENCIES = ("GHz", "MHz", "kHz")
PREFIXES = {"": 1.0, "m": 1e-3, "µ": 1e-6, "n": 1e-9}
DIGITS = 6
"""Significant ones of a number in the page: a pixel needs four."""


class Axis(NamedTuple):
    """An axis: values in the page are the record's values divided by `divisor`, which makes them `unit`."""

    label: str
    unit: str = ""
    divisor: float = 1.0
    log: bool = False


class Chart(NamedTuple):
    """A chart. `points` counts what must be seen in it; `drawn` is what the page's script draws, by kind.

    `head` and `rows` are the same as a table. `note` says what was left out or thinned, `sources` where figures stand.
    """

    kind: Kind
    title: str
    says: str
    x: Axis
    y: Axis
    drawn: dict[str, Any]
    points: int
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""
    sources: tuple[str, ...] = ()


class NoChart(NamedTuple):
    """Why a chart is not there."""

    title: str
    reason: str


Drawing: TypeAlias = Chart | NoChart


def axis(name: str, label: str, largest: float, *, log: bool = False) -> Axis:
    """Return an axis in the unit that `largest` is read in; `name` ends in its SI unit, as a metric's does."""
    if name.endswith("_hz"):
        unit = next((unit for unit in FREQUENCIES if largest >= parse_frequency(f"1{unit}")), "Hz")
        return Axis(label, unit, parse_frequency(f"1{unit}"), log)
    unit = format_value(name, largest).rpartition(" ")[2]
    match name.rpartition("_")[2]:
        case "s":
            return Axis(label, unit, parse_duration(f"1{unit}"), log)
        case "bytes":
            return Axis(label, unit, float(parse_size(f"1{unit}")), log)
        case "w" | "j":
            return Axis(label, unit, PREFIXES[unit[:-1]], log)
        case "celsius":
            return Axis(label, "°C", 1.0, log)
        case _:
            return Axis(label, "", 1.0, log)


def on(where: Axis, values: Iterable[float]) -> list[float]:
    """Return values in an axis' unit, rounded to what can be seen."""
    return [float(f"{value / where.divisor:.{DIGITS}g}") for value in values]


def pairs(x: Axis, y: Axis, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return points in the units of two axes."""
    return list(zip(on(x, (a for a, _ in points)), on(y, (b for _, b in points)), strict=True))
