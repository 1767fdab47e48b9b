"""What sensors say of a run: peak temperature, throttled samples, marks on the run, and what reading them took."""

from __future__ import annotations

from typing import Any

import pytest

from edgeprof.records.result import Measurement, PassMeasurement, SampleColumns
from edgeprof.records.sensors import SamplingCost, SensorSeries
from edgeprof.summary.sensors import (
    sensor_cost,
    sensor_line,
    sensor_metrics,
    sensor_series,
    sensor_warnings,
)
from edgeprof.wire import THROTTLED, WARMUP

ZONE = "/sys/class/thermal/thermal_zone0/temp"


def series(name: str, quantity: Any, values: dict[float, float], source: str = "vcgencmd x") -> SensorSeries:  # noqa: ANN401  a Literal
    return SensorSeries(
        name=name, quantity=quantity, unit="?", source=source, time_s=tuple(values), value=tuple(values.values())
    )


def zone(values: dict[float, float], source: str = ZONE) -> SensorSeries:
    return series("thermal_zone0 (cpu)", "temperature", values, source)


def samples(count: int, flags: int = 0, first_s: float = 0.0, step_s: float = 0.1) -> SampleColumns:
    """Return samples of 10 ms, one every step."""
    return SampleColumns(
        start=tuple(first_s + index * step_s for index in range(count)),
        duration=(0.01,) * count,
        batch=(1,) * count,
        flags=(flags,) * count,
    )


def measured(*sensors: SensorSeries, columns: SampleColumns | None = None, **more: Any) -> Measurement:  # noqa: ANN401  fields of a pass
    one = PassMeasurement(
        kind="latency", launch=0, complete=True, sensors=sensors, samples=columns or samples(100), **more
    )
    return Measurement(passes=(one,))


def throttle_state(bits: int) -> dict[str, Any]:
    return {"throttle": {"bits": bits}}


def codes(measurement: Measurement) -> list[str]:
    return [warned.code for warned in sensor_warnings(measurement)]


# ── series and temperature ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_channels_readings_of_all_passes_are_one_series_in_order_of_time() -> None:
    first = measured(zone({1.0: 40.0, 2.0: 41.0})).passes[0]
    second = measured(SensorSeries(
        name="thermal_zone0 (cpu)", quantity="temperature", unit="?", source=ZONE, time_s=(5.0,), value=(45.0,),
        failures=2, reason="gone",
    )).passes[0]  # fmt: skip
    (merged,) = sensor_series(Measurement(passes=(second, first)))
    assert merged.time_s == (1.0, 2.0, 5.0)
    assert merged.value == (40.0, 41.0, 45.0)
    assert (merged.failures, merged.reason) == (2, "gone")


def test_the_peak_names_its_zone_and_leaves_out_what_is_no_processor() -> None:
    meter = series("powerz temp1", "temperature", {1.0: 90.0}, "/sys/class/hwmon/hwmon5/temp1_input")
    peak = sensor_metrics(measured(zone({1.0: 40.0, 2.0: 71.5, 3.0: 60.0}), meter))["temperature_peak_celsius"]
    assert (peak.value, peak.count, peak.basis) == (71.5, 3, "measured")
    assert "thermal_zone0 (cpu)" in peak.method


def test_without_readings_the_states_say_the_peak_and_that_it_is_theirs() -> None:
    before = {"temperature_celsius": {"zone (cpu)": 50.0}}
    after = {"temperature_celsius": {"zone (cpu)": 65.0}}
    peak = sensor_metrics(measured(state_before=before, state_after=after))["temperature_peak_celsius"]
    assert peak.value == 65.0
    assert "before and after" in peak.method


def test_a_board_that_shows_no_temperature_has_none_with_the_reason() -> None:
    lost = SensorSeries(name="zone", quantity="temperature", unit="?", source=ZONE, failures=3, reason="it is off")
    assert sensor_metrics(measured(lost))["temperature_peak_celsius"].value is None
    assert sensor_metrics(measured(lost))["temperature_peak_celsius"].reason == "it is off"
    assert sensor_metrics(measured()) == {}


# ── throttling ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_samples_between_a_reading_with_live_bits_and_the_next_reading_are_throttled() -> None:
    bits = series("throttle bits", "throttle", {0.0: 0, 3.0: 4, 5.0: 0, 9.05: 0x40004})
    ratio = sensor_metrics(measured(bits))["throttled_ratio"]
    assert ratio.value == pytest.approx(29 / 100)  # 3.0 to 4.9: 20, and 9.1 to 9.9: 9
    assert "live throttle bits" in ratio.method


def test_sticky_bits_alone_throttle_no_sample() -> None:
    ratio = sensor_metrics(measured(series("throttle bits", "throttle", {0.0: 0x50000})))["throttled_ratio"]
    assert ratio.value == 0


def clock(
    drop_s: float, hz: float, path: str = "/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq"
) -> SensorSeries:
    return series(path, "frequency", {at * 0.5: 2e9 if at * 0.5 < drop_s else hz for at in range(20)}, path)


@pytest.mark.parametrize(("hz", "end_celsius", "share"), [(1.5e9, 80.0, 0.5), (1.85e9, 80.0, 0.0), (1.5e9, 40.0, 0.0)])
def test_a_slower_clock_is_throttling_only_on_a_warmer_board(hz: float, end_celsius: float, share: float) -> None:
    warm = zone({0.0: 40.0, 5.0: end_celsius})
    ratio = sensor_metrics(measured(clock(5.0, hz), warm))["throttled_ratio"]
    assert ratio.value == pytest.approx(share, abs=0.02)
    assert "90 %" in ratio.method


