"""Asking the board: events to the journal as they come, and stopping when a person says so."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.errors import (
    EdgeprofError,
    Interrupted,
    LinkError,
    ModelDoesNotFit,
    ModelUnsupported,
    RuntimeUnusable,
)
from edgeprof.links import open_session
from edgeprof.records.events import PassEnded
from edgeprof.store import Journal
from edgeprof.summary.fold import fold
from edgeprof.summary.summarise import LATENCY_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.installing.offering import Offer
    from edgeprof.records.board import Board
    from edgeprof.records.events import Event
    from edgeprof.records.result import Measurement, PassMeasurement, Plan, Result
    from edgeprof.session import Session
    from edgeprof.targets import Target


TIMED_KINDS = (*LATENCY_KINDS, "deadline", "pair")
"""The passes without whose samples there is no result."""


class Stop:
    """Ends all sessions that were registered, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: list[Session] = []
        self._stopped = False

    def register(self, session: Session) -> None:
        """Let `now` end this session too."""
        with self._lock:
            self._sessions.append(session)
            stopped = self._stopped
        if stopped:
            session.interrupt()

    def now(self) -> None:
        """End them all; each keeps what it has measured."""
        with self._lock:
            self._stopped = True
            sessions = tuple(self._sessions)
        for session in sessions:
            session.interrupt()


class Outcome(NamedTuple):
    """What the board said, and why it ended early if it did."""

    measurement: Measurement
    failure: EdgeprofError | None


def measure(
    begun: Result,
    target: Target,
    board: Board | None,
    blobs: dict[str, bytes],
    *,
    on_event: Callable[[Plan, Event], None] | None = None,
    stop: Stop | None = None,
    enough: Callable[[Measurement], bool] | None = None,
    offer: Offer | None = None,
) -> Outcome:
    """Carry out the plan. Every event is in the journal on disk before this returns.

    `enough` is asked after each pass whether what there is will do; the passes that are left are not run then.
    """
    events: list[Event] = []
    failure: EdgeprofError | None = None
    try:
        with Journal(begun) as journal, open_session(target, board, blobs, offer, _macs(begun)) as session:
            if stop is not None:
                stop.register(session)
            for event in session.run(begun.plan, blobs):
                events.append(event)
                journal.append(event)
                if on_event is not None:
                    on_event(begun.plan, event)
                if enough is not None and isinstance(event, PassEnded) and enough(fold(events, begun.plan)):
                    break
    except KeyboardInterrupt:
        failure = Interrupted("stopped by Ctrl-C")
    except EdgeprofError as error:
        failure = error
    return Outcome(fold(events, begun.plan), failure)


def _macs(begun: Result) -> int:
    """Return the multiply-accumulates of one inference, 0 where they are not known."""
    counted = begun.metrics.get("macs_count")
    return int(counted.value or 0) if counted else 0


def raise_fatal(begun: Result, outcome: Outcome) -> None:
    """Raise what left no sample behind: a lost link, a model that the runtime refuses, a crash."""
    asked = [measured for measured in outcome.measurement.passes if measured.kind in TIMED_KINDS]
    if any(measured.samples.duration for measured in asked):
        return
    if isinstance(outcome.failure, Interrupted):
        raise Interrupted(f"{outcome.failure.message} before the first sample", hint="nothing was measured or kept")
    if outcome.failure is not None:
        raise outcome.failure
    for measured in asked:
        if measured.failure not in {"", "lost"}:
            raise _fatal(begun, measured)


def _fatal(begun: Result, measured: PassMeasurement) -> EdgeprofError:
    text = " ".join((measured.failure_text or measured.failure).split())[:300]
    model, target = begun.model.name, begun.target.name
    match measured.failure:
        case "model-rejected":
            hint = _guessed_shape(begun) or f"edgeprof inspect {model} lists its operators"
            return ModelUnsupported(f"the runtime on {target} refuses {model}: {text}", hint=hint)
        case "out-of-memory":
            return ModelDoesNotFit(f"{model} does not fit {target}: {text}")
        case "bad-request":
            return RuntimeUnusable(f"{target} cannot run {model} as asked: {text}", hint=_what_is_there(begun))
        case _:
            return LinkError(f"the {measured.kind} pass failed on {target}: {text}")


def _what_is_there(begun: Result) -> str:
    """Return what could be named instead of a delegate or provider that cannot be had."""
    if begun.plan.cpus or begun.plan.hook or not (begun.plan.delegate or begun.plan.providers):
        return ""
    if begun.plan.providers:
        return f"edgeprof doctor --target {begun.target.name} lists the providers that are there"
    return "--delegate takes the path of a library on the board; xnnpack and none are part of the runtime"


def _guessed_shape(begun: Result) -> str:
    """Return what to try where sizes were guessed: it may be only those that the runtime refuses."""
    guessed = next((warned for warned in begun.warnings if warned.code == "dynamic-shape"), None)
    return f"{guessed.text}; {guessed.advice}" if guessed else ""
