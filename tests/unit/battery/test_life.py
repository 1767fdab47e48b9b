"""Closed forms: how long a charge lasts."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.battery import battery_of
from edgeprof.battery.life import leak_per_s, lifetime_s, monthly_of_yearly
from tests.unit.battery.conftest import DAY_S, WORKED

CHARGE = st.floats(1.0, 1e5)
CURRENT = st.floats(1e-7, 1.0)
LEAK = st.floats(0.0, 1e-6)


def life_days(**changed: Any) -> float:  # noqa: ANN401  fields of the options
    """Return the life of the worked example with something changed."""
    value = battery_of(None, WORKED._replace(**changed)).metrics["battery_life_s"].value
    assert value is not None
    return value / DAY_S


def test_the_worked_example_lasts_203_days_by_capacity_over_current_alone() -> None:
    assert life_days(usable=1.0, self_discharge_ratio=0.0) == pytest.approx(203.3, abs=0.1)
    assert battery_of(None, WORKED).naive_life_s / DAY_S == pytest.approx(203.3, abs=0.1)


def test_the_worked_example_lasts_164_days_when_the_usable_charge_leaks_and_160_when_all_of_it_does() -> None:
    assert life_days() == pytest.approx(163.6, abs=0.1)
    assert life_days(leak="whole") == pytest.approx(160.5, abs=0.1)


def test_primary_lithium_makes_172_days_of_it() -> None:
    assert life_days(self_discharge_ratio=monthly_of_yearly(0.01)) == pytest.approx(172.4, abs=0.1)


def test_without_self_discharge_a_charge_is_divided_by_its_current() -> None:
    assert lifetime_s(3600.0, 1e-3) == 3.6e6


@given(CHARGE, CURRENT)
def test_a_vanishing_leak_is_the_same_as_none(charge_c: float, current_a: float) -> None:
    assert lifetime_s(charge_c, current_a, 1e-22) == pytest.approx(lifetime_s(charge_c, current_a), rel=1e-9)


@given(CHARGE, CURRENT, LEAK, st.floats(0.0, 1e4))
def test_the_closed_form_solves_its_equation(charge_c: float, current_a: float, leak: float, left_c: float) -> None:
    """From usable + left, dQ/dt = -I - k Q arrives at left after the life: Q(t) = (Q0 + I / k) e^(-k t) - I / k."""
    life_s = lifetime_s(charge_c, current_a, leak, left_c)
    start_c = charge_c + left_c
    if leak * life_s < 1e-6:
        assert life_s <= charge_c / current_a * (1 + 1e-9)
        return
    end_c = start_c + math.expm1(-leak * life_s) * (start_c + current_a / leak)
    assert end_c == pytest.approx(left_c, abs=1e-6 * (start_c + current_a / leak))


@given(CHARGE, CURRENT, LEAK)
def test_a_life_is_never_negative_and_never_longer_than_without_a_leak(c: float, a: float, leak: float) -> None:
    assert 0 <= lifetime_s(c, a, leak) <= lifetime_s(c, a) * (1 + 1e-12)


@given(CHARGE, CURRENT, LEAK, st.floats(1.001, 10))
def test_a_life_falls_with_the_load_and_rises_with_the_charge(c: float, a: float, leak: float, more: float) -> None:
    assert lifetime_s(c, a * more, leak) < lifetime_s(c, a, leak) < lifetime_s(c * more, a, leak)


def test_an_empty_cell_lasts_no_time_and_one_from_which_nothing_is_drawn_has_no_end() -> None:
    assert lifetime_s(0.0, 1e-3) == 0
    assert lifetime_s(1.0, 0.0) == math.inf


def test_self_discharge_doubles_every_ten_degrees() -> None:
    assert leak_per_s(0.02, 35.0) == pytest.approx(2 * leak_per_s(0.02, 25.0))
    assert leak_per_s(0.02, 5.0) == pytest.approx(leak_per_s(0.02) / 4)
    assert (
        life_days(temperature_celsius=45.0) < life_days(temperature_celsius=25.0) < life_days(temperature_celsius=5.0)
    )


def test_a_year_of_the_monthly_share_is_the_yearly_one() -> None:
    assert 1 - (1 - monthly_of_yearly(0.1)) ** 12 == pytest.approx(0.1)
