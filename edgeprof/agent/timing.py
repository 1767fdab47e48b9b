"""The timed loop: samples into preallocated blocks, warm-up until the model is steady, and the child's way to speak.

Nothing is written inside a timed region: samples fill a block, a block is sent between two inferences, and the first
sample after that is flagged.
"""

import itertools
import os
import resource
import struct
import time
import zlib
from typing import Any, Callable, List, NamedTuple, Tuple

from edgeprof import wire

BLOCK_SAMPLES = 2048
BLOCK_SECONDS = 0.25
# Below this an invoke is timed in batches: two readings of the clock cost a few tenths of a microsecond.
BATCH_BELOW_NS = 10000
BATCH_TARGET_NS = 100000
WARMUP_WINDOW_NS = 2000000
WARMUP_LIMIT_NS = 10000000000
WARMUP_KEPT = 1000
STEADY_RATIO = 0.05

if hasattr(time, "perf_counter_ns"):
    clock = time.perf_counter_ns  # novm: guarded
else:  # Python 3.6

    def clock() -> int:
        """Return nanoseconds on the monotonic clock."""
        return int(time.perf_counter() * 1e9)


class Block(NamedTuple):
    """Columns of samples, allocated before anything is timed."""

    starts: List[int]
    durations: List[int]
    flags: List[int]


def new_block(size: int = BLOCK_SAMPLES) -> Block:
    """Return a block of zeros."""
    return Block([0] * size, [0] * size, [0] * size)


class Speaker(object):
    """The child's side of the pipe to the agent."""

    def __init__(self, descriptor: int, run: int, max_frame: int) -> None:
        self._file = os.fdopen(descriptor, "wb")
        self.run = run
        self.max_frame = max_frame
        self.samples = 0
        self.crc = 0

    def say(self, message: wire.Message) -> None:
        """Send one message."""
        payload = wire.pack(message)
        self._file.write(struct.pack("<IB", len(payload), wire.LAYOUTS[type(message)].type) + payload)
        self._file.flush()

    def mark(self, kind: str, value: int) -> None:
        """Send one figure."""
        self.say(wire.Mark(self.run, wire.MARKS.index(kind), max(0, int(value))))

    def note(self, code: str, text: str) -> None:
        """Send something that a person should know."""
        self.say(wire.Note(self.run, code, text))

    def send_samples(self, block: Block, count: int, batch: int) -> None:
        """Send the first `count` samples of a block, in as many frames as they need."""
        step = wire.samples_per_frame(self.max_frame)
        for first in range(0, count, step):
            last = min(first + step, count)
            columns = wire.pack_columns(block.starts[first:last], block.durations[first:last], block.flags[first:last])
            self.crc = zlib.crc32(columns, self.crc) & 0xFFFFFFFF
            self.say(wire.Samples(self.run, self.samples, last - first, batch, columns))
            self.samples += last - first


# ── the timed loop ───────────────────────────────────────────────────────────────────────────────────────────────────


def involuntary_switches(threads: int) -> Callable[[], int]:
    """Return a counter of involuntary context switches: of this thread, or of the process when there are several."""
    who = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF) if threads == 1 else resource.RUSAGE_SELF
    usage = resource.getrusage
    return lambda: usage(who).ru_nivcsw


def time_block(
    invoke: Callable[[], Any], switches: Callable[[], int], block: Block, first: int, last: int, deadline_ns: int
) -> int:
    """Time single inferences into the block until it is full or the deadline has passed; return where it ended.

    Only `invoke` is between the two readings of the clock.
    """
    starts, durations, flags = block
    now = clock
    before = switches()
    for index in range(first, last):
        start = now()
        invoke()
        end = now()
        starts[index] = start
        durations[index] = end - start
        after = switches()
        flags[index] = wire.PREEMPTED if after != before else 0
        before = after
        if end >= deadline_ns:
            return index + 1
    return last


