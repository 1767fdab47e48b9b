"""How long the other side has been silent, measured against what works.

Seconds of the wall count for a board, which has a clock of its own. An emulator has this host's: while it computes, or
waits for a CPU, only its CPU time counts, and that may be more; while it waits or is stopped, the wall's seconds do.
Time in which this process itself did not run (Ctrl-Z, a host asleep or overloaded) never counts.
"""

from __future__ import annotations

import time

from edgeprof.agent.working import Work, working

COMPUTING_S = 60.0
"""CPU seconds that an emulator may compute without a word; more where the model asks for more."""
LATE_S = 1.0
SUSPENDED_S, REMEMBERED_S = 10.0, 60.0
BUSY_SHARE = 0.5


class Silence:
    """The silence since `begin`. `computing_s`: CPU seconds that an emulator may compute in it."""

    def __init__(self, emulator_pid: int | None) -> None:
        self.computing_s = COMPUTING_S
        self._suspended_s, self._suspended_until = 0.0, 0.0
        self._pid = emulator_pid
        self.begin()

    @property
    def emulated(self) -> bool:
        """Tell whether an emulator is watched."""
        return self._pid is not None

    def begin(self) -> None:
        """Begin anew: something was heard, or nothing was waited for until now."""
        self.idle_s = self.computed_s = 0.0
        self._work = self._look()

    def passed(self, elapsed_s: float, asked_s: float) -> None:
        """Count a wait of `elapsed_s` where `asked_s` were meant; what is beyond that this process was not running."""
        late_s = elapsed_s - asked_s
        if late_s > SUSPENDED_S:
            self._suspended_s, self._suspended_until = late_s, time.monotonic()
        seconds = min(elapsed_s, asked_s + LATE_S)
        before, self._work = self._work, self._look()
        if before is None or self._work is None:
            self.idle_s += seconds
            return
        used_s = max(0.0, self._work.cpu_s - before.cpu_s)
        if not self._work.stopped and (self._work.runnable or used_s > BUSY_SHARE * seconds):
            self.computed_s += used_s
        else:
            self.idle_s += seconds

    def over(self, timeout_s: float) -> bool:
        """Tell whether it has lasted too long."""
        return self.idle_s >= timeout_s or self.computed_s >= max(timeout_s, self.computing_s)

    def left(self, timeout_s: float) -> float:
        """Return how long one may still wait, at the least."""
        return max(0.0, timeout_s - self.idle_s)

    def words(self) -> str:
        """Return what was silent, and for how long."""
        if self._work is None:
            return f"no word for {self.idle_s:.0f} s"
        if self._work.stopped:
            return f"its emulator (process {self._pid}) is stopped, no word for {self.idle_s:.0f} s"
        if self.computed_s > self.idle_s:
            return f"its emulator (process {self._pid}) computed for {self.computed_s:.0f} s of CPU time without a word"
        return f"its emulator (process {self._pid}) waits, no word for {self.idle_s:.0f} s"

    def own_fault(self) -> str:
        """Return that this process did not run for a while just now, in words; empty where it did."""
        if not self._suspended_s or time.monotonic() - self._suspended_until > REMEMBERED_S:
            return ""
        return f"edgeprof itself did not run for {self._suspended_s:.0f} s (stopped, or the host was asleep)"

    def _look(self) -> Work | None:
        return working(self._pid) if self._pid is not None else None
