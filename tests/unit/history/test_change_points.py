"""Steps of a trend: found where there is one, not found in noise, at the right place."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.history.change_points import steps


def noise(count: int, level: float, spread: float, seed: int) -> list[float]:
    chance = random.Random(seed)  # noqa: S311  reproducible, not secret
    return [level + chance.gauss(0, spread) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_one_step_is_found_where_it_is(seed: int) -> None:
    found = steps([*noise(20, 1.0, 0.02, seed), *noise(15, 1.2, 0.02, seed + 100)])
    assert [step.at for step in found] == [20]
    assert found[0].change_ratio == pytest.approx(0.2, abs=0.03)


def test_two_steps_are_both_found() -> None:
    values = [*noise(15, 1.0, 0.01, 1), *noise(15, 1.3, 0.01, 2), *noise(15, 1.0, 0.01, 3)]
    assert [step.at for step in steps(values)] == [15, 30]


@pytest.mark.slow
def test_noise_has_steps_in_few_of_a_hundred_series() -> None:
    assert sum(bool(steps(noise(30, 1.0, 0.1, seed))) for seed in range(100)) <= 4


def test_a_single_outlier_is_no_step() -> None:
    values = noise(30, 1.0, 0.01, 4)
    values[12] = 50.0
    assert steps(values) == ()


def test_a_step_too_small_to_matter_is_not_told() -> None:
    assert steps([*noise(20, 1.0, 0.0001, 5), *noise(20, 1.005, 0.0001, 6)]) == ()


@given(st.lists(st.floats(1e-9, 1e3), max_size=5))
def test_fewer_than_six_values_have_none(values: list[float]) -> None:
    assert steps(values) == ()


@given(st.floats(1e-6, 1e6), st.integers(0, 40))
def test_equal_values_have_none(value: float, count: int) -> None:
    assert steps([value] * count) == ()