def test_one_core_that_sleeps_beside_a_fast_one_is_not_throttling() -> None:
    sleepy = clock(0.0, 4e8, "/sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq")
    ratio = sensor_metrics(measured(sleepy, clock(99.0, 1e9), zone({0.0: 40.0, 5.0: 80.0})))["throttled_ratio"]
    assert ratio.value == 0


def test_live_bits_win_over_the_clock_and_the_agents_flags_count_too() -> None:
    calm = series("throttle bits", "throttle", {0.0: 0})
    warm = zone({0.0: 40.0, 5.0: 80.0})
    assert sensor_metrics(measured(calm, clock(5.0, 1e9), warm))["throttled_ratio"].value == 0
    flagged = measured(calm, columns=samples(100, THROTTLED))
    assert sensor_metrics(flagged)["throttled_ratio"].value == 1
    assert "throttled" not in codes(flagged)  # the flags have a warning of their own


def test_where_nothing_tells_there_is_no_share_and_warm_up_never_counts() -> None:
    assert "throttled_ratio" not in sensor_metrics(measured(zone({0.0: 40.0})))
    warming = measured(series("throttle bits", "throttle", {0.0: 4}), columns=samples(10, WARMUP))
    assert "throttled_ratio" not in sensor_metrics(warming)


@pytest.mark.parametrize(
    ("before", "readings", "after", "wanted"),
    [
        (0x0, [0x0], 0x0, []),
        (0x0, [0x0], 0x40000, ["throttled"]),  # it came and went between two readings
        (0x0, [0x4], 0x0, ["throttled"]),  # the kernel cleared the sticky bit
        (0x0, [0x10001], 0x10000, ["undervoltage"]),
        (0x0, [0x50005], 0x50000, ["undervoltage", "throttled"]),
        (0x50000, [0x50000], 0x50000, ["throttled-before"]),
        (0x50000, [0x50004], 0x50000, ["throttled-before", "throttled"]),
        (0x10000, [0x10000], 0x50000, ["throttled-before", "throttled"]),
        (0x10001, [0x10001], 0x10001, ["throttled-before", "undervoltage"]),
    ],
)
def test_bits_mark_the_run_and_bits_from_before_leave_it_open(
    before: int, readings: list[int], after: int, wanted: list[str]
) -> None:
    bits = series("throttle bits", "throttle", {float(at): value for at, value in enumerate(readings)})
    columns = samples(10, first_s=20.0)
    run = measured(bits, columns=columns, state_before=throttle_state(before), state_after=throttle_state(after))
    assert codes(run) == wanted


def test_a_throttled_run_without_bits_is_marked_by_its_clock() -> None:
    (warned,) = sensor_warnings(measured(clock(5.0, 1e9), zone({0.0: 40.0, 5.0: 80.0})))
    assert warned.code == "throttled"
    assert "50 %" in warned.text


# ── what the sensors cost ────────────────────────────────────────────────────────────────────────────────────────────


def sampled(cpu_s: float = 0.0041, took_s: float = 0.002, columns: SampleColumns | None = None) -> Measurement:
    rounds = series("sampling", "duration", {0.001 + 0.2 * at: took_s for at in range(50)}, "agent")
    return measured(rounds, columns=columns, sampling=SamplingCost(cpu_s=cpu_s, wall_s=10.2, reads=102))


def test_the_cost_is_a_share_of_one_cpu_and_one_line() -> None:
    cost = sensor_cost(sampled())
    assert cost["share_ratio"] == pytest.approx(0.0041 / 10.2)
    assert cost["mean_round_s"] == pytest.approx(0.002)
    latency = cost["latency"]
    assert (latency["beside_count"], latency["apart_count"]) == (50, 50)
    line = sensor_line(cost)
    assert (
        line == "sensors: 4.100 ms CPU in 10.20 s (0.04 %), 102 rounds; p50 10.00 ms beside a round, 10.00 ms without"
    )


def test_samples_beside_a_round_are_told_from_the_others() -> None:
    whole = samples(100)
    slower = tuple(0.012 if index % 2 == 0 else 0.01 for index in range(100))  # rounds fall into the even ones
    columns = SampleColumns(start=whole.start, duration=slower, batch=whole.batch, flags=whole.flags)
    latency = sensor_cost(sampled(columns=columns))["latency"]
    assert (latency["beside_p50_s"], latency["apart_p50_s"]) == (0.012, 0.01)


def test_a_round_that_ends_before_a_sample_does_not_touch_it() -> None:
    late = samples(30, first_s=0.0035, step_s=0.2)  # rounds of 2 ms begin at 1 ms
    latency = sensor_cost(sampled(columns=late))["latency"]
    assert (latency["beside_count"], latency["apart_count"]) == (0, 30)
    assert latency["beside_p50_s"] is None
    assert latency["reason"] == "0 samples beside a round, 20 are needed"
    assert "latency with and without: 0 samples" in sensor_line(sensor_cost(sampled(columns=late)))


def test_sensors_that_take_more_than_a_hundredth_of_a_cpu_are_warned_of() -> None:
    assert codes(sampled()) == []
    (warned,) = sensor_warnings(sampled(cpu_s=0.2))
    assert warned.code == "sensors-cost"
    assert "2.0 %" in warned.text


def test_without_sensors_nothing_is_said() -> None:
    assert sensor_cost(measured()) == {}
    assert sensor_line({}) == ""
    assert sensor_warnings(measured()) == ()
