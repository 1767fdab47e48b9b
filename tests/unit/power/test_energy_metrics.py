"""Windows to metrics: medians, bounds, refusals, money and carbon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeprof.power.alignment import Alignment
from edgeprof.power.metrics import Priced, cost_and_carbon, energy_metrics
from edgeprof.power.trace import Accuracy, PowerTrace
from edgeprof.power.windows import Window
from edgeprof.records.result import Metric

if TYPE_CHECKING:
    from edgeprof.records.energy import EnergyReport

EXACT = Alignment("marker", "exact", 0.0, "")
GRAIN = 0.01


def report_of(
    powers: list[float],
    *,
    accuracy: Accuracy | None = None,
    tau_s: float = 0.0,
    guard_s: float = 0.0,
    inferences: int | None = 10,
    warm_up: float = 0.0,
) -> EnergyReport:
    """Return the report of windows of 2 s with these powers, 3 s of 1 W between them."""
    time_s = np.arange(0, 5.0 * len(powers) + 3, GRAIN)
    power_w = np.ones(len(time_s))
    windows = []
    for at, power in enumerate(powers):
        start = 3.0 + 5.0 * at
        power_w[(time_s >= start - GRAIN / 2) & (time_s < start + 2 - GRAIN / 2)] = power
        power_w[(time_s >= start - warm_up - GRAIN / 2) & (time_s < start - GRAIN / 2)] = power
        windows.append(Window(start, start + 2, inferences))
    trace = PowerTrace(
        time_s, power_w, "made", "instrument", hold=True, accuracy=accuracy, filter_time_constant_s=tau_s,
        nominal_rate_hz=1 / GRAIN,
    )  # fmt: skip
    return energy_metrics(trace, windows, alignment=EXACT, guard_s=guard_s, idle_state="WFI")


def test_gross_and_above_idle_are_told_apart() -> None:
    metrics = report_of([3.0] * 6).metrics
    assert metrics["energy_per_inference_j"].value == pytest.approx(0.6)
    assert metrics["energy_above_idle_j"].value == pytest.approx(0.4)
    assert metrics["power_average_w"].value == pytest.approx(3.0)
    assert metrics["power_idle_w"].value == pytest.approx(1.0)
    assert metrics["power_peak_w"].value == pytest.approx(3.0)
    assert metrics["inferences_per_joule"].value == pytest.approx(1 / 0.6)
    assert "WFI" in metrics["power_idle_w"].method


@pytest.mark.parametrize(("count", "confidence"), [(1, None), (4, None), (5, 0.9375), (6, 0.95), (12, 0.95)])
def test_an_interval_says_how_sure_so_many_windows_make_it(count: int, confidence: float | None) -> None:
    powers = [3.0 + 0.01 * at for at in range(count)]
    each = report_of(powers).metrics["energy_per_inference_j"]
    assert each.confidence == confidence
    if confidence is None:
        assert (each.low, each.high) == (None, None)
        assert f"no interval: {count} of the 6 windows" in each.method
    else:
        assert each.low is not None
        assert each.high is not None
        assert each.value is not None
        assert each.low < each.value < each.high
        assert each.low >= 0.2 * powers[0] - 1e-9


def test_declared_accuracy_widens_the_interval_by_the_root_of_squares() -> None:
    powers = [3.0, 3.01, 3.02, 3.03, 3.04, 3.05]
    plain = report_of(powers).metrics["energy_per_inference_j"]
    sure = report_of(powers, accuracy=Accuracy(0.02, 0.01, None, "data sheet")).metrics["energy_per_inference_j"]
    assert plain.low is not None and sure.low is not None and sure.value is not None  # noqa: PT018  for mypy
    systematic = np.hypot(0.02 * sure.value, 0.01 * 0.2)
    assert sure.value - sure.low == pytest.approx(np.hypot(sure.value - plain.low, systematic), rel=1e-6)
    assert "data sheet" in sure.method
    assert "not known and not in the bounds" in plain.method


def test_an_offset_of_the_instrument_cancels_above_idle() -> None:
    powers = [3.0, 3.01, 3.02, 3.03, 3.04, 3.05]
    plain = report_of(powers, accuracy=Accuracy(0.0, 0.0, None, "data sheet")).metrics["energy_above_idle_j"]
    offset = report_of(powers, accuracy=Accuracy(0.0, 0.5, None, "data sheet")).metrics["energy_above_idle_j"]
    assert (plain.low, plain.high) == (offset.low, offset.high)


def test_a_warm_up_beside_a_window_is_no_idle() -> None:
    report = report_of([3.0] * 6, warm_up=0.5)
    assert report.metrics["power_idle_w"].value == pytest.approx(1.0)
    assert "idle-mixed" in {finding.code for finding in report.findings}


def test_five_time_constants_are_left_out_at_both_ends() -> None:
    report = report_of([3.0] * 6, tau_s=0.02)
    assert report.windows[0].guard_s == pytest.approx(0.1)
    assert report.windows[0].energy_j == pytest.approx(3.0 * 1.8)
    assert report.windows[0].energy_per_inference_j == pytest.approx(0.6)


def test_a_filter_that_leaves_fewer_than_thirty_readings_is_refused() -> None:
    each = report_of([3.0] * 6, tau_s=0.06).metrics["energy_per_inference_j"]
    assert each.value is None
    assert "independent readings" in (each.reason or "")


def test_a_guard_longer_than_the_window_leaves_nothing() -> None:
    each = report_of([3.0] * 6, guard_s=1.5).metrics["energy_per_inference_j"]
    assert each.value is None


def test_without_a_count_of_inferences_there_is_power_and_no_energy_an_inference() -> None:
    metrics = report_of([3.0] * 6, inferences=None).metrics
    assert metrics["power_average_w"].value == pytest.approx(3.0)
    assert metrics["energy_per_inference_j"].value is None
    assert "--inferences" in (metrics["energy_per_inference_j"].reason or "")
    assert metrics["inferences_per_joule"].value is None


def test_without_idle_on_one_side_there_is_nothing_above_idle() -> None:
    time_s = np.arange(0, 2, GRAIN)
    trace = PowerTrace(time_s, np.full(len(time_s), 3.0), "made", "instrument")
    report = energy_metrics(trace, [Window(0.0, 1.0, 10)], alignment=EXACT)
    assert report.metrics["energy_per_inference_j"].value == pytest.approx(0.3)
    assert report.metrics["energy_above_idle_j"].value is None
    assert "before the window" in (report.metrics["energy_above_idle_j"].reason or "")


def test_idle_that_takes_more_than_the_window_is_no_idle() -> None:
    above = report_of([0.5] * 6).metrics["energy_above_idle_j"]
    assert above.value is None
    assert "500.0 mW more than the window" in (above.reason or "")


def test_cost_and_carbon_are_reckoned_from_joules() -> None:
    each = Metric(value=3.6, basis="measured", count=6, method="", low=3.0, high=4.0, confidence=0.95)
    found = cost_and_carbon(each, Priced(price_usd_per_kwh=0.30, grid_g_per_kwh=400.0))
    assert found["cost_per_inference_usd"].value == pytest.approx(0.30 * 1e-6)
    assert found["carbon_per_inference_kg"].value == pytest.approx(0.4 * 1e-6)
    assert found["carbon_per_inference_kg"].high == pytest.approx(0.4 * 4.0 / 3.6e6)
    assert found["cost_per_inference_usd"].assumptions == ("electricity at 0.3 USD/kWh, no hardware",)
    assert cost_and_carbon(each, Priced()) == {}


@pytest.mark.parametrize(
    "powers", [[0.99, 1.02, 0.98, 1.01, 0.99, 1.02, 0.98, 1.0], [1.05, 0.97, 1.01], [1.0] * 6, [1.0]]
)
def test_windows_below_idle_count_and_what_is_not_told_apart_from_it_has_no_figure(powers: list[float]) -> None:
    report = report_of(powers)
    above = report.metrics["energy_above_idle_j"]
    assert above.value is None
    assert "not told apart from idle: " in (above.reason or "")
    assert f"over {len(powers)} window" in (above.reason or "")
    assert [w.energy_above_idle_j for w in report.windows] == pytest.approx([0.2 * (p - 1) for p in powers], abs=1e-9)
    assert report.metrics["energy_per_inference_j"].value is not None
    assert report.metrics["power_idle_w"].value == pytest.approx(1.0)


def test_the_reason_holds_how_far_below_and_above_idle_it_may_be() -> None:
    above = report_of([0.9, 1.1, 0.9, 1.1, 0.9, 1.1]).metrics["energy_above_idle_j"]
    assert "-20.00 mJ … +20.00 mJ an inference" in (above.reason or "")


def test_a_median_of_all_windows_is_not_that_of_the_higher_ones() -> None:
    powers = [1.01, 1.10, 1.11, 1.12, 1.13, 1.14, 1.15, 0.99, 1.16, 1.17]
    above = report_of(powers).metrics["energy_above_idle_j"]
    assert above.value == pytest.approx(0.2 * 0.125)
    assert above.count == 10


def test_a_difference_below_three_steps_of_the_sensor_says_nothing() -> None:
    coarse = Accuracy(None, None, 0.01, "the sensor's resolution")
    above = report_of([1.02] * 6, accuracy=coarse).metrics["energy_above_idle_j"]
    assert above.value is None
    assert "less than 3 steps of the sensor (10.00 mW each)" in (above.reason or "")
    assert report_of([1.04] * 6, accuracy=coarse).metrics["energy_above_idle_j"].value == pytest.approx(0.008)


@pytest.mark.parametrize(("negative", "count", "told"), [(-5.0, 1, True), (-0.05, 100, False), (-0.5, 200, True)])
def test_readings_clearly_below_zero_are_named_with_their_extent(negative: float, count: int, told: bool) -> None:  # noqa: FBT001  a table
    time_s = np.arange(0, 100, GRAIN)
    power_w = np.full(len(time_s), 1.0)
    power_w[3000 : 3000 + count] = negative
    trace = PowerTrace(time_s, power_w, "made", "instrument")
    report = energy_metrics(trace, [Window(10.0, 50.0, 10)], alignment=EXACT)
    found = [one.text for one in report.findings if one.code == "negative-power"]
    assert bool(found) is told
    if told:
        assert found[0].startswith(f"{count} of 10,000 samples {'is' if count == 1 else 'are'} negative, down to -")
        assert "of all that was integrated" in found[0]


def test_what_an_instrument_that_ended_by_itself_leaves_out_is_a_gap_and_told() -> None:
    time_s = np.arange(0, 10, GRAIN)
    trace = PowerTrace(time_s, np.full(len(time_s), 2.0), "made", "host", nominal_rate_hz=1 / GRAIN, lost="unplugged")
    report = energy_metrics(
        trace, [Window(2.0, 4.0, 10), Window(9.0, 11.0, 10), Window(13.0, 15.0, 10)], alignment=EXACT
    )
    assert report.trace.gaps == 1
    assert report.trace.gaps_s == pytest.approx(5.0, abs=0.02)
    assert [bool(window.reason) for window in report.windows] == [False, True, True]
    assert "100.0% of the window is missing" in (report.windows[2].reason or "")
    assert (report.windows[2].reason or "").endswith("the instrument ended by itself")
