"""Ctrl-C: what was measured is kept, the exit code says so, and nothing runs on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.watching import PATIENCE_S, begun, journalled, left_after, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_long_run_that_is_stopped_gives_what_it_has(
    kws: Path, state: Path, own_cache: Path, edgeprof: Cli, stop: signal.Signals
) -> None:
    process = begun(kws, "--duration", "10m")
    wait_for(lambda: sum(journalled(state)))
    before = sum(journalled(state))
    process.send_signal(stop)
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5, errors
    assert "Traceback" not in errors
    result = json.loads(out)
    assert result["status"] == "partial"
    assert len(result["samples"]["start_s"]) >= before > 0
    assert "broken-off" in [warned["code"] for warned in result["warnings"]]
    assert left_after(own_cache) == {}
    report = edgeprof("report", "last", "--format", "json")
    assert report.returncode == 5
    assert json.loads(report.stdout)["samples"] == result["samples"]


def test_all_boards_of_a_run_are_stopped_and_each_gives_what_it_has(kws: Path, state: Path, own_cache: Path) -> None:
    targets = ("local", "sim:nucleo-l4r5zi?pace=1")
    process = begun(kws, "--duration", "10m", *[word for target in targets for word in ("--target", target)])
    wait_for(lambda: len(journalled(state)) == 2 and all(journalled(state)))
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5, errors
    results = json.loads(out)
    assert [result["target"]["name"] for result in results] == list(targets)
    assert all(result["status"] == "partial" and result["samples"]["start_s"] for result in results)
    assert left_after(own_cache) == {}


def test_a_simulated_board_that_takes_its_time_is_stopped_at_once(kws: Path, state: Path) -> None:
    process = begun(kws, "--runs", "10000000", "--target", "sim:nucleo-l4r5zi?pace=1")
    wait_for(lambda: sum(journalled(state)))
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=PATIENCE_S)  # its ten million runs would take a fortnight
    assert process.returncode == 5, errors
    assert json.loads(out)["samples"]["start_s"]


def test_ctrl_c_before_the_first_sample_is_one_line(kws: Path, state: Path, own_cache: Path) -> None:
    process = begun(kws, "--target", "sim:raspberry-pi-5?fault=stall&after=0")
    wait_for(lambda: journalled(state))
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (5, "")
    assert errors.splitlines()[0].startswith("edgeprof: stopped by Ctrl-C")
    assert "Traceback" not in errors
    assert left_after(own_cache) == {}


def test_a_reader_of_stdout_that_goes_away_is_no_bug_of_ours(kws: Path) -> None:
    process = begun(kws, "--target", "sim:raspberry-pi-5", "--runs", "2000")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(PATIENCE_S) == 5
    assert "Traceback" not in errors
    assert "bug" not in errors


IMPORTING = """
import os, runpy, signal, sys

class Press:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Press())
runpy.run_module("edgeprof", run_name="__main__")
"""


def test_ctrl_c_while_the_program_is_being_imported_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "edgeprof: stopped by Ctrl-C\n")
