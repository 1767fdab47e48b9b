"""Timed passes on one machine take turns: two that run at once would measure each other.

A lock on a file of the agent's folder, held by the measuring child while it times. Whoever shares that folder (the same
user on the board) is serialised; the passes of one run need not follow each other at once.
"""

import contextlib
import fcntl
import os
import time
from typing import Iterator

from edgeprof.agent.timing import Speaker

TIMED = frozenset({"latency", "sustained", "deadline", "energy", "stages", "pair"})
TOLD_S = 0.5


@contextlib.contextmanager
def turn(kind: str, folder: str, speaker: Speaker) -> Iterator[None]:
    """Wait for the machine's turn and keep it; say so when there was something to wait for."""
    if kind not in TIMED or not folder:
        yield
        return
    try:
        file = open(os.path.join(folder, "turn.lock"), "a")
    except OSError:
        yield  # a folder that cannot be written locks nothing
        return
    with file:
        begin = time.monotonic()
        with contextlib.suppress(OSError):  # nor does a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        waited_s = time.monotonic() - begin
        if waited_s > TOLD_S:
            text = "another run was measuring on this machine: the {} pass waited {:.1f} s for it"
            speaker.note("took-turns", text.format(kind, waited_s))
        yield
