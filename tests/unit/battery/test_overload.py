"""What a cell cannot give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edgeprof.battery import battery_of
from edgeprof.battery.options import BatteryOptions, Burst
from tests.unit.battery.conftest import metric

if TYPE_CHECKING:
    from edgeprof.records.battery import BatteryReport
    from edgeprof.records.result import Result

COIN = BatteryOptions(
    cell="CR2032", period_s=600.0, sleep_a=2e-6, energy_j=0.3e-3, latency_s=0.1, supply_v=3.0, regulator="none"
)

MEASURED = COIN._replace(cell="CR2450", energy_j=None, latency_s=None)


def verdicts(report: BatteryReport) -> dict[str, str]:
    """Return the verdict on each rating."""
    return {one.limit.partition("/")[2]: one.verdict for one in report.findings}


def test_a_coin_cell_gives_what_it_is_rated_for() -> None:
    report = battery_of(None, COIN)
    assert verdicts(report) == {"rated load": "PASS", "continuous current": "PASS", "pulse current": "PASS"}
    assert report.metrics["battery_life_s"].value is not None


def test_a_pulse_of_100_ma_from_a_coin_cell_fails_and_there_is_no_life() -> None:
    report = battery_of(None, COIN._replace(bursts=(Burst("radio", 0.1, 5e-3),)))
    life = report.metrics["battery_life_s"]
    assert verdicts(report)["pulse current"] == "FAIL"
    assert life.value is None
    assert life.low is None
    assert "radio for 5.000 ms takes 100.0 mA at the cell, which gives 15.00 mA at most" in (life.reason or "")
    assert report.what_if == ()


def test_a_pulse_that_lasts_is_judged_by_the_continuous_rating() -> None:
    report = battery_of(None, COIN._replace(bursts=(Burst("motor", 5e-3, 10.0),)))
    assert verdicts(report)["continuous current"] == "FAIL"
    short = battery_of(None, COIN._replace(bursts=(Burst("motor", 5e-3, 0.5),)))
    assert verdicts(short)["continuous current"] == "PASS"


def test_a_mean_above_the_load_that_the_capacity_is_stated_for_fails() -> None:
    report = battery_of(None, COIN._replace(sleep_a=0.5e-3))
    assert verdicts(report)["rated load"] == "FAIL"
    assert "stated for up to 200.0 µA" in (report.metrics["battery_life_s"].reason or "")


def test_cells_in_parallel_share_the_pulse() -> None:
    burst = COIN._replace(bursts=(Burst("radio", 0.025, 5e-3),))
    assert verdicts(battery_of(None, burst))["pulse current"] == "FAIL"
    assert verdicts(battery_of(None, burst._replace(parallel=2)))["pulse current"] == "PASS"


def test_what_is_not_known_is_skipped_and_an_option_says_it() -> None:
    bare = COIN._replace(cell=None, capacity_c=846.0)
    assert set(verdicts(battery_of(None, bare)).values()) == {"SKIP"}
    limited = battery_of(None, bare._replace(max_pulse_a=0.5e-3, max_continuous_a=1e-3))
    assert verdicts(limited)["pulse current"] == "FAIL"


def test_without_a_pulse_rating_the_continuous_one_holds() -> None:
    report = battery_of(None, COIN._replace(cell="CR2325", bursts=(Burst("radio", 5e-3, 5e-3),)))
    assert verdicts(report)["pulse current"] == "FAIL"
    assert "none for pulses is known" in (report.metrics["battery_life_s"].reason or "")


def test_a_switching_regulator_takes_most_when_the_cell_is_at_its_cut_off() -> None:
    boost = COIN._replace(supply_v=5.0, regulator="boost", efficiency=(0.8, 0.8), bursts=(Burst("radio", 8e-3, 5e-3),))
    assert battery_of(None, boost).current_peak_a == pytest.approx(8e-3 * 5.0 / (2.0 * 0.8))
    assert verdicts(battery_of(None, boost))["pulse current"] == "FAIL"


def test_a_shorter_period_that_overloads_the_cell_has_no_life_in_the_table() -> None:
    rows = battery_of(None, COIN._replace(energy_j=60e-3, latency_s=2.0)).what_if
    assert rows[3].life_s is not None
    assert rows[0].life_s is None
    assert "capacity is stated for" in (rows[0].reason or "")


def test_a_cell_whose_resistance_takes_too_much_is_warned_of() -> None:
    sagging = COIN._replace(max_pulse_a=0.05, bursts=(Burst("radio", 0.03, 5e-3),))
    assert "cell-sags" in {one.code for one in battery_of(None, sagging).warnings}
    assert "cell-sags" not in {one.code for one in battery_of(None, COIN).warnings}


# ── the largest current of an inference ──────────────────────────────────────────────────────────────────────────────


def with_figures(result: Result, **values: float | None) -> Result:
    """Return a result with these figures, some of which may go."""
    metrics = {**result.metrics, **{name: metric(value) for name, value in values.items()}}
    return msgspec.structs.replace(
        result, metrics={name: one for name, one in metrics.items() if one.value is not None}
    )


@pytest.mark.parametrize("latency_s", [0.1806, 0.09, 0.01])
def test_a_pulse_is_never_more_than_the_measured_peak_however_quick_the_latency_pass_was(
    latency_s: float, l4r5: Result
) -> None:
    report = battery_of(with_figures(l4r5, latency_mean_s=latency_s), MEASURED)
    assert report.current_peak_a == pytest.approx(41.5e-3 / 3.0)
    assert (
        pulse_of(report)
        == "largest current of an inference: 13.83 mA; by the highest sample of the power in any window"
    )


def test_without_a_peak_it_is_the_mean_power_of_the_windows(l4r5: Result) -> None:
    quick = with_figures(l4r5, latency_mean_s=0.01, power_peak_w=None, power_average_w=40.8e-3)
    report = battery_of(quick, MEASURED)
    assert report.current_peak_a == pytest.approx(40.8e-3 / 3.0)
    assert "the mean power over the windows" in pulse_of(report)


def test_of_declared_energy_and_time_it_is_their_quotient_and_assumed() -> None:
    report = battery_of(None, COIN)
    assert report.current_peak_a == pytest.approx(0.3e-3 / 0.1 / 3.0)
    told = next(one for one in report.assumptions if one.name == "largest current of an inference")
    assert told.origin == "assumed"


def pulse_of(report: BatteryReport) -> str:
    """Return what the report says of it."""
    return next(one.text for one in report.assumptions if one.name == "largest current of an inference")
