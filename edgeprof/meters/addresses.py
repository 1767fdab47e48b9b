"""What `--power` names: an instrument's URL as a record, every option checked before anything is opened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Struct

from edgeprof.errors import UnknownName, UsageError, did_you_mean
from edgeprof.units import parse_frequency

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult


class Ppk2Address(Struct, frozen=True, kw_only=True, tag="ppk2"):
    """A Power Profiler Kit II: it supplies the board (`source`), or measures between a supply and it (`ampere`).

    `after` is whether the board stays powered when the measurement is over.
    """

    port: str
    voltage_v: float
    mode: Literal["source", "ampere"] = "source"
    after: Literal["on", "off"] = "on"


class Lpm01aAddress(Struct, frozen=True, kw_only=True, tag="lpm01a"):
    """An X-NUCLEO-LPM01A, which supplies the board; `output` None is energy as far as the instrument integrates."""

    port: str
    voltage_v: float
    rate_hz: float = 5000.0
    output: Literal["energy", "current"] | None = None
    after: Literal["on", "off"] = "on"


class JoulescopeAddress(Struct, frozen=True, kw_only=True, tag="joulescope"):
    """A Joulescope by its serial number; empty: the only one that is plugged in."""

    serial: str = ""
    rate_hz: float = 100_000.0


class HwmonAddress(Struct, frozen=True, kw_only=True, tag="hwmon"):
    """A meter that this machine's kernel knows: its folder, or the name of its driver; `channel` numbers its inputs."""

    folder: str
    channel: int | None = None
    rate_hz: float = 50.0


MeterAddress = Ppk2Address | Lpm01aAddress | JoulescopeAddress | HwmonAddress
A = TypeVar("A", Ppk2Address, Lpm01aAddress, JoulescopeAddress, HwmonAddress)

