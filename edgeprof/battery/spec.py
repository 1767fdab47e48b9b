"""What people write about a battery, read: bursts, tolerances, ranges, and all of it in one text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeprof.battery.life import monthly_of_yearly
from edgeprof.battery.options import LEAKS, REGULATORS, TOLERANCES, BatteryOptions, Burst
from edgeprof.errors import UsageError, did_you_mean
from edgeprof.units import parse_charge, parse_current, parse_duration, parse_energy, parse_voltage

if TYPE_CHECKING:
    from collections.abc import Callable

PERCENT_EXAMPLE = "a share such as 85% or 0.85"
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*/\s*(month|year)s?\s*")


def parse_share(text: str) -> float:
    """Return the ratio for `85%` or `0.85`."""
    stripped = text.strip()
    try:
        number = float(stripped.removesuffix("%"))
    except ValueError:
        raise UsageError(f"{text!r} is not {PERCENT_EXAMPLE}") from None
    ratio = number / 100 if stripped.endswith("%") else number
    if not 0 <= ratio <= 10:  # noqa: PLR2004  ten times, for a tolerance
        raise UsageError(f"{text!r} is not {PERCENT_EXAMPLE}")
    return ratio


def parse_shares(text: str) -> tuple[float, float]:
    """Return low and high for `80%..95%`, or twice the same for one share."""
    low, found, high = text.partition("..")
    return (parse_share(low), parse_share(high)) if found else (parse_share(text), parse_share(text))


def parse_celsius(text: str) -> float:
    """Return degrees Celsius for `25C`, `-10 °C` or a bare number."""
    stripped = text.strip().removesuffix("C").removesuffix("°").strip()
    try:
        degrees = float(stripped)
    except ValueError:
        degrees = float("nan")
    if not -100 <= degrees <= 200:  # noqa: PLR2004  no cell works there; NaN neither
        raise UsageError(f"{text!r} is not a temperature such as 25C")
    return degrees


def parse_self_discharge(text: str) -> float:
    """Return the share lost a month for `2%/month` or `1%/year`."""
    matched = _RATE.fullmatch(text)
    if matched is None or float(matched[1]) >= 100:  # noqa: PLR2004  per cent
        raise UsageError(f"{text!r} is not a self-discharge such as 2%/month or 1%/year")
    ratio = float(matched[1]) / 100
    return ratio if matched[2] == "month" else monthly_of_yearly(ratio)


def parse_burst(text: str) -> Burst:
    """Return what `radio=20mA*50ms` says."""
    name, named, rest = text.partition("=")
    current, starred, duration = rest.partition("*")
    if not (name.strip() and named and starred):
        raise UsageError(f"{text!r} is not NAME=CURRENT*DURATION, such as radio=20mA*50ms")
    return Burst(name.strip(), parse_current(current), parse_duration(duration))


def parse_tolerance(text: str) -> tuple[str, float]:
    """Return what `capacity=10%` or `temperature=5C` says."""
    name, found, value = text.partition("=")
    name = name.strip()
    if not found or name not in TOLERANCES:
        hint = did_you_mean(name, TOLERANCES) or f"known: {', '.join(TOLERANCES)}"
        raise UsageError(f"{text!r} is not a tolerance such as capacity=10%", hint=hint)
    return name, abs(parse_celsius(value)) if name == "temperature" else parse_share(value)


def parse_battery(text: str) -> BatteryOptions:
    """Read `cell=CR2032,every=10s,sleep-current=5uA,supply=3V,regulator=none`, the options of `edgeprof battery`."""
    given: dict[str, Any] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, found, value = part.partition("=")
        if not found or name not in _READ:
            hint = did_you_mean(name, _READ) or f"known: {', '.join(_READ)}"
            raise UsageError(f"--battery: {part!r} is not NAME=VALUE with a known name", hint=hint)
        field, read = _READ[name]
        several = field in {"bursts", "tolerances"}
        try:
            amount = read(value)
        except UsageError as error:
            raise UsageError(f"--battery {name}: {error.message}", hint=error.hint) from None
        given[field] = (*given.get(field, ()), amount) if several else amount
    return BatteryOptions(**given)


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise UsageError(f"{text!r} is none of {', '.join(names)}")
        return text

    return read


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"{text!r} is not a count of cells")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a number") from None


_READ: dict[str, tuple[str, Callable[[str], Any]]] = {
    "cell": ("cell", str),
    "capacity": ("capacity_c", parse_charge),
    "cell-voltage": ("cell_v", parse_voltage),
    "series": ("series", _count),
    "parallel": ("parallel", _count),
    "max-continuous": ("max_continuous_a", parse_current),
    "max-pulse": ("max_pulse_a", parse_current),
    "every": ("period_s", parse_duration),
    "inferences": ("inferences", _number),
    "sleep-current": ("sleep_a", parse_current),
    "wake-energy": ("wake_j", parse_energy),
    "wake-time": ("wake_s", parse_duration),
    "burst": ("bursts", parse_burst),
    "energy": ("energy_j", parse_energy),
    "latency": ("latency_s", parse_duration),
    "supply": ("supply_v", parse_voltage),
    "regulator": ("regulator", _one_of(REGULATORS)),
    "efficiency": ("efficiency", parse_shares),
    "quiescent-current": ("quiescent_a", parse_current),
    "usable": ("usable", parse_share),
    "health": ("health", parse_share),
    "reserve": ("reserve", parse_share),
    "cold-capacity": ("cold", parse_share),
    "temperature": ("temperature_celsius", parse_celsius),
    "self-discharge": ("self_discharge_ratio", parse_self_discharge),
    "leak": ("leak", _one_of(LEAKS)),
    "cell-profile": ("profile", Path),
    "cutoff-voltage": ("cutoff_v", parse_voltage),
    "tolerance": ("tolerances", parse_tolerance),
}
"""Option to field, and how its text is read; the command line has the same."""
PARTS = frozenset(_READ)
