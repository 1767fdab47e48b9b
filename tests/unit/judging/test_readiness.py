from __future__ import annotations

import re
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof.battery.spec import parse_battery
from edgeprof.boards import load_board
from edgeprof.cli import COMMANDS
from edgeprof.errors import UnknownName
from edgeprof.judging.profiles import shipped_profiles
from edgeprof.judging.readiness import assess, checklists, exit_code
from edgeprof.metrics import REGISTRY
from edgeprof.records.result import BoardUsed, Finding, Metric, Pass, Result, TargetUsed, Warned

if TYPE_CHECKING:
    from edgeprof.records.readiness import Box, Readiness


@pytest.fixture
def good(small_result: Result) -> Result:
    """Return a result of a Raspberry Pi 5 that keeps every limit of the mobile profile."""
    figures = {
        "latency_p50_s": (0.01, 0.011),
        "latency_p95_s": (0.02, 0.03),
        "latency_p99_s": (0.025, 0.04),
        "latency_load_s": (0.1, None),
        "latency_first_s": (0.05, None),
        "memory_peak_bytes": (5e6, None),
        "battery_life_s": (1e6, None),
        "deadline_miss_ratio": (0.0, None),
    }
    files = {"model_bytes": 1e6, "macs_count": 1e6}
    metrics = {
        name: Metric(value=value, basis="measured", count=1000, method="", low=value, high=high)
        for name, (value, high) in figures.items()
    }
    metrics |= {name: Metric(value=value, basis="computed", count=None, method="") for name, value in files.items()}
    return replace(
        small_result,
        metrics=metrics,
        target=TargetUsed(name="ssh://pi", link="ssh"),
        board=BoardUsed(id="raspberry-pi-5", name="Raspberry Pi 5", kind="linux"),
    )


def with_metric(result: Result, name: str, **changed: object) -> Result:
    """Return the result with one metric changed."""
    return replace(result, metrics={**result.metrics, name: replace(result.metrics[name], **changed)})


def one(result: Result, name: str) -> Readiness:
    """Return the verdict for one deployment."""
    return assess(result, [name]).deployments[0]


def box(readiness: Readiness, name: str) -> Box:
    """Return a box by its name."""
    return next(box for box in readiness.boxes if box.name == name)


def test_what_keeps_every_limit_is_ready_and_the_boxes_have_figures(good: Result) -> None:
    ready = one(good, "mobile")
    assert (ready.verdict, ready.reasons) == ("READY", ())
    assert box(ready, "baseline").state == "ticked"
    assert "latency_p50_s 10.00 ms, at most 11.00 ms (measured)" in box(ready, "baseline").evidence
    assert box(ready, "compatible").evidence == "it ran on Raspberry Pi 5 (measured)"


def test_a_broken_hard_limit_is_not_ready(good: Result) -> None:
    slow = one(with_metric(good, "latency_p95_s", value=0.6, high=0.7), "mobile")
    assert slow.verdict == "NOT READY"
    assert slow.reasons[0].startswith("mobile/latency")


def test_between_target_and_hard_limit_it_is_ready_with_warnings(good: Result) -> None:
    between = one(with_metric(good, "latency_p95_s", value=0.2, high=0.3), "mobile")
    assert between.verdict == "READY WITH WARNINGS"


def test_a_missed_target_without_a_hard_limit_is_not_ready(good: Result) -> None:
    assert one(with_metric(good, "memory_peak_bytes", value=60e6), "edge").verdict == "NOT READY"


def test_a_needed_figure_that_is_missing_leaves_the_verdict_unknown(good: Result) -> None:
    without = replace(good, metrics={name: one for name, one in good.metrics.items() if name != "latency_p99_s"})
    unknown = one(without, "realtime")
    assert unknown.verdict == "UNKNOWN"
    assert box(unknown, "consistent-p99").state == "not measured"
    assert "--runs 1000" in box(unknown, "consistent-p99").evidence
    unbounded = one(with_metric(good, "latency_p99_s", high=None), "realtime")
    assert box(unbounded, "consistent-p99").state == "not measured"


def test_energy_that_was_not_measured_is_a_warning_where_it_counts(good: Result) -> None:
    assert "energy: energy_per_inference_j was not measured" in one(good, "edge").reasons[0]
    assert one(good, "cloud").verdict == "READY"


def test_outputs_that_differ_are_not_ready(good: Result) -> None:
    differ = Finding(
        limit="outputs", metric="output_max_abs_error", verdict="FAIL", tier="hard", value=3.0, threshold=1.0,
        unit="error", basis="measured", source="", reason="3 steps off",
    )  # fmt: skip
    said = one(replace(good, findings=(differ,)), "mobile")
    assert (said.verdict, box(said, "stable").state) == ("NOT READY", "failed")
    agreed = one(replace(good, findings=(replace(differ, verdict="PASS", reason="equal"),)), "mobile")
    assert (agreed.verdict, box(agreed, "stable").state) == ("READY", "ticked")


def test_more_memory_than_the_board_has_is_not_ready(good: Result) -> None:
    large = with_metric(good, "memory_peak_bytes", value=3e10)
    assert assess(large, ["cloud"], board=load_board("raspberry-pi-5")).deployments[0].verdict == "NOT READY"
    assert assess(good, ["cloud"], board=load_board("raspberry-pi-5")).deployments[0].verdict == "READY"


