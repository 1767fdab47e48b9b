"""What the first version wrote is still read: results over each link, journals, a calibration, a history."""

from __future__ import annotations

import csv
import io
import json
import shutil
from html import unescape
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest

import edgeprof as package

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.result import Basis, Result
    from tests.conftest import Cli

WRITTEN = Path(__file__).resolve().parents[1] / "fixtures" / "first-version"
ANY_BASIS: tuple[Basis, ...] = ("emulated", "simulated", "estimated", "declared")
SECONDS, COUNT, JOULES = "latency_p50_s", "instructions_count", "energy_per_inference_j"


class Known(NamedTuple):
    """What is known of a result: its figure as the file has it, and as people read it."""

    link: str
    samples: int
    metric: str
    value: float
    shown: str
    basis: str
    partial: bool = False


RESULTS = {
    "emu-cortex-m4": Known("emu", 3, COUNT, 10237698.0, "10,237,698", "emulated"),
    "emu-cortex-m7": Known("emu", 3, COUNT, 10236218.0, "10,236,218", "emulated"),
    "local-deadline": Known("local", 40, SECONDS, 2.2764e-05, "22.76 µs", "measured"),
    "local-energy": Known("local", 35, JOULES, 0.0004009941675350647, "401.0 µJ", "measured"),
    "local-hook": Known("local", 122, SECONDS, 6.433099999999999e-05, "64.33 µs", "measured"),
    "local-interrupted": Known("local", 205, SECONDS, 3.79014e-05, "37.90 µs", "measured", partial=True),
    "local-launches": Known("local", 70, SECONDS, 2.2318e-05, "22.32 µs", "measured"),
    "local-onnx": Known("local", 226, SECONDS, 3.2944499999999996e-05, "32.94 µs", "measured"),
    "local-sustained": Known("local", 268, SECONDS, 3.8511385000000004e-05, "38.51 µs", "measured"),
    "local-sweep-batch-8": Known("local", 25, SECONDS, 9.555545454545456e-06, "9.556 µs", "measured"),
    "local-tflite-again": Known("local", 315, SECONDS, 2.27485e-05, "22.75 µs", "measured"),
    "local-tflite": Known("local", 316, SECONDS, 2.9113e-05, "29.11 µs", "measured"),
    "mlperf-tiny-hung-up": Known(
        "mlperf-tiny", 2, SECONDS, 0.0043217163778877885, "4.322 ms", "measured", partial=True
    ),
    "mlperf-tiny": Known("mlperf-tiny", 5, SECONDS, 0.004321716171617162, "4.322 ms", "measured"),
    "qemu-mps2-an386": Known("qemu", 3, COUNT, 10237698.0, "10,237,698", "emulated"),
    "serial-pty": Known("serial", 43, SECONDS, 6.36945e-05, "63.69 µs", "measured"),
    "serial-pulled": Known("serial", 116, SECONDS, 6.40805e-05, "64.08 µs", "measured", partial=True),
    "serial-qemu": Known("serial", 3, COUNT, 502796.0, "502,796", "emulated"),
    "sim-disconnected": Known("sim", 54, SECONDS, 0.000205215, "205.2 µs", "simulated", partial=True),
    "sim-linux": Known("sim", 64, SECONDS, 0.0002052485, "205.2 µs", "simulated"),
    "sim-mcu-energy": Known("sim", 34, JOULES, 0.007494034597428277, "7.494 mJ", "simulated"),
    "sim-mcu": Known("sim", 24, SECONDS, 0.1786830975, "178.7 ms", "simulated"),
    "sim-throttled": Known("sim", 81, SECONDS, 0.000206160837, "206.2 µs", "simulated"),
    "ssh-lost": Known("ssh", 206, SECONDS, 3.758733e-05, "37.59 µs", "measured", partial=True),
    "ssh": Known("ssh", 316, SECONDS, 2.2003e-05, "22.00 µs", "measured"),
}
FEW_SAMPLES = ("mlperf-tiny", "mlperf-tiny-hung-up")
"""A median of so few has no upper bound, so that no limit above it passes."""
KILLED = "local-killed"
JOURNALS = (
    "emu-cortex-m7", "local-deadline", "local-interrupted", KILLED, "local-launches", "local-sustained", "mlperf-tiny",
    "mlperf-tiny-hung-up", "qemu-mps2-an386", "serial-pulled", "serial-qemu", "sim-disconnected", "sim-mcu",
    "sim-mcu-energy", "sim-throttled", "ssh", "ssh-lost",
)  # fmt: skip
OF_THIS_MACHINE = ("output_", "power_", "energy_", "battery_", "cost_", "carbon_", "inferences_per_joule")
"""Beginnings of the figures that are computed beside the journal: none is in what a killed run leaves."""
DEVICE = package.BatteryOptions(cell="CR2450", period_s=600, sleep_a=2e-6, supply_v=3.0, regulator="none")
YEAR_S = 365.25 * 86400


