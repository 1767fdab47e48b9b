"""What a header says: a name, a unit, and so a role; headers as instruments' programs write them."""

from __future__ import annotations

import re
from typing import NamedTuple

_PREFIXES = {"": ("", 1.0), "m": ("milli", 1e-3), "u": ("micro", 1e-6), "n": ("nano", 1e-9), "k": ("kilo", 1e3)}


def _units(symbol: str, *words: str) -> dict[str, float]:
    """Return a unit's symbols and words with their prefixes, such as ms, msec and milliseconds."""
    found = {f"{prefix}{symbol}": scale for prefix, (_, scale) in _PREFIXES.items()}
    for word in words:
        for prefix, (long, scale) in _PREFIXES.items():
            found |= dict.fromkeys((f"{long}{word}", f"{long}{word}s", f"{prefix}{word}", f"{prefix}{word}s"), scale)
    return found


UNITS: dict[str, dict[str, float]] = {
    "time": {
        **_units("s", "second", "sec"), "millis": 1e-3, "micros": 1e-6, "nanos": 1e-9,
        "min": 60.0, "mins": 60.0, "minutes": 60.0, "h": 3600.0, "hours": 3600.0,
    },
    "current": _units("a", "ampere", "amp"),
    "voltage": _units("v", "volt"),
    "power": _units("w", "watt"),
    "energy": {**_units("j", "joule"), "wh": 3600.0, "mwh": 3.6, "uwh": 3.6e-3, "kwh": 3.6e6},
}  # fmt: skip
"""Scale to SI, units in small letters; µ is read as u."""

SI = {"time": "s", "current": "A", "voltage": "V", "power": "W", "energy": "J", "counter": "J"}
ROLES = ("time", "current", "voltage", "power", "energy", "counter", "marker", "bits")
_BRACKETED = re.compile(r"\s*[(\[{]\s*(?:in\s+)?([^()\[\]{}]*?)\s*[)\]}]\s*")
_AFTER_A_MARK = re.compile(r"^(.*?)(?:\s*[/,:|]\s*|\s+in\s+)([a-zA-Zµμ]+)$")
_TAILED = re.compile(r"^(.*?)[\s_.-]+([a-zA-Zµμ]+)$")
_CAPITAL = re.compile(r"^(.*[a-z])([MUN][SsAaVvWwJj])$")
_READING = re.compile(r"^(.*\S)\s+\d+\s*(mW)(?:/\d+\s*mW)?$")
"""A word of tegrastats' own line, taken for a header: `VDD_IN 4000mW/3900mW`."""
_MARKER = re.compile(r"(marker|mark|gpio?|gpi|din|digital|trigger|trig|d)[\s_-]?(\d?)|current_lsb|window|active")
_BITS_FIRST_IS_0, _BITS_LAST_IS_0 = "d0-d7", "bits"
_COUNTER = ("counter", "total", "cumul", "accum")
_NAMES = {
    "time": {"t", "time", "timestamp", "elapsed", "seconds", "ts", "time_rel", "relative_time"},
    "current": {"i", "current", "amps", "amp", "amperes"},
    "voltage": {"u", "v", "voltage", "volts", "vdd"},
    "power": {"p", "power", "watts"},
    "energy": {"e", "energy", "joules"},
}
_NO_UNIT_ALONE = frozenset({"na", "min", "mins"})
"""Not available, and minimum: what a header that names nothing else means by them."""
_OTHERS = re.compile(
    r"[(\[{]\s*(?:dbm?|%|ticks?|cycles?|samples?|counts?|lsb|raw|[km]?hz|°?c|k|va|var|m?ah)\s*[)\]}]", re.IGNORECASE
)
"""Units of nothing that a trace is made of: a level in dBm is no power in W."""
_RAIL = re.compile(
    r"(?<![A-Z0-9])(?:POM_5V_(?:IN|GPU|CPU)|VDD_IN|VIN_SYS_5V0|VDDQ_VDD2_1V8AO|VDD_SYS_(?:GPU|SOC|CPU|DDR|5V0)"
    r"|VDD_(?:CPU_GPU_CV|CPU_SOC_MSS|GPU_SOC|CPU_CV|4V0_WIFI|SOC|GPU|CPU|DDR|MUX))(?=$|[^A-Z0-9_]|_(?:POWER|CUR|CURR|AVG))"
)
"""Rails of Jetson boards, as their power monitors and tegrastats call them; GPU, CPU and the like alone are loads."""
RAIL_UNIT = "mW"
"""What tegrastats and jtop give the power of a rail in."""


class Unit(NamedTuple):
    """A unit as a header writes it; `explicit` in brackets or after a mark, else a word at the end."""

    text: str
    quantity: str
    scale: float
    explicit: bool

    @property
    def is_sure(self) -> bool:
        """Tell whether it is a unit whatever stands before it: `x_mA`, not `phase_a` or `x_min`."""
        return _small(self.text) not in _NO_UNIT_ALONE and (self.explicit or len(self.text) > 1)


