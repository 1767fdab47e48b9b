"""From a result and what is said of the device to a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.battery import battery_of, check_battery, with_battery
from edgeprof.battery.options import BatteryOptions, Burst
from edgeprof.boards import load_board
from edgeprof.errors import UsageError
from edgeprof.records.battery import BatteryReport
from tests.unit.battery.conftest import DAY_S, WORKED, metric

if TYPE_CHECKING:
    from edgeprof.battery.options import Regulator
    from edgeprof.records.result import Metric, Result

DEVICE = BatteryOptions(cell="CR2450", period_s=600.0, sleep_a=2e-6, supply_v=3.0, regulator="none")


def life_s(options: BatteryOptions, result: Result | None = None) -> float:
    """Return the life in seconds; there has to be one."""
    value = battery_of(result, options).metrics["battery_life_s"].value
    assert value is not None
    return value


def life_of(report: BatteryReport) -> Metric:
    """Return the metric."""
    return report.metrics["battery_life_s"]


# ── gross energy, and no other ───────────────────────────────────────────────────────────────────────────────────────


def test_the_two_energies_of_an_l4r5_make_two_lives_and_the_gross_one_counts(l4r5: Result) -> None:
    report = battery_of(l4r5, DEVICE)
    above_idle = life_s(DEVICE._replace(energy_j=0.20e-3), l4r5)
    assert report.energy_basis == "measured"
    assert life_of(report).value == pytest.approx(life_s(DEVICE._replace(energy_j=7.37e-3), l4r5))
    assert above_idle > 2 * (life_of(report).value or 0)
    assert report.consumers[0].name == "inference"
    assert report.consumers[0].current_a == pytest.approx(7.37e-3 / 3.0 / 600.0)


def test_energy_above_idle_alone_is_refused(l4r5: Result) -> None:
    metrics = {name: one for name, one in l4r5.metrics.items() if name != "energy_per_inference_j"}
    with pytest.raises(UsageError, match="energy above idle alone") as caught:
        battery_of(msgspec.structs.replace(l4r5, metrics=metrics), DEVICE)
    assert "--energy" in caught.value.hint


def test_a_result_without_energy_is_refused_with_the_reason(small_result: Result) -> None:
    metrics = {**small_result.metrics, "energy_per_inference_j": metric(None)}
    with pytest.raises(UsageError, match="no energy an inference: not measured"):
        battery_of(msgspec.structs.replace(small_result, metrics=metrics), DEVICE)


def test_the_weakest_basis_of_energy_and_time_is_that_of_the_life(l4r5: Result) -> None:
    simulated = msgspec.structs.replace(l4r5.metrics["latency_mean_s"], basis="simulated")
    mixed = msgspec.structs.replace(l4r5, metrics={**l4r5.metrics, "latency_mean_s": simulated})
    assert life_of(battery_of(l4r5, DEVICE)).basis == "measured"
    assert life_of(battery_of(mixed, DEVICE)).basis == "simulated"
    assert life_of(battery_of(l4r5, DEVICE._replace(energy_j=1e-3))).basis == "declared"


# ── what is missing is named ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("field", "option"), [("sleep_a", "--sleep-current"), ("period_s", "--every"), ("cell", "--cell or --capacity"),
                          ("supply_v", "--supply")],
)  # fmt: skip
def test_what_is_missing_is_refused_by_the_name_of_its_option(field: str, option: str, l4r5: Result) -> None:
    nothing: dict[str, Any] = {field: None}
    with pytest.raises(UsageError, match=option):
        battery_of(l4r5, DEVICE._replace(**nothing))


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(UsageError, match=r"--cell or --capacity, --every .*, --sleep-current"):
        battery_of(None, BatteryOptions())


def test_another_voltage_of_the_cell_needs_a_regulator(l4r5: Result) -> None:
    with pytest.raises(UsageError, match=r"has 3 V .* measured at 1.8 V: --regulator is missing"):
        battery_of(l4r5, DEVICE._replace(regulator=None, supply_v=1.8))
    assert battery_of(l4r5, DEVICE._replace(regulator=None)).regulator == "none"


def test_a_capacity_alone_has_no_voltage_to_convert_from() -> None:
    with pytest.raises(UsageError, match=r"voltage is not known .* --regulator is missing"):
        battery_of(None, WORKED._replace(regulator=None))
    with pytest.raises(UsageError, match="--cell-voltage"):
        battery_of(None, WORKED._replace(regulator="buck"))


@pytest.mark.parametrize(("regulator", "supply_v"), [("buck", 5.0), ("ldo", 3.3), ("boost", 1.8)])
def test_a_regulator_makes_no_voltage_that_it_cannot(regulator: Regulator, supply_v: float, l4r5: Result) -> None:
    with pytest.raises(UsageError, match="cannot make"):
        battery_of(l4r5, DEVICE._replace(regulator=regulator, supply_v=supply_v))


def test_the_board_s_file_says_its_supply_where_nothing_else_does(l4r5: Result) -> None:
    board = load_board("nucleo-l4r5zi")
    assert board.power.supply_v is not None
    report = battery_of(l4r5, DEVICE._replace(supply_v=None), board)
    said = next(one for one in report.assumptions if one.name == "supply voltage")
    assert (said.value, said.origin) == (board.power.supply_v, "data")
    assert "nucleo-l4r5zi" in said.source


# ── the period ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_inferences_it_sleeps_on() -> None:
    asleep = WORKED._replace(inferences=0.0, self_discharge_ratio=0.0)
    assert life_s(asleep) == pytest.approx(0.85 * 3600.0 / 5e-6)
    assert [one.name for one in battery_of(None, asleep).consumers] == ["sleep"]


def test_inferring_without_a_pause_never_sleeps() -> None:
    busy = WORKED._replace(period_s=0.1, self_discharge_ratio=0.0)
    assert life_s(busy) == pytest.approx(0.85 * 3600.0 / 20e-3)
    assert [one.name for one in battery_of(None, busy).consumers] == ["inference"]


@pytest.mark.parametrize(
    "changed", [{"period_s": 0.09}, {"inferences": 101.0}, {"bursts": (Burst("radio", 0.1, 9.95),)}]
)
def test_a_period_shorter_than_what_happens_in_it_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="do not fit a period"):
        battery_of(None, WORKED._replace(**changed))


def test_bursts_and_waking_draw_too_and_are_named() -> None:
    radio = WORKED._replace(bursts=(Burst("radio", 30e-3, 0.2), Burst("sensor", 1e-3, 0.5)), wake_j=3e-3, wake_s=0.05)
    drawn = {one.name: one.current_a for one in battery_of(None, radio).consumers}
    assert drawn["radio"] == pytest.approx(30e-3 * 0.2 / 10)
    assert drawn["sensor"] == pytest.approx(1e-3 * 0.5 / 10)
    assert drawn["waking"] == pytest.approx(3e-3 / 3.0 / 10)
    assert drawn["sleep"] == pytest.approx(5e-6 * (10 - 0.1 - 0.7 - 0.05) / 10)
    assert battery_of(None, radio).consumers[0].name == "radio"


def test_shares_are_of_the_whole_usable_charge() -> None:
    report = battery_of(None, WORKED)
    assert sum(one.share_ratio for one in report.consumers) == pytest.approx(1.0)
    leaked = next(one for one in report.consumers if one.name == "self-discharge")
    assert leaked.share_ratio == pytest.approx(1 - 163.594 / (203.302 * 0.85), rel=1e-3)


@pytest.mark.parametrize(
    "changed",
    [{"sleep_a": -1e-6}, {"period_s": 0.0}, {"usable": 1.5}, {"health": 0.0}, {"reserve": 1.0},
     {"supply_v": float("nan")},
     {"sleep_a": float("inf")}, {"inferences": -1.0}, {"tolerances": (("colour", 0.1),)}, {"efficiency": (0.9, 1.2)},
     {"sleep_a": 0.0, "inferences": 0.0}],
)  # fmt: skip
def test_nonsense_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        battery_of(None, WORKED._replace(**changed))


# ── the regulator ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_switching_regulator_carries_power_over_and_a_linear_one_current() -> None:
    base = WORKED._replace(supply_v=1.8, energy_j=20e-3 * 1.8 * 0.1, cell_v=3.6, quiescent_a=1e-6)
    linear = battery_of(None, base._replace(regulator="ldo")).current_average_a
    buck = battery_of(None, base._replace(regulator="buck", efficiency=(0.9, 0.9))).current_average_a
    assert linear == pytest.approx(204.95e-6 + 1e-6)
    assert buck == pytest.approx(204.95e-6 * 1.8 / (3.6 * 0.9) + 1e-6)


def test_an_efficiency_that_nobody_gave_is_a_range_and_listed() -> None:
    report = battery_of(None, WORKED._replace(regulator="boost", cell_v=1.5))
    assumed = next(one for one in report.assumptions if "efficiency" in one.name)
    assert (assumed.origin, assumed.low, assumed.high) == ("assumed", 0.80, 0.95)
    life = life_of(report)
    assert life.low is not None
    assert life.high is not None
    assert life.value is not None
    assert life.low < life.value < life.high


def test_a_regulator_s_own_current_that_nobody_gave_is_told() -> None:
    report = battery_of(None, WORKED._replace(regulator="ldo"))
    assert "no-quiescent" in {one.code for one in report.warnings}
    told = battery_of(None, WORKED._replace(regulator="ldo", quiescent_a=50e-6))
    assert "regulator, quiescent" in {one.name for one in told.consumers}


# ── the range ────────────────────────────────────────────────────────────────────────────────────────────────────────

TOLERANT = WORKED._replace(
    tolerances=(("energy", 0.05), ("latency", 0.05), ("sleep", 0.5), ("capacity", 0.1), ("temperature", 5.0)),
    cell_v=3.7, regulator="buck", efficiency=(0.8, 0.95), usable=None, quiescent_a=1e-6,
)  # fmt: skip


@given(
    energy=st.floats(0.95, 1.05), latency=st.floats(0.95, 1.05), sleep=st.floats(0.5, 1.5),
    capacity=st.floats(0.9, 1.1), celsius=st.floats(20, 30), efficiency=st.floats(0.8, 0.95),
    usable=st.floats(0.8, 0.9),
)  # fmt: skip
def test_no_life_within_the_tolerances_lies_outside_the_range(
    energy: float, latency: float, sleep: float, capacity: float, celsius: float, efficiency: float, usable: float
) -> None:
    life = life_of(battery_of(None, TOLERANT))
    exact = TOLERANT._replace(
        tolerances=(), energy_j=6e-3 * energy, latency_s=0.1 * latency, sleep_a=5e-6 * sleep,
        capacity_c=3600.0 * capacity, temperature_celsius=celsius, efficiency=(efficiency, efficiency), usable=usable,
    )  # fmt: skip
    assert life.low is not None
    assert life.high is not None
    assert life.low * (1 - 1e-9) <= life_s(exact) <= life.high * (1 + 1e-9)


def test_the_measured_interval_is_in_the_range(l4r5: Result) -> None:
    measured = life_of(battery_of(l4r5, DEVICE._replace(usable=0.85)))
    assert measured.low is not None
    assert measured.high is not None
    assert measured.low < (measured.value or 0) < measured.high
    assert "not a confidence interval" in measured.method


def test_a_tolerance_that_is_not_known_is_told() -> None:
    told = [one.text for one in battery_of(None, WORKED).warnings if one.code == "no-tolerance"]
    assert told == ["no tolerance is known of energy, sleep, capacity: the range does not hold it"]
    tolerant = battery_of(None, TOLERANT)
    assert "no-tolerance" not in {one.code for one in tolerant.warnings}


@given(st.floats(1.0, 1e5), st.floats(1e-9, 1e-3), st.floats(1e-6, 0.1), st.floats(1e-3, 1.0), st.floats(0.0, 0.5))
def test_any_device_has_a_life_that_falls_with_its_load_and_rises_with_its_cell(
    capacity_c: float, sleep_a: float, energy_j: float, latency_s: float, monthly: float
) -> None:
    device = WORKED._replace(
        capacity_c=capacity_c, sleep_a=sleep_a, energy_j=energy_j, latency_s=latency_s, self_discharge_ratio=monthly
    )
    value = life_s(device)
    assert value > 0
    assert life_s(device._replace(energy_j=2 * energy_j)) < value
    assert life_s(device._replace(sleep_a=2 * sleep_a)) < value
    assert life_s(device._replace(capacity_c=2 * capacity_c)) > value
    assert life_s(device._replace(health=0.8)) < value
    assert life_s(device._replace(leak="whole")) <= value * (1 + 1e-9)


# ── what is listed ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_input_is_listed_with_who_says_it(l4r5: Result) -> None:
    report = battery_of(l4r5, DEVICE)
    origins = {one.name: one.origin for one in report.assumptions}
    assert origins["energy an inference"] == "measured"
    assert origins["sleep current"] == "given"
    assert origins["rated capacity"] == "data"
    assert origins["usable until the cut-off"] == "assumed"
    assert all(one.source for one in report.assumptions)
    assert any("Peukert" in text for text in life_of(report).assumptions)
    assert not any("energy an inference" in text for text in life_of(report).assumptions)


def test_what_if_goes_from_a_tenth_of_the_period_to_a_hundred_times_it() -> None:
    rows = battery_of(None, WORKED).what_if
    by_period = [row for row in rows if row.change.startswith(("every", "as it is"))]
    assert [row.period_s for row in by_period] == pytest.approx([1, 2, 5, 10, 20, 50, 100, 1000])
    lives = [row.life_s or 0 for row in by_period]
    assert lives == sorted(lives)
    assert by_period[3].life_s == pytest.approx(163.594 * DAY_S, rel=1e-5)
    assert (by_period[0].dominating, by_period[-1].dominating) == ("inference", "self-discharge")
    halved = {row.change: row.life_s or 0 for row in rows}
    assert halved["half the energy of the inference"] > halved["half the sleep current"] > (by_period[3].life_s or 0)


def test_a_period_that_holds_nothing_is_a_row_without_a_life() -> None:
    rows = battery_of(None, WORKED._replace(period_s=0.5)).what_if
    assert rows[0].life_s is None
    assert rows[0].reason == "the period is shorter than what happens in it"


def test_a_life_longer_than_cells_keep_is_told() -> None:
    report = battery_of(None, WORKED._replace(sleep_a=1e-7, inferences=0.0, self_discharge_ratio=0.0))
    assert "beyond-shelf-life" in {one.code for one in report.warnings}


def test_cells_in_parallel_add_charge_and_in_series_voltage() -> None:
    one = WORKED._replace(self_discharge_ratio=0.0)
    assert life_s(one._replace(parallel=3)) == pytest.approx(3 * life_s(one))
    pack = WORKED._replace(capacity_c=None, cell="AA-alkaline", series=2, regulator=None)
    assert battery_of(None, pack).regulator == "none"


def test_a_result_takes_the_life_and_the_report_along(l4r5: Result) -> None:
    result = with_battery(l4r5, DEVICE)
    assert result.metrics["battery_life_s"].value is not None
    assert {one.limit for one in result.findings} >= {"CR2450/rated load", "CR2450/pulse current"}
    assert msgspec.convert(result.breakdowns["battery"], BatteryReport).result_id == l4r5.id


def test_a_result_without_energy_keeps_what_was_measured_and_says_why_there_is_no_life(small_result: Result) -> None:
    result = with_battery(small_result, DEVICE)
    life = result.metrics["battery_life_s"]
    assert life.value is None
    assert life.reason == "the result has no energy an inference"
    assert result.metrics["latency_p50_s"] == small_result.metrics["latency_p50_s"]


def test_what_is_missing_is_refused_before_anything_is_measured() -> None:
    check_battery(DEVICE)
    with pytest.raises(UsageError, match=r"--battery: .* needs sleep-current"):
        check_battery(DEVICE._replace(sleep_a=None))


def test_energy_that_no_inference_takes_is_refused(l4r5: Result) -> None:
    broken = msgspec.structs.replace(l4r5, metrics={**l4r5.metrics, "energy_per_inference_j": metric(-1e-6)})
    with pytest.raises(UsageError, match="which no inference takes"):
        battery_of(broken, DEVICE)


@pytest.mark.parametrize(
    ("name", "field", "share"),
    [("energy", "energy_j", 0.1), ("latency", "latency_s", 0.5), ("sleep", "sleep_a", 0.5),
     ("capacity", "capacity_c", 0.1)],
)  # fmt: skip
def test_each_tolerance_alone_spans_the_lives_at_its_two_ends(name: str, field: str, share: float) -> None:
    sleepy = WORKED._replace(sleep_a=1e-3, latency_s=1.0)
    life = life_of(battery_of(None, sleepy._replace(tolerances=((name, share),))))
    value: float = getattr(sleepy, field)
    less: dict[str, Any] = {field: value * (1 - share)}
    more: dict[str, Any] = {field: value * (1 + share)}
    ends = sorted([life_s(sleepy._replace(**less)), life_s(sleepy._replace(**more))])
    assert [life.low, life.high] == pytest.approx(ends)
    assert ends[0] < ends[1] * (1 - 1e-3)