EXAMPLES = {
    "ppk2": "ppk2:///dev/ttyACM0?voltage=3300mV",
    "lpm01a": "lpm01a:///dev/ttyACM0?voltage=3300mV",
    "joulescope": "joulescope://",
    "hwmon": "hwmon:///sys/class/hwmon/hwmon3",
}
VOLTAGES_V = {"ppk2": (0.8, 5.0), "lpm01a": (1.8, 3.3)}
LPM01A_RATES_HZ = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
JOULESCOPE_RATES_HZ = (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
HWMON_RATES_HZ = (0.1, 1000.0)


def is_meter(text: str) -> bool:
    """Tell whether a text is the URL of an instrument rather than a file or a word."""
    return "://" in text or text.partition(":")[0] in EXAMPLES


def parse_meter(text: str) -> MeterAddress:
    """Return the instrument that a URL names.

    Raises `UnknownName` for a kind that is not known and `UsageError` for a missing or impossible option.
    """
    try:
        parts = urlsplit(text)
    except ValueError as error:  # brackets that hold no IPv6 address
        raise UsageError(
            f"power meter {text!r} is no address: {error}", hint="ppk2:///dev/ttyACM0?voltage=3300mV"
        ) from None
    match parts.scheme:
        case "ppk2":
            values = _serial(text, parts)
            return _checked_voltage(text, "ppk2", _decode(text, Ppk2Address, values))
        case "lpm01a":
            address = _decode(text, Lpm01aAddress, _serial(text, parts))
            if address.rate_hz not in LPM01A_RATES_HZ:
                raise _wrong_rate(text, address.rate_hz, LPM01A_RATES_HZ)
            return _checked_voltage(text, "lpm01a", address)
        case "joulescope":
            address_js = _decode(text, JoulescopeAddress, {"serial": parts.netloc, **_options(text, parts)})
            if address_js.rate_hz not in JOULESCOPE_RATES_HZ:
                raise _wrong_rate(text, address_js.rate_hz, JOULESCOPE_RATES_HZ)
            return address_js
        case "hwmon":
            return _hwmon(text, parts)
        case scheme:
            hint = did_you_mean(scheme, EXAMPLES) or f"an instrument is {', '.join(EXAMPLES.values())}"
            raise UnknownName(f"unknown kind of power meter {scheme or text!r} in {text!r}", hint=hint)


def _serial(text: str, parts: SplitResult) -> dict[str, object]:
    """Return the port and the options of an instrument behind a serial port."""
    if parts.netloc or not parts.path.strip("/"):
        raise UsageError(f"power meter {text!r} names no port", hint=f"{EXAMPLES[parts.scheme]}, with three slashes")
    options = _options(text, parts)
    if "voltage_v" not in options:
        low, high = VOLTAGES_V[parts.scheme]
        raise UsageError(
            f"power meter {text!r} says no voltage, and none is assumed: it is what the board gets",
            hint=f"?voltage=3300mV, or what your board wants, from {low * 1000:.0f} mV to {high * 1000:.0f} mV",
        )
    return {"port": parts.path, **options}


def _hwmon(text: str, parts: SplitResult) -> HwmonAddress:
    folder = parts.netloc + parts.path
    if not folder.strip("/"):
        raise UsageError(
            f"power meter {text!r} names no meter",
            hint=f"{EXAMPLES['hwmon']}, or the name of its driver as in hwmon://powerz; sensors lists them",
        )
    address = _decode(text, HwmonAddress, {"folder": folder, **_options(text, parts)})
    if not HWMON_RATES_HZ[0] <= address.rate_hz <= HWMON_RATES_HZ[1]:
        raise UsageError(f"power meter {text!r}: {address.rate_hz:g} Hz is not from 0.1 Hz to 1 kHz")
    return address


def _options(text: str, parts: SplitResult) -> dict[str, object]:
    """Return the query with its voltage and rate in volts and hertz."""
    try:
        given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise UsageError(f"power meter {text!r}: {parts.query!r} is not NAME=VALUE&NAME=VALUE") from error
    options: dict[str, object] = dict(given)
    if "voltage" in given:
        options["voltage_v"] = parse_voltage(given["voltage"])
        del options["voltage"]
    if "rate" in given:
        options["rate_hz"] = float(parse_frequency(given["rate"]))
        del options["rate"]
    return options


def parse_voltage(text: str) -> float:
    """Return volts for `3300mV` or `3.3V`; a bare number is refused, for people mean either by it."""
    matched = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(mV|V)\s*", text)
    if matched is None:
        raise UsageError(f"{text!r} is not a voltage with its unit", hint="3300mV or 3.3V")
    return float(matched[1]) / (1000 if matched[2] == "mV" else 1)


V = TypeVar("V", Ppk2Address, Lpm01aAddress)


def _checked_voltage(text: str, kind: str, address: V) -> V:
    low, high = VOLTAGES_V[kind]
    if not low <= address.voltage_v <= high:
        allowed = f"{low * 1000:g} mV to {high * 1000:g} mV"
        raise UsageError(
            f"power meter {text!r}: {address.voltage_v * 1000:g} mV is not from {allowed}",
            hint="the voltage is what the board gets: its data sheet says what it stands",
        )
    return address


def _wrong_rate(text: str, rate_hz: float, rates: tuple[int, ...]) -> UsageError:
    near = min(rates, key=lambda rate: abs(rate - rate_hz))
    return UsageError(
        f"power meter {text!r}: it has no rate of {rate_hz:g} Hz",
        hint=f"?rate={near} is the nearest; there are {', '.join(map(str, rates))} Hz",
    )


PUBLIC = {"voltage_v": "voltage", "rate_hz": "rate"}


def _decode(text: str, kind: type[A], values: Mapping[str, object]) -> A:
    known = {field.name for field in msgspec.structs.fields(kind)}
    public = sorted(PUBLIC.get(name, name) for name in known - {"port", "folder", "serial"})
    for name in values:
        if name not in known:
            hint = did_you_mean(name, public) or f"its options are {', '.join(public)}"
            raise UsageError(f"power meter {text!r}: unknown option {PUBLIC.get(name, name)!r}", hint=hint)
    try:
        return msgspec.convert(dict(values), kind, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"power meter {text!r}: {error}") from error
