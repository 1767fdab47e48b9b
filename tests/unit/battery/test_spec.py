"""What people write about a battery."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeprof.battery.options import BatteryOptions, Burst
from edgeprof.battery.spec import parse_battery, parse_burst, parse_celsius, parse_share, parse_shares, parse_tolerance
from edgeprof.errors import UsageError


def test_a_battery_is_read_from_one_text() -> None:
    text = (
        "cell=CR2032, every=10m, sleep-current=2uA, supply=3V, regulator=none, burst=radio=20mA*50ms,"
        "burst=led=1mA*1s, tolerance=sleep=50%, cell-profile=a.csv, efficiency=80%..95%"
    )
    assert parse_battery(text) == BatteryOptions(
        cell="CR2032", period_s=600.0, sleep_a=2e-6, supply_v=3.0, regulator="none",
        bursts=(Burst("radio", 0.02, 0.05), Burst("led", 1e-3, 1.0)), tolerances=(("sleep", 0.5),),
        profile=Path("a.csv"), efficiency=(0.8, 0.95),
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["cel=CR2032", "cell", "regulator=magic", "every=often", "series=0", "inferences=x", "capacity=1000"]
)
def test_what_is_no_option_of_a_battery_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_battery(text)


@pytest.mark.parametrize("text", ["radio", "radio=20mA", "=20mA*1s", "radio=20*1s", "radio=20mA*"])
def test_what_is_no_burst_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_burst(text)


def test_shares_temperatures_and_tolerances_are_read() -> None:
    assert parse_share("85%") == parse_share("0.85") == 0.85
    assert parse_shares("80%..95%") == (0.8, 0.95)
    assert parse_celsius("-10 °C") == parse_celsius("-10C") == parse_celsius("-10") == -10
    assert parse_tolerance("temperature=5C") == ("temperature", 5.0)
    assert parse_tolerance("capacity=10%") == ("capacity", 0.1)
    for read, text in ((parse_share, "many"), (parse_share, "nan"), (parse_celsius, "nan"), (parse_celsius, "warm")):
        with pytest.raises(UsageError):
            read(text)
    with pytest.raises(UsageError, match="is not a tolerance"):
        parse_tolerance("colour=10%")
