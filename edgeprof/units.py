"""The only place where seconds become ms, and bytes KiB or MB."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgeprof.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_DURATIONS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_SIZES = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}  # fmt: skip
PLAUSIBLE_CLOCK_HZ = (1_000_000, 6_000_000_000)
"""What the core of a board that runs models can be clocked with."""
_FREQUENCIES = {"Hz": 1, "kHz": 10**3, "MHz": 10**6, "GHz": 10**9}
_CURRENTS = {"A": 1.0, "mA": 1e-3, "uA": 1e-6, "µA": 1e-6, "nA": 1e-9}
_VOLTAGES = {"V": 1.0, "mV": 1e-3}
_CHARGES = {"Ah": 3600.0, "mAh": 3.6, "uAh": 3.6e-3, "µAh": 3.6e-3, "C": 1.0}
_ENERGIES = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6, "nJ": 1e-9, "Wh": 3600.0, "mWh": 3.6}
_NUMBER = re.compile(r"\s*(\+?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-zµ]*)\s*")
SMALL_USD = 1e-3
JOULES_PER_KWH = 3.6e6
YEAR_S = 365.25 * 86400


def parse_duration(text: str) -> float:
    """Return seconds for `60s`, `10m`, `250ms`, `1.5h` or a bare number of seconds."""
    return _parse(text, _DURATIONS, "s", "a duration such as 250ms, 60s, 10m or 1h")


def parse_size(text: str) -> int:
    """Return bytes for `512 KiB`, `10MB` or a bare number of bytes; MB is 10^6 and MiB 2^20."""
    return round(_parse(text, _SIZES, "B", "a size such as 512KiB or 10MB"))


def parse_frequency(text: str) -> float:
    """Return hertz for `150MHz`, `1.5GHz` or a bare number of hertz.

    Case does not matter, `150mhz` is what it is; but mHz are thousandths and refused.
    """
    return _parse(text, _FREQUENCIES, "Hz", "a frequency such as 150MHz or 1.5GHz", _hertz)


def parse_current(text: str) -> float:
    """Return amperes for `5uA` or `20 mA`; a bare number is refused, for people mean A, mA or µA by it."""
    return _parse(text, _CURRENTS, "", "a current with its unit, such as 5uA or 20mA")


def parse_voltage(text: str) -> float:
    """Return volts for `3300mV` or `3.3V`; a bare number is refused, for people mean V or mV by it."""
    return _parse(text, _VOLTAGES, "", "a voltage with its unit, such as 3300mV or 3.3V")


def parse_charge(text: str) -> float:
    """Return coulombs for `1000mAh` or `2.5Ah`; a bare number is refused, for people mean Ah or mAh by it."""
    return _parse(text, _CHARGES, "", "a capacity with its unit, such as 1000mAh or 2.5Ah")


def parse_energy(text: str) -> float:
    """Return joules for `7.37mJ` or `120 uJ`; a bare number is refused, for people mean J, mJ or µJ by it."""
    return _parse(text, _ENERGIES, "", "an energy with its unit, such as 7.37mJ or 120uJ")


def _parse(
    text: str,
    units: dict[str, float] | dict[str, int],
    bare: str,
    wanted: str,
    spelled: Callable[[str], str] = str,
) -> float:
    """Return a number times its unit, which `spelled` brings to the spelling of `units`."""
    matched = _NUMBER.fullmatch(text)
    unit = spelled(matched[2]) or bare if matched is not None else ""
    if matched is None or unit not in units:
        raise UsageError(f"{text!r} is not {wanted}")
    return float(matched[1]) * units[unit]


def _hertz(unit: str) -> str:
    """Return a unit of frequency in its own case; mHz, a thousandth, stays what it is."""
    return unit if unit == "mHz" else next((known for known in _FREQUENCIES if known.lower() == unit.lower()), unit)


def format_duration(seconds: float) -> str:
    """Return a duration with its unit, four significant digits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= scale:
            return f"{_digits(seconds / scale)} {unit}"
    return f"{_digits(seconds / 1e-9)} ns" if seconds else "0 s"


def format_life(seconds: float) -> str:
    """Return how long a battery lasts as people say it: years, days, hours or minutes, three significant digits."""
    for unit, scale, fewest in (("years", YEAR_S, 2), ("days", 86400.0, 2), ("hours", 3600.0, 1)):
        size = seconds / scale
        if size >= fewest:
            return f"{size:,.{0 if size >= 100 else 1}f} {unit}"  # noqa: PLR2004  three digits
    return f"{seconds / 60:.1f} minutes"


def format_span(seconds: float) -> str:
    """Return how often something happens as people say it: `10 s`, `5 minutes`, `6 hours`, `2 days`."""
    for unit, scale in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds >= 1 else format_duration(seconds)


def format_current(amperes: float) -> str:
    """Return a current with its unit, four significant digits."""
    return _scaled(float(f"{amperes:.6g}"), "A")  # 1 mA, not 1,000.0 µA, where the last bit is off


def format_charge(coulombs: float) -> str:
    """Return a charge in mAh, as on a cell."""
    return f"{coulombs / 3.6:,.4g} mAh" if coulombs < 3.6e4 else f"{coulombs / 3.6:,.0f} mAh"  # noqa: PLR2004  10 Ah


def format_bytes(count: float) -> str:
    """Return a size with its unit: binary ones, and said so (KiB, MiB)."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(count) >= scale:
            return f"{_digits(count / scale)} {unit}"
    return f"{count:,.0f} B"


def format_value(name: str, value: float) -> str:  # noqa: C901, PLR0911  one a unit
    """Return a metric's value as people read it, by the unit that its name ends in."""
    unit = name.rpartition("_")[2]
    match unit:
        case "s":
            return format_life(value) if name == "battery_life_s" else format_duration(value)
        case "bytes":
            return format_bytes(value)
        case "ratio":
            return f"{value * 100:.2f} %"
        case "hz":
            return f"{_digits(value)} /s"
        case "count":
            return f"{value:,.0f}"
        case "j":
            return _scaled(value, "J")
        case "joule":
            return f"{_digits(value)} /J"
        case "w":
            return _scaled(value, "W")
        case "usd":
            return f"{_money(value * 1e6)} USD / 1 M"
        case "kg":
            return f"{_scaled(value * 1e9, 'g')} / 1 M"
        case "celsius":
            return f"{value:.1f} °C"
        case _:
            return f"{value:g}{'' if unit == 'error' else ' ' + unit}"


def _scaled(value: float, unit: str) -> str:
    for prefix, scale in (("", 1.0), ("m", 1e-3), ("µ", 1e-6)):
        if abs(value) >= scale:
            return f"{_digits(value / scale)} {prefix}{unit}"
    return f"{_digits(value / 1e-9)} n{unit}" if value else f"0 {unit}"


def _money(dollars: float) -> str:
    """Return an amount of money; a small one is not rounded to nothing."""
    return f"{dollars:.4g}" if abs(dollars) < SMALL_USD else _digits(dollars)


def _digits(value: float) -> str:
    """Return four significant digits, never in exponents."""
    size = abs(value)
    places = 3 if size < 10 else 2 if size < 100 else 1 if size < 1000 else 0  # noqa: PLR2004  powers of ten
    return f"{value:,.{places}f}"
