"""Seconds, bytes and what people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.errors import UsageError
from edgeprof.metrics import REGISTRY, unit_of
from edgeprof.units import (
    format_bytes,
    format_charge,
    format_current,
    format_duration,
    format_life,
    format_value,
    parse_charge,
    parse_current,
    parse_duration,
    parse_energy,
    parse_size,
    parse_voltage,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("10m", 600), ("250ms", 0.25), ("1.5h", 5400), ("3", 3), ("5 µs", 5e-6), ("5us", 5e-6),
     ("1e-3s", 1e-3), ("2d", 172800), ("7ns", 7e-9), ("2min", 120)],
)  # fmt: skip
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "count"),
    [("512", 512), ("10MB", 10**7), ("10MiB", 10 * 2**20), ("512 KiB", 2**19), ("1.5kB", 1500), ("2GiB", 2**31),
     ("3B", 3)],
)  # fmt: skip
def test_a_size_is_read_in_bytes_and_mb_is_not_mib(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "s", "5 parsecs", "5MS", "1,5s", "5s6", "nan", "inf", "0x10"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "5 mb", "10Mb", "5s", "five"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "amperes"), [("5uA", 5e-6), ("5 µA", 5e-6), ("20mA", 0.02), ("1.5A", 1.5), ("300nA", 3e-7)]
)
def test_a_current_is_read_in_amperes(text: str, amperes: float) -> None:
    assert parse_current(text) == pytest.approx(amperes)


@pytest.mark.parametrize(("text", "volts"), [("3300mV", 3.3), ("3.3 V", 3.3), ("3V", 3)])
def test_a_voltage_is_read_in_volts(text: str, volts: float) -> None:
    assert parse_voltage(text) == pytest.approx(volts)


@pytest.mark.parametrize(("text", "coulombs"), [("1000mAh", 3600), ("2.5Ah", 9000), ("500uAh", 1.8), ("7C", 7)])
def test_a_capacity_is_read_in_coulombs(text: str, coulombs: float) -> None:
    assert parse_charge(text) == pytest.approx(coulombs)


@pytest.mark.parametrize(("text", "joules"), [("7.37mJ", 7.37e-3), ("120 uJ", 1.2e-4), ("3J", 3), ("1mWh", 3.6)])
def test_an_energy_is_read_in_joules(text: str, joules: float) -> None:
    assert parse_energy(text) == pytest.approx(joules)


@pytest.mark.parametrize("text", ["5", "", "5MA", "5mAh", "mA", "nanA", "1,5mA"])
def test_what_is_no_current_is_refused_and_so_is_a_bare_number(text: str) -> None:
    with pytest.raises(UsageError, match="is not a current with its unit"):
        parse_current(text)


@pytest.mark.parametrize("read", [parse_voltage, parse_charge, parse_energy])
def test_a_bare_number_has_no_unit_to_guess(read: Callable[[str], float]) -> None:
    with pytest.raises(UsageError, match="with its unit"):
        read("3300")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(30, "0.5 minutes"), (5400, "1.5 hours"), (86400, "24.0 hours"), (203.3 * 86400, "203 days"),
     (12.5 * 86400, "12.5 days"), (4 * 365.25 * 86400, "4.0 years")],
)  # fmt: skip
def test_a_life_is_written_as_people_say_it(seconds: float, text: str) -> None:
    assert format_life(seconds) == format_value("battery_life_s", seconds) == text


def test_currents_and_capacities_are_written_with_their_units() -> None:
    assert format_current(5e-6) == "5.000 µA"
    assert format_charge(846) == "235 mAh"
    assert format_charge(3600) == "1,000 mAh"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (1.5, "1.500 s"), (0.0125, "12.50 ms"), (123e-6, "123.0 µs"), (5e-9, "5.000 ns"),
     (-0.002, "-2.000 ms"), (86400, "86,400 s")],
)  # fmt: skip
def test_a_duration_is_written_with_its_unit_and_four_digits(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1,023 B"), (1024, "1.000 KiB"), (10**6, "976.6 KiB"), (2**30, "1.000 GiB")]
)
def test_a_size_is_written_in_binary_units_that_say_so(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("preempted_ratio", 0.0123, "1.23 %"),
        ("throughput_hz", 12345.6, "12,346 /s"),
        ("macs_count", 2656768, "2,656,768"),
        ("energy_per_inference_j", 0.00012, "120.0 µJ"),
        ("power_average_w", 4.2, "4.200 W"),
        ("temperature_peak_celsius", 61.25, "61.2 °C"),
        ("output_max_abs_error", 0.5, "0.5"),
    ],
)
def test_a_metric_is_written_by_the_unit_of_its_name(name: str, value: float, text: str) -> None:
    assert format_value(name, value) == text


@given(st.sampled_from(sorted(REGISTRY)), st.floats(-1e12, 1e12))
def test_any_value_of_any_metric_can_be_written(name: str, value: float) -> None:
    assert format_value(name, value)


@given(st.floats(1e-9, 9e4))
def test_a_written_duration_reads_back_to_four_digits(seconds: float) -> None:
    assert parse_duration(format_duration(seconds).replace(",", "")) == pytest.approx(seconds, rel=1e-3)


UNITS = {"s", "hz", "ratio", "bytes", "count", "j", "w", "celsius", "usd", "kg", "error", "joule"}


def test_every_metric_ends_in_its_unit() -> None:
    assert {unit_of(name) for name in REGISTRY} <= UNITS


@pytest.mark.parametrize(("read", "text"), [(parse_duration, "-5ms"), (parse_current, "-5uA"), (parse_charge, "-1mAh")])
def test_a_quantity_below_nothing_is_refused(read: Callable[[str], float], text: str) -> None:
    with pytest.raises(UsageError, match=f"'{text}' is not a"):
        read(text)


def test_a_small_cost_is_not_rounded_to_nothing() -> None:
    assert format_value("cost_per_inference_usd", 5.24e-11) == "5.24e-05 USD / 1 M"
    assert format_value("cost_per_inference_usd", 2e-7) == "0.200 USD / 1 M"
