"""Windows of inferences with rest between them: where each begins, and that nothing is sent inside one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from edgeprof import wire
from edgeprof.agent import power_windows
from edgeprof.agent.power_windows import take_windows
from edgeprof.agent.timing import Speaker

MS = 1_000_000
WINDOWS, WINDOW_NS, IDLE_S = 3, 20 * MS, 0.03


class Noting(Speaker):
    """A speaker that keeps its messages, and when it spoke, instead of writing them."""

    def __init__(self) -> None:  # a pipe is what it must not have
        self.run, self.max_frame, self.samples, self.crc = 1, 65535, 0, 0
        self.blocks: list[Any] = []
        self.spoke_at: list[int] = []

    def say(self, message: wire.Message) -> None:
        self.spoke_at.append(time.perf_counter_ns())
        self.blocks.append(message)

    def rows(self) -> list[Any]:
        return [(*row, block.batch) for block in self.blocks for row in zip(*wire.unpack_columns(block), strict=True)]


@pytest.fixture
def speaker() -> Noting:
    return Noting()


def invoke() -> None:
    until = time.perf_counter_ns() + MS // 2
    while time.perf_counter_ns() < until:
        pass


def windows_of(rows: list[Any]) -> list[list[Any]]:
    firsts = [at for at, (_, _, flags, _) in enumerate(rows) if flags & wire.WINDOW]
    return [rows[first:last] for first, last in zip(firsts, [*firsts[1:], len(rows)], strict=True)]


def test_each_window_is_flagged_lasts_as_long_as_asked_and_has_rest_before_it(speaker: Noting) -> None:
    rested: list[float] = []

    def sleep(seconds: float) -> None:
        rested.append(seconds)
        time.sleep(seconds)

    begin = time.perf_counter_ns()
    take_windows(invoke, lambda: 0, speaker, (WINDOWS, WINDOW_NS, IDLE_S), 1, sleep)
    windows = windows_of(speaker.rows())
    assert len(windows) == WINDOWS
    assert rested == [IDLE_S] * (WINDOWS + 1)  # before, between and after
    ends = [begin]
    for window in windows:
        assert window[0][0] - ends[-1] >= IDLE_S * 1e9
        ends.append(window[-1][0] + window[-1][1])
        assert ends[-1] - window[0][0] >= WINDOW_NS * 0.95
    assert time.perf_counter_ns() - ends[-1] >= IDLE_S * 1e9


def test_nothing_is_sent_inside_a_window(speaker: Noting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_windows, "BLOCK", 8)  # a window takes several blocks
    take_windows(invoke, lambda: 0, speaker, (WINDOWS, WINDOW_NS, 0.0), 1)
    for window in windows_of(speaker.rows()):
        assert len(window) > 8 or window[-1][1] > WINDOW_NS  # a machine so busy that a window is a few samples
        begin, end = window[0][0], window[-1][0] + window[-1][1]
        assert not [at for at in speaker.spoke_at if begin < at < end]


def test_samples_are_batches_where_an_inference_is_short(speaker: Noting) -> None:
    take_windows(lambda: None, lambda: 0, speaker, (1, 5 * MS, 0.0), 1000)
    rows = speaker.rows()
    assert {batch for *_, batch in rows} == {1000}
    assert rows[0][2] & wire.WINDOW
    assert not any(flags & wire.WINDOW for _, _, flags, _ in rows[1:])
