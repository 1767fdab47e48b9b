"""Deadline mode against a model whose every delay is known: what is injected is what is found, no more and no less."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof import wire
from edgeprof.agent import timing
from edgeprof.agent.deadline import BLOCK, SLACK_NS, SPIN_NS, Released, Timer, serve
from edgeprof.agent.start_up import batch_within
from edgeprof.agent.timing import Speaker

if TYPE_CHECKING:
    from collections.abc import Callable

MS = 1_000_000
PERIOD_NS = 10 * MS
TICK_NS = 1000


class Virtual:
    """A clock that moves when it is read, slept on, or worked on: nothing else runs on this machine."""

    def __init__(self) -> None:
        self.ns = 5 * MS
        self.slept_s: list[float] = []

    def now(self) -> int:
        self.ns += TICK_NS
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.ns += round(seconds * 1e9)

    def timer(self) -> Timer:
        return Timer(self.now, self.sleep)


class Heard(Speaker):
    """A speaker that keeps its messages instead of writing them."""

    def __init__(self) -> None:  # a pipe is what it must not have
        self.run, self.max_frame, self.samples, self.crc = 1, 65535, 0, 0
        self.messages: list[Any] = []

    def say(self, message: wire.Message) -> None:
        self.messages.append(message)

    def blocks(self) -> list[wire.Samples]:
        return [message for message in self.messages if isinstance(message, wire.Samples)]

    def rows(self) -> list[tuple[int, int, int]]:
        return [row for block in self.blocks() for row in zip(*wire.unpack_columns(block), strict=True)]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def model(clock: Virtual, usual_ns: int, extra_ns: int = 0, every: int = 0) -> Callable[[], None]:
    """Return an inference of a known duration with a known delay at every k-th call, the k-th being the first."""
    calls = 0

    def invoke() -> None:
        nonlocal calls
        calls += 1
        clock.ns += usual_ns + (extra_ns if every and calls % every == 0 else 0)

    return invoke


def served(
    heard: Heard, usual_ns: int, extra_ns: int = 0, every: int = 0, *, runs: int = 0, duration_ns: int = 0
) -> tuple[list[tuple[int, int, int]], Released, Virtual]:
    clock = Virtual()
    invoke = model(clock, usual_ns, extra_ns, every)
    taken = serve(invoke, lambda: 0, heard, PERIOD_NS, runs, duration_ns, clock.timer())
    return heard.rows(), taken, clock


def misses(rows: list[tuple[int, int, int]]) -> list[int]:
    return [at for at, (_, duration, _) in enumerate(rows) if duration > PERIOD_NS]


def in_ms(rows: list[tuple[int, int, int]]) -> list[float]:
    return [round(duration / MS, 1) for _, duration, _ in rows]


# ── latency from the release ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_model_that_is_in_time_misses_nothing_and_takes_what_it_takes(heard: Heard) -> None:
    rows, taken, _ = served(heard, 4 * MS, runs=50)
    assert taken.served == 50
    assert in_ms(rows) == [4.0] * 50
    assert not misses(rows)


def test_releases_stand_exactly_a_period_apart_however_late_they_are_served(heard: Heard) -> None:
    rows, _, _ = served(heard, 4 * MS, 25 * MS, every=10, runs=60)
    starts = [start for start, _, _ in rows]
    assert {after - before for before, after in pairwise(starts)} == {PERIOD_NS}


def test_a_delay_is_seen_by_the_release_that_it_hits_and_by_those_that_it_makes_late(heard: Heard) -> None:
    # 4 + 25 ms at every tenth: it ends 29 ms after its release, the next one begins 19 ms late and ends at 23,
    # then 17, then 11, and the fourth is in time again. Timed from their late starts, all but one would take 4 ms.
    rows, _, _ = served(heard, 4 * MS, 25 * MS, every=10, runs=60)
    around = in_ms(rows)[9:15]
    assert around == [29.0, 23.0, 17.0, 11.0, 5.0, 4.0]
    assert misses(rows) == [at + behind for at in range(9, 50, 10) for behind in range(4)] + [59]


def test_a_delay_that_fits_into_the_period_is_no_miss(heard: Heard) -> None:
    rows, _, _ = served(heard, 4 * MS, 5 * MS, every=7, runs=70)
    assert not misses(rows)
    assert in_ms(rows).count(9.0) == 10


def test_a_model_slower_than_its_period_falls_behind_by_the_difference_each_time(heard: Heard) -> None:
    rows, taken, _ = served(heard, 12 * MS, duration_ns=1000 * MS)
    assert in_ms(rows)[:4] == [12.0, 14.0, 16.0, 18.0]
    assert len(misses(rows)) == len(rows)
    # 99 releases came due in a second, of which one is served every 12 ms
    assert taken.served == len(rows) == 83
    assert taken.unserved == 99 - 83


def test_the_time_ends_a_run_and_what_is_served_is_what_came_due(heard: Heard) -> None:
    rows, taken, _ = served(heard, 4 * MS, duration_ns=305 * MS)
    assert (len(rows), taken.unserved) == (30, 0)


# ── waiting and sending ──────────────────────────────────────────────────────────────────────────────────────────────


def test_only_the_last_part_of_a_wait_is_spun_away(heard: Heard) -> None:
    _, taken, clock = served(heard, 4 * MS, runs=50)
    assert len(clock.slept_s) == 50
    assert 40 * SPIN_NS < taken.spun_ns <= 50 * SPIN_NS
    assert taken.spun_ns < 0.05 * taken.lasted_ns


def test_what_is_late_is_not_waited_for(heard: Heard) -> None:
    _, taken, clock = served(heard, 12 * MS, runs=50)
    assert len(clock.slept_s) == 1
    assert taken.spun_ns <= SPIN_NS


def test_samples_are_sent_where_there_is_time_for_it_and_the_next_one_is_flagged(heard: Heard) -> None:
    rows, _, _ = served(heard, 4 * MS, runs=100)
    firsts = {block.first for block in heard.blocks() if block.size}
    assert len(firsts) > 2
    assert {at for at, (_, _, flags) in enumerate(rows) if flags & wire.AFTER_SEND} == firsts - {0}


def test_without_any_time_to_spare_only_a_full_block_is_sent(heard: Heard) -> None:
    rows, _, _ = served(heard, PERIOD_NS - SLACK_NS // 2, runs=BLOCK + 40)
    assert [block.size for block in heard.blocks()] == [BLOCK, 40]
    assert len(rows) == BLOCK + 40


def test_a_sample_that_lost_its_cpu_is_flagged(heard: Heard) -> None:
    clock, switches = Virtual(), iter([0, 0, 1, 1, 1])
    serve(model(clock, 4 * MS), lambda: next(switches), heard, PERIOD_NS, 3, 0, clock.timer())
    assert [flags & wire.PREEMPTED for _, _, flags in heard.rows()] == [0, wire.PREEMPTED, 0]


# ── on this machine's own clock ──────────────────────────────────────────────────────────────────────────────────────


def test_on_the_real_clock_an_injected_delay_is_found_where_it_was_injected(heard: Heard) -> None:
    """What else runs here may add to a latency, and never takes away from it: each assertion is a lower bound."""
    calls = 0

    def invoke() -> None:
        nonlocal calls
        calls += 1
        until = time.perf_counter_ns() + (25 * MS if calls % 8 == 0 else MS)
        while time.perf_counter_ns() < until:
            pass

    serve(invoke, lambda: 0, heard, PERIOD_NS, 40, 0)
    rows = heard.rows()
    hit = [7, 15, 23, 31, 39]
    assert set(hit) <= set(misses(rows))
    assert all(rows[at][1] >= 25 * MS for at in hit)
    assert all(rows[at + 1][1] >= 15 * MS for at in hit[:-1])  # released 10 ms into the delay
    assert min(duration for _, duration, _ in rows) >= MS
    assert {after[0] - before[0] for before, after in pairwise(rows)} == {PERIOD_NS}
    assert timing.clock() - rows[-1][0] > 0


@pytest.mark.parametrize(
    ("typical_ns", "least", "span_ns", "most", "batch"),
    [
        (50_000, 1, 4_000 * MS, 2000, 40),
        (5_000 * MS, 1, 4_000 * MS, 2000, 1),
        (50_000, 100, 4_000 * MS, 2000, 100),
        (0.0, 1, 1_000 * MS, 2000, 1_000 * MS),
    ],
)
def test_a_span_holds_no_more_samples_than_wanted(
    typical_ns: float, least: int, span_ns: int, most: int, batch: int
) -> None:
    assert batch_within(typical_ns, least, span_ns, most) == batch