class Column(NamedTuple):
    """A column: its place and header, its role and the scale to SI.

    `assumed` is the unit that was taken where the header has none; `guessed`: its unit alone tells the role.
    """

    place: int
    header: str
    role: str
    scale: float = 1.0
    bit: int = 0
    assumed: str = ""
    guessed: bool = False
    note: str = ""


def scale_of(role: str, unit: str) -> float | None:
    """Return the factor to SI, None for a unit that is not one of the role's."""
    return UNITS.get(quantity_of(role), {}).get(_small(unit))


def quantity_of(role: str) -> str:
    """Return what a role is measured as."""
    return {"counter": "energy", "rail": "power"}.get(role, role)


def bare(header: str) -> str:
    """Return a header without quotes and blanks around it."""
    return header.strip().strip("\"'").strip()


def name_and_unit(header: str) -> tuple[str, Unit | None]:
    """Return a header's name and its unit, whatever the name says; None where there is no known unit."""
    text = bare(header)
    for matched in reversed(list(_BRACKETED.finditer(text))):
        if unit := _unit(matched[1], explicit=True):
            return f"{text[: matched.start()]} {text[matched.end() :]}".strip(), unit
    for pattern, explicit in ((_READING, True), (_AFTER_A_MARK, True), (_TAILED, False), (_CAPITAL, False)):
        parts = pattern.match(text)
        if parts and (unit := _unit(parts[2], explicit=explicit)):
            return parts[1].strip(), unit
    unit = _unit(text, explicit=True) if len(text) > 1 else None
    return ("", unit) if unit else (text, None)


def rail_of(header: str) -> str:
    """Return the rail of a Jetson board that a header names, or an empty string."""
    found = _RAIL.search(name_and_unit(header)[0].upper())
    return found[0] if found else ""


def column_of(place: int, header: str) -> Column | None:
    """Return what a header says, None where it says nothing of power or time."""
    text = bare(header)
    small = text.lower()
    if small in {_BITS_FIRST_IS_0, _BITS_LAST_IS_0}:
        return Column(place, text, "bits", bit=0 if small == _BITS_FIRST_IS_0 else 7)
    matched = _MARKER.fullmatch(small)
    if matched:
        return Column(place, text, "marker", bit=int(matched[2] or 0))
    if _OTHERS.search(text):
        return None
    name, unit = name_and_unit(text)
    rail = rail_of(text)
    roles = [] if rail and unit else _roles(name.lower())
    if unit is None:
        return _without_unit(place, text, roles, rail)
    role = next((one for one in roles if quantity_of(one) == unit.quantity), None)
    if role is not None:
        return Column(place, text, role, unit.scale)
    # `power_ma` is no current and `Current (min)` no time; `phase_a` is neither
    named_otherwise = roles and (not unit.explicit or unit.quantity == "time") and not _is_letter(name)
    sure = unit.is_sure or rail or (unit.quantity == "voltage" and name[:1] in {"V", "v"})
    return Column(place, text, unit.quantity, unit.scale, guessed=True) if sure and not named_otherwise else None


def _without_unit(place: int, text: str, roles: list[str], rail: str) -> Column | None:
    if rail:
        return Column(place, text, "power", UNITS["power"][RAIL_UNIT.lower()], assumed=RAIL_UNIT)
    return Column(place, text, roles[0], assumed=SI[roles[0]]) if roles else None


def _unit(text: str, *, explicit: bool) -> Unit | None:
    found = next((quantity for quantity, units in UNITS.items() if _small(text) in units), None)
    return Unit(text, found, UNITS[found][_small(text)], explicit) if found else None


def _small(unit: str) -> str:
    return unit.strip().replace("µ", "u").replace("μ", "u").lower()


def _is_letter(name: str) -> bool:
    """Tell whether a name is a mere letter or a supply's: what the unit says counts for more."""
    return max(map(len, re.split(r"[\s_\-/]+", name)), default=0) <= 1 or "vdd" in name.lower()


def _roles(name: str) -> list[str]:
    """Return the roles that a name in small letters may have, the likeliest first."""
    found = []
    if any(word in name for word in ("energy", "joule")) or name in _NAMES["energy"]:
        found.append("counter" if any(word in name for word in _COUNTER) else "energy")
    words = re.split(r"[\s_\-/]+", name)
    for role, names in _NAMES.items():
        if name in names or (len(names & set(words)) > 0 and len(max(words, key=len)) > 1):
            found.append(role)
    if "timestamp" in name or "time" in name.split():
        found.append("time")
    return [*found, *(role for role in ("current", "voltage", "power") if role in name and len(name) > len(role))]
