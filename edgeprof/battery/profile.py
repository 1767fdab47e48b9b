"""A cell's profile: open-circuit voltage and internal resistance over its charge, and where a pulse ends it."""

from __future__ import annotations

import csv
import io
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.bounded import read_bounded
from edgeprof.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LARGEST_BYTES = 10_000_000
PERCENT_ABOVE = 1.5
HINT = "a header SoC,Voc,Rint (V and ohm; SoC from 0 to 1 or to 100) and, where known, T in °C"
_NAMES = {"soc": "soc", "voc": "voc", "ocv": "voc", "rint": "rint", "r": "rint", "t": "t", "temperature": "t"}


class Point(NamedTuple):
    """One row: state of charge (1 is full), open-circuit voltage, internal resistance."""

    soc: float
    voc_v: float
    rint_ohm: float


class CellProfile(NamedTuple):
    """Points in falling order of charge, for each temperature in rising order; None: no temperature is stated."""

    name: str
    curves: tuple[tuple[float | None, tuple[Point, ...]], ...]


def read_cell_profile(path: Path) -> CellProfile:
    """Read a CSV with the columns SoC, Voc, Rint and, where known, T. Raises UsageError with the line."""
    try:
        text = read_bounded(path, LARGEST_BYTES, "the cell profile").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text: {error.reason}", hint=HINT) from error
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    rows = list(csv.reader(io.StringIO("\n".join(lines))))
    columns = _columns(path, rows[0] if rows else [])
    return CellProfile(
        path.name, _curves(path, [_numbers(path, number, row, columns) for number, row in enumerate(rows[1:], 2)])
    )


def _columns(path: Path, header: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, title in enumerate(header):
        name = _NAMES.get(title.split("(")[0].split("[")[0].strip().lower())
        if name and name not in found:
            found[name] = place
    missing = [name for name in ("soc", "voc", "rint") if name not in found]
    if missing:
        raise UsageError(f"{path} has no column {' and no '.join(missing)}; it has {', '.join(header)}", hint=HINT)
    return found


def _numbers(path: Path, number: int, row: Sequence[str], columns: dict[str, int]) -> dict[str, float]:
    try:
        found = {name: float(row[place]) for name, place in columns.items()}
    except (ValueError, IndexError):
        raise UsageError(f"{path}, row {number}: {','.join(row)!r} is not all numbers", hint=HINT) from None
    if not (found["rint"] >= 0 and 0 < found["voc"] < 1000 and 0 <= found["soc"] <= 100):  # noqa: PLR2004  no cell
        raise UsageError(f"{path}, row {number}: {','.join(row)!r} is no state of a cell", hint=HINT)
    return found


def _curves(path: Path, rows: Sequence[dict[str, float]]) -> tuple[tuple[float | None, tuple[Point, ...]], ...]:
    scale = 0.01 if any(row["soc"] > PERCENT_ABOVE for row in rows) else 1.0
    grouped: dict[float | None, dict[float, Point]] = {}
    for row in rows:
        point = Point(row["soc"] * scale, row["voc"], row["rint"])
        grouped.setdefault(row.get("t"), {})[point.soc] = point
    if not grouped or any(len(points) < 2 for points in grouped.values()):  # noqa: PLR2004  a line has two ends
        raise UsageError(f"{path} has not two states of charge at each temperature", hint=HINT)
    order = sorted(grouped, key=lambda temperature: temperature or 0.0)
    return tuple((one, tuple(sorted(grouped[one].values(), reverse=True))) for one in order)


def points_at(profile: CellProfile, temperature_celsius: float) -> tuple[Point, ...]:
    """Return the curve at a temperature, on a line between the two nearest; outside of what was measured is refused."""
    temperatures = [temperature for temperature, _ in profile.curves if temperature is not None]
    if not temperatures:
        return profile.curves[0][1]
    if not temperatures[0] <= temperature_celsius <= temperatures[-1]:
        span = f"{temperatures[0]:g} °C to {temperatures[-1]:g} °C"
        raise UsageError(f"{profile.name} holds for {span}, not for {temperature_celsius:g} °C", hint="--temperature")
    curves = dict(profile.curves)
    below = max(one for one in temperatures if one <= temperature_celsius)
    above = min(one for one in temperatures if one >= temperature_celsius)
    if below == above:
        return curves[below]
    share = (temperature_celsius - below) / (above - below)
    return _between(curves[below], curves[above], share)


def _between(cold: Sequence[Point], warm: Sequence[Point], share: float) -> tuple[Point, ...]:
    states = sorted({point.soc for point in (*cold, *warm)}, reverse=True)
    low, high = max(cold[-1].soc, warm[-1].soc), min(cold[0].soc, warm[0].soc)
    return tuple(
        Point(
            soc,
            _mix(_at(cold, soc, lambda one: one.voc_v), _at(warm, soc, lambda one: one.voc_v), share),
            _mix(_at(cold, soc, lambda one: one.rint_ohm), _at(warm, soc, lambda one: one.rint_ohm), share),
        )
        for soc in states
        if low <= soc <= high
    )


def _mix(first: float, second: float, share: float) -> float:
    return first + (second - first) * share


def _at(points: Sequence[Point], soc: float, figure: Callable[[Point], float]) -> float:
    for upper, lower in pairwise(points):
        if lower.soc <= soc <= upper.soc:
            return _mix(figure(lower), figure(upper), (soc - lower.soc) / (upper.soc - lower.soc))
    return figure(points[0] if soc > points[0].soc else points[-1])


def end_of_charge(points: Sequence[Point], pulse_a: float, cutoff_v: float) -> float | None:
    """Return the state of charge at which a pulse first pulls the cell below its cut-off; None: when full already.

    The life ends where V_oc(SoC) - I_peak R_int(SoC) falls below V_min; on a line between points. A cell that holds
    to the last point ends there.
    """
    loaded = [(point.soc, point.voc_v - pulse_a * point.rint_ohm) for point in points]
    if loaded[0][1] < cutoff_v:
        return None
    for (upper, high_v), (lower, low_v) in pairwise(loaded):
        if low_v < cutoff_v:
            return lower + (upper - lower) * (cutoff_v - low_v) / (high_v - low_v)
    return loaded[-1][0]
