"""Known answers, properties that any percentile has, and how often the intervals are right."""

from __future__ import annotations

import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgeprof import stats

FLOATS = st.floats(0, 1e6, allow_nan=False)
SAMPLES = st.lists(FLOATS, min_size=1, max_size=300).map(sorted)
QUANTILES = st.floats(0.001, 0.999)


# ── percentiles ──────────────────────────────────────────────────────────────────────────────────────────────────────


@given(SAMPLES, QUANTILES)
def test_a_percentile_is_numpys(ordered: list[float], q: float) -> None:
    assert stats.percentile(ordered, q) == pytest.approx(float(np.percentile(ordered, q * 100)), rel=1e-9, abs=1e-9)


@given(SAMPLES, QUANTILES, QUANTILES)
def test_a_higher_percentile_is_never_less(ordered: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    tolerance = 1e-9 * max(1.0, ordered[-1])
    assert stats.percentile(ordered, low) <= stats.percentile(ordered, high) + tolerance


@given(SAMPLES, QUANTILES)
def test_a_percentile_lies_between_the_least_and_the_largest_sample(ordered: list[float], q: float) -> None:
    tolerance = 1e-9 * max(1.0, ordered[-1])
    assert ordered[0] - tolerance <= stats.percentile(ordered, q) <= ordered[-1] + tolerance


@pytest.mark.parametrize(("q", "count"), [(0.5, 1), (0.9, 10), (0.95, 20), (0.99, 100), (0.999, 1000), (0.75, 4)])
def test_a_percentile_is_printed_from_as_many_samples_on_as_have_one_beyond_it(q: float, count: int) -> None:
    assert stats.enough_for(q, count)
    assert not stats.enough_for(q, count - 1)


# ── bounds by order statistics ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("q", "count"), [(0.95, 59), (0.99, 299), (0.999, 2995)])
def test_an_upper_bound_exists_from_the_documented_count_on_and_is_the_largest_sample_then(
    q: float, count: int
) -> None:
    assert stats.percentile_bounds(range(1, count), q).high is None
    assert stats.percentile_bounds(range(1, count + 1), q).high == count


@pytest.mark.parametrize(
    ("count", "ranks"), [(5, (None, None)), (6, (1, 6)), (10, (2, 9)), (20, (6, 15)), (100, (40, 61))]
)
def test_the_interval_of_the_median_has_the_ranks_of_the_published_tables(
    count: int, ranks: tuple[int | None, int | None]
) -> None:
    bounds = stats.median_bounds(range(1, count + 1))
    assert (bounds.low, bounds.high) == ranks


@pytest.mark.parametrize(("q", "count", "upper"), [(0.9, 29, 29), (0.9, 100, 96), (0.95, 93, 92), (0.95, 200, 196)])
def test_an_upper_rank_is_the_smallest_that_keeps_the_confidence(q: float, count: int, upper: int) -> None:
    """One-sided non-parametric tolerance limits, confidence 95 % (Conover, table A6: 59, 93, 124 for 95 %)."""
    below = sum(_binomial(count, hits, q) for hits in range(upper))
    assert below >= 0.95
    assert below - _binomial(count, upper - 1, q) < 0.95
    assert stats.percentile_bounds(range(1, count + 1), q).high == upper


def _binomial(count: int, hits: int, q: float) -> float:
    return math.comb(count, hits) * q**hits * (1 - q) ** (count - hits)


def enough_samples(q: float) -> st.SearchStrategy[tuple[float, list[float]]]:
    fewest = stats.FEWEST_SAMPLES[q]
    return st.tuples(st.just(q), st.lists(FLOATS, min_size=fewest, max_size=fewest + 250).map(sorted))


@given(st.sampled_from([0.5, 0.9, 0.95, 0.99]).flatmap(enough_samples))
def test_bounds_bracket_the_percentile(given_samples: tuple[float, list[float]]) -> None:
    q, ordered = given_samples
    value = stats.percentile(ordered, q)
    tolerance = 1e-9 * max(1.0, ordered[-1])
    for bounds in (stats.percentile_bounds(ordered, q), *([stats.median_bounds(ordered)] if q == 0.5 else [])):
        assert bounds.low is None or bounds.low <= value + tolerance
        assert bounds.high is None or value <= bounds.high + tolerance


@given(st.integers(1, 400))
def test_more_confidence_never_makes_an_interval_narrower(count: int) -> None:
    ordered = range(1, count + 1)
    wide, narrow = stats.median_bounds(ordered, 0.99), stats.median_bounds(ordered, 0.9)
    assume(wide.low is not None and wide.high is not None)
    assert wide.low is not None
    assert wide.high is not None
    assert narrow.low is not None
    assert narrow.high is not None
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_the_interval_of_the_median_holds_it_as_often_as_it_says() -> None:
    """2,000 samples of 50 from a skewed distribution; the ranks 18 and 33 hold the median in 96.7 % of all cases."""
    source = random.Random(20260101)  # noqa: S311  reproducible
    median = 0.6931471805599453  # of an exponential distribution
    held = 0
    for _ in range(2000):
        bounds = stats.median_bounds(sorted(source.expovariate(1) for _ in range(50)))
        held += bounds.low is not None and bounds.high is not None and bounds.low <= median <= bounds.high
    assert 0.93 <= held / 2000 <= 0.98


def test_the_upper_bound_of_p95_is_above_it_as_often_as_it_says() -> None:
    source = random.Random(20260102)  # noqa: S311  reproducible
    above = 0
    for _ in range(2000):
        bound = stats.percentile_bounds(sorted(source.random() for _ in range(100)), 0.95).high
        above += bound is not None and bound >= 0.95
    assert 0.94 <= above / 2000 <= 0.98


# ── across launches ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("freedom", "confidence", "quantile"),
    [
        (1, 0.95, 12.7062),
        (2, 0.95, 4.3027),
        (3, 0.95, 3.1824),
        (4, 0.95, 2.7764),
        (5, 0.99, 4.0321),
        (9, 0.95, 2.2622),
        (10, 0.9, 1.8125),
        (30, 0.95, 2.0423),
        (99, 0.95, 1.9842),
    ],
)
def test_quantiles_of_students_t_are_those_of_the_tables(freedom: int, confidence: float, quantile: float) -> None:
    assert stats.student_t(freedom, confidence) == pytest.approx(quantile, abs=1e-4)


