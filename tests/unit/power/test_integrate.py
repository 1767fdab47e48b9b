"""Power to energy: exact where it can be, nothing over a gap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgeprof.errors import UsageError
from edgeprof.power.integrate import between, cumulate, gaps, power_of_counter
from edgeprof.power.trace import PowerTrace, cleaned

STEPS = arrays.arrays(float, st.integers(2, 60), elements=st.floats(0.75, 1.4))
"""Steps that differ, none of them so long that it is a hole."""
POWERS = st.floats(1e-6, 50)
SHARES = st.floats(0, 1)


def trace_of(steps: np.ndarray, power_w: np.ndarray | float, *, start_s: float = 0.0, hold: bool = False) -> PowerTrace:
    time_s = start_s + np.concatenate(([0.0], np.cumsum(steps)))
    return PowerTrace(time_s, np.broadcast_to(power_w, len(time_s)).astype(float), "made", "host", hold=hold)


@given(steps=STEPS, power_w=POWERS, one=SHARES, other=SHARES, hold=st.booleans())
def test_constant_power_integrates_exactly_for_any_sampling(
    steps: np.ndarray, power_w: float, one: float, other: float, *, hold: bool
) -> None:
    trace = trace_of(steps, power_w, hold=hold)
    start, end = sorted((one * trace.time_s[-1], other * trace.time_s[-1]))
    found = between(cumulate(trace), float(start), float(end))
    assert found.energy_j == pytest.approx(power_w * (end - start), rel=1e-9, abs=1e-12)
    assert found.covered_s == pytest.approx(end - start, abs=1e-9)


@given(STEPS, st.data(), st.floats(-1e5, 1e5), SHARES, SHARES)
def test_shifting_time_changes_nothing(
    steps: np.ndarray, data: st.DataObject, shift: float, one: float, other: float
) -> None:
    power_w = data.draw(arrays.arrays(float, len(steps) + 1, elements=POWERS))
    here, there = trace_of(steps, power_w), trace_of(steps, power_w, start_s=shift)
    start, end = sorted((one * here.time_s[-1], other * here.time_s[-1]))
    expected = between(cumulate(here), float(start), float(end)).energy_j
    moved = between(cumulate(there), float(start) + shift, float(end) + shift).energy_j
    assert moved == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(STEPS, st.data(), SHARES, SHARES, SHARES)
def test_the_parts_of_a_window_sum_to_it(
    steps: np.ndarray, data: st.DataObject, one: float, two: float, three: float
) -> None:
    power_w = data.draw(arrays.arrays(float, len(steps) + 1, elements=POWERS | st.just(float("nan"))))
    trace = trace_of(steps, power_w, hold=data.draw(st.booleans()))
    a, b, c = (float(share * trace.time_s[-1]) for share in sorted((one, two, three)))
    cumulated = cumulate(trace)
    whole, parts = between(cumulated, a, c), (between(cumulated, a, b), between(cumulated, b, c))
    assert sum(part.energy_j for part in parts) == pytest.approx(whole.energy_j, rel=1e-9, abs=1e-9)
    assert sum(part.covered_s for part in parts) == pytest.approx(whole.covered_s, rel=1e-9, abs=1e-9)


def test_edges_between_samples_are_interpolated() -> None:
    ramp = PowerTrace(np.arange(11.0), np.arange(11.0), "made", "host")
    assert between(cumulate(ramp), 2.25, 7.5).energy_j == pytest.approx((7.5**2 - 2.25**2) / 2)


def test_a_sample_that_holds_counts_until_the_next_one() -> None:
    steps = PowerTrace(np.arange(3.0), np.array([1.0, 5.0, 2.0]), "made", "host", hold=True)
    assert between(cumulate(steps), 0.5, 3.0).energy_j == pytest.approx(0.5 + 5 + 2)


def test_nothing_is_integrated_over_a_gap_and_outside_the_trace() -> None:
    power_w = np.full(101, 2.0)
    power_w[50] = np.nan
    trace = PowerTrace(np.arange(101) / 10, power_w, "made", "host")
    found = between(cumulate(trace), -5.0, 20.0)
    assert found.covered_s == pytest.approx(10.0 - 0.2)
    assert found.energy_j == pytest.approx(2.0 * 9.8)
    assert found.gap_ratio == pytest.approx(1 - 9.8 / 25)


def test_one_lost_sample_is_bridged_and_a_longer_hole_is_a_gap() -> None:
    whole = np.arange(100) / 10
    for lost, count in ((1, 0), (2, 1)):
        kept = np.delete(whole, range(50, 50 + lost))
        trace = PowerTrace(kept, np.ones(len(kept)), "made", "host")
        assert gaps(cumulate(trace))[0] == count


COUNTER = st.lists(st.floats(0, 5), min_size=3, max_size=40)


@given(COUNTER, st.floats(30, 100))
def test_a_counter_that_wraps_gives_the_energy_that_flowed(steps: list[float], range_j: float) -> None:
    # Readings once a second, and no step near the range: a wrap cannot be told from a reset otherwise.
    steps = [4.0, *steps]
    energy = 1.0 + np.concatenate(([0.0], np.cumsum(steps)))
    power_w, _ = power_of_counter(np.arange(len(energy), dtype=float), energy % range_j, range_j=range_j)
    known = np.isfinite(power_w)
    assert power_w[known] == pytest.approx(np.array(steps)[known], abs=1e-9)
    assert known.all()


@given(COUNTER)
def test_a_counter_that_goes_down_without_a_known_range_never_adds_a_joule(steps: list[float]) -> None:
    energy = np.cumsum(steps)
    energy[len(energy) // 2 :] -= energy[len(energy) // 2]
    power_w, _ = power_of_counter(np.arange(len(energy), dtype=float), energy, range_j=None)
    assert np.nansum(power_w) <= sum(steps) + 1e-9
    assert not np.any(power_w < 0)


@pytest.mark.parametrize(
    ("value", "bad"),
    [(value, slice(*bad)) for value in (0.0, 0.5, float("nan")) for bad in ((50, 51), (50, 90), (199, 200))]
    + [(value, slice(*bad)) for value in (0.0, float("nan")) for bad in ((0, 1), (0, 40))],
)
def test_a_failed_reading_that_comes_as_a_number_adds_no_joule(value: float, bad: slice) -> None:
    energy = 212_133.0 + np.cumsum(np.full(200, 2.0))
    energy[bad] = value
    power_w, notes = power_of_counter(np.arange(200.0), energy, range_j=None)
    assert power_w[np.isfinite(power_w)] == pytest.approx(2.0)
    assert np.isfinite(power_w).sum() >= 199 - (bad.stop - bad.start) - 1
    assert notes


def test_a_counter_that_is_reset_counts_on_after_it() -> None:
    energy = np.concatenate((np.arange(100.0), np.arange(300.0)))
    power_w, notes = power_of_counter(np.arange(400.0), energy, range_j=None)
    assert np.isfinite(power_w).sum() == 398
    assert power_w[np.isfinite(power_w)] == pytest.approx(1.0)
    assert notes == ["the energy counter went down 1 times and its range is not known: gaps"]


def test_what_goes_down_all_the_time_is_no_counter() -> None:
    energy = np.tile((0.0, 1.0), 25_000)
    with pytest.raises(UsageError, match="goes down 24,999 times: it is none"):
        power_of_counter(np.arange(50_000.0), energy, range_j=None)


def test_a_counter_that_was_never_read_gives_no_power() -> None:
    power_w, notes = power_of_counter(np.arange(5.0), np.full(5, np.nan), range_j=10.0)
    assert np.isnan(power_w).all()
    assert notes == ["5 readings of the energy counter failed: gaps"]


@given(st.lists(st.floats(-1e3, 1e3) | st.just(float("nan")), min_size=2, max_size=30))
def test_a_cleaned_trace_is_in_order_of_time(times: list[float]) -> None:
    trace = cleaned(PowerTrace(np.array(times), np.ones(len(times)), "made", "host"))
    assert np.all(np.diff(trace.time_s) > 0)
    assert len(trace.power_w) == len(trace.time_s)
