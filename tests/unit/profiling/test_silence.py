"""Silence is measured against what works: an emulator's CPU time, and never time in which edgeprof stood still."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from edgeprof import wire
from edgeprof.agent.working import Work, working
from edgeprof.errors import LinkLost
from edgeprof.links import silence
from edgeprof.links.conversation import MOST_WAITS, Conversation
from edgeprof.links.silence import COMPUTING_S, Silence
from tests.watching import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE, STOPPED = Work(0.0, runnable=False, stopped=False), Work(0.0, runnable=False, stopped=True)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Callable[[Work | None], None]:
    """Return a function that says what the emulator does."""
    doing: list[Work | None] = [IDLE]
    monkeypatch.setattr(silence, "working", lambda _pid: doing[-1])
    return doing.append


def test_a_board_is_silent_by_the_wall_clock() -> None:
    seen = Silence(None)
    for _ in range(14):
        seen.passed(1.0, 1.0)
    assert not seen.over(15.0)
    seen.passed(1.0, 1.0)
    assert seen.over(15.0)
    assert seen.words() == "no word for 15 s"


def test_an_emulator_on_a_busy_host_is_waited_for(emulator: Callable[[Work | None], None]) -> None:
    seen = Silence(7)
    for second in range(600):  # a twentieth of a CPU
        emulator(Work(second / 20, runnable=True, stopped=False))
        seen.passed(1.0, 1.0)
    assert not seen.over(15.0)


def test_an_emulator_that_computes_for_ever_is_given_up(emulator: Callable[[Work | None], None]) -> None:
    seen = Silence(7)
    for second in range(1, int(COMPUTING_S) + 1):
        assert not seen.over(15.0)
        emulator(Work(float(second), runnable=True, stopped=False))
        seen.passed(1.0, 1.0)
    assert seen.over(15.0)
    assert seen.words() == "its emulator (process 7) computed for 60 s of CPU time without a word"


@pytest.mark.parametrize(("work", "words"), [(IDLE, "waits"), (STOPPED, "is stopped")])
def test_an_emulator_that_stands_still_is_given_up_soon(
    emulator: Callable[[Work | None], None], work: Work, words: str
) -> None:
    emulator(work)
    seen = Silence(7)
    for _ in range(15):
        assert not seen.over(15.0)
        seen.passed(1.0, 1.0)
    assert seen.over(15.0)
    assert seen.words() == f"its emulator (process 7) {words}, no word for 15 s"


def test_where_the_system_tells_nothing_of_processes_the_wall_clock_counts(
    emulator: Callable[[Work | None], None],
) -> None:
    emulator(None)
    seen = Silence(7)
    seen.passed(15.0, 15.0)
    assert seen.over(15.0)


def test_time_in_which_this_process_did_not_run_does_not_count() -> None:
    seen = Silence(None)
    seen.passed(75.0, 1.0)
    assert not seen.over(15.0)
    assert seen.own_fault() == "edgeprof itself did not run for 74 s (stopped, or the host was asleep)"


def test_a_new_word_begins_the_silence_anew(emulator: Callable[[Work | None], None]) -> None:
    seen = Silence(7)
    for second in range(1, 300):
        emulator(Work(float(second), runnable=True, stopped=False))
        seen.passed(1.0, 1.0)
        if second % 50 == 0:
            seen.begin()
        assert not seen.over(15.0)


# ── in a conversation ────────────────────────────────────────────────────────────────────────────────────────────────


class Told:
    """A channel that gives what it was told to, at times that pass at once."""

    def __init__(self, now: list[float], *steps: tuple[float, bytes]) -> None:
        self._now, self._steps = now, list(steps)

    def read(self, timeout_s: float) -> bytes:
        """Let time pass as far as was asked for, or for as long as the next step says."""
        if not self._steps:
            raise EOFError
        seconds, content = self._steps.pop(0)
        self._now[0] += seconds if content or seconds > timeout_s else timeout_s
        if not content:
            raise TimeoutError
        return content

    def write(self, content: bytes) -> None:
        """Take it."""

    def put_blob(self, path: str, content: bytes) -> bool:
        """Have no faster way."""
        del path, content
        return False

    def last_words(self) -> str:
        """Say nothing."""
        return ""

    def cancel(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


HELLO = wire.Hello(
    wire.MAJOR, wire.MINOR, 1024, 8, 0, wire.CYCLES, 64_000_000, wire.capability_bits(["latency", "resend"])
)


def talk(
    monkeypatch: pytest.MonkeyPatch, *steps: tuple[float, bytes], lossy: bool = False
) -> tuple[Conversation, wire.FrameWriter, list[tuple[float, bytes]]]:
    """Return a conversation whose greeting is over, at a board that says what is appended to the steps."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    writer = wire.FrameWriter(1024)
    channel = Told(now, (0.1, writer.frame(HELLO)), *steps)
    line = Conversation(channel, name="board", silence_s=15.0, lossy=lossy)
    line.greet()
    return line, writer, channel._steps  # noqa: SLF001  this test's own


