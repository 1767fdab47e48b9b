"""Two runs at once on one machine: their timed passes take turns."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.watching import PATIENCE_S, journalled, processes, wait_for

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_run_waits_for_the_first_ones_pass_and_says_so(kws: Path, tmp_path: Path, state: Path) -> None:
    def start(name: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "edgeprof", "profile", str(kws), "--no-memory", *arguments]
        return subprocess.Popen(
            [*command, "-o", str(tmp_path / name)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    first = start("one.json", "--duration", "10m", "-q")
    wait_for(lambda: sum(journalled(state)))
    second = start("two.json", "--runs", "30")
    assert second.stderr is not None
    assert "another run is measuring on this machine" in second.stderr.readline()
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=PATIENCE_S)
    second.communicate(timeout=PATIENCE_S)
    assert (first.returncode, second.returncode) == (5, 0)
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    assert one["samples"]["start_s"][-1] < two["samples"]["start_s"][0]
    told = [[warned["text"] for warned in of["warnings"] if warned["code"] == "took-turns"] for of in (one, two)]
    assert told[0] == []
    assert len(told[1]) == 1
    assert "another run was measuring on this machine" in told[1][0]


def test_who_waits_says_for_whom_and_that_it_is_stopped(kws: Path, own_cache: Path, state: Path) -> None:
    command = [sys.executable, "-m", "edgeprof", "profile", str(kws), "--no-memory"]
    first = subprocess.Popen(
        [*command, "-q", "--duration", "10m"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: sum(journalled(state)) > 100)
    (child,) = [pid for pid, line in processes(own_cache).items() if " measure " in line]
    first.send_signal(signal.SIGSTOP)
    second = subprocess.Popen([*command, "--runs", "20"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert second.stderr is not None
        told = second.stderr.readline()  # it does not end before the first one does
        assert told.startswith("local: another run is measuring on this machine, this one waits for its turn: process ")
        assert f"process {child} (stopped: kill -CONT {first.pid} lets it go on)" in told
        assert "profile" in told
        assert kws.name in told
    finally:
        first.kill()
        first.wait()
    assert second.wait(PATIENCE_S) == 0
    second.stderr.close()
