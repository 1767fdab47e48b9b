"""What launches say: the interval, the verdicts, when to stop."""

from __future__ import annotations

import random

import pytest

from edgeprof.comparing.intervals import FIRST_LOOK, LAST_LOOK, Estimate, enough, estimate, gate, verdict

LONG_S = 1.4e-3


def launches(change: float, spread: float, count: int, seed: int = 0) -> list[float]:
    chance = random.Random(seed)  # noqa: S311  reproducible, not secret
    return [chance.gauss(change, spread) for _ in range(count)]


def test_a_model_against_itself_is_rarely_called_worse_and_its_interval_holds_0() -> None:
    found = [estimate(launches(0.0, 0.02, 7, seed)) for seed in range(400)]
    assert sum(verdict(one, LONG_S, 0.03) == "worse" for one in found) <= 0.05 * 400
    assert sum(one.low <= 0 <= one.high for one in found) >= 0.94 * 400


def test_one_launch_far_off_does_not_hide_the_rest() -> None:
    steady = launches(0.0, 0.003, 14)
    with_one = estimate([*steady, 0.35])
    assert gate(with_one, LONG_S, 0.03) == "PASS"
    assert abs(with_one.change_ratio - estimate(steady).change_ratio) < 0.003


def test_a_true_5_percent_fails_a_gate_of_3() -> None:
    found = [gate(estimate(launches(0.0488, 0.01, 7, seed)), LONG_S, 0.03) for seed in range(100)]
    assert found.count("FAIL") >= 90


def test_a_change_below_the_floors_is_none() -> None:
    surely = Estimate(0.015, 0.012, 0.018, 0.95, 7)
    assert verdict(surely, LONG_S, 0.03) == "same"
    tiny = Estimate(0.2, 0.19, 0.21, 0.95, 7)
    assert verdict(tiny, 1e-6, 0.03) == "same"
    assert gate(tiny, 1e-6, 0.03) == "PASS"


def test_an_interval_that_holds_both_is_inconclusive() -> None:
    assert gate(Estimate(0.02, -0.05, 0.09, 0.95, 15), LONG_S, 0.03) == "INCONCLUSIVE"
    assert verdict(Estimate(0.02, -0.05, 0.09, 0.95, 15), LONG_S, 0.03) == "cannot tell"


def test_the_evidence_is_looked_at_twice_and_not_in_between() -> None:
    clear, unclear = launches(0.0, 0.001, 20), launches(0.0, 0.2, 20)
    stops = [n for n in range(2, LAST_LOOK + 1) if enough(clear[:n], LONG_S, 0.03)]
    assert stops == [FIRST_LOOK, LAST_LOOK]
    assert [n for n in range(2, LAST_LOOK + 1) if enough(unclear[:n], LONG_S, 0.03)] == [LAST_LOOK]


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_a_few_launches_give_an_interval_too(count: int) -> None:
    found = estimate(launches(0.1, 0.01, count))
    assert found.low < found.change_ratio < found.high
