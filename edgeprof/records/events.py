"""What the board said, word by word: the journal is a list of these, and a measurement a fold of them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Json = Any
"""Whatever JSON can hold; only agents on Linux send it."""


class AgentIdentified(Struct, frozen=True, kw_only=True, tag_field="event", tag="agent-identified"):
    """The agent's hello: which protocol, what it can do, what its counter counts."""

    agent: str
    protocol: str
    board: str
    basis: str
    counter_unit: str
    counter_hz: int
    capabilities: tuple[str, ...]
    formats: tuple[str, ...]
    engine: str = ""
    identity: dict[str, Json] = {}


class RuntimeFound(Struct, frozen=True, kw_only=True):
    """A runtime that was probed on the board, and why it does not work where it does not.

    `providers`: ONNX Runtime's execution providers there; empty where that is not told.
    """

    name: str
    works: bool
    version: str = ""
    numpy: str = ""
    reason: str = ""
    providers: tuple[str, ...] = ()


class RuntimesFound(Struct, frozen=True, kw_only=True, tag_field="event", tag="runtimes-found"):
    """The answer to a probe."""

    format: str
    runtimes: tuple[RuntimeFound, ...]


class PassStarted(Struct, frozen=True, kw_only=True, tag_field="event", tag="pass-started"):
    """A pass begins, with the model and the runtime that are really there."""

    index: int
    kind: str
    launch: int
    model_sha256: str
    runtime: str
    detail: dict[str, Json] = {}


class ClockBracketed(Struct, frozen=True, kw_only=True, tag_field="event", tag="clock-bracketed"):
    """The agent's clock was `agent_ticks` between two readings of the host's monotonic clock."""

    index: int
    host_before_s: float
    agent_ticks: int
    host_after_s: float


class FigureRead(Struct, frozen=True, kw_only=True, tag_field="event", tag="figure-read"):
    """One single figure; its name is one of wire.MARKS."""

    index: int
    name: str
    value: int


class SamplesReceived(Struct, frozen=True, kw_only=True, tag_field="event", tag="samples-received"):
    """A block of samples in the agent's own ticks."""

    index: int
    first: int
    batch: int
    start_ticks: tuple[int, ...]
    duration_ticks: tuple[int, ...]
    flags: tuple[int, ...]


class OperatorTimed(Struct, frozen=True, kw_only=True, tag_field="event", tag="operator-timed"):
    """Time in one operator, over all its calls."""

    index: int
    operator: int
    name: str
    type: str
    calls: int
    ticks: int


class OutputReceived(Struct, frozen=True, kw_only=True, tag_field="event", tag="output-received"):
    """One output tensor of one inference, little-endian."""

    index: int
    inference: int
    tensor: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    content: bytes


class StateRead(Struct, frozen=True, kw_only=True, tag_field="event", tag="state-read"):
    """The board's state before or after a pass."""

    index: int
    phase: str
    state: dict[str, Json]


class ChannelsFound(Struct, frozen=True, kw_only=True, tag_field="event", tag="channels-found"):
    """The sensors that are read during a pass; `ended`: what the sampling took, said after it."""

    index: int
    ended: bool
    channels: tuple[Json, ...]


class SensorsRead(Struct, frozen=True, kw_only=True, tag_field="event", tag="sensors-read"):
    """Readings of sensors in the agent's own ticks; `channel` counts into the channels that were found."""

    index: int
    ticks: tuple[int, ...]
    channel: tuple[int, ...]
    value: tuple[float, ...]


class Noted(Struct, frozen=True, kw_only=True, tag_field="event", tag="noted"):
    """Something that a person should know."""

    index: int
    code: str
    text: str


class PassEnded(Struct, frozen=True, kw_only=True, tag_field="event", tag="pass-ended"):
    """A pass is complete, or failed with one of wire.FAILURES."""

    index: int
    complete: bool
    failure: str = ""
    text: str = ""


Event = (
    AgentIdentified
    | RuntimesFound
    | PassStarted
    | ClockBracketed
    | FigureRead
    | SamplesReceived
    | OperatorTimed
    | OutputReceived
    | StateRead
    | ChannelsFound
    | SensorsRead
    | Noted
    | PassEnded
)