def path_of(name: str) -> Path:
    return WRITTEN / "results" / f"{name}.json"


def journal_of(name: str) -> Path:
    return WRITTEN / "journals" / name / "journal.jsonl"


def in_file(name: str) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(path_of(name).read_bytes())
    return whole


def held(old: object, new: object, at: str = "") -> list[str]:
    """Return where `new` lacks or changes something that `old` says; what is added is no loss."""
    match old, new:
        case dict(), dict():
            return [lost for key in old for lost in held(old[key], new.get(key, "(gone)"), f"{at}.{key}")]
        case list(), list() if len(old) == len(new):
            return [
                lost
                for place, (one, other) in enumerate(zip(old, new, strict=True))
                for lost in held(one, other, f"{at}[{place}]")
            ]
        case _:
            return [] if old == new else [f"{at}: {old!r} became {new!r}"]


def drawn(names: Sequence[str], format_name: str) -> str:
    return package.render([package.load_result(path_of(name)) for name in names], format_name)


def test_every_file_is_a_known_one() -> None:
    assert {path.stem for path in (WRITTEN / "results").iterdir()} == set(RESULTS)
    assert {path.name for path in (WRITTEN / "journals").iterdir()} == set(JOURNALS)
    assert {known.link for known in RESULTS.values()} == {
        "local", "ssh", "serial", "mlperf-tiny", "sim", "emu", "qemu",
    }  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_read_with_what_it_says(name: str) -> None:
    known, result = RESULTS[name], package.load_result(path_of(name))
    figure = result.metrics[known.metric]
    assert (result.target.link, result.status) == (known.link, "partial" if known.partial else "complete")
    assert (figure.value, figure.basis) == (known.value, known.basis)
    assert len(result.samples.start_s) == len(result.samples.flags) == known.samples
    assert ("broken-off" in [warned.code for warned in result.warnings]) is known.partial


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_in_json_loses_nothing(name: str) -> None:
    assert held(in_file(name), json.loads(drawn([name], "json"))) == []


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("format_name", ["table", "markdown", "html"])
def test_a_result_is_drawn_with_its_model_target_figure_and_basis(name: str, format_name: str) -> None:
    known, old = RESULTS[name], in_file(name)
    text = one_line(unescape(drawn([name], format_name)).replace("\\", ""))
    for words in (old["model"]["name"], old["target"]["name"], known.shown, known.basis):
        assert one_line(words) in text
    partial = {"table": "[partial]", "markdown": "(partial)", "html": one_line(f"{old['created']}, partial")}
    assert (partial[format_name] in text) is known.partial


def one_line(text: str) -> str:
    """Return a text without its spaces: where lines are folded is of no concern here."""
    return "".join(text.split())


