"""What every link keeps. No branch, no skip: what an agent cannot do it says in HELLO, and that is what is checked."""

from __future__ import annotations

import hashlib
import time
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import pytest

from edgeprof import wire
from edgeprof.links.framed import FramedSession
from edgeprof.records.events import (
    AgentIdentified,
    ClockBracketed,
    FigureRead,
    OutputReceived,
    PassEnded,
    PassStarted,
    RuntimesFound,
    SamplesReceived,
    StateRead,
)
from edgeprof.records.result import Pass
from edgeprof.store import Journal, read_journal
from edgeprof.summary.fold import fold
from tests.watching import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeprof.records.events import Event
    from edgeprof.records.result import Result
    from tests.contract.conftest import Blobs, Conversation, Link, Recorded

RUNS, WARMUP = 120, 5
PASSES = (
    Pass(kind="latency", runs=RUNS, warmup=WARMUP, batch=1),
    Pass(kind="memory"),
    Pass(kind="operators", runs=5),
    Pass(kind="outputs"),
    Pass(kind="sustained", duration_s=0.05, batch=1),
)
OUTPUTS = Pass(kind="outputs")
ONE_RUN = Pass(kind="latency", runs=1, warmup=0, batch=1)
LONG_RUN = Pass(kind="latency", runs=10_000_000, warmup=0, batch=1)
E = TypeVar("E")


