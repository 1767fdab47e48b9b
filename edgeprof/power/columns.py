"""Which columns of a recording a trace is made of: what was asked for, what headers name, what their units tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.agent.sensors.ina import MODULES, TOTALS
from edgeprof.bundle.budget import printable
from edgeprof.errors import UsageError, did_you_mean
from edgeprof.power.quantities import (
    ROLES,
    SI,
    UNITS,
    Column,
    bare,
    column_of,
    name_and_unit,
    quantity_of,
    rail_of,
    scale_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INPUT = "VIN"
"""The input of a Thor's carrier, measured beside its rails."""
SOURCES = frozenset({"power", "current", "energy", "counter"})


def columns_of(headers: Sequence[str], asked: tuple[tuple[str, str], ...]) -> list[Column]:
    """Return the columns that a trace is made of, one a role; several markers are bits of one, several rails a sum.

    Raises UsageError where two columns claim a role, or none is a power.
    """
    chosen = [chosen_column(one, headers) for one in asked]
    taken = {column.place for column in chosen}
    known = [column_of(place, header) for place, header in enumerate(headers) if place not in taken]
    named = [column for column in known if column and not column.guessed]
    found = {column.role: [column] for column in chosen if column.role != "marker"}
    _refuse_doubles(chosen)
    for role in ROLES:
        claims = [column for column in named if column.role == role]
        if claims and role not in found and role != "marker":
            found[role] = _settled(role, claims)
    _by_unit_alone(found, [column for column in known if column and column.guessed])
    if not found.keys() & SOURCES:
        seen = ", ".join(printable(header.strip()) for header in headers)
        raise UsageError(
            f"no column is a power, a current or an energy; seen: {seen}", hint="--column 'power=HEADER:mW' names one"
        )
    _refuse_unclear_rail(found)
    markers = [column for column in chosen if column.role == "marker"]
    markers = markers or [column for column in named if column.role == "marker"]
    if "bits" in found:
        markers = []  # the same bits once more, each in a column of its own
    return [*(column for columns in found.values() for column in columns), *_distinct_bits(markers)]


def chosen_column(asked: tuple[str, str], headers: Sequence[str]) -> Column:
    """Return the column that `--column ROLE=HEADER[:UNIT]` names; a number counts from 1. The header's unit counts."""
    role, wanted = asked
    if role not in ROLES:
        hint = did_you_mean(role, ROLES) or f"roles: {', '.join(ROLES)}"
        raise UsageError(f"{role!r} is no role of a column", hint=hint)
    place, said = _place(wanted, headers)
    header = bare(headers[place])
    if role in {"marker", "bits"}:
        known = column_of(place, header)
        return Column(place, header, role, bit=known.bit if known and known.role == role else 0)
    unit = name_and_unit(header)[1]
    if said:
        scale = scale_of(role, said)
        if scale is None:
            units = [name for name in UNITS[quantity_of(role)] if len(name) < 3]  # noqa: PLR2004  symbols, no words
            raise UsageError(f"{said!r} is no unit of {role}", hint=f"such as {', '.join(units)}")
        note = ""
        if unit and unit.is_sure and (unit.quantity, unit.scale) != (quantity_of(role), scale):
            note = f"the header {header!r} says {unit.text}, --column says {said}: {said} is taken"
        return Column(place, header, role, scale, note=note)
    if unit and unit.quantity == quantity_of(role):
        return Column(place, header, role, unit.scale)
    if unit and unit.is_sure:
        raise UsageError(
            f"the header {header!r} says {unit.text}, which is no unit of {role}",
            hint=f"--column '{role}={header}:{SI[role]}' if the header is wrong",
        )
    known = column_of(place, header)
    if known and known.assumed and quantity_of(known.role) == quantity_of(role):
        return known._replace(role=role)
    return Column(place, header, role, assumed=SI[role])


def _place(wanted: str, headers: Sequence[str]) -> tuple[int, str]:
    """Return the place of a column and the unit that was said with it."""
    stripped, unit = [bare(header) for header in headers], ""
    if wanted not in stripped and ":" in wanted:
        wanted, _, unit = wanted.rpartition(":")
    if wanted in stripped:
        if stripped.count(wanted) > 1:
            raise UsageError(f"several columns are called {wanted!r}", hint="a column's number, from 1, chooses one")
        return stripped.index(wanted), unit
    if wanted.isdecimal() and 1 <= int(wanted) <= len(headers):
        return int(wanted) - 1, unit
    hint = did_you_mean(wanted, stripped) or f"columns: {', '.join(map(printable, stripped))}"
    raise UsageError(f"there is no column {wanted!r}", hint=hint)


def _refuse_doubles(chosen: Iterable[Column]) -> None:
    roles: dict[str, Column] = {}
    for column in chosen:
        if column.role != "marker" and column.role in roles:
            raise _double(column.role, [roles[column.role], column])
        roles[column.role] = column


def _by_unit_alone(found: dict[str, list[Column]], guessed: Sequence[Column]) -> None:
    """Add what no name tells and the unit does, where it is missing and one column alone has it."""
    for role in ("time", "power", "current", "energy", "voltage"):
        if role in found:
            continue
        sourced = bool(found.keys() & SOURCES)
        wanted = role == "time" or (found.keys() & SOURCES == {"current"} if role == "voltage" else not sourced)
        claims = [column for column in guessed if column.role == role]
        if claims and wanted:
            found[role] = _settled(role, claims)


def _settled(role: str, claims: Sequence[Column]) -> list[Column]:
    """Return the one column of a role; of a Jetson's rails the total, or all of a module's, whose sum it is."""
    if len(claims) == 1:
        return [claims[0]._replace(note=_of_a_part(claims[0]))]
    rails = {rail_of(column.header) or name_and_unit(column.header)[0].upper(): column for column in claims}
    totals = [rails[rail] for rail in (*TOTALS, INPUT) if rail in rails]
    if len(rails) == len(claims) and len(totals) == 1:
        parts = ", ".join(rail for rail, column in rails.items() if column is not totals[0])
        return [totals[0]._replace(note=f"{parts}: parts of {totals[0].header}, not added")]
    if role == "power" and any(frozenset(rails) == module for module in MODULES):
        return [column._replace(role="rail") for column in claims]
    raise _double(role, claims)


def _of_a_part(column: Column) -> str:
    rail = rail_of(column.header)
    part = column.role == "power" and rail and rail not in TOTALS
    return f"{rail} is one rail: what else the board draws is not in its power" if part else ""


def _double(role: str, claims: Sequence[Column]) -> UsageError:
    one, other = claims[0].header, claims[1].header
    return UsageError(
        f"two columns may be the {role}: {one!r} and {other!r}", hint=f"--column '{role}={other}' chooses one"
    )


def _refuse_unclear_rail(found: dict[str, list[Column]]) -> None:
    """Refuse a rail without a unit beside a current: it may be a power, or the voltage of that current."""
    for column in found.get("power", ()):
        if rail_of(column.header) and column.assumed and "current" in found:
            raise UsageError(
                f"{column.header!r} has no unit: a rail's power, or the voltage of {found['current'][0].header!r}?",
                hint=f"--column 'voltage={column.header}:V' or --column 'power={column.header}:mW' tells",
            )


def _distinct_bits(markers: list[Column]) -> list[Column]:
    """Give markers that claim the same bit places of their own, in their order."""
    if len({marker.bit for marker in markers}) < len(markers):
        return [marker._replace(bit=bit) for bit, marker in enumerate(markers[:8])]
    return markers
