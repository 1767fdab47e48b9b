from __future__ import annotations

import pytest

from edgeprof.errors import EdgeprofError, UnknownName, UsageError
from edgeprof.meters import is_meter, parse_meter
from edgeprof.meters.addresses import HwmonAddress, JoulescopeAddress, Lpm01aAddress, MeterAddress, Ppk2Address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ppk2:///dev/ttyACM1?voltage=3300mV", Ppk2Address(port="/dev/ttyACM1", voltage_v=3.3)),
        (
            "ppk2:///dev/ttyACM1?voltage=1.8V&mode=ampere&after=off",
            Ppk2Address(port="/dev/ttyACM1", voltage_v=1.8, mode="ampere", after="off"),
        ),
        (
            "lpm01a:///dev/ttyACM0?voltage=3V&rate=10kHz",
            Lpm01aAddress(port="/dev/ttyACM0", voltage_v=3.0, rate_hz=10_000),
        ),
        ("joulescope://", JoulescopeAddress()),
        ("joulescope://002557?rate=1MHz", JoulescopeAddress(serial="002557", rate_hz=1e6)),
        ("hwmon:///sys/class/hwmon/hwmon3?channel=2", HwmonAddress(folder="/sys/class/hwmon/hwmon3", channel=2)),
        ("hwmon://powerz", HwmonAddress(folder="powerz")),
    ],
)
def test_a_url_names_an_instrument_and_its_options(url: str, address: MeterAddress) -> None:
    assert parse_meter(url) == address
    assert is_meter(url)


@pytest.mark.parametrize(
    ("url", "message", "hint"),
    [
        ("ppk3:///dev/ttyACM0?voltage=3V", "unknown kind of power meter 'ppk3'", "did you mean ppk2?"),
        ("ppk2:///dev/ttyACM0", "says no voltage, and none is assumed", "?voltage=3300mV"),
        ("ppk2:///dev/ttyACM0?voltage=3300", "is not a voltage with its unit", "3300mV or 3.3V"),
        ("ppk2:///dev/ttyACM0?voltage=799mV", "799 mV is not from 800 mV to 5000 mV", "data sheet"),
        ("ppk2:///dev/ttyACM0?voltage=5001mV", "5001 mV is not from 800 mV to 5000 mV", "data sheet"),
        ("lpm01a:///dev/ttyACM0?voltage=5V", "5000 mV is not from 1800 mV to 3300 mV", "data sheet"),
        ("lpm01a:///dev/ttyACM0?voltage=3V&rate=7kHz", "no rate of 7000 Hz", "?rate=5000 is the nearest"),
        ("ppk2://dev/ttyACM0?voltage=3V", "names no port", "three slashes"),
        ("ppk2:///dev/ttyACM0?voltage=3V&mod=source", "unknown option 'mod'", "did you mean mode?"),
        ("ppk2:///dev/ttyACM0?voltage=3V&mode=sink", "Invalid enum value 'sink'", ""),
        ("ppk2:///dev/ttyACM0?voltage", "is not NAME=VALUE", ""),
        ("joulescope://?rate=3Hz", "no rate of 3 Hz", "?rate=1000 is the nearest"),
        ("hwmon://", "names no meter", "sensors lists them"),
        ("hwmon://powerz?rate=1MHz", "is not from 0.1 Hz to 1 kHz", ""),
    ],
)
def test_a_wrong_url_gets_one_line_and_a_hint(url: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_meter(url)
    assert message in raised.value.message
    assert "\n" not in raised.value.message
    assert hint in raised.value.hint


def test_a_file_and_a_word_are_no_instruments() -> None:
    assert not is_meter("trace.csv")
    assert not is_meter("onboard")


def test_an_unknown_kind_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName):
        parse_meter("otii://host")
    assert issubclass(UnknownName, EdgeprofError)