def test_fewer_than_five_launches_have_no_interval() -> None:
    assert stats.launch_interval([1.0, 1.1, 0.9, 1.0]) is None
    assert stats.launch_interval([1.0, 1.1, 0.9, 1.0, 1.05]) is not None


def test_an_interval_over_launches_is_the_t_interval_of_the_logarithms() -> None:
    bounds = stats.launch_interval([1.0, 2.0, 4.0, 8.0, 16.0])
    assert bounds is not None
    half = 2.7764451 * statistics.stdev([0, 1, 2, 3, 4]) / 5**0.5
    assert bounds.low == pytest.approx(2 ** (2 - half), rel=1e-6)
    assert bounds.high == pytest.approx(2 ** (2 + half), rel=1e-6)


def test_launches_that_took_no_time_have_no_interval() -> None:
    assert stats.launch_interval([0.0, 1.0, 1.0, 1.0, 1.0]) is None


# ── noise ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_samples_that_do_not_move_have_no_noise() -> None:
    assert stats.noise([2.0] * 50) == stats.Noise(0.0, 0.0)


def test_a_run_that_becomes_half_as_slow_again_drifts_by_that() -> None:
    noise = stats.noise([1.0] * 50 + [1.5] * 50)
    assert noise is not None
    assert noise.drift_ratio == pytest.approx(0.5 / 1.25)
    assert noise.band_ratio == pytest.approx(0.25 / 1.25)


def test_fewer_than_fifty_samples_say_nothing_about_noise() -> None:
    assert stats.noise([1.0] * 49) is None
    assert stats.noise([1.0] * 50) is not None