def time_batches(
    invoke: Callable[[], Any],
    switches: Callable[[], int],
    block: Block,
    first: int,
    last: int,
    deadline_ns: int,
    batch: int,
) -> int:
    """Time batches of inferences: a sample is the duration of a whole batch."""
    starts, durations, flags = block
    now = clock
    before = switches()
    for index in range(first, last):
        rounds = itertools.repeat(None, batch)
        start = now()
        for _ in rounds:
            invoke()
        end = now()
        starts[index] = start
        durations[index] = end - start
        after = switches()
        flags[index] = wire.PREEMPTED if after != before else 0
        before = after
        if end >= deadline_ns:
            return index + 1
    return last


def time_some(
    invoke: Callable[[], Any],
    switches: Callable[[], int],
    block: Block,
    first: int,
    last: int,
    deadline_ns: int,
    batch: int,
) -> int:
    """Time inferences one by one, or in batches when `batch` is more than 1."""
    if batch == 1:
        return time_block(invoke, switches, block, first, last, deadline_ns)
    return time_batches(invoke, switches, block, first, last, deadline_ns, batch)


def median(values: List[int]) -> float:
    """Return the middle value."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return float(ordered[half]) if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2.0


# ── warm-up ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class WarmedUp(NamedTuple):
    """How the warm-up ended: the typical duration of one inference then, and whether it had become steady."""

    typical_ns: float
    steady: int


def warm_up(invoke: Callable[[], Any], switches: Callable[[], int], speaker: Speaker, wanted: int) -> WarmedUp:
    """Run until three windows in a row have medians within 5 % (or 1 us) of each other, or `wanted` times.

    A window is at least 3 inferences and 2 ms. After 10 s it ends all the same and says that it was not steady.
    """
    if wanted != wire.AUTO:
        return _fixed_warm_up(invoke, switches, speaker, wanted)
    begin = clock()
    medians: List[float] = []
    kept = 0
    while True:
        block, count = _window(invoke, switches)
        medians.append(median(block.durations[:count]))
        kept += _keep_warmup(speaker, block, min(count, WARMUP_KEPT - kept))
        recent = medians[-3:]
        if len(recent) == 3 and max(recent) - min(recent) <= max(STEADY_RATIO * min(recent), 1000):
            return WarmedUp(recent[-1], 1)
        if clock() - begin > WARMUP_LIMIT_NS:
            return WarmedUp(recent[-1], 0)


def _fixed_warm_up(invoke: Callable[[], Any], switches: Callable[[], int], speaker: Speaker, wanted: int) -> WarmedUp:
    block = new_block(max(1, wanted))
    count = time_block(invoke, switches, block, 0, wanted, clock() + (1 << 62)) if wanted else 0
    _keep_warmup(speaker, block, min(count, WARMUP_KEPT))
    return WarmedUp(median(block.durations[:count]) if count else float(BATCH_BELOW_NS), 1)


def _window(invoke: Callable[[], Any], switches: Callable[[], int]) -> Tuple[Block, int]:
    block = new_block()
    count = time_block(invoke, switches, block, 0, 3, clock() + (1 << 62))
    missing = WARMUP_WINDOW_NS - sum(block.durations[:count])
    if missing > 0:
        count = time_block(invoke, switches, block, count, BLOCK_SAMPLES, clock() + missing)
    return block, count


def _keep_warmup(speaker: Speaker, block: Block, count: int) -> int:
    if count > 0:
        block.flags[:count] = [flag | wire.WARMUP for flag in block.flags[:count]]
        speaker.send_samples(block, count, 1)
    return max(0, count)


def batch_for(typical_ns: float, wanted: int) -> int:
    """Return how many inferences make a sample: 1 from 10 us on, else enough for 100 us."""
    if wanted != wire.AUTO:
        return max(1, wanted)
    if typical_ns >= BATCH_BELOW_NS:
        return 1
    return int(BATCH_TARGET_NS / max(typical_ns, 50.0)) + 1
