"""What several tests need to see: processes that run, and what a journal holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 120.0
"""How long a test waits for what must happen: long enough for any load, and only a failure takes it."""


def processes(folder: Path) -> dict[int, str]:
    """Return the processes whose command line names a folder: the agent with that cache, and its children."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            gone = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if str(folder) in command and not gone:
            found[int(entry.name)] = command
    return found


def left_after(folder: Path, seconds: float = 30.0) -> dict[int, str]:
    """Return the processes that are still there after some time, as soon as there are none.

    What a test starts runs for far longer, so that it cannot have come to its own end.
    """
    until = time.monotonic() + seconds
    while processes(folder) and time.monotonic() < until:
        time.sleep(0.02)
    return processes(folder)


def journalled(state: Path) -> list[int]:
    """Return how many samples each journal holds."""
    return [
        sum(
            len(json.loads(line)["flags"])
            for line in path.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n") and b'"samples-received"' in line
        )
        for path in sorted((state / "runs").glob("*/journal.jsonl"))
    ]


def wait_for(what: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Return as soon as it is so."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def begun(model: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `edgeprof profile MODEL` and return at once."""
    return subprocess.Popen(
        [sys.executable, "-m", "edgeprof", "profile", str(model), "--format", "json", *arguments],
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