def test_a_silent_board_is_lost_after_the_time_for_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    line, _, _ = talk(monkeypatch, *[(0.0, b"")] * 10)
    with pytest.raises(LinkLost, match="board fell silent: no word for 15 s while waiting for its clock"):
        line.wait_for(wire.Pong, 15.0, "its clock")


def test_after_edgeprof_was_stopped_the_board_is_listened_to_before_it_is_blamed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line, writer, steps = talk(monkeypatch)
    steps += [(75.0, b""), (0.1, writer.frame(wire.Pong(1, 2)))]
    assert line.wait_for(wire.Pong, 15.0, "its clock").ticks == 2


def test_a_link_that_did_not_outlive_a_stopped_edgeprof_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    line, writer, steps = talk(monkeypatch, (75.0, b""))
    steps.append((0.1, writer.frame(wire.Alive(1))))  # what was under way still comes
    with pytest.raises(LinkLost, match="edgeprof itself did not run for 65 s"):
        line.wait_for(wire.Pong, 15.0, "its clock")


def test_whoever_talks_is_not_silent_and_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    line, writer, steps = talk(monkeypatch)
    steps += [(10.0, writer.frame(wire.Alive(1))) for _ in range(8)] + [(0.1, writer.frame(wire.Pong(1, 2)))]
    assert line.wait_for(wire.Pong, 15.0, "its clock").ticks == 2
    steps += [(10.0, writer.frame(wire.Alive(1))) for _ in range(20)]
    with pytest.raises(LinkLost, match="board talks and does not say its clock: 120 s"):
        line.wait_for(wire.Pong, 15.0, "its clock")


def test_a_line_on_which_only_requests_to_send_again_come_through_loses_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line, writer, steps = talk(monkeypatch, lossy=True)
    steps += [(5.0, writer.frame(wire.Resend(0))) for _ in range(MOST_WAITS * 3 + 2)]
    with pytest.raises(LinkLost, match="too many bytes are lost on the line to board"):
        line.wait_for(wire.BlobStatus, 15.0, "the state of a blob")


# ── the emulator itself ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_emulator_that_is_stopped_is_named() -> None:
    pytest.importorskip("unicorn")
    from edgeprof.links.emu import open_emu

    channel = open_emu("cortex-m4", [])
    line = Conversation(channel, name="emu:cortex-m4", silence_s=1.0, lossy=False)
    try:
        line.greet()
        assert channel.emulator_pid is not None
        os.kill(channel.emulator_pid, signal.SIGSTOP)
        with pytest.raises(LinkLost, match=rf"its emulator \(process {channel.emulator_pid}\) is stopped"):
            line.wait_for(wire.Pong, 1.0, "its clock")
    finally:
        os.kill(channel.emulator_pid or 0, signal.SIGCONT)
        line.close()


def test_a_process_without_proc_is_no_process() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    wait_for(lambda: working(gone.pid) is None)