def test_the_machine_in_front_of_you_stands_for_no_device(good: Result) -> None:
    local = replace(
        good, target=TargetUsed(name="local", link="local"), board=BoardUsed(id=None, name="a PC", kind="linux")
    )
    ready = one(local, "mobile")
    assert ready.verdict == "READY WITH WARNINGS"
    assert box(ready, "compatible").state == "not measured"


def test_simulated_figures_leave_it_unknown_until_they_are_accepted(good: Result) -> None:
    metrics = {name: replace(one, basis="simulated") for name, one in good.metrics.items() if one.basis == "measured"}
    simulated = replace(good, metrics={**good.metrics, **metrics})
    assert one(simulated, "mobile").verdict == "UNKNOWN"
    opened = assess(simulated, ["mobile"], accept_basis=("simulated",)).deployments[0]
    assert opened.verdict == "READY WITH WARNINGS"
    assert box(opened, "compatible").state == "not measured"


def test_a_disturbed_or_broken_run_says_so(good: Result) -> None:
    drift = Warned(code="drift", text="the run became 9 % slower from its first to its last third", advice="")
    samples = replace(good.samples, duration_s=(0.01,))
    disturbed = one(replace(good, warnings=(drift,), samples=samples), "mobile")
    assert (disturbed.verdict, box(disturbed, "calm").state) == ("READY WITH WARNINGS", "failed")
    hot = Warned(code="throttled", text="3 % of the samples were taken while the board throttled", advice="")
    assert one(replace(good, warnings=(hot,), samples=samples), "mobile").verdict == "UNKNOWN"
    assert one(replace(good, status="partial"), "mobile").verdict == "UNKNOWN"


def test_a_run_under_load_ticks_the_box_of_realistic_load(good: Result) -> None:
    loaded = replace(good, plan=replace(good.plan, passes=(Pass(kind="deadline"),)))
    assert box(one(loaded, "realtime"), "load").state == "ticked"
    assert box(one(good, "realtime"), "load").state == "not measured"


def test_what_cannot_be_proven_stays_open_with_its_reason(good: Result) -> None:
    safety = box(one(good, "vehicle"), "safety")
    assert safety.state == "open"
    assert safety.evidence.startswith("not something edgeprof can prove: ")


def test_without_names_the_deployments_of_the_boards_kind_are_judged(good: Result) -> None:
    linux = {one.deployment for one in assess(good).deployments}
    small = replace(good, board=BoardUsed(id=None, name="a Nucleo", kind="mcu"))
    assert {"mobile", "vehicle", "serverless"} <= linux
    assert "tinyml" not in linux
    assert "tinyml" in {one.deployment for one in assess(small).deployments}


def test_an_unknown_deployment_is_an_error_that_names_the_nearest(good: Result) -> None:
    with pytest.raises(UnknownName) as caught:
        assess(good, ["mobil"])
    assert "mobile" in caught.value.hint


def test_exit_codes_follow_the_verdicts(good: Result) -> None:
    slow = with_metric(good, "latency_p95_s", value=0.6, high=0.7)
    assert exit_code(assess(good, ["mobile"]), strict=True) == 0
    assert exit_code(assess(slow, ["mobile"])) == 1
    assert exit_code(assess(good, ["edge"])) == 0
    assert exit_code(assess(good, ["edge"]), strict=True) == 1
    assert exit_code(assess(good, ["smart-home"]), strict=True) == 6
    assert exit_code(assess(replace(good, status="partial"), ["mobile"])) == 5


def test_the_file_names_only_limits_metrics_and_deployments_that_exist() -> None:
    known = checklists()
    assert all(name in shipped_profiles() for one in known.deployments.values() for name in one.limits)
    for entry in known.boxes:
        assert entry.source
        assert set(entry.only) <= set(known.deployments)
        assert all(name in REGISTRY for names in entry.metrics for name in names.split("|"))
        assert (entry.proof == "metrics") == bool(entry.metrics)
        assert bool(entry.why) == (entry.proof == "none")


# ── instructions ─────────────────────────────────────────────────────────────────────────────────────────────────────

DATA = Path(str(resources.files("edgeprof"))) / "data"
CALL = re.compile(r"edgeprof ((?!\.)[a-z]+)((?: (?:--[a-z-]+|[A-Z/]+|[\w=,.:%]+))*)")


def told(file: Path) -> list[tuple[str, str]]:
    """Return the commands that the prose of a data file names, with what follows each."""
    return [(found[1], found[2]) for found in CALL.finditer(file.read_text("utf-8")) if found[1] in COMMANDS]


def test_every_command_and_option_that_a_data_file_names_exists() -> None:
    named = {(file.name, *call) for file in DATA.glob("*.toml") for call in told(file)}
    assert len(named) > 10
    for file, command, rest in named:
        module = import_module(f"edgeprof.cli.{command}")
        options = {name for parameter in module.command.params for name in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, (file, command, rest)


def test_a_box_that_is_not_measured_is_told_by_a_command_that_measures_it(good: Result) -> None:
    bare = replace(good, metrics={name: m for name, m in good.metrics.items() if name != "battery_life_s"})
    evidence = box(one(bare, "mobile"), "battery").evidence
    assert "edgeprof battery RESULT" in evidence
    parse_battery(evidence.partition("--battery ")[2].split(" ")[0].rstrip(","))
