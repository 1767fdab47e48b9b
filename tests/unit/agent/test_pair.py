"""Pairs of inferences: order, flags, and what is between the two readings of the clock."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from edgeprof import wire
from edgeprof.agent import pair
from edgeprof.agent.timing import Speaker, new_block
from edgeprof.comparing.interleaving import launch_of
from edgeprof.records.result import SampleColumns

MS = 1_000_000


class Virtual:
    """A clock that only the models move, each by what it is told to take; it keeps who ran."""

    def __init__(self) -> None:
        self.ns = 0
        self.ran: list[str] = []

    def now(self) -> int:
        return self.ns

    def model(self, name: str, takes_ns: int) -> Any:  # noqa: ANN401  a callable
        def invoke() -> None:
            self.ran.append(name)
            self.ns += takes_ns

        return invoke


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Virtual:
    found = Virtual()
    monkeypatch.setattr(pair, "clock", found.now)
    return found


class Heard(Speaker):
    """A speaker that keeps what is sent."""

    def __init__(self) -> None:  # it has no descriptor to write to
        self.rows: list[tuple[int, int]] = []

    def send_samples(self, block: Any, count: int, batch: int) -> None:  # noqa: ANN401  the agent's block
        self.rows += [(d // batch, f) for d, f in zip(block.durations[:count], block.flags[:count], strict=True)]
        time.sleep(0)


def none() -> int:
    return 0


def test_each_pair_has_both_models_once_and_the_new_one_is_flagged(clock: Virtual) -> None:
    heard = Heard()
    base, new = clock.model("A", 1 * MS), clock.model("B", 2 * MS)
    pair.take_pairs(base, new, none, heard, pairs=300, batch=1, chance=random.Random(1))  # noqa: S311  reproducible
    assert len(heard.rows) == 600
    for one, other in zip(heard.rows[::2], heard.rows[1::2], strict=True):
        assert {one[0], other[0]} == {1 * MS, 2 * MS}
    assert all((duration == 2 * MS) == bool(flags & wire.SECOND) for duration, flags in heard.rows)


def test_the_order_within_pairs_is_random_and_neither_goes_first_more_often(clock: Virtual) -> None:
    heard = Heard()
    pair.take_pairs(
        clock.model("A", 1),
        clock.model("B", 1),
        none,
        heard,
        pairs=2000,
        batch=1,
        chance=random.Random(2),  # noqa: S311  reproducible
    )
    first = sum(bool(flags & wire.SECOND) for _, flags in heard.rows[::2])
    assert 880 < first < 1120


def test_a_turn_settles_untimed_with_several_threads(clock: Virtual) -> None:
    block = new_block(4)
    base, new = clock.model("A", 1 * MS), clock.model("B", 1 * MS)
    pair.time_pairs(base, new, none, block, [0, 1], 1, settle_ns=3 * MS)
    assert block.durations == [1 * MS] * 4
    assert "".join(clock.ran) == "AAAA" + "BBBB" + "BBBB" + "AAAA"


def test_batches_of_short_models_are_whole(clock: Virtual) -> None:
    block = new_block(2)
    pair.time_pairs(clock.model("A", 10), clock.model("B", 20), none, block, [0], 5)
    assert block.durations == [50, 100]


def test_a_launch_is_the_median_of_its_pairs_and_what_was_sent_just_before_is_left_out() -> None:
    durations = (9.0, 9.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0)
    flags = (wire.AFTER_SEND, wire.AFTER_SEND | wire.SECOND, 0, wire.SECOND, wire.SECOND, 0, 0, wire.SECOND)
    columns = SampleColumns(start=durations, duration=durations, batch=(1,) * 8, flags=flags)
    found = launch_of(columns)
    assert found.pairs == 3
    assert (found.base_p50_s, found.new_p50_s) == (1.0, 2.0)
    assert found.log_ratio == pytest.approx(0.6931, abs=1e-4)
