"""A result drawn again, without a board."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

from edgeprof import profile
from edgeprof.profiling.plan import Options

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli


@pytest.fixture(scope="module")
def saved(kws: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "r.json"
    options = Options(runs=320, per_op=True)
    profile(kws, "sim:raspberry-pi-5", options=options, limits=["latency_p99_s<1"], output=path)
    return path


def test_json_is_the_file_as_it_is(edgeprof: Cli, saved: Path) -> None:
    report = edgeprof("report", saved, "--format", "json")
    assert report.returncode == 0
    assert json.loads(report.stdout) == json.loads(saved.read_text())
    assert report.stdout.encode() == saved.read_bytes()


def test_the_table_names_model_target_figures_bases_and_verdicts(edgeprof: Cli, saved: Path) -> None:
    report = edgeprof("report", saved)
    assert report.stderr == ""
    for words in ("kws_int8.tflite", "sim:raspberry-pi-5", "Latency p99", "simulated", "INCONCLUSIVE", "CONV_2D"):
        assert words in report.stdout
    assert "\x1b" not in report.stdout


def test_what_was_not_measured_is_a_dash_with_its_reason_in_the_table(edgeprof: Cli, saved: Path) -> None:
    (line,) = [line for line in edgeprof("report", saved).stdout.splitlines() if "Energy an inference" in line]
    assert "—" in line
    assert "no power was measured" in line


def test_csv_has_a_row_a_metric_and_an_empty_value_for_what_was_not_measured(edgeprof: Cli, saved: Path) -> None:
    rows = {
        row["metric"]: row for row in csv.DictReader(io.StringIO(edgeprof("report", saved, "--format", "csv").stdout))
    }
    metrics = json.loads(saved.read_text())["metrics"]
    assert {name for name in rows if not name.startswith("sensors_")} == set(metrics)
    for name, metric in metrics.items():
        assert (float(rows[name]["value"]) if rows[name]["value"] else None) == metric["value"]
        assert bool(rows[name]["reason"]) == (metric["value"] is None)


def test_every_report_says_what_the_agents_own_work_took_or_why_nothing(edgeprof: Cli, saved: Path) -> None:
    why = "simulated with the board; reading them takes it no time"
    for name in ("table", "markdown", "html", "junit"):
        assert why in edgeprof("report", saved, "--format", name).stdout
    rows = {
        row["metric"]: row for row in csv.DictReader(io.StringIO(edgeprof("report", saved, "--format", "csv").stdout))
    }
    assert (rows["sensors_cpu_s"]["value"], rows["sensors_cpu_s"]["reason"]) == ("", why)


def test_markdown_is_a_table_of_even_rows(edgeprof: Cli, saved: Path) -> None:
    text = edgeprof("report", saved, "--format", "markdown").stdout
    assert text.startswith("### ")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > 15
    assert {line.replace("\\|", "").count("|") for line in rows} <= {4, 6}


def test_last_is_the_newest_run(edgeprof: Cli, kws: Path) -> None:
    for runs in (20, 30):
        assert edgeprof("profile", kws, "-t", "sim:raspberry-pi-5", "--runs", runs).returncode == 0
    newest = json.loads(edgeprof("report", "last", "--format", "json").stdout)
    assert newest["metrics"]["latency_p50_s"]["count"] == 30


def test_a_report_of_a_result_whose_limit_failed_ends_like_the_run_did(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws, "-t", "sim:raspberry-pi-5", "--runs", 20, "--limit", "model_bytes<1kB")
    assert run.returncode == 1
    assert edgeprof("report", "last").returncode == 1


def test_a_report_of_a_partial_result_draws_it_says_so_and_ends_with_5(edgeprof: Cli, kws: Path) -> None:
    edgeprof("profile", kws, "-t", "sim:raspberry-pi-5?fault=disconnect&after=50", "--runs", 200)
    report = edgeprof("report", "last")
    assert report.returncode == 5
    assert "partial" in report.stdout
    assert "closed the connection" in report.stdout
