"""One pass as it comes in over the wire: messages become events, and what must add up is checked."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Protocol

from edgeprof import wire
from edgeprof.errors import AgentMismatch, FrameError
from edgeprof.records.events import (
    ChannelsFound,
    FigureRead,
    Noted,
    OperatorTimed,
    OutputReceived,
    PassEnded,
    PassStarted,
    SamplesReceived,
    SensorsRead,
    StateRead,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.records.events import Event
    from edgeprof.records.result import Pass

FRAME_HINT = "what came before it is kept; run again, and if it comes back look at the cable, the adapter or the agent"


def bad_frame(kind: str) -> str:
    """Return what a frame is called that is corrupt, lost, doubled or oversized."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} frame"


class Messages(Protocol):
    """Where the messages of a pass come from."""

    name: str
    silence_s: float

    def next_message(self, timeout_s: float, what: str) -> wire.Message:
        """Return the next one; `what` is waited for, and named when it does not come."""


class PassReader:
    """One pass as it comes in: messages become events, and what must add up is checked."""

    def __init__(self, session: Messages, index: int, asked: Pass, model: bytes) -> None:
        self._session = session
        self._index = index
        self._asked = asked
        self._model = model
        self._samples = 0
        self._crc = 0
        self._parts: dict[tuple[int, int], bytearray] = {}

    def events(self) -> Iterator[Event]:
        """Yield what the board says until the pass has ended."""
        what = f"the {self._asked.kind} pass"
        while True:
            message = self._session.next_message(self._session.silence_s, what)
            yield from self._event(message)
            if isinstance(message, wire.Done | wire.Failed):
                return

    def _event(self, message: wire.Message) -> Iterator[Event]:  # noqa: C901  one arm a message
        index = self._index
        match message:
            case wire.Started():
                yield self._started(message)
            case wire.Mark():
                yield FigureRead(index=index, name=wire.MARKS[message.kind], value=message.value)
            case wire.Samples():
                yield self._received(message)
            case wire.OperatorTime():
                yield OperatorTimed(
                    index=index,
                    operator=message.position,
                    name=message.name,
                    type=message.type,
                    calls=message.calls,
                    ticks=message.ticks,
                )
            case wire.Output():
                yield from self._output(message)
            case wire.State():
                phase = "after" if message.phase else "before"
                yield StateRead(index=index, phase=phase, state=json.loads(message.state))
            case wire.Channels():
                yield ChannelsFound(index=index, ended=bool(message.ended), channels=json.loads(message.channels))
            case wire.Readings():
                yield self._read(message)
            case wire.Note():
                yield Noted(index=index, code=message.code, text=message.text)
            case wire.Done():
                yield self._done(message)
            case wire.Failed():
                code = wire.FAILURES[message.code]
                yield PassEnded(index=index, complete=False, failure=code, text=message.text)
            case _:
                return

    def _started(self, message: wire.Started) -> PassStarted:
        if message.model != self._model:
            raise AgentMismatch(
                f"{self._session.name} answered for another model: {message.model.hex()[:12]},"
                f" {self._model.hex()[:12]} was asked for",
                hint="run again; if it comes back, clear the agent's cache on the board",
            )
        return PassStarted(
            index=self._index,
            kind=self._asked.kind,
            launch=self._asked.launch,
            model_sha256=message.model.hex(),
            runtime=message.runtime,
            detail=json.loads(message.detail),
        )

    def _received(self, message: wire.Samples) -> SamplesReceived:
        starts, durations, flags = _columns(self._session.name, message)
        self._samples += message.size
        self._crc = zlib.crc32(message.columns, self._crc) & 0xFFFFFFFF
        return SamplesReceived(
            index=self._index,
            first=message.first,
            batch=message.batch,
            start_ticks=starts,
            duration_ticks=durations,
            flags=flags,
        )

    def _read(self, message: wire.Readings) -> SensorsRead:
        try:
            ticks, channel, value = wire.unpack_readings(message)
        except wire.WireError as error:
            text = f"{bad_frame(error.kind)} from {self._session.name}: {error}"
            raise FrameError(text, hint=FRAME_HINT) from error
        return SensorsRead(index=self._index, ticks=ticks, channel=channel, value=value)

    def _output(self, message: wire.Output) -> Iterator[Event]:
        part = self._parts.setdefault((message.inference, message.tensor), bytearray())
        part += message.content
        if len(part) >= message.size:
            del self._parts[message.inference, message.tensor]
            yield OutputReceived(
                index=self._index,
                inference=message.inference,
                tensor=message.tensor,
                name=message.name,
                dtype=message.dtype,
                shape=tuple(int(size) for size in message.shape.split(",") if size),
                content=bytes(part),
            )

    def _done(self, message: wire.Done) -> PassEnded:
        if message.samples != self._samples or message.crc != self._crc:
            raise FrameError(
                f"{self._session.name} says that it sent {message.samples} samples (CRC {message.crc:08x}),"
                f" {self._samples} came (CRC {self._crc:08x})",
                hint=FRAME_HINT,
            )
        return PassEnded(index=self._index, complete=True)


def _columns(name: str, message: wire.Samples) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    try:
        return wire.unpack_columns(message)
    except wire.WireError as error:
        raise FrameError(f"{bad_frame(error.kind)} from {name}: {error}", hint=FRAME_HINT) from error
