"""Reads sensors while a pass runs: a thread of the agent, never of the measuring process.

The thread reads and stamps; what is to be sent it hands to the agent's main loop, which alone writes to the host. What
the reading took is measured and said at the end, and each round is a reading of its own in the channel `sampling`, so
that samples taken beside a round can be told from the others.
"""

import json
import os
import random
import threading
import time
from collections import deque
from typing import Deque, List, Optional, Sequence, Tuple

from edgeprof import wire
from edgeprof.agent.sensors.channel import Channel, Gap, Reader
from edgeprof.agent.timing import clock

BLOCK_ROWS = 256
BLOCK_SECONDS = 0.5
LEAST_INTERVAL_S = 0.01
ENDING_SECONDS = 5.0
TOGETHER_SECONDS = 1e-3
NEVER = float("inf")
MOST_SHARE, DEAR_SECONDS = 0.3, 5e-3
"""Share of time that readers of more than 5 ms may spend together: they are asked less often than was wished."""
JITTER = 0.4
"""Uneven distances are between the least interval and 1.4 times it."""

Row = Tuple[int, int, float]
"""Ticks, channel, value."""


class Sampling(object):
    """The sensors of one pass. `descriptor` becomes readable when there is something to send."""

    def __init__(
        self, run: int, readers: Sequence[Reader], interval_s: float, max_frame: int, busy_cpus: Sequence[int] = ()
    ) -> None:
        self._run = run
        self._readers = list(readers)
        self._interval_s = max(LEAST_INTERVAL_S, interval_s)
        self._rows_a_frame = max(1, (max_frame - wire.FRAME_OVERHEAD_BYTES - 7) // wire.READING_BYTES)
        self._busy_cpus = frozenset(busy_cpus)
        self._own = Channel("sampling", "duration", "s", "agent")
        self._channels = [self._own, *(channel for reader in self._readers for channel in reader.channels)]
        self._rows: List[Row] = []
        self._blocks: Deque[List[Row]] = deque()
        self._flushed = time.monotonic()
        self._stop = threading.Event()
        self._cpu_s = self._wall_s = 0.0
        self._rounds = 0
        self._took = [0.0] * len(self._readers)
        self.descriptor, self._awake = os.pipe()
        os.set_blocking(self._awake, False)
        for reader in self._readers:
            reader.forget()
        self._thread = threading.Thread(target=self._sample, name="sampling", daemon=True)

    def start(self) -> wire.Channels:
        """Begin to read; return what the host is told of the channels."""
        said = wire.Channels(self._run, 0, self._described())
        if any(reader.take is not None for reader in self._readers):
            self._thread.start()
        return said

    def messages(self) -> List[wire.Message]:
        """Return the readings that are ready to be sent."""
        os.read(self.descriptor, 4096)
        return self._ready()

    def end(self) -> List[wire.Message]:
        """Stop reading; return what has not been sent yet and, last, what the sampling took."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(ENDING_SECONDS)
        if not self._thread.is_alive():  # one that hangs in a driver must not write to whatever has the number next
            os.close(self.descriptor)
            os.close(self._awake)
        self._blocks.append(self._rows)
        return [*self._ready(), wire.Channels(self._run, 1, self._described(ended=True))]

    def _described(self, *, ended: bool = False) -> str:
        told = [channel.describe(self._interval_s) for channel in self._channels]
        told[0]["interval_s"] = self._interval_s
        if ended:
            cpu_s = self._cpu_s + sum(command.cpu_s for reader in self._readers for command in reader.commands)
            told[0].update(cpu_s=cpu_s, wall_s=self._wall_s, reads=self._rounds)
        return json.dumps(told, separators=(",", ":"))

    def _ready(self) -> List[wire.Message]:
        found: List[wire.Message] = []
        while self._blocks:
            rows = self._blocks.popleft()
            for first in range(0, len(rows), self._rows_a_frame):
                part = rows[first : first + self._rows_a_frame]
                columns = wire.pack_readings(*[list(column) for column in zip(*part)])
                found.append(wire.Readings(self._run, len(part), columns))
        return found

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────

    def _sample(self) -> None:
        keep_off(self._busy_cpus)
        began, cpu_began = time.monotonic(), _thread_cpu_s()
        for reader in self._readers:
            for command in reader.commands:
                command.cpu_s = 0.0
        due = [began if reader.take is not None else NEVER for reader in self._readers]
        while not self._stop.is_set():
            self._round(due)
            self._cpu_s = _thread_cpu_s() - cpu_began
            self._wall_s = time.monotonic() - began
            self._stop.wait(max(0.0, min(due) - time.monotonic()))

    def _round(self, due: List[float]) -> None:
        """Read what is due, and say when it is due next."""
        start, now = clock(), time.monotonic()
        at = 1
        for index, reader in enumerate(self._readers):
            if due[index] <= now + TOGETHER_SECONDS:
                self._took[index] = self._take(reader, at)
                due[index] = self._next(index, due[index])
            at += len(reader.channels)
        self._rows.append((start, 0, (clock() - start) * 1e-9))
        self._rounds += 1
        self._hand_over()

    def _next(self, index: int, planned: float) -> float:
        """Return the next time on the reader's grid, or at an uneven distance; what was missed is not made up for."""
        reader = self._readers[index]
        distance = max(self._interval_s, reader.least_interval_s)
        if self._took[index] > DEAR_SECONDS:
            distance = max(distance, sum(took for took in self._took if took > DEAR_SECONDS) / MOST_SHARE)
        if reader.jitter:
            return time.monotonic() + distance * (1 + JITTER * random.random())  # noqa: S311  no secret
        missed = max(0, int((time.monotonic() - planned) / distance))
        return planned + (missed + 1) * distance

    def _take(self, reader: Reader, first: int) -> float:
        """Read; return how long that took."""
        before = clock()
        values = reader.read()
        ticks = reader.stamp if reader.stamp is not None else (before + clock()) // 2
        for offset, value in enumerate(values):
            if value is not None and not isinstance(value, Gap):
                self._rows.append((ticks, first + offset, value))
        return (clock() - before) * 1e-9

    def _hand_over(self) -> None:
        now = time.monotonic()
        if len(self._rows) < BLOCK_ROWS and now - self._flushed < BLOCK_SECONDS:
            return
        self._flushed = now
        rows, self._rows = self._rows, []
        self._blocks.append(rows)
        try:
            os.write(self._awake, b"\0")
        except OSError:
            pass  # the pipe is full, so the main loop is awake; or the pass has ended


def keep_off(busy: "frozenset[int]") -> None:
    """Move this thread, and what it starts, off the cores that are measured, where there are others."""
    if not busy or not hasattr(os, "sched_setaffinity"):
        return
    free = os.sched_getaffinity(0) - busy
    if free:
        try:
            os.sched_setaffinity(0, free)
        except OSError:
            pass  # a container may forbid it; then the two share a core


def _thread_cpu_s() -> float:
    which: Optional[int] = getattr(time, "CLOCK_THREAD_CPUTIME_ID", None)
    return time.clock_gettime(which) if which is not None else 0.0
