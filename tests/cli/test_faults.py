"""Every fault that the simulator knows, a killed agent, a full disk: one line, an exit code, and no sample lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof import profile
from edgeprof.api import exit_code
from edgeprof.links.simulator import FAULTS
from edgeprof.profiling.plan import Options
from tests.watching import PATIENCE_S, begun, journalled, left_after, processes, wait_for

if TYPE_CHECKING:
    from pytest_mock import MockerFixture

    from tests.conftest import Cli

# The simulator says 4 warm-up samples and then blocks of 50; a fault strikes the first block at or after `after`.
AFTER, BEFORE_THE_FAULT = 100, 104


def target(fault: str, after: int) -> str:
    return f"sim:raspberry-pi-5?seed=1&fault={fault}&after={after}"


def last(edgeprof: Cli) -> dict[str, Any]:
    report = edgeprof("report", "last", "--format", "json")
    found: dict[str, Any] = json.loads(report.stdout)
    return found


@pytest.mark.parametrize(
    ("fault", "code", "samples", "message"),
    [
        ("drop", 5, BEFORE_THE_FAULT, "a lost frame from sim:"),
        ("double", 5, BEFORE_THE_FAULT + 50, "a doubled frame from sim:"),
        ("corrupt", 5, BEFORE_THE_FAULT, "a corrupt frame from sim:"),
        ("oversize", 5, BEFORE_THE_FAULT, "an? oversized frame from sim:"),
        ("stall", 5, BEFORE_THE_FAULT, "not done in time|fell silent"),
        ("disconnect", 5, BEFORE_THE_FAULT, "closed the connection"),
        ("oom", 5, BEFORE_THE_FAULT, "no memory left"),
        ("throttle", 0, 304, "throttl"),
    ],
)
def test_a_fault_in_the_middle_keeps_every_sample_before_it(
    edgeprof: Cli, kws: Path, fault: str, code: int, samples: int, message: str
) -> None:
    run = edgeprof(
        "profile", kws, "--target", target(fault, AFTER), "--runs", 300, "--timeout", "2s", "--format", "json"
    )
    assert run.returncode == code, run.stderr
    printed = json.loads(run.stdout)
    texts = [warned["text"] for warned in printed["warnings"]]
    assert [text for text in texts if re.search(message, text)], texts
    assert len(printed["samples"]["start_s"]) == samples
    assert printed["status"] == ("partial" if code else "complete")
    kept = last(edgeprof)
    assert kept["samples"] == printed["samples"]
    assert kept["status"] == printed["status"]


@pytest.mark.parametrize("format_name", ["table", "markdown", "csv", "json"])
def test_that_a_run_broke_off_is_told_whatever_the_format(edgeprof: Cli, kws: Path, format_name: str) -> None:
    run = edgeprof("profile", kws, "--target", target("disconnect", AFTER), "--runs", 300, "--format", format_name)
    assert run.returncode == 5
    assert "closed the connection" in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ("drop", 3, "a lost frame from"),
        ("corrupt", 3, "a corrupt frame from"),
        ("oversize", 3, "an? oversized frame from"),
        ("stall", 3, "not done in time|fell silent"),
        ("disconnect", 3, "closed the connection"),
        ("oom", 4, "no memory left"),
        ("wrong-model", 3, "answered for another model"),
        ("version", 3, "speaks protocol 2.0, this edgeprof speaks 1.1"),
    ],
)
def test_a_fault_before_the_first_sample_is_one_line_and_an_exit_code(
    edgeprof: Cli, kws: Path, fault: str, code: int, message: str
) -> None:
    run = edgeprof("profile", kws, "--target", target(fault, 0), "--runs", 300, "--timeout", "2s")
    assert run.returncode == code
    assert run.stdout == ""
    first, *more = run.stderr.splitlines()
    assert re.search(f"^edgeprof: .*({message})", first)
    assert all(line.startswith("Hint: ") for line in more)
    assert len(more) <= 1


def test_a_doubled_first_frame_keeps_the_samples_that_came_with_it(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws, "--target", target("double", 0), "--runs", 300, "--format", "json")
    assert run.returncode == 5
    assert len(json.loads(run.stdout)["samples"]["start_s"]) == 4


def test_every_fault_that_the_simulator_knows_is_tried_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert not [fault for fault in FAULTS if f'("{fault}"' not in text]


def test_throttled_samples_are_flagged_and_their_share_is_a_metric(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws, "--target", target("throttle", AFTER), "--runs", 300, "--format", "json")
    result = json.loads(run.stdout)
    throttled = [flags & result["samples"]["flag_values"]["throttled"] for flags in result["samples"]["flags"]]
    assert sum(map(bool, throttled)) == 304 - BEFORE_THE_FAULT
    assert result["metrics"]["throttled_ratio"]["value"] == pytest.approx(200 / 300)


def test_one_target_that_fails_leaves_the_others_result(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    good, bad = "sim:raspberry-pi-5", target("version", 0)
    run = edgeprof("profile", kws, "-t", good, "-t", bad, "--runs", 20, "--format", "json", "-o", tmp_path / "out")
    assert run.returncode == 3
    assert json.loads(run.stdout)["target"]["name"] == good
    assert "speaks protocol 2.0" in run.stderr
    assert len(list((tmp_path / "out").glob("*.json"))) == 1


# ── a local run that is disturbed ────────────────────────────────────────────────────────────────────────────────────


LONG = ("--duration", "10m")


@pytest.mark.parametrize(
    ("victim", "message"), [(" serve ", "was lost|closed the connection"), (" measure ", "SIGKILL")]
)
def test_a_process_that_is_killed_in_the_middle_leaves_a_partial_result(
    kws: Path, state: Path, own_cache: Path, edgeprof: Cli, victim: str, message: str
) -> None:
    process = begun(kws, *LONG)
    wait_for(lambda: sum(journalled(state)))
    (pid,) = [pid for pid, command in processes(own_cache).items() if victim in command]
    before = sum(journalled(state))
    os.kill(pid, signal.SIGKILL)
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5, errors
    result = json.loads(out)
    assert result["status"] == "partial"
    assert len(result["samples"]["start_s"]) >= before > 0
    assert [w for w in result["warnings"] if re.search(message, w["text"])], result["warnings"]
    assert last(edgeprof)["samples"] == result["samples"]
    assert left_after(own_cache) == {}


def test_when_edgeprof_itself_is_killed_the_journal_is_drawn_and_nothing_runs_on(
    kws: Path, state: Path, own_cache: Path, edgeprof: Cli
) -> None:
    process = begun(kws, *LONG)
    wait_for(lambda: sum(journalled(state)))
    before = sum(journalled(state))
    process.kill()
    process.communicate()
    assert left_after(own_cache) == {}
    report = edgeprof("report", "last", "--format", "json")
    assert report.returncode == 5
    assert len(json.loads(report.stdout)["samples"]["start_s"]) >= before > 0


# ── a full disk ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_disk_that_fills_up_in_the_middle_stops_the_run_and_what_came_is_printed(
    kws: Path, state: Path, own_cache: Path
) -> None:
    """A limit on the size of files is the full disk that needs no root; only edgeprof has it, not its agent."""
    import resource

    process = begun(kws, *LONG)
    wait_for(lambda: sum(journalled(state)))
    before = sum(journalled(state))
    (journal,) = (state / "runs").glob("*/journal.jsonl")
    limit = journal.stat().st_size + 20_000
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5, errors
    result = json.loads(out)
    texts = [warned["text"] for warned in result["warnings"]]
    assert [text for text in texts if "journal" in text], texts
    assert result["status"] == "partial"
    assert len(result["samples"]["start_s"]) >= before > 0
    assert left_after(own_cache) == {}


LIMITED = (
    "import os, resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'edgeprof', *sys.argv[2:]])"
)


def test_a_result_that_does_not_fit_the_disk_is_printed_and_the_exit_code_says_so(
    kws: Path, tmp_path: Path, state: Path, edgeprof: Cli
) -> None:
    arguments = ["profile", str(kws), "-t", "sim:raspberry-pi-5", "--runs", "3000", "--format", "json"]
    assert edgeprof(*arguments, "-o", tmp_path / "whole.json").returncode == 0
    (journal,) = (state / "runs").glob("*/journal.jsonl")
    sizes = journal.stat().st_size, (tmp_path / "whole.json").stat().st_size
    assert sizes[0] < sizes[1]
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(sum(sizes) // 2), *arguments, "-o", str(tmp_path / "cut.json")],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert run.returncode == 5, run.stderr
    result = json.loads(run.stdout)
    assert len(result["samples"]["start_s"]) == 3004
    assert [w for w in result["warnings"] if "could not be written" in w["text"]]
    assert not list(tmp_path.glob("*cut.json*"))


def test_a_disk_that_is_full_when_the_result_is_written_loses_nothing(
    kws: Path, tmp_path: Path, mocker: MockerFixture
) -> None:
    mocker.patch("edgeprof.profiling.finishing.write_result", side_effect=OSError(28, "No space left on device"))
    result = profile(kws, "sim:raspberry-pi-5", options=Options(runs=20), output=tmp_path / "r.json")
    assert [warned.text for warned in result.warnings if "No space left" in warned.text]
    assert len(result.samples.start_s) == 24
    assert exit_code([result]) == 5


@pytest.mark.parametrize("arguments", ["--help", "boards", "inspect {kws}", "inspect {kws} --format json"])
@pytest.mark.parametrize("also", [False, True])
def test_a_standard_output_that_is_full_is_one_line(kws: Path, arguments: str, *, also: bool) -> None:
    command = [sys.executable, "-m", "edgeprof", *(word.format(kws=kws) for word in arguments.split())]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=full if also else subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False
        )
    assert done.returncode == 2
    assert also or done.stderr.splitlines() == [
        "edgeprof: standard output cannot be written: No space left on device",
        "Hint: -o FILE writes to a file instead",
    ]
