"""The only place where seconds become ms, and bytes KiB or MB."""

from __future__ import annotations

import re

from edgeprof.errors import UsageError

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
_FREQUENCIES = {"Hz": 1, "kHz": 10**3, "MHz": 10**6, "GHz": 10**9}
_NUMBER = re.compile(r"\s*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-zµ]*)\s*")
YEAR_S = 365.25 * 86400


def parse_duration(text: str) -> float:
    """Return seconds for `60s`, `10m`, `250ms`, `1.5h` or a bare number of seconds."""
    return _parse(text, _DURATIONS, "s", "a duration such as 250ms, 60s, 10m or 1h")


def parse_size(text: str) -> int:
    """Return bytes for `512 KiB`, `10MB` or a bare number of bytes; MB is 10^6 and MiB 2^20."""
    return round(_parse(text, _SIZES, "B", "a size such as 512KiB or 10MB"))


def parse_frequency(text: str) -> float:
    """Return hertz for `150MHz`, `1.5GHz` or a bare number of hertz."""
    return _parse(text, _FREQUENCIES, "Hz", "a frequency such as 150MHz or 1.5GHz")


def _parse(text: str, units: dict[str, float] | dict[str, int], bare: str, wanted: str) -> float:
    matched = _NUMBER.fullmatch(text)
    if matched is None or (matched[2] or bare) not in units:
        raise UsageError(f"{text!r} is not {wanted}")
    return float(matched[1]) * units[matched[2] or bare]


def format_duration(seconds: float) -> str:
    """Return a duration with its unit, four significant digits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= scale:
            return f"{_digits(seconds / scale)} {unit}"
    return f"{_digits(seconds / 1e-9)} ns" if seconds else "0 s"


def format_bytes(count: float) -> str:
    """Return a size with its unit: binary ones, and said so (KiB, MiB)."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(count) >= scale:
            return f"{_digits(count / scale)} {unit}"
    return f"{count:,.0f} B"


def format_value(name: str, value: float) -> str:  # noqa: PLR0911  one a unit
    """Return a metric's value as people read it, by the unit that its name ends in."""
    unit = name.rpartition("_")[2]
    match unit:
        case "s":
            return format_duration(value)
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
        case "celsius":
            return f"{value:.1f} °C"
        case _:
            return f"{value:g}{'' if unit == 'error' else ' ' + unit}"


def _scaled(value: float, unit: str) -> str:
    for prefix, scale in (("", 1.0), ("m", 1e-3), ("µ", 1e-6)):
        if abs(value) >= scale:
            return f"{_digits(value / scale)} {prefix}{unit}"
    return f"{_digits(value / 1e-9)} n{unit}" if value else f"0 {unit}"


def _digits(value: float) -> str:
    """Return four significant digits, never in exponents."""
    size = abs(value)
    places = 3 if size < 10 else 2 if size < 100 else 1 if size < 1000 else 0  # noqa: PLR2004  powers of ten
    return f"{value:,.{places}f}"
