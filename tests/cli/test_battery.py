"""`edgeprof battery` as a process."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from edgeprof.records.result import Metric
from edgeprof.store import write_result

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.records.result import Result
    from tests.conftest import Cli

WORKED = (
    "--energy", "6mJ", "--latency", "100ms", "--capacity", "1000mAh", "--every", "10s", "--sleep-current", "5uA",
    "--supply", "3V", "--regulator", "none", "--usable", "85%", "--self-discharge", "2%/month",
)  # fmt: skip
COIN = (
    "--energy", "0.3mJ", "--latency", "100ms", "--cell", "CR2032", "--every", "10m", "--sleep-current", "2uA",
    "--supply", "3000mV",
)  # fmt: skip
DAY_S = 86400


def measured(value: float, low: float, high: float) -> Metric:
    """Return a measured figure with its bounds."""
    return Metric(value=value, basis="measured", count=9, method="median", low=low, high=high)


@pytest.fixture
def l4r5(tmp_path: Path, small_result: Result) -> Path:
    """Return the file of a result with measured energy, gross and above idle."""
    metrics = {
        "latency_mean_s": measured(0.1806, 0.1805, 0.1807),
        "energy_per_inference_j": measured(7.37e-3, 7.35e-3, 7.39e-3),
        "energy_above_idle_j": measured(0.20e-3, 0.19e-3, 0.21e-3),
    }
    path = tmp_path / "l4r5.json"
    write_result(path, msgspec.structs.replace(small_result, metrics=metrics))
    return path


def test_the_worked_example_as_json_has_the_life_and_all_that_it_rests_on(edgeprof: Cli) -> None:
    done = edgeprof("battery", *WORKED, "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    life = found["metrics"]["battery_life_s"]
    assert life["value"] / DAY_S == pytest.approx(163.6, abs=0.1)
    assert life["basis"] == "declared"
    assert found["naive_life_s"] / DAY_S == pytest.approx(203.3, abs=0.1)
    assert {one["option"] for one in found["assumptions"]} >= {
        "--every",
        "--sleep-current",
        "--usable",
        "--temperature",
    }
    whole = json.loads(edgeprof("battery", *WORKED, "--leak", "whole", "--format", "json").stdout)
    assert whole["metrics"]["battery_life_s"]["value"] / DAY_S == pytest.approx(160.5, abs=0.1)


def test_a_result_gives_its_gross_energy_with_its_interval(edgeprof: Cli, l4r5: Path, tmp_path: Path) -> None:
    output = tmp_path / "battery.json"
    asked = ("--cell", "CR2450", "--every", "10m", "--sleep-current", "2uA", "--supply", "3V", "-o", output)
    done = edgeprof("battery", l4r5, *asked)
    assert done.returncode == 0, done.stderr
    assert "One CR2450 lasts" in done.stdout
    assert "between" in done.stdout
    life = json.loads(output.read_text())["metrics"]["battery_life_s"]
    assert life["low"] < life["value"] < life["high"]
    assert life["basis"] == "measured"


def test_the_page_says_first_what_a_person_wants_to_know(edgeprof: Cli) -> None:
    done = edgeprof("battery", *WORKED, "--format", "markdown")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines[1] == (
        "**One battery of 1,000 mAh lasts 164 days, inferring every 10 s. Most of it goes to inference: 92%.**"
    )
    for words in ("Where the charge goes", "What would change it", "What this rests on", "203 days", "half the energy"):
        assert words in done.stdout


def test_without_a_sleep_current_it_refuses_and_names_the_option(edgeprof: Cli) -> None:
    done = edgeprof("battery", "--energy", "6mJ", "--latency", "0.1", "--capacity", "1000mAh", "--every", "10s")
    assert done.returncode == 2
    assert "--sleep-current" in done.stderr
    assert done.stdout == ""


def test_a_pulse_beyond_the_cell_fails_without_a_life(edgeprof: Cli) -> None:
    done = edgeprof("battery", *COIN, "--burst", "radio=100mA*5ms", "--format", "json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["metrics"]["battery_life_s"]["value"] is None
    assert [one["verdict"] for one in found["findings"] if one["limit"] == "CR2032/pulse current"] == ["FAIL"]
    table = edgeprof("battery", *COIN, "--burst", "radio=100mA*5ms")
    assert "One CR2032 cannot power this device" in table.stdout


def test_a_limit_judges_the_life(edgeprof: Cli) -> None:
    declared = ("--accept-basis", "declared")
    passed = edgeprof("battery", *WORKED, "--limit", "battery_life_s>160d", *declared)
    assert passed.returncode == 0, passed.stderr
    failed = edgeprof("battery", *WORKED, "--limit", "battery_life_s>180d", *declared)
    assert failed.returncode == 1
    assert "164 days" in failed.stdout
    unopened = edgeprof("battery", *WORKED, "--limit", "battery_life_s>160d", "--strict")
    assert unopened.returncode == 6


def test_a_limit_inside_the_range_is_told(edgeprof: Cli) -> None:
    asked = (*WORKED, "--tolerance", "capacity=20%", "--limit", "battery_life_s>160d", "--accept-basis", "declared")
    done = edgeprof("battery", *asked, "--format", "json")
    assert "limit-in-range" in {one["code"] for one in json.loads(done.stdout)["warnings"]}


def test_energy_above_idle_alone_is_refused(edgeprof: Cli, tmp_path: Path, small_result: Result) -> None:
    path = tmp_path / "above.json"
    metrics = {"latency_mean_s": measured(0.1, 0.1, 0.1), "energy_above_idle_j": measured(2e-4, 2e-4, 2e-4)}
    write_result(path, msgspec.structs.replace(small_result, metrics=metrics))
    done = edgeprof("battery", path, *COIN[4:])
    assert done.returncode == 2
    assert "energy above idle alone" in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--sleep-current", "5", "with its unit"), ("--burst", "radio", "NAME=CURRENT*DURATION"),
     ("--tolerance", "colour=1%", "is not a tolerance"), ("--self-discharge", "2%", "2%/month"),
     ("--cell", "CR2033", "CR2032"), ("--usable", "120%", "at most 100 %")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_what_does(edgeprof: Cli, option: str, value: str, words: str) -> None:
    done = edgeprof("battery", *WORKED, option, value)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_library_of_cells_is_listed(edgeprof: Cli) -> None:
    done = edgeprof("battery", "--list-cells")
    assert done.returncode == 0, done.stderr
    for name in ("CR2032", "AA-alkaline", "L91", "18650-2500", "21700-5000", "LiPo-500", "LFP-26650-3300"):
        assert name in done.stdout
    assert len(json.loads(edgeprof("battery", "--list-cells", "--format", "json").stdout)) > 15


def test_a_capacity_that_no_cell_has_is_refused(edgeprof: Cli) -> None:
    done = edgeprof("battery", *WORKED, "--capacity", "1e30mAh")
    assert done.returncode == 2
    assert "--capacity is at most 100,000 Ah" in done.stderr
    assert done.stdout == ""


def test_a_page_holds_the_answer_and_needs_nothing_from_elsewhere(edgeprof: Cli) -> None:
    done = edgeprof("battery", *WORKED, "--format", "html")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<!DOCTYPE html>")
    assert "One battery of 1,000 mAh lasts 16" in done.stdout
    for words in ("Where the charge goes", "every 100 s", "What this rests on", "self-discharge", "--sleep-current"):
        assert words in done.stdout
    assert not re.search(r"(src|href)=.(https?:)?//", done.stdout)
    assert "default-src &#x27;none&#x27;" in done.stdout


def test_a_page_of_a_cell_that_is_asked_too_much_says_so_first(edgeprof: Cli) -> None:
    done = edgeprof("battery", *COIN, "--burst", "radio=100mA*5ms", "--format", "html")
    assert done.returncode == 1
    assert "FAIL" in done.stdout
    assert "cannot power this device" in done.stdout


def test_the_cells_are_a_page_too(edgeprof: Cli) -> None:
    done = edgeprof("battery", "--list-cells", "--format", "html")
    assert "CR2032" in done.stdout
    assert "</html>" in done.stdout
