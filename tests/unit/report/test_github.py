"""What a job on GitHub Actions is told: workflow commands that cannot be forged, and a summary that is not refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgeprof.cli.github import tell_github
from edgeprof.records.result import Finding, Verdict
from edgeprof.report.github import MOST_ANNOTATIONS, MOST_SUMMARY_BYTES, summary, summary_path, workflow_commands

if TYPE_CHECKING:
    from pathlib import Path


def _finding(verdict: Verdict, reason: str = "why", limit: str = "latency_p99_s<50ms") -> Finding:
    return Finding(
        limit=limit, metric="latency_p99_s", verdict=verdict, tier="hard", value=0.07, threshold=0.05, unit="s",
        basis="measured", source="", reason=reason,
    )  # fmt: skip


@pytest.mark.parametrize(("verdict", "command"), [("FAIL", "error"), ("WARN", "warning"), ("INCONCLUSIVE", "warning")])
def test_a_finding_that_is_not_good_is_an_annotation(verdict: Verdict, command: str) -> None:
    (line,) = workflow_commands("kws.tflite", [_finding(verdict), _finding("PASS"), _finding("SKIP")])

    assert line == f"::{command} title={verdict} latency_p99_s<50ms%3A kws.tflite::why"


@pytest.mark.parametrize("hostile", ["a\n::error::forged", "a\r\n::set-output name=x::y", "50 %0A::error::forged"])
def test_no_name_or_reason_ends_a_command_or_begins_another(hostile: str) -> None:
    (line,) = workflow_commands(hostile, [_finding("FAIL", hostile, hostile)])

    assert len(line.splitlines()) == 1
    head, title, reason = line.split("::")[0:3] if line.count("::") == 2 else ("", *line[2:].split("::", 1))
    assert head == ""
    assert title.startswith("error title=FAIL ")
    assert ":" not in title
    decoded = reason.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
    assert decoded == hostile


def test_no_more_annotations_are_made_than_are_shown_and_errors_leave_room_for_warnings() -> None:
    findings = [_finding("FAIL")] * 15 + [_finding("WARN")] * 3
    lines = list(workflow_commands("m", findings))

    assert sum(line.startswith("::error") for line in lines) == MOST_ANNOTATIONS
    assert sum(line.startswith("::warning") for line in lines) == 3


def test_only_a_job_of_github_has_a_summary() -> None:
    assert summary_path({"GITHUB_STEP_SUMMARY": "f"}) is None
    assert summary_path({"GITHUB_ACTIONS": "true"}) is None
    assert summary_path({"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "f"}) == "f"


def test_a_summary_that_would_be_refused_whole_is_cut_at_a_line() -> None:
    row = "| ä | b |\n"
    cut = summary(row * 200_000)

    assert len(cut.encode()) < MOST_SUMMARY_BYTES
    *rows, said = cut.rstrip("\n").split("\n")
    assert said == "(cut: a step's summary holds 1 MiB)"
    assert {row for row in rows if row} == {"| ä | b |"}


def test_a_job_gets_annotations_on_standard_error_and_the_summary_appended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))

    tell_github("m", [_finding("FAIL")], lambda: "### m")

    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("::error title=FAIL ")
    assert path.read_text(encoding="utf-8") == "before\n### m\n\n"


def test_elsewhere_nothing_is_said_and_the_summary_is_not_even_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    tell_github("m", [_finding("FAIL")], lambda: pytest.fail("it was made"))

    assert capsys.readouterr() == ("", "")


def test_a_summary_that_cannot_be_written_is_told_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))

    tell_github("m", [], lambda: "### m")

    assert "cannot be written" in capsys.readouterr().err


def test_what_is_in_the_summary_already_counts_towards_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))

    for _ in range(3):
        tell_github("m", [], lambda: "| a | b |\n" * 60_000)

    assert path.stat().st_size <= MOST_SUMMARY_BYTES