def only(events: Iterable[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def of_pass(events: Iterable[Event], index: int) -> list[Event]:
    return [event for event in events if getattr(event, "index", None) == index]


@pytest.fixture(scope="module")
def whole(link: Link, blobs: Blobs) -> list[Event]:
    """Return all events of a run of every kind of pass."""
    with link.session() as session:
        return list(session.run(blobs.plan(*PASSES), blobs.of()))


@pytest.fixture(scope="module")
def hello(whole: list[Event]) -> AgentIdentified:
    return only(whole, AgentIdentified)[0]


# ── hello and probe ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_agent_says_which_protocol_it_speaks_and_what_its_counter_counts(hello: AgentIdentified) -> None:
    assert hello.protocol == f"{wire.MAJOR}.{wire.MINOR}"
    assert hello.counter_unit in wire.COUNTER_UNITS
    assert hello.counter_hz > 0
    assert hello.basis in wire.BASES
    assert set(hello.capabilities) <= set(wire.CAPABILITIES)
    assert "latency" in hello.capabilities
    assert hello.agent


def test_the_probe_lists_a_runtime_that_works_for_the_format(whole: list[Event], blobs: Blobs) -> None:
    (found,) = only(whole, RuntimesFound)
    assert found.format == blobs.format
    assert any(runtime.works and runtime.name for runtime in found.runtimes)
    assert all(runtime.works or runtime.reason for runtime in found.runtimes)


def test_a_format_that_nothing_executes_has_no_runtime_that_works(link: Link) -> None:
    with link.session() as session:
        session.identify()
        assert not [runtime for runtime in session.probe("gguf").runtimes if runtime.works]


# ── passes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("index", range(len(PASSES)), ids=[asked.kind for asked in PASSES])
def test_a_pass_completes_exactly_when_the_agent_says_that_it_can(
    whole: list[Event], hello: AgentIdentified, index: int
) -> None:
    (ended,) = only(of_pass(whole, index), PassEnded)
    can = PASSES[index].kind in hello.capabilities
    assert (ended.complete, ended.failure) == (can, "" if can else "unsupported")


def test_the_passes_come_in_the_order_of_the_plan(whole: list[Event]) -> None:
    indices = [event.index for event in only(whole, PassEnded)]
    assert indices == list(range(len(PASSES)))


@pytest.mark.parametrize("index", range(len(PASSES)), ids=[asked.kind for asked in PASSES])
def test_each_pass_names_the_model_that_it_ran(
    whole: list[Event], hello: AgentIdentified, blobs: Blobs, index: int
) -> None:
    started = only(of_pass(whole, index), PassStarted)
    expected = [hashlib.sha256(blobs.model).hexdigest()] * (PASSES[index].kind in hello.capabilities)
    assert [event.model_sha256 for event in started] == expected


@pytest.mark.parametrize("index", range(len(PASSES)), ids=[asked.kind for asked in PASSES])
def test_a_pass_stands_between_two_readings_of_the_agents_clock(
    whole: list[Event], hello: AgentIdentified, index: int
) -> None:
    events = of_pass(whole, index)
    brackets = only(events, ClockBracketed)
    assert len(brackets) == 2 * (PASSES[index].kind in hello.capabilities)
    for bracket, event in zip(brackets, (events[0], events[-1]), strict=False):
        assert bracket is event
        assert bracket.host_before_s <= bracket.host_after_s
    assert [b.agent_ticks for b in brackets] == sorted(b.agent_ticks for b in brackets)


@pytest.mark.parametrize("index", range(len(PASSES)), ids=[asked.kind for asked in PASSES])
def test_the_boards_state_is_read_before_and_after_a_pass_where_the_agent_can(
    whole: list[Event], hello: AgentIdentified, index: int
) -> None:
    phases = [event.phase for event in only(of_pass(whole, index), StateRead)]
    can = {"state", PASSES[index].kind} <= set(hello.capabilities)
    assert phases == ["before", "after"] * can


# ── samples ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Columns:
    """All samples of a pass, one after the other."""

    def __init__(self, events: Iterable[Event]) -> None:
        blocks = only(events, SamplesReceived)
        self.first = [block.first for block in blocks]
        self.sizes = [len(block.start_ticks) for block in blocks]
        self.batches = {block.batch for block in blocks}
        self.starts = [ticks for block in blocks for ticks in block.start_ticks]
        self.durations = [ticks for block in blocks for ticks in block.duration_ticks]
        self.flags = [flags for block in blocks for flags in block.flags]


LATENCY, SUSTAINED = 0, 4


@pytest.fixture(scope="module")
def columns(whole: list[Event]) -> Columns:
    return Columns(of_pass(whole, LATENCY))


def test_as_many_samples_come_as_were_asked_for_and_the_warm_up_is_flagged(columns: Columns) -> None:
    warm = [flags & wire.WARMUP for flags in columns.flags]
    assert warm.count(0) == RUNS
    assert warm[:WARMUP] == [wire.WARMUP] * WARMUP
    assert not any(warm[WARMUP:])


def test_blocks_of_samples_follow_each_other_without_a_gap(columns: Columns) -> None:
    assert columns.first == [sum(columns.sizes[:at]) for at in range(len(columns.sizes))]
    assert columns.batches == {1}


def test_samples_take_time_their_starts_rise_and_they_do_not_overlap(columns: Columns) -> None:
    assert min(columns.durations) > 0
    rows = list(zip(columns.starts, columns.durations, strict=True))
    for (start, duration), (following, _) in pairwise(rows):
        assert start < following
        assert start + duration <= following + 1  # a tick of rounding


@pytest.mark.parametrize("index", [LATENCY, SUSTAINED])
def test_samples_lie_inside_the_brackets_and_take_no_longer_than_the_agents_clock_says(
    whole: list[Event], hello: AgentIdentified, index: int
) -> None:
    events = of_pass(whole, index)
    seen = Columns(events)
    ticks = [bracket.agent_ticks for bracket in only(events, ClockBracketed)] or [0, 0]
    assert bool(seen.starts) == (PASSES[index].kind in hello.capabilities)
    assert sum(seen.durations) <= ticks[-1] - ticks[0]
    assert all(ticks[0] <= start <= ticks[-1] for start in seen.starts)


def test_a_sustained_pass_lasts_about_as_long_as_was_asked(whole: list[Event], hello: AgentIdentified) -> None:
    seen = Columns(of_pass(whole, SUSTAINED))
    steady = [at for at, flags in enumerate(seen.flags) if not flags & wire.WARMUP] or [0]
    starts, durations = seen.starts or [0], seen.durations or [0]
    lasted = starts[steady[-1]] + durations[steady[-1]] - starts[steady[0]]
    asked = PASSES[SUSTAINED].duration_s * hello.counter_hz * ("sustained" in hello.capabilities)
    assert 0.5 * asked <= lasted <= 3 * asked + 2 * max(durations)


def test_load_and_first_inference_are_told_before_the_first_sample(whole: list[Event]) -> None:
    events = of_pass(whole, LATENCY)
    first_sample = next(at for at, event in enumerate(events) if isinstance(event, SamplesReceived))
    told = {event.name: event.value for event in events[:first_sample] if isinstance(event, FigureRead)}
    assert told["load_ticks"] > 0
    assert told["first_ticks"] > 0


# ── blobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


BLOB_MESSAGES = wire.BlobBegin | wire.BlobChunk


def owed_and_brought(channel: Recorded) -> tuple[dict[bytes, int], dict[bytes, int]]:
    """Return, of each blob, how many bytes the agent said were missing, and how many then came in chunks."""
    owed: dict[bytes, int] = {}
    brought: dict[bytes, int] = {}
    asked = wire.BlobBegin(0, b"")
    for message in channel.messages:
        match message:
            case wire.BlobBegin():
                asked = message
                brought[asked.sha256] = 0
            case wire.BlobStatus() if not brought[asked.sha256]:
                owed[asked.sha256] = asked.size - message.received
            case wire.BlobChunk():
                brought[asked.sha256] += len(message.content)
    return owed, brought


def test_a_blob_is_brought_once_however_many_passes_use_it(link: Link, blobs: Blobs) -> None:
    plan = blobs.plan(ONE_RUN, ONE_RUN)
    channel = link.recorded()
    with FramedSession(channel, name=link.name) as session:
        ended = only(session.run(plan, blobs.of()), PassEnded)
    assert [event.complete for event in ended] == [True, True]
    hashes = {hashlib.sha256(blob).digest() for blob in blobs.of().values()}
    assert {message.sha256 for message in channel.messages if isinstance(message, wire.BlobBegin)} == hashes
    first_run = next(at for at, message in enumerate(channel.messages) if isinstance(message, wire.Run))
    assert not [message for message in channel.messages[first_run:] if isinstance(message, BLOB_MESSAGES)]


def test_the_next_session_works_and_brings_only_what_the_agent_has_not_kept(link: Link, blobs: Blobs) -> None:
    for _ in range(2):
        channel = link.recorded()
        with FramedSession(channel, name=link.name) as session:
            (ended,) = only(session.run(blobs.plan(ONE_RUN), blobs.of()), PassEnded)
        assert ended.complete
        owed, brought = owed_and_brought(channel)
        assert brought == owed


def test_blobs_arrive_in_chunks_where_there_is_no_faster_way(link: Link, blobs: Blobs) -> None:
    inputs = blobs.fresh()
    channel = link.recorded(files=False)
    with FramedSession(channel, name=link.name) as session:
        (ended,) = only(session.run(blobs.plan(ONE_RUN), {"model": blobs.model, "inputs": inputs}), PassEnded)
    assert ended.complete
    owed, brought = owed_and_brought(channel)
    assert brought == owed
    assert brought[hashlib.sha256(inputs).digest()] == len(inputs)


def test_a_blob_that_arrives_damaged_is_refused_and_the_agent_goes_on(link: Link) -> None:
    wanted = hashlib.sha256(f"{time.time_ns()}".encode()).digest()
    with link.conversation() as agent:
        refused = agent.bring(b"something else", wanted)
        assert (type(refused), wire.FAILURES[refused.code]) == (wire.Failed, "blob-corrupt")
        agent.say(wire.Ping(7))
        assert agent.hear(wire.Pong).token == 7


# ── outputs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def outputs_of(link: Link, blobs: Blobs, *, other: bool = False) -> tuple[bool, list[bytes]]:
    with link.session() as session:
        events = list(session.run(blobs.plan(OUTPUTS), blobs.of(other=other)))
    can = "outputs" in only(events, AgentIdentified)[0].capabilities
    return can, [event.content for event in only(events, OutputReceived)]


def test_the_same_inputs_give_the_same_bytes_and_others_give_others(link: Link, blobs: Blobs) -> None:
    can, first = outputs_of(link, blobs)
    _, again = outputs_of(link, blobs)
    _, other = outputs_of(link, blobs, other=True)
    assert bool(first) == can
    assert first == again
    assert (first != other) == can


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_model_that_is_none_is_rejected(link: Link, blobs: Blobs) -> None:
    with link.session() as session:
        (ended,) = only(
            session.run(blobs.plan(ONE_RUN), {"model": b"no model " * 100, "inputs": blobs.inputs}), PassEnded
        )
    assert (ended.complete, ended.failure) == (False, "model-rejected")
    assert ended.text


def brought(agent: Conversation, blobs: Blobs) -> tuple[bytes, bytes]:
    hashes = tuple(hashlib.sha256(blob).digest() for blob in (blobs.model, blobs.inputs))
    for content, sha256 in zip((blobs.model, blobs.inputs), hashes, strict=True):
        agent.bring(content, sha256)
    return hashes[0], hashes[1]


def test_a_pass_that_is_not_known_is_refused_and_the_agent_goes_on(link: Link, blobs: Blobs) -> None:
    with link.conversation() as agent:
        model, inputs = brought(agent, blobs)
        agent.say(wire.Run(run=1, kind=200, runs=1, model=model, inputs=inputs, format=blobs.format))
        refused = agent.hear(wire.Failed)
        assert (refused.run, wire.FAILURES[refused.code]) == (1, "bad-request")
        agent.say(wire.Ping(7))
        assert agent.hear(wire.Pong).token == 7


def test_a_run_of_a_model_that_is_not_there_is_refused(link: Link, blobs: Blobs) -> None:
    with link.conversation() as agent:
        agent.say(wire.Run(run=3, kind=0, runs=1, model=bytes(32), inputs=bytes(32), format=blobs.format))
        refused = agent.hear(wire.Failed)
        assert (refused.run, wire.FAILURES[refused.code]) == (3, "unknown-blob")


def test_a_garbage_frame_is_named_and_survived_only_where_frames_can_be_sent_again(link: Link) -> None:
    with link.conversation() as agent:
        agent.channel.write(b"\x05garbage\x00")
        answer = agent.hear(wire.Failed, wire.Resend, within_s=5)
        assert isinstance(answer, wire.Resend) == agent.can("resend")
        assert agent.goes_on() == agent.can("resend")


def test_a_frame_that_comes_twice_is_survived_only_where_frames_can_be_sent_again(link: Link) -> None:
    with link.conversation() as agent:
        agent.channel.write(agent.writer.frame(wire.Ping(1)) + wire.encode_frame(wire.Ping(1), 1))
        assert agent.goes_on() == agent.can("resend")


def test_a_long_pass_that_is_cancelled_ends_long_before_its_runs_are_over(link: Link, blobs: Blobs) -> None:
    plan = blobs.plan(LONG_RUN)
    received = 0
    with link.session() as session:
        for event in session.run(plan, blobs.of()):
            if isinstance(event, SamplesReceived):
                if not received:
                    session.cancel_pass(0)
                received += len(event.flags)
            if isinstance(event, PassEnded):
                break
    assert 0 < received < LONG_RUN.runs / 100
    assert isinstance(event, PassEnded)
    assert (event.complete, event.failure) == (False, "cancelled")


def test_a_session_that_is_left_in_the_middle_of_a_pass_closes_long_before_its_end(link: Link, blobs: Blobs) -> None:
    plan = blobs.plan(LONG_RUN)
    with link.session() as session:
        next(event for event in session.run(plan, blobs.of()) if isinstance(event, SamplesReceived))
        left_at = time.monotonic()
    assert time.monotonic() < left_at + PATIENCE_S


# ── the journal ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_journal_on_disk_folds_to_the_same_measurement_as_what_was_heard(
    whole: list[Event], small_result: Result, blobs: Blobs
) -> None:
    with Journal(small_result) as journal:
        for event in whole:
            journal.append(event)
    kept = list(read_journal(journal.path))
    assert kept == whole
    plan = blobs.plan(*PASSES)
    assert fold(kept, plan) == fold(whole, plan)
    assert [measured.complete for measured in fold(kept, plan).passes] == [e.complete for e in only(whole, PassEnded)]
