"""Two runs at once on one machine: their timed passes take turns."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.watching import journalled, processes, wait_for

if TYPE_CHECKING:
    from pathlib import Path

LONG_S, SHORT = "2s", "30"


def test_a_second_run_waits_for_the_first_ones_pass_and_says_so(kws: Path, tmp_path: Path) -> None:
    def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "edgeprof", "profile", str(kws), "-q", "--no-memory", *arguments]
        return subprocess.Popen([*command, "-o", str(tmp_path / name)], stdout=subprocess.DEVNULL)

    runs = [start("one.json", "--duration", LONG_S), start("two.json", "--duration", LONG_S)]
    assert [run.wait(100) for run in runs] == [0, 0]
    spans, told = [], []
    for name in ("one.json", "two.json"):
        result = json.loads((tmp_path / name).read_text())
        starts = result["samples"]["start_s"]
        spans.append((starts[0], starts[-1]))
        told += [warned["text"] for warned in result["warnings"] if warned["code"] == "took-turns"]
    first, second = sorted(spans)
    assert first[1] < second[0]
    assert len(told) == 1
    assert "another run was measuring on this machine" in told[0]


def test_who_waits_says_for_whom_and_that_it_is_stopped(kws: Path, own_cache: Path, state: Path) -> None:
    command = [sys.executable, "-m", "edgeprof", "profile", str(kws), "--no-memory"]
    first = subprocess.Popen(
        [*command, "-q", "--duration", "10m"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: sum(journalled(state)) > 100, 60)
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
    assert second.wait(60) == 0
    second.stderr.close()
