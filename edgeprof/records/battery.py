"""Cells as their makers state them, and how long one lasts: the report with every assumption in it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from edgeprof.records.result import (
    Basis,
    Finding,
    Metric,
    Warned,
)

BATTERY_SCHEMA: Literal["edgeprof.battery/1"] = "edgeprof.battery/1"

RegulatorKind: TypeAlias = Literal["buck", "boost", "ldo", "none"]
Leak: TypeAlias = Literal["usable", "whole"]
Origin: TypeAlias = Literal["given", "measured", "data", "assumed"]
"""Where an input is from: an option, the result, the library of cells or a board's file, or nobody said it."""


# ── the library of cells ─────────────────────────────────────────────────────────────────────────────────────────────


class Stated(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure with its unit, as text, and the key of the source that states it. `note`: under which condition."""

    value: str
    source: str
    note: str = ""


class CellSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where figures stand. `kind`: the maker's own text, a copy of it or a quotation from it, a test, a reference."""

    title: str
    url: str
    kind: Literal["maker", "copy", "quotation", "test", "reference"]


class CellEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cell as `cells.toml` states it. What no source states is absent, never guessed."""

    title: str
    chemistry: str
    rechargeable: bool
    nominal_voltage: Stated
    capacity: Stated
    capacity_minimum: Stated | None = None
    rated_current: Stated | None = None
    cutoff_voltage: Stated | None = None
    max_continuous_current: Stated | None = None
    max_pulse_current: Stated | None = None
    pulse_duration: Stated | None = None
    internal_resistance_low: Stated | None = None
    internal_resistance_high: Stated | None = None
    self_discharge: Stated | None = None
    self_discharge_high: Stated | None = None
    shelf_life: Stated | None = None


class CellFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The library of cells."""

    schema: Literal["edgeprof.cells/1"]
    sources: dict[str, CellSource]
    cells: dict[str, CellEntry]


class Cell(Struct, frozen=True, kw_only=True):
    """A cell in SI units: volts, coulombs, amperes, ohms, seconds; self-discharge as a share a month.

    `rated_a` is the load under which the capacity was stated; None: not stated, or unknown.
    """

    name: str
    title: str
    chemistry: str | None
    rechargeable: bool | None
    voltage_v: float | None
    capacity_c: float
    capacity_minimum_c: float | None = None
    rated_a: float | None = None
    cutoff_v: float | None = None
    max_continuous_a: float | None = None
    max_pulse_a: float | None = None
    pulse_s: float | None = None
    resistance_low_ohm: float | None = None
    resistance_high_ohm: float | None = None
    self_discharge_ratio: float | None = None
    self_discharge_high_ratio: float | None = None
    shelf_life_s: float | None = None
    sources: dict[str, str] = {}


# ── the report ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Assumption(Struct, frozen=True, kw_only=True):
    """One input of the life. `low` and `high`: its range, null where none is known and none is in the life's range.

    `option` is what changes it; `source` says who states it.
    """

    name: str
    text: str
    value: float | str | None
    unit: str
    low: float | None
    high: float | None
    origin: Origin
    option: str
    source: str


class Consumer(Struct, frozen=True, kw_only=True):
    """What draws from the cell: its mean current there, and its share of the usable charge over the life."""

    name: str
    current_a: float
    share_ratio: float


class WhatIf(Struct, frozen=True, kw_only=True):
    """The life if one thing were different. `life_s` null: impossible, with the reason."""

    change: str
    period_s: float
    life_s: float | None
    low_s: float | None
    high_s: float | None
    dominating: str | None
    share_ratio: float | None
    reason: str | None = None


class BatteryReport(Struct, frozen=True, kw_only=True):
    """How long a cell lasts, from what, and what it would take to last longer.

    Currents are at the cell: `current_average_a` over a period, `current_peak_a` the largest. `naive_life_s` is the
    rated capacity over the mean current, for comparison alone. `energy_basis`: how the energy was got.
    """

    schema: Literal["edgeprof.battery/1"]
    subject: str
    result_id: str | None
    cell: Cell
    series: int
    parallel: int
    regulator: RegulatorKind
    period_s: float
    inferences: float
    energy_basis: Basis
    current_average_a: float
    current_peak_a: float
    usable_c: float
    naive_life_s: float
    metrics: dict[str, Metric]
    assumptions: tuple[Assumption, ...]
    consumers: tuple[Consumer, ...]
    what_if: tuple[WhatIf, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[Warned, ...]
