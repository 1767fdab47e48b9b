"""What a column or a sensor is called, and in which unit: headers as instruments' programs write them."""

from __future__ import annotations

import re
from typing import NamedTuple

from edgeprof.errors import UsageError, did_you_mean

UNITS: dict[str, dict[str, float]] = {
    "time": {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0},
    "current": {"a": 1.0, "amps": 1.0, "ma": 1e-3, "ua": 1e-6, "na": 1e-9},
    "voltage": {"v": 1.0, "volts": 1.0, "mv": 1e-3, "uv": 1e-6},
    "power": {"w": 1.0, "watts": 1.0, "mw": 1e-3, "uw": 1e-6, "nw": 1e-9},
    "energy": {"j": 1.0, "joules": 1.0, "mj": 1e-3, "uj": 1e-6, "nj": 1e-9, "wh": 3600.0, "mwh": 3.6, "uwh": 3.6e-3},
}
"""Scale to SI, units in small letters; µ is read as u."""

ROLES = ("time", "current", "voltage", "power", "energy", "counter", "marker", "bits")
_BRACKETED = re.compile(r"^(.*?)\s*[(\[]\s*([^)\]]*?)\s*[)\]]\s*$")
_TAILED = re.compile(r"^(.*?)[\s_]+([a-zA-Zµμ]+)$")
_MARKER = re.compile(r"(marker|mark|gpio?|gpi|din|digital|trigger|trig|d)[\s_-]?(\d?)|current_lsb|window|active")
_BITS_FIRST_IS_0, _BITS_LAST_IS_0 = "d0-d7", "bits"
_COUNTER = ("counter", "total", "cumul", "accum")
_NAMES = {
    "time": {"t", "time", "timestamp", "elapsed", "seconds", "time_rel", "relative_time"},
    "current": {"i", "current", "amps", "amp", "amperes"},
    "voltage": {"u", "v", "voltage", "volts", "vdd"},
    "power": {"p", "power", "watts"},
    "energy": {"e", "energy", "joules"},
}


class Column(NamedTuple):
    """A column: its place and header, its role and the scale to SI; `assumed` says that no unit was given."""

    place: int
    header: str
    role: str
    scale: float = 1.0
    bit: int = 0
    assumed: bool = False


def scale_of(role: str, unit: str) -> float | None:
    """Return the factor to SI, None for a unit that is not one of the role's."""
    quantity = "energy" if role == "counter" else role
    return UNITS.get(quantity, {}).get(unit.replace("µ", "u").replace("μ", "u").lower())


def column_of(place: int, header: str) -> Column | None:
    """Return what a header says, None where it says nothing of power or time."""
    text = header.strip().strip("\"'").strip()
    small = text.lower()
    if small in {_BITS_FIRST_IS_0, _BITS_LAST_IS_0}:
        return Column(place, text, "bits", bit=0 if small == _BITS_FIRST_IS_0 else 7)
    matched = _MARKER.fullmatch(small)
    if matched:
        return Column(place, text, "marker", bit=int(matched[2] or 0))
    name, unit = text, ""
    for pattern in (_BRACKETED, _TAILED):
        parts = pattern.match(text)
        if parts and any(scale_of(role, parts[2]) is not None for role in UNITS):
            name, unit = parts[1], parts[2]
            break
    role = _role(name.strip().lower(), unit)
    if role is None:
        return None
    scale = scale_of(role, unit) if unit else 1.0
    return None if scale is None else Column(place, text, role, scale, assumed=not unit)


def _role(name: str, unit: str) -> str | None:
    if any(word in name for word in ("energy", "joule")) or name in _NAMES["energy"]:
        return "counter" if any(word in name for word in _COUNTER) else "energy"
    for role, names in _NAMES.items():
        words = re.split(r"[\s_\-/]+", name)
        if name in names or (len(names & set(words)) > 0 and len(max(words, key=len)) > 1):
            return role
    if "timestamp" in name or "time" in name.split():
        return "time"
    return next((role for role in ("current", "voltage", "power") if role in name and scale_of(role, unit)), None)


def chosen_column(asked: tuple[str, str], headers: list[str]) -> Column:
    """Return the column that `--column ROLE=HEADER[:UNIT]` names; a number counts from 1."""
    role, wanted = asked
    if role not in ROLES:
        hint = did_you_mean(role, ROLES) or f"roles: {', '.join(ROLES)}"
        raise UsageError(f"{role!r} is no role of a column", hint=hint)
    unit = ""
    stripped = [header.strip().strip("\"'").strip() for header in headers]
    if wanted not in stripped and ":" in wanted:
        wanted, _, unit = wanted.rpartition(":")
    if wanted in stripped:
        place = stripped.index(wanted)
    elif wanted.isdigit() and 1 <= int(wanted) <= len(headers):
        place = int(wanted) - 1
    else:
        hint = did_you_mean(wanted, stripped) or f"columns: {', '.join(stripped)}"
        raise UsageError(f"there is no column {wanted!r}", hint=hint)
    if role in {"marker", "bits"}:
        known = column_of(place, headers[place])
        return Column(place, stripped[place], role, bit=known.bit if known and known.role == role else 0)
    if unit:
        scale = scale_of(role, unit)
        if scale is None:
            raise UsageError(f"{unit!r} is no unit of {role}", hint="such as " + ", ".join(UNITS.get(role, {})))
        return Column(place, stripped[place], role, scale)
    known = column_of(place, headers[place])
    if known and (known.role == role or {known.role, role} == {"energy", "counter"}):
        return known._replace(role=role)
    return Column(place, stripped[place], role, assumed=True)


def columns_of(headers: list[str], asked: tuple[tuple[str, str], ...]) -> list[Column]:
    """Return the columns that a trace is made of, one a role; several markers are bits of one.

    Raises UsageError where two columns claim a role, or none is a power.
    """
    chosen = [chosen_column(one, headers) for one in asked]
    roles = {column.role for column in chosen}
    for place, header in enumerate(headers):
        column = column_of(place, header)
        if column and column.role not in roles and all(column.place != other.place for other in chosen):
            chosen.append(column)
    found: dict[str, Column] = {}
    markers: list[Column] = []
    for column in chosen:
        if column.role == "marker":
            markers.append(column)
        elif column.role in found:
            other = found[column.role].header
            raise UsageError(
                f"two columns may be the {column.role}: {other!r} and {column.header!r}",
                hint=f"--column '{column.role}={column.header}' chooses one",
            )
        else:
            found[column.role] = column
    _distinct_bits(markers)
    if "bits" in found and markers:
        markers = []  # the same bits once more, each in a column of its own
    if not found.keys() & {"power", "current", "energy", "counter"}:
        seen = ", ".join(header.strip() for header in headers)
        raise UsageError(
            f"no column is a power, a current or an energy; seen: {seen}", hint="--column 'power=HEADER:mW' names one"
        )
    return [*found.values(), *markers]


def _distinct_bits(markers: list[Column]) -> None:
    """Give markers that claim the same bit places of their own, in their order."""
    if len({marker.bit for marker in markers}) < len(markers):
        markers[:] = [marker._replace(bit=bit) for bit, marker in enumerate(markers[:8])]
