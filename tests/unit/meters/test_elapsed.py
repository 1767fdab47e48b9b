from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.meters.elapsed import Arrivals, losses_by_time
from edgeprof.meters.recording import fit_clock

RATE_HZ = 100_000.0


def arrivals(
    *, seconds: float = 20.0, skew: float = 0.0, lost: tuple[tuple[float, int], ...] = (), seed: int = 0
) -> Arrivals:
    """Return what a host sees that reads every 5 ms or so and is sometimes late."""
    random = np.random.default_rng(seed)
    taken_s = np.cumsum(random.uniform(0.004, 0.007, round(seconds / 0.0055)))
    late_s = random.exponential(0.0003, len(taken_s)) + 0.02 * (random.random(len(taken_s)) < 0.03)
    count = (taken_s * RATE_HZ * (1 + skew)).astype(np.int64)
    for at_s, samples in lost:
        count[taken_s > at_s] -= samples
    return Arrivals(count, np.maximum.accumulate(1000.0 + taken_s + late_s))


@pytest.mark.parametrize("skew", [-100e-6, 0.0, 100e-6])
@pytest.mark.parametrize("lost", [64, 128, 6400])
def test_a_loss_of_whole_turns_of_the_counter_is_noticed_where_it_was(lost: int, skew: float) -> None:
    seen = arrivals(skew=skew, lost=((7.3, lost),))
    found = losses_by_time(seen, RATE_HZ, quantum=64, threshold=32)
    assert [loss.missing for loss in found] == [lost]
    assert seen.host_time_s[found[0].arrival] == pytest.approx(1007.3, abs=0.3)


def test_several_losses_are_told_apart() -> None:
    found = losses_by_time(arrivals(lost=((3.0, 640), (11.0, 64))), RATE_HZ, quantum=64, threshold=32)
    assert [loss.missing for loss in found] == [640, 64]


@given(st.integers(0, 200), st.floats(-150e-6, 150e-6), st.floats(1.0, 30.0))
def test_a_late_host_is_no_loss(seed: int, skew: float, seconds: float) -> None:
    assert losses_by_time(arrivals(seconds=seconds, skew=skew, seed=seed), RATE_HZ, quantum=64, threshold=32) == []


def test_a_host_that_stops_for_two_seconds_is_no_loss() -> None:
    seen = arrivals()
    host = seen.host_time_s.copy()
    host[(host > 1008) & (host < 1010)] = 1010.0
    assert losses_by_time(Arrivals(seen.sample_count, host), RATE_HZ, quantum=64, threshold=32) == []


@pytest.mark.parametrize("skew", [-200e-6, 0.0, 37e-6])
def test_the_instruments_clock_is_fitted_to_a_few_parts_in_a_million(skew: float) -> None:
    clock = fit_clock(arrivals(skew=skew), RATE_HZ)
    assert clock.skew_ratio == pytest.approx(skew, abs=5e-6)
    assert clock.start_s == pytest.approx(1000.0, abs=1e-4)


def test_too_few_arrivals_leave_the_nominal_rate() -> None:
    assert fit_clock(arrivals(seconds=0.2), RATE_HZ).rate_hz == RATE_HZ
    assert losses_by_time(arrivals(seconds=0.2), RATE_HZ, quantum=64, threshold=32) == []
