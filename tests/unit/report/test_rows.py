"""What every text report shows of a run: what was asked for, what it rests on, and what measuring it took."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from junitparser import JUnitXml
from msgspec.structs import replace

from edgeprof import Options, profile
from edgeprof.battery.spec import parse_battery
from edgeprof.records.result import Metric, Pass, Result
from edgeprof.records.sensors import SensorSeries
from edgeprof.report import render
from edgeprof.report.overhead import overhead_line
from edgeprof.report.resting import battery_lines, energy_lines
from edgeprof.report.rows import not_in_this_run, sections

if TYPE_CHECKING:
    from pathlib import Path

HUMAN = ("table", "markdown", "html")


@pytest.fixture(scope="module")
def powered(kws: Path) -> Result:
    """Return a result with energy and a battery."""
    return profile(
        kws, "sim:nucleo-l4r5zi", options=Options(runs=20, power="onboard"), history=False,
        battery=parse_battery("cell=CR2032,every=10m,sleep-current=2uA,supply=3V,regulator=none"),
    )  # fmt: skip


def shown(result: Result) -> list[str]:
    return [row.name for _, rows in sections(result) for row in rows]


def planned(result: Result, *passes: Pass) -> Result:
    return replace(result, plan=replace(result.plan, passes=passes))


# ── what was asked for ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deadline_run_shows_deadlines_and_a_line_names_what_it_has_not(kws: Path) -> None:
    result = profile(kws, "local", options=Options(period_s=0.02, duration_s=1.0, memory=False), history=False)
    assert [name for name in shown(result) if name.startswith(("latency_", "stage_", "memory_"))] == []
    assert "deadline_p50_s" in shown(result)
    assert not [name for name in result.metrics if name.startswith("stage_")]
    assert result.metrics["latency_p50_s"].reason == "this run had no such pass"  # the result still says why
    assert not_in_this_run(result) == "not in this run: latency back to back, memory"
    for name in HUMAN:
        text = render([result], name)
        assert "not in this run: latency back to back, memory" in text.replace("left out", "")
    assert "no such pass" not in render([result], "table")


def test_what_was_asked_for_and_not_measured_is_shown_with_its_reason(small_result: Result) -> None:
    lost = Metric(value=None, basis="measured", count=None, method="", reason="the run ended before")
    result = planned(
        replace(small_result, metrics={"memory_peak_bytes": lost, "latency_p50_s": lost}), Pass(kind="memory")
    )
    assert shown(result) == ["memory_peak_bytes"]
    assert not_in_this_run(result) == "not in this run: latency back to back"


# ── what it rests on ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", HUMAN)
def test_a_battery_life_is_shown_with_what_it_assumes_and_what_would_change_it(powered: Result, name: str) -> None:
    text = " ".join(render([powered], name).split())
    for words in (
        "One CR2032 lasts 3.6 years", "Most of it goes to inference: 66%",
        "usable until the cut-off: 85 % (80 % to 90 %)", "health: 100 %", "temperature: 25 °C",
        "only the usable charge leaks", "every 20 minutes 5.4 years", "half the sleep current 4.3 years",
    ):  # fmt: skip
        assert words in text


@pytest.mark.parametrize("name", HUMAN)
def test_energy_is_shown_with_its_losses_and_alignment(powered: Result, name: str) -> None:
    text = " ".join(render([powered], name).split())
    trace = powered.breakdowns["energy"]["trace"]
    assert trace["gaps"] > 0
    for words in (f"{trace['gaps']} gaps of ", "an edge off by at most 100.0 ms", "readings failed"):
        assert words in text


def test_without_energy_or_battery_nothing_is_said_of_them(small_result: Result) -> None:
    assert [*energy_lines(small_result), *battery_lines(small_result)] == []
    other = replace(small_result, breakdowns={"battery": {"schema": "edgeprof.battery/9"}})
    assert list(battery_lines(other)) == []


# ── what measuring took ──────────────────────────────────────────────────────────────────────────────────────────────


COST = {
    "cpu_s": 0.004, "wall_s": 10.0, "share_ratio": 0.0004, "rounds": 102, "mean_round_s": 4e-5,
    "latency": {"beside_p50_s": None, "beside_count": 3, "apart_p50_s": 0.01, "apart_count": 99, "reason": "3 samples"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("every_s", "sensors", "basis", "words"),
    [
        (0.0, (), "measured", "none was asked for"),
        (1.0, (), "measured", "no sensor was found: nothing was sampled"),
        (1.0, (SensorSeries(name="SoC", quantity="temperature", unit="c", source="x", time_s=(1.0,), value=(4.0,)),),
         "simulated", "simulated with the board"),
        (1.0, (SensorSeries(name="SoC", quantity="temperature", unit="c", source="x", time_s=(1.0,), value=(4.0,)),),
         "measured", "does not tell"),
    ],
)  # fmt: skip
def test_where_the_sampling_cost_nothing_the_reason_is_said(
    small_result: Result, every_s: float, sensors: tuple[SensorSeries, ...], basis: str, words: str
) -> None:
    metrics = {name: replace(metric, basis=basis) for name, metric in small_result.metrics.items()}
    result = planned(replace(small_result, sensors=sensors, metrics=metrics), Pass(kind="latency", sensors_s=every_s))
    assert overhead_line(result).startswith("sensors: ")
    assert words in overhead_line(result)


def test_the_cost_is_rows_of_csv_and_properties_of_junit(small_result: Result) -> None:
    result = replace(small_result, breakdowns={"sensors": COST})
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(render([result], "csv")))}
    assert (float(rows["sensors_cpu_s"]["value"]), float(rows["sensors_rounds_count"]["value"])) == (0.004, 102)
    assert (rows["sensors_beside_p50_s"]["value"], rows["sensors_beside_p50_s"]["reason"]) == ("", "3 samples")
    (suite,) = JUnitXml.fromstring(render([result], "junit").encode())
    told = {one.name: one.value for one in suite.properties()}
    assert told["sensors_cpu_s"] == "0.004"
    assert told["sensors"].startswith("sensors: 4.000 ms CPU in 10.00 s")


def test_a_run_without_a_sensor_has_no_empty_channel(kws: Path) -> None:
    result = profile(kws, "local", options=Options(runs=30, memory=False), history=False)
    assert all(series.value or series.reason for series in result.sensors)


@pytest.mark.parametrize("name", ["table", "markdown"])
def test_a_sweep_says_what_sampling_took_of_the_variant_that_it_took_most_of(small_result: Result, name: str) -> None:
    first, second = (replace(small_result, variant=f"threads={count}") for count in (1, 2))
    assert "none was asked for, so nothing was sampled" in " ".join(render([first, second], name).split())
    costly = [replace(first, breakdowns={"sensors": COST}), second]
    assert "(threads=1, the most of them)" in " ".join(render(costly, name).split())
