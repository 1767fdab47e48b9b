"""The library of common cells: data with sources, brought to SI units."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from edgeprof.battery.spec import parse_self_discharge
from edgeprof.errors import UnknownName, UsageError, did_you_mean
from edgeprof.records.battery import Cell, CellEntry, CellFile
from edgeprof.units import YEAR_S, parse_charge, parse_current, parse_duration, parse_voltage

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.records.battery import CellSource, Stated

FILE = "data/cells.toml"
_OHMS = {"ohm": 1.0, "mohm": 1e-3}


@cache
def cell_file() -> CellFile:
    """Return the library as it is stated."""
    return msgspec.toml.decode(resources.files("edgeprof").joinpath(FILE).read_bytes(), type=CellFile)


def list_cells() -> tuple[Cell, ...]:
    """Return all cells of the library, in its order."""
    return tuple(load_cell(name) for name in cell_file().cells)


def load_cell(name: str) -> Cell:
    """Return a cell by its name, capitals or not. Raises UnknownName with the names that there are."""
    known = {one.lower(): one for one in cell_file().cells}
    if name.lower() not in known:
        hint = did_you_mean(name, known.values()) or f"known: {', '.join(known.values())}; or --capacity"
        raise UnknownName(f"unknown cell {name!r}", hint=hint)
    name = known[name.lower()]
    return _cell(name, cell_file().cells[name])


def source_of(key: str) -> CellSource:
    """Return where the figures with this key stand."""
    return cell_file().sources[key]


def stated_figures(entry: CellEntry) -> dict[str, Stated]:
    """Return the figures that a cell has, by name."""
    named = {name: getattr(entry, name) for name in entry.__struct_fields__}
    return {name: value for name, value in named.items() if value is not None and not isinstance(value, str | bool)}


def _cell(name: str, entry: CellEntry) -> Cell:
    return Cell(
        name=name,
        title=entry.title,
        chemistry=entry.chemistry,
        rechargeable=entry.rechargeable,
        voltage_v=parse_voltage(entry.nominal_voltage.value),
        capacity_c=parse_charge(entry.capacity.value),
        capacity_minimum_c=_optional(entry.capacity_minimum, parse_charge),
        rated_a=_optional(entry.rated_current, parse_current),
        cutoff_v=_optional(entry.cutoff_voltage, parse_voltage),
        max_continuous_a=_optional(entry.max_continuous_current, parse_current),
        max_pulse_a=_optional(entry.max_pulse_current, parse_current),
        pulse_s=_optional(entry.pulse_duration, parse_duration),
        resistance_low_ohm=_optional(entry.internal_resistance_low, _parse_ohms),
        resistance_high_ohm=_optional(entry.internal_resistance_high, _parse_ohms),
        self_discharge_ratio=_optional(entry.self_discharge, parse_self_discharge),
        self_discharge_high_ratio=_optional(entry.self_discharge_high, parse_self_discharge),
        shelf_life_s=_optional(entry.shelf_life, _parse_years),
        sources={figure: _source_text(stated) for figure, stated in stated_figures(entry).items()},
    )


def _optional(stated: Stated | None, read: Callable[[str], float]) -> float | None:
    return None if stated is None else read(stated.value)


def _parse_ohms(text: str) -> float:
    matched = re.fullmatch(r"(\d+(?:\.\d+)?)(m?ohm)", text)
    if matched is None:
        raise UsageError(f"{text!r} is not a resistance such as 30mohm or 10ohm")
    return float(matched[1]) * _OHMS[matched[2]]


def _parse_years(text: str) -> float:
    matched = re.fullmatch(r"(\d+)years", text)
    if matched is None:
        raise UsageError(f"{text!r} is not a time such as 10years")
    return int(matched[1]) * YEAR_S


def _source_text(stated: Stated) -> str:
    source = source_of(stated.source)
    note = f"; {stated.note}" if stated.note else ""
    return f"{source.title} ({source.kind}, {source.url}){note}"
