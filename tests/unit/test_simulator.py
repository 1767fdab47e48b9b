"""The simulated board: heat, throttling, power and deadlines on a clock of its own, all of it known beforehand."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from edgeprof import wire
from edgeprof.boards import load_board
from edgeprof.inputs import random_inputs
from edgeprof.links.framed import FramedSession
from edgeprof.links.sim import SimChannel
from edgeprof.links.simulator import SUSTAINED_SAMPLES, THROTTLE_FACTOR
from edgeprof.model import read_model
from edgeprof.records.board import Power
from edgeprof.records.result import Measurement, Pass, Plan
from edgeprof.summary.deadline import deadline_metrics, served_releases
from edgeprof.summary.fold import fold
from edgeprof.summary.sustained import minute_curve, throttled_spans, time_to_throttle
from edgeprof.targets import Sim

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.records.board import Board
    from edgeprof.records.result import PassMeasurement
    from edgeprof.records.sensors import SensorSeries

PI = load_board("raspberry-pi-5")
L4R5 = load_board("nucleo-l4r5zi")
WITH_IDLE = replace(L4R5, power=Power(inference_w=0.042, idle_a=0.010, supply_v=1.8))
QUIET = replace(PI, kind="mcu")
"""A board whose samples nothing preempts."""


def measured(kws: Path, board: Board, *passes: Pass, **faults: Any) -> Measurement:  # noqa: ANN401  what Sim takes
    plan = Plan(passes=passes, format="tflite")
    blobs = {"model": kws.read_bytes(), "inputs": random_inputs(read_model(kws), 0).blob}
    channel = SimChannel(board, Sim(board=board.id, seed=1, **faults))
    with FramedSession(channel, name="sim") as session:
        return fold(list(session.run(plan, blobs)), plan)


def only_pass(kws: Path, board: Board, asked: Pass, **faults: Any) -> PassMeasurement:  # noqa: ANN401  what Sim takes
    (found,) = measured(kws, board, asked, **faults).passes
    assert found.complete, found.failure_text
    return found


def series(found: PassMeasurement, quantity: str) -> SensorSeries:
    (one,) = [channel for channel in found.sensors if channel.quantity == quantity]
    return one


# ── a throttling board ───────────────────────────────────────────────────────────────────────────────────────────────

TEN_MINUTES = Pass(kind="sustained", duration_s=600.0, sensors_s=1.0)


@pytest.fixture(scope="module")
def throttling(kws: Path) -> PassMeasurement:
    return only_pass(kws, PI, TEN_MINUTES, fault="throttle", after=10_000)


def test_ten_minutes_of_a_board_pass_on_its_own_clock_in_a_bounded_number_of_samples(
    throttling: PassMeasurement,
) -> None:
    columns = throttling.samples
    assert columns.start[-1] + columns.duration[-1] - columns.start[4] == pytest.approx(600, abs=1)
    assert 10_000 < len(columns.start) <= SUSTAINED_SAMPLES
    assert len(minute_curve(throttling)) == 10


def test_it_heats_up_to_its_limit_throttles_there_and_becomes_slower_by_the_known_factor(
    throttling: PassMeasurement,
) -> None:
    rows = minute_curve(throttling)
    assert [row.temperature_celsius or 0 for row in rows] == sorted(row.temperature_celsius or 0 for row in rows)
    assert rows[-1].temperature_celsius == PI.throttle_celsius
    assert rows[-1].p50_s / rows[0].p50_s == pytest.approx(THROTTLE_FACTOR, rel=0.02)
    assert (rows[0].frequency_hz or 0) / (rows[-1].frequency_hz or 1) == pytest.approx(THROTTLE_FACTOR)
    assert (rows[0].throttled_ratio, rows[-1].throttled_ratio) == (0, 1)


def test_the_onset_is_that_of_the_first_flagged_sample_and_the_live_bits_agree(throttling: PassMeasurement) -> None:
    columns = throttling.samples
    first = next(at for at, flags in enumerate(columns.flags) if flags & wire.THROTTLED)
    onset = time_to_throttle(throttling).time_s
    assert onset == pytest.approx(columns.start[first] - columns.start[4])
    ((begin, _),) = throttled_spans(throttling)
    assert 0 <= begin - columns.start[first] <= 1.0  # the bits are read once a second


def test_sticky_bits_stay_in_the_state_and_were_not_there_before(throttling: PassMeasurement) -> None:
    assert throttling.state_before["throttle"]["bits"] == 0
    assert throttling.state_after["throttle"]["since_boot"] == ["frequency capped", "throttled"]
    assert int(series(throttling, "throttle").value[-1]) == 0x60006


def test_without_the_fault_a_board_keeps_its_clock_and_stays_below_its_limit(kws: Path) -> None:
    found = only_pass(kws, PI, TEN_MINUTES)
    assert set(series(found, "frequency").value) == {2.4e9}
    assert max(series(found, "temperature").value) < (PI.throttle_celsius or 0)
    assert set(series(found, "throttle").value) == {0.0}
    assert time_to_throttle(found).time_s is None


def test_sensors_are_read_only_when_they_are_asked_for_and_then_as_often(kws: Path) -> None:
    assert only_pass(kws, PI, Pass(kind="latency", runs=50)).sensors == ()
    found = only_pass(kws, PI, Pass(kind="sustained", duration_s=20.0, sensors_s=0.25))
    times = series(found, "temperature").time_s
    assert 79 <= len(times) <= 82
    assert {round(after - before, 6) for before, after in pairwise(times)} == {0.25}


# ── power ────────────────────────────────────────────────────────────────────────────────────────────────────────────

WINDOWS = Pass(kind="energy", windows=3, window_s=2.0, idle_s=1.0, sensors_s=0.01)


def starts_of_windows(found: PassMeasurement) -> list[int]:
    return [at for at, flags in enumerate(found.samples.flags) if flags & wire.WINDOW]


def test_windows_last_as_long_as_asked_with_rest_between_them(kws: Path) -> None:
    found = only_pass(kws, WITH_IDLE, WINDOWS)
    columns, firsts = found.samples, starts_of_windows(found)
    assert len(firsts) == 3
    for first, following in zip(firsts, [*firsts[1:], len(columns.start)], strict=True):
        end = columns.start[following - 1] + columns.duration[following - 1]
        assert 2.0 <= end - columns.start[first] < 2.3
        if following < len(columns.start):
            assert columns.start[following] - end == pytest.approx(1.0)
    assert ("idle-state", "simulated rest") in found.notes


def test_power_is_that_of_the_facts_in_the_windows_and_at_rest(kws: Path) -> None:
    found = only_pass(kws, WITH_IDLE, WINDOWS)
    power = series(found, "power")
    assert (power.role, power.source, power.failures) == ("board-total", "simulated", 0)
    busy = [value for value in power.value if value > 0.03]
    rest = [value for value in power.value if value <= 0.03]
    assert sum(busy) / len(busy) == pytest.approx(0.042, rel=0.01)
    assert sum(rest) / len(rest) == pytest.approx(0.018, rel=0.01)
    assert len(rest) == pytest.approx(400, abs=5)


def test_what_a_board_draws_at_rest_is_a_gap_where_no_source_says_it(kws: Path) -> None:
    power = series(only_pass(kws, L4R5, WINDOWS), "power")
    assert min(power.value) > 0.03
    assert power.failures == pytest.approx(400, abs=5)
    assert "at rest" in power.reason


def test_a_board_without_known_power_has_no_power_sensor(kws: Path) -> None:
    found = only_pass(kws, PI, WINDOWS)
    assert "power" not in {channel.quantity for channel in found.sensors}
    assert len(starts_of_windows(found)) == 3


# ── deadlines ────────────────────────────────────────────────────────────────────────────────────────────────────────


def deadlines(kws: Path, period_s: float, *, after: int = 0, fault: str = "", **limits: Any) -> tuple[Plan, Any]:  # noqa: ANN401
    asked = Pass(kind="deadline", period_s=period_s, warmup=0, **limits)
    found = only_pass(kws, QUIET, asked, fault=fault, after=after)
    return Plan(passes=(asked,)), Measurement(passes=(found,), basis="simulated")


@pytest.fixture(scope="module")
def typical_s(kws: Path) -> float:
    found = only_pass(kws, QUIET, Pass(kind="latency", runs=200, warmup=0))
    return sorted(found.samples.duration)[100]


def test_a_board_that_is_quick_enough_misses_nothing(kws: Path, typical_s: float) -> None:
    plan, found = deadlines(kws, 1.5 * typical_s, runs=300)
    (served,) = served_releases(found, plan)
    assert served.latencies_s == pytest.approx([typical_s] * 300, rel=0.06)
    assert deadline_metrics(found, plan)["deadline_miss_ratio"].value == 0


def test_a_known_delay_from_a_known_release_on_misses_every_one_and_falls_behind(kws: Path, typical_s: float) -> None:
    # From the 100th release on each takes 1.8 times as long, 0.3 of a 1.5 times period more than there is.
    plan, found = deadlines(kws, 1.5 * typical_s, fault="throttle", after=100, runs=200)
    (served,) = served_releases(found, plan)
    late = [latency > served.period_s for latency in served.latencies_s]
    assert late == [False] * 100 + [True] * 100
    assert served.latencies_s[-1] == pytest.approx((1.5 + 100 * 0.3) * typical_s, rel=0.03)
    assert deadline_metrics(found, plan)["deadline_miss_ratio"].value == 0.5


def test_releases_are_exactly_a_period_apart(kws: Path) -> None:
    plan, found = deadlines(kws, 0.033, duration_s=60.0)
    (served,) = served_releases(found, plan)
    gaps = {round(b - a, 6) for a, b in pairwise(served.released_s)}
    assert gaps == {0.033}
    assert 1815 <= len(served.released_s) <= 1818


def test_a_deadline_pass_without_a_period_is_refused(kws: Path) -> None:
    (found,) = measured(kws, PI, Pass(kind="deadline", runs=5)).passes
    assert (found.complete, found.failure) == (False, "bad-request")
