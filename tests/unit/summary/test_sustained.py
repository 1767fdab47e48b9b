"""A long run whose throttling is known: the curve, the onset and the parts are what was put in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from edgeprof.records.result import Measurement, PassKind, PassMeasurement, SampleColumns
from edgeprof.records.sensors import SensorSeries
from edgeprof.report.console import captured, text_console
from edgeprof.report.sustained import over_time
from edgeprof.summary.sustained import (
    first_against_last,
    minute_curve,
    power_read,
    slowed,
    sustained_breakdown,
    throttled_spans,
    time_to_throttle,
)
from edgeprof.wire import THROTTLED, WARMUP

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.records.result import Result
    from edgeprof.records.sensors import Quantity, Role

BEGIN_S = 1000.0
STEP_S = 0.5
FAST_S, SLOW_S = 0.010, 0.018
THROTTLED_FROM_S = 400.0
LIVE, STICKY = 0x6, 0x60000


def run(
    seconds: float,
    latency_s: Callable[[float], float],
    *sensors: SensorSeries,
    kind: PassKind = "sustained",
    flag: Callable[[float], int] = lambda _: 0,
) -> PassMeasurement:
    """Return a pass with a sample each half second after one of warm-up."""
    at = [step * STEP_S for step in range(int(seconds / STEP_S))]
    columns = SampleColumns(
        start=(BEGIN_S - 5, *(BEGIN_S + elapsed for elapsed in at)),
        duration=(9.0, *(latency_s(elapsed) for elapsed in at)),
        batch=(1,) * (len(at) + 1),
        flags=(WARMUP, *(flag(elapsed) for elapsed in at)),
    )
    return PassMeasurement(kind=kind, launch=0, complete=True, samples=columns, sensors=sensors)


def channel(
    quantity: Quantity,
    value: Callable[[float], float],
    seconds: int,
    *,
    name: str = "",
    role: Role = "",
    every_s: int = 1,
    failed: str = "",
) -> SensorSeries:
    at = range(0, 0 if failed else seconds, every_s)
    return SensorSeries(
        name=name or quantity, quantity=quantity, unit="u", source="a test", role=role, reason=failed,
        time_s=tuple(BEGIN_S + elapsed for elapsed in at), value=tuple(value(elapsed) for elapsed in at),
    )  # fmt: skip


def throttles(elapsed: float) -> bool:
    return elapsed >= THROTTLED_FROM_S


def latency(elapsed: float) -> float:
    return SLOW_S if throttles(elapsed) else FAST_S


def hot_run(*leave_out: str) -> PassMeasurement:
    """Return twelve minutes of a board that throttles in the seventh."""
    sensors = {
        "temperature": channel("temperature", lambda at: min(80.0, 40 + at / 10), 720),
        "frequency": channel("frequency", lambda at: 1.0e9 if throttles(at) else 1.8e9, 720),
        "throttle": channel("throttle", lambda at: LIVE | STICKY if throttles(at) else 0, 720),
        "power": channel("power", lambda at: 3.0 if throttles(at) else 5.0, 720, role="board-total"),
    }
    return run(720, latency, *(series for name, series in sensors.items() if name not in leave_out))


def of(measured: PassMeasurement) -> Measurement:
    return Measurement(passes=(measured,))


def described(measured: PassMeasurement) -> dict[str, Any]:
    found: dict[str, Any] = sustained_breakdown(of(measured))["sustained"]["launch 0"]
    return found


# ── the curve ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_of_twelve_minutes_has_a_row_a_minute_with_what_was_put_in() -> None:
    rows = minute_curve(hot_run())
    assert [row.start_s for row in rows] == [60.0 * minute for minute in range(12)]
    assert {row.samples_count for row in rows} == {120}
    assert [row.p50_s for row in rows] == [FAST_S] * 7 + [SLOW_S] * 5  # a third of the seventh is slow
    assert rows[0].temperature_celsius == pytest.approx(45.9)
    assert rows[11].temperature_celsius == 80.0
    assert [row.frequency_hz for row in (rows[0], rows[11])] == [1.8e9, 1.0e9]
    assert rows[6].frequency_hz == pytest.approx(1.8e9 - 0.8e9 * 20 / 60)
    assert [row.power_w for row in (rows[0], rows[11])] == [5.0, 3.0]
    assert [row.throttled_ratio for row in rows] == [0.0] * 6 + [pytest.approx(1 / 3)] + [1.0] * 5


@pytest.mark.parametrize(
    ("seconds", "lengths"),
    [(600, [60] * 10), (620, [60] * 9 + [80]), (650, [60] * 10 + [50]), (100, [10] * 10), (15, [2.5] * 6), (1, [1])],
)
def test_rows_are_minutes_or_tenths_and_the_last_takes_what_is_left(seconds: float, lengths: list[float]) -> None:
    rows = minute_curve(run(seconds, lambda _: STEP_S))
    assert [round(row.end_s - row.start_s, 6) for row in rows] == lengths
    assert sum(row.samples_count for row in rows) == seconds / STEP_S


def test_warm_up_and_batches_do_not_disturb_the_curve() -> None:
    (row,) = minute_curve(
        PassMeasurement(
            kind="sustained",
            launch=0,
            complete=True,
            samples=SampleColumns(start=(0.0, 5.0), duration=(9.0, 0.4), batch=(1, 4), flags=(WARMUP, 0)),
        )
    )
    assert (row.samples_count, row.p50_s, row.start_s) == (1, 0.1, 0.0)


def test_a_pass_without_samples_has_no_curve() -> None:
    nothing = PassMeasurement(kind="sustained", launch=0, complete=False)
    assert minute_curve(nothing) == []
    assert sustained_breakdown(of(nothing)) == {}
    assert time_to_throttle(nothing).time_s is None


def test_what_was_not_read_is_null_in_every_row_with_its_reason() -> None:
    broken = channel("temperature", float, 0, failed="thermal_zone0/temp: Permission denied")
    found = described(run(720, latency, broken))
    assert {row["temperature_celsius"] for row in found["rows"]} == {None}
    assert "Permission denied" in found["absent"]["temperature_celsius"]
    assert found["absent"]["frequency_hz"] == "no frequency sensor was found"
    assert found["power_of"] is None
    assert described(run(720, latency))["absent"]["power_w"] == "no sensor was read during the pass"
    json.dumps(found)


def test_a_sensor_that_stops_leaves_gaps_and_no_values() -> None:
    stopped = channel("temperature", lambda _: 50.0, 300)
    found = described(run(720, latency, stopped))
    assert [row["temperature_celsius"] for row in found["rows"]] == [50.0] * 5 + [None] * 7
    assert "7 of 12 rows" in found["absent"]["temperature_celsius"]


# ── power ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_boards_total_is_never_added_to_its_rails() -> None:
    total = channel("power", lambda _: 5.0, 100, name="VDD_IN", role="board-total")
    rail = channel("power", lambda _: 2.0, 100, name="VDD_CPU", role="rail")
    rows = minute_curve(run(100, latency, rail, total))
    assert {row.power_w for row in rows} == {5.0}


def test_module_rails_are_summed_and_the_sum_is_called_what_it_is() -> None:
    rails = [channel("power", lambda _: 2.0, 100, name=name, role="module-rails") for name in ("A", "B")]
    measured = run(100, latency, *rails)
    assert {row.power_w for row in minute_curve(measured)} == {4.0}
    assert power_read(measured).covers == "sum of module rails, carrier excluded"


def test_a_sum_with_a_rail_missing_is_no_sum() -> None:
    rails = [
        channel("power", lambda _: 2.0, length, name=name, role="module-rails")
        for name, length in (("A", 100), ("B", 50))
    ]
    assert [row.power_w for row in minute_curve(run(100, latency, *rails))] == [4.0] * 5 + [None] * 5


def test_single_rails_alone_are_no_total() -> None:
    rail = channel("power", lambda _: 2.0, 100, role="rail")
    found = described(run(100, latency, rail))
    assert found["absent"]["power_w"] == "only single rails were read, and they are no total"


# ── throttling ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_live_bits_make_spans_and_sticky_ones_do_not() -> None:
    assert throttled_spans(hot_run()) == ((BEGIN_S + 400, BEGIN_S + 719.5 + SLOW_S),)
    sticky = run(100, latency, channel("throttle", lambda _: STICKY, 100))
    assert throttled_spans(sticky) == ()


def test_spans_of_two_channels_are_joined_where_they_overlap() -> None:
    one = channel("throttle", lambda at: 4 * (10 <= at < 20), 100)
    two = channel("throttle", lambda at: 4 * (15 <= at < 30 or at == 50), 100)
    assert throttled_spans(run(100, latency, one, two)) == (
        (BEGIN_S + 10, BEGIN_S + 30),
        (BEGIN_S + 50, BEGIN_S + 51),
    )


def test_time_to_throttle_is_that_of_the_first_live_bit() -> None:
    onset = time_to_throttle(hot_run())
    assert onset.time_s == 400
    assert "live" in onset.sign


def test_time_to_throttle_is_that_of_the_first_flagged_sample_where_there_are_no_bits() -> None:
    flagged = run(720, latency, flag=lambda at: THROTTLED if throttles(at) else 0)
    assert time_to_throttle(flagged).time_s == 400


def test_without_bits_a_slower_row_counts_only_when_the_clock_had_dropped() -> None:
    assert time_to_throttle(hot_run("throttle")).time_s == 420  # the first row whose median shows it
    unseen = time_to_throttle(hot_run("throttle", "frequency"))
    assert unseen.time_s is None
    assert "no frequency sensor" in unseen.sign
    steady_clock = channel("frequency", lambda _: 1.8e9, 720)
    busy = time_to_throttle(run(720, latency, steady_clock))
    assert busy.time_s is None
    assert busy.sign == "the board did not throttle during the run"


def test_percentiles_of_the_throttled_and_the_other_part_stand_apart() -> None:
    found = described(hot_run())
    names = ("p50_s", "p90_s", "p95_s", "p99_s", "p50_high_s", "p90_high_s", "p95_high_s", "p99_high_s", "max_s")
    assert found["throttled"] == {"count": 640, "mean_s": pytest.approx(SLOW_S), **dict.fromkeys(names, SLOW_S)}
    assert found["unthrottled"]["count"] == 800
    assert found["unthrottled"]["p99_s"] == FAST_S
    cool = described(run(20, lambda _: FAST_S))
    assert cool["throttled"] == {"count": 0, "reason": "no sample was throttled"}
    assert cool["unthrottled"]["p99_s"] is None
    assert "p99_s" in cool["unthrottled"]["reason"]


# ── the first minute against the last ────────────────────────────────────────────────────────────────────────────────


def test_the_first_minute_stands_against_the_last() -> None:
    assert first_against_last(minute_curve(hot_run()))["ratio"] == pytest.approx(1.8)
    assert first_against_last(minute_curve(run(1, latency)))["ratio"] is None


def test_a_run_that_became_slower_is_warned_about_once() -> None:
    (warned,) = slowed(of(hot_run()))
    assert warned.code == "slowed"
    assert "80 % slower" in warned.text


def test_a_slope_is_warned_about_and_noise_of_the_same_size_is_not() -> None:
    assert slowed(of(run(720, lambda at: FAST_S * (1 + at / 7200))))
    up_and_down = run(720, lambda at: FAST_S * (1 + 0.1 * (int(at / 60) % 2)))
    assert minute_curve(up_and_down)[-1].p50_s > 1.05 * minute_curve(up_and_down)[0].p50_s
    assert not slowed(of(up_and_down))


def test_only_a_sustained_pass_is_warned_about() -> None:
    assert not slowed(of(run(720, latency, kind="latency")))
    assert not slowed(of(run(720, lambda _: FAST_S)))


# ── drawn ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def drawn(small_result: Result, measured: PassMeasurement) -> str:
    console = text_console()
    for part in over_time(replace(small_result, breakdowns=sustained_breakdown(of(measured)))):
        console.print(part)
    return captured(console)


def test_the_curve_and_what_it_shows_are_drawn_from_the_saved_result(small_result: Result) -> None:
    text = drawn(small_result, hot_run())
    for shown in ("660.0 s", "1,800 MHz", "80.0 °C", "5.000 W", "+80.0 %", "time to throttle: 400.0 s", "whole board"):
        assert shown in text
    assert not list(over_time(small_result))


def test_what_was_not_read_is_drawn_as_a_dash_with_its_reason(small_result: Result) -> None:
    text = drawn(small_result, run(15, lambda _: FAST_S))
    assert "—" in text
    assert "power: no sensor was read during the pass" in text
    assert "throttled: no sample was throttled" in text
    assert "time to throttle: — (not seen" in text
