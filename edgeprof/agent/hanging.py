"""Whether a measuring process still gets anywhere. A driver that hangs says nothing, uses no CPU and never ends.

What computes is slow and not hung, as an engine that is built for minutes; what rests is hung once it has rested far
longer than anything that it did before. Both are bounded.
"""

import os
import time
from typing import Any, Callable, Dict, Optional

from edgeprof import wire
from edgeprof.agent.working import Work, working

LOOK_SECONDS, MOST_LOOK_SECONDS = 1.0, 4.0
IDLE_SHARE = 0.01
REST_SECONDS = float(os.environ.get("EDGEPROF_HANG_S", "60"))
"""A process that rests this long, and 20 times as long as samples ever took, hangs. EDGEPROF_HANG_S is for tests."""
TIMES_LONGEST = 20
LOADING_TIMES, COMPUTING_TIMES = 10, 120
"""Before its first sample a process may rest, and at any time it may compute in silence, so many times as long."""


class Watch(object):
    """One measuring process; `heard` at each of its words, `hung` whenever there is time."""

    def __init__(
        self,
        pid: int,
        orders: Dict[str, Any],
        now: Callable[[], float] = time.monotonic,
        at_work: Callable[[int], Optional[Work]] = working,
    ) -> None:
        self._pid, self._now, self._at_work = pid, now, at_work
        settings = orders.get("settings") or {}
        batch = int(orders.get("batch", 1))
        self._batch = batch if 1 <= batch < wire.AUTO else 1
        rests_s = (settings.get("idle_ms", 0) + settings.get("window_ms", 0)) / 1e3 + settings.get("period_ns", 0) / 1e9
        self._floor_s: float = max(REST_SECONDS, 3 * rests_s)
        self._longest_s = 0.0
        self._sampling = False
        self._heard_at = self._looked_at = now()
        self._idle_s = 0.0
        self._work: Optional[Work] = None

    def heard(self, kind: int) -> None:
        """Note that the process has said something."""
        now = self._now()
        if self._sampling:
            self._longest_s = max(self._longest_s, now - self._heard_at)
        self._sampling = self._sampling or kind == wire.LAYOUTS[wire.Samples].type
        self._heard_at = self._looked_at = now
        self._idle_s, self._work = 0.0, None

    def hung(self) -> str:
        """Return in words that the process hangs, nothing while it may be at work."""
        now = self._now()
        passed = now - self._looked_at
        if passed < LOOK_SECONDS:
            return ""
        self._looked_at = now
        before, self._work = self._work, self._at_work(self._pid)
        if before is not None and self._work is not None:
            rested = self._work.cpu_s - before.cpu_s <= IDLE_SHARE * passed and not self._work.runnable
            # No more than a few seconds a look: this agent may have been stopped itself.
            self._idle_s = self._idle_s + min(passed, MOST_LOOK_SECONDS) if rested else 0.0
        silent_s = now - self._heard_at
        if self._idle_s > self._most_rest_s():
            why = "is stopped" if self._work and self._work.stopped else "uses no CPU: does a driver hang?"
            return "the measuring process ({}) has given no sample for {:.0f} s and {}".format(self._pid, silent_s, why)
        if silent_s > COMPUTING_TIMES * self._floor_s + TIMES_LONGEST * self._longest_s * self._batch:
            return "the measuring process ({}) has said nothing for {:.0f} s".format(self._pid, silent_s)
        return ""

    def _most_rest_s(self) -> float:
        if not self._sampling:
            return LOADING_TIMES * self._floor_s
        return max(self._floor_s, TIMES_LONGEST * self._longest_s * self._batch)
