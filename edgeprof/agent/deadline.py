"""Deadline mode: an inference is released every period, and its latency counts from the release.

The releases are absolute: release k is at start + k * period, however long the ones before it took. A sample starts at
its release and ends when its inference does, so that a late start counts; timing from the late start instead would
leave out just what a missed deadline does to the ones behind it (coordinated omission).
"""

import time
from typing import Any, Callable, Dict, NamedTuple

from edgeprof import wire
from edgeprof.agent.delegates import BadRequest
from edgeprof.agent.start_up import start_up
from edgeprof.agent.timing import BLOCK_SECONDS, Speaker, clock, new_block

# A sleep on Linux ends 50 us (the default timer slack, prctl(2)) and more after its time: the rest is spun away.
SPIN_NS = 300000
# Sending a block must not eat into a period: only with this much time left, or when the block is full.
SLACK_NS = 3000000
BLOCK = 512


class Timer(NamedTuple):
    """Where time comes from: nanoseconds now, and a sleep of seconds."""

    now: Callable[[], int]
    sleep: Callable[[float], None]


REAL = Timer(clock, time.sleep)


class Released(NamedTuple):
    """What a run of releases took: how many were served, how many came due unserved, time spun away and in all."""

    served: int
    unserved: int
    spun_ns: int
    lasted_ns: int


def deadline_pass(orders: Dict[str, Any], speaker: Speaker) -> None:
    """Warm up, then serve one release a period until there were `runs` of them or `duration_ms` are over."""
    period_ns = int(orders["settings"].get("period_ns", 0))
    if period_ns <= 0:
        raise BadRequest("a deadline pass needs a period_ns above 0")
    ready = start_up(orders, speaker)
    ready.invoke()
    taken = serve(ready.invoke, ready.switches, speaker, period_ns, orders["runs"], orders["duration_ms"] * 1000000)
    share = taken.spun_ns * 100.0 / max(1, taken.lasted_ns)
    text = "waits for a release by sleeping, the last {:.1f} ms by spinning: {:.1f} % of the run's time"
    speaker.note("release-wait", text.format(SPIN_NS / 1e6, share))
    if taken.unserved:
        text = "{} releases had come due and were not begun when the time was over"
        speaker.note("releases-unserved", text.format(taken.unserved))


def serve(
    invoke: Callable[[], Any],
    switches: Callable[[], int],
    speaker: Speaker,
    period_ns: int,
    runs: int,
    duration_ns: int,
    timer: Timer = REAL,
) -> Released:
    """Serve releases; `runs` 0: as many as there are, `duration_ns` 0: as long as it takes.

    A release that is past already is served at once. A sample is flagged as preempted when the kernel took the CPU
    away since the wait for it began, and as after-send when a block was sent before it.
    """
    block = new_block(BLOCK)
    starts, durations, flags = block
    now = timer.now
    begin = now()
    end = begin + duration_ns if duration_ns else 1 << 62
    release = begin + max(period_ns, SPIN_NS)
    served = kept = spun = flag = 0
    sent = begin
    before = switches()
    while release < end and (not runs or served < runs):
        spun += _wait_until(release, timer)
        if now() >= end:
            break
        invoke()
        done = now()
        after = switches()
        starts[kept] = release
        durations[kept] = done - release
        flags[kept] = flag | (wire.PREEMPTED if after != before else 0)
        before, flag = after, 0
        served, kept, release = served + 1, kept + 1, release + period_ns
        if kept == BLOCK or (done - sent >= BLOCK_SECONDS * 1e9 and release - done > SLACK_NS + SPIN_NS):
            speaker.send_samples(block, kept, 1)
            sent, kept, flag, before = now(), 0, wire.AFTER_SEND, switches()
    speaker.send_samples(block, kept, 1)
    over = now()
    unserved = max(0, -((release - end) // period_ns)) if not runs or served < runs else 0
    return Released(served, unserved, spun, over - begin)


def _wait_until(release_ns: int, timer: Timer) -> int:
    """Sleep until shortly before the release, then spin; return how long was spun. What is past is not waited for."""
    now = timer.now
    left = release_ns - now()
    if left > SPIN_NS:
        timer.sleep((left - SPIN_NS) / 1e9)
    begin = now()
    while now() < release_ns:
        pass
    return max(0, release_ns - begin)