def test_a_result_of_a_sweep_is_drawn_as_the_variant_that_it_is() -> None:
    for format_name in ("table", "markdown"):
        assert "batch=8" in drawn(["local-sweep-batch-8"], format_name)


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_in_csv_has_its_figures(name: str) -> None:
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(drawn([name], "csv")))}
    for metric, figure in in_file(name)["metrics"].items():
        assert (float(rows[metric]["value"]) if rows[metric]["value"] else None) == figure["value"]
        assert rows[metric]["basis"] == figure["basis"]


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_in_junit_has_a_case_for_each_finding(name: str) -> None:
    suite = ET.fromstring(drawn([name], "junit"))  # noqa: S314  our own text
    cases = [case.get("name", "") for case in suite.iter("testcase")]
    found = in_file(name)["findings"]
    assert all(any(finding["limit"] in case for case in cases) for finding in found)
    failed = [finding for finding in found if finding["verdict"] == "FAIL"]
    assert len(list(suite.iter("failure"))) >= len(failed)


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_as_a_trace_has_a_span_for_each_sample(name: str) -> None:
    known = RESULTS[name]
    events = json.loads(drawn([name], "perfetto"))["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert len(spans) == 0 if known.basis == "emulated" else len(spans) >= known.samples  # counts have no time


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_compared_with_itself_has_changed_in_nothing(name: str) -> None:
    (found,) = package.compare(path_of(name), path_of(name))
    change = next(change for change in found.changes if change.metric == RESULTS[name].metric)
    assert (change.base, change.new) == (RESULTS[name].value, RESULTS[name].value)
    assert not found.differences
    assert {change.verdict for change in found.changes} <= {"same", "cannot tell"}
    assert "FAIL" not in {finding.verdict for finding in found.findings}


@pytest.mark.parametrize(
    ("base", "new", "allow"),
    [
        ("local-tflite", "local-tflite-again", ()),
        ("local-tflite", "local-onnx", ("runtime",)),
        ("local-interrupted", "local-sustained", ()),
        ("local-tflite", "ssh", ()),
        ("serial-pty", "serial-pulled", ()),
        ("mlperf-tiny", "mlperf-tiny-hung-up", ()),
        ("sim-linux", "sim-disconnected", ()),
        ("emu-cortex-m4", "qemu-mps2-an386", ("board",)),
    ],
)
def test_two_results_of_one_model_are_compared(base: str, new: str, allow: tuple[str, ...]) -> None:
    (found,) = package.compare(path_of(base), path_of(new), allow=allow)
    change = next(change for change in found.changes if change.metric == RESULTS[base].metric)
    assert (change.base, change.new) == (RESULTS[base].value, RESULTS[new].value)
    assert change.change_ratio == pytest.approx(RESULTS[new].value / RESULTS[base].value - 1)
    assert change.way == ("exact" if RESULTS[base].basis == "emulated" else "saved")


def test_results_of_two_models_are_refused_as_not_comparable() -> None:
    with pytest.raises(package.EdgeprofError, match="inputs"):
        package.compare(path_of("ssh"), path_of("ssh-lost"))


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_judged_by_its_own_figure(name: str) -> None:
    known = RESULTS[name]
    for factor, verdict in ((2.0, "INCONCLUSIVE" if name in FEW_SAMPLES else "PASS"), (0.5, "FAIL")):
        report = package.check(path_of(name), f"{known.metric}<{known.value * factor!r}", accept_basis=ANY_BASIS)
        finding = next(finding for finding in report.findings if finding.metric == known.metric)
        assert (finding.verdict, finding.value, finding.basis) == (verdict, known.value, known.basis)
        assert report.status == ("partial" if known.partial else "complete")


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_assessed_for_every_deployment(name: str) -> None:
    report = package.readiness(path_of(name), accept_basis=ANY_BASIS)
    assert (report.model, report.status) == (
        in_file(name)["model"]["name"],
        "partial" if RESULTS[name].partial else "complete",
    )
    assert {"ota"} <= {each.deployment for each in report.deployments}
    assert all(each.reasons for each in report.deployments if each.verdict != "READY")


def test_a_result_with_energy_tells_how_long_a_battery_lasts() -> None:
    report = package.battery_life(DEVICE, path_of("sim-mcu-energy"))
    inference_a = RESULTS["sim-mcu-energy"].value / 600 / 3.0
    assert {each.name: each.current_a for each in report.consumers}["inference"] == pytest.approx(inference_a, rel=0.01)
    assert report.metrics["battery_life_s"].value == pytest.approx(8.1 * YEAR_S, rel=0.01)


@pytest.mark.parametrize("name", ["local-tflite", "ssh-lost"])
def test_the_command_line_draws_and_judges_a_result(edgeprof: Cli, name: str) -> None:
    known, code = RESULTS[name], 5 if RESULTS[name].partial else 0
    report = edgeprof("report", path_of(name))
    assert (report.returncode, report.stderr) == (code, "")
    assert known.shown in report.stdout
    assert edgeprof("check", path_of(name), "--limit", f"latency_p50_s<{known.value * 2}").returncode == code


# ── journals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [name for name in JOURNALS if name != KILLED])
def test_a_journal_gives_the_samples_and_figures_of_its_result(name: str) -> None:
    whole, recovered = package.load_result(path_of(name)), package.load_result(journal_of(name))
    assert (recovered.id, recovered.status) == (whole.id, "partial")
    assert len(recovered.samples.start_s) == RESULTS[name].samples
    assert recovered.samples == whole.samples
    assert (recovered.operators, recovered.sensors) == (whole.operators, whole.sensors)
    assert from_the_board(recovered) == from_the_board(whole)
    assert recovered.warnings[0].code == "broken-off"


def from_the_board(result: Result) -> dict[str, Any]:
    return {name: figure for name, figure in result.metrics.items() if not name.startswith(OF_THIS_MACHINE)}


def test_the_journal_of_a_killed_run_gives_what_had_come(edgeprof: Cli) -> None:
    lines = [json.loads(line) for line in journal_of(KILLED).read_text().splitlines()]
    blocks = [line for line in lines if line["event"] == "samples-received"]
    timed = [
        ticks / block["batch"] / 1e9
        for block in blocks
        for ticks, flags in zip(block["duration_ticks"], block["flags"], strict=True)
        if not flags & 1  # of the warm-up
    ]
    result = package.load_result(journal_of(KILLED))
    p50 = result.metrics[SECONDS]
    assert (len(result.samples.start_s), len(timed)) == (185, 34)
    assert p50.value == pytest.approx(median(timed))
    assert (p50.count, p50.basis) == (len(timed), "measured")
    report = edgeprof("report", journal_of(KILLED))
    assert report.returncode == 5
    assert "[partial]" in report.stdout
    assert "37.55 µs" in report.stdout


# ── what else was kept ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_history_is_listed_and_takes_another_result(
    edgeprof: Cli, kws: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = shutil.copy(WRITTEN / "history" / "history.db", tmp_path)
    monkeypatch.setenv("EDGEPROF_DB", str(kept))
    listed = package.list_results()
    assert [(entry.target, entry.status) for entry in listed] == [
        ("emu:cortex-m7", "complete"),
        ("sim:raspberry-pi-5?fault=disconnect&after=40", "partial"),
        ("sim:nucleo-l4r5zi", "complete"),
        ("sim:raspberry-pi-5", "complete"),
        ("local", "complete"),
    ]
    values = [entry["values"] for entry in json.loads(edgeprof("history", "list", "--format", "json").stdout)]
    names = ("emu-cortex-m7", "sim-disconnected", "sim-mcu", "sim-linux", "local-tflite-again")
    assert [each[RESULTS[name].metric] for each, name in zip(values, names, strict=True)] == [
        RESULTS[name].value for name in names
    ]
    shown = edgeprof("history", "show", listed[3].id)
    assert RESULTS["sim-linux"].shown in shown.stdout
    assert [entry.id for entry in package.list_results(tag="again")] == [listed[4].id]
    package.profile(kws, "sim:raspberry-pi-5", options=package.Options(runs=20, memory=False), history=True)
    assert len(package.list_results(target="raspberry-pi-5")) == 3


def test_a_model_is_predicted_from_the_calibration(kws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPROF_CALIBRATIONS", str(WRITTEN / "calibrations"))
    found = package.predict(kws)
    assert (found.runtime, found.threads, found.basis) == ("ai_edge_litert", 1, "estimated")
    assert found.stands_on.startswith("83 ")
    assert "ai_edge_litert 2.3.0" in found.stands_on
    assert found.latency_s == pytest.approx(1.8556874357717014e-05, rel=1e-6)
