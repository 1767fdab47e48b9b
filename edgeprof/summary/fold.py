"""Events to a measurement: a pure fold, the same whether the run has just ended, broke off, or is read from disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import convert
from msgspec.structs import replace

from edgeprof.records.events import (
    AgentIdentified,
    ChannelsFound,
    ClockBracketed,
    FigureRead,
    Noted,
    OperatorTimed,
    OutputReceived,
    PassEnded,
    PassStarted,
    RuntimesFound,
    SamplesReceived,
    SensorsRead,
    StateRead,
)
from edgeprof.records.result import (
    ClockReading,
    Measurement,
    OperatorTicks,
    OutputTensor,
    PassMeasurement,
    SampleColumns,
)
from edgeprof.records.sensors import SamplingCost, SensorSeries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeprof.records.events import Event
    from edgeprof.records.result import Plan


def fold(events: Iterable[Event], plan: Plan) -> Measurement:
    """Return what the board said; passes that did not begin or end are there, incomplete."""
    measurement = Measurement()
    said: dict[int, list[Event]] = {index: [] for index in range(len(plan.passes))}
    hz = 1
    for event in events:
        match event:
            case AgentIdentified():
                measurement = _identified(measurement, event)
                hz = event.counter_hz if event.counter_unit != "instructions" else 1
            case RuntimesFound():
                measurement = replace(measurement, runtimes=event.runtimes)
            case _:
                said[event.index].append(event)
    passes = tuple(_fold_pass(plan, index, events_of, hz) for index, events_of in said.items())
    return replace(measurement, passes=passes)


def _identified(measurement: Measurement, event: AgentIdentified) -> Measurement:
    return replace(
        measurement,
        agent=event.agent,
        protocol=event.protocol,
        board=event.board,
        basis=event.basis,
        counter_unit=event.counter_unit,
        capabilities=event.capabilities,
        engine=event.engine,
        identity=event.identity,
    )


def _fold_pass(plan: Plan, index: int, events: list[Event], hz: int) -> PassMeasurement:
    """Fold the events of one pass; `hz` turns ticks into seconds (1 for a counter that counts no time)."""
    asked = plan.passes[index]
    folded = PassMeasurement(kind=asked.kind, launch=asked.launch, complete=False, failure="lost")
    for event in events:
        match event:
            case PassStarted():
                folded = replace(folded, runtime=event.runtime, detail=event.detail, model_sha256=event.model_sha256)
            case PassEnded():
                failure = "" if event.complete else event.failure
                folded = replace(folded, complete=event.complete, failure=failure, failure_text=event.text)
            case StateRead(phase="before"):
                folded = replace(folded, state_before=event.state)
            case StateRead():
                folded = replace(folded, state_after=event.state)
            case _:
                continue
    return replace(
        folded,
        figures=_figures(events, hz),
        samples=_samples(events, hz),
        operators=tuple(
            OperatorTicks(name=e.name, type=e.type, calls=e.calls, total=e.ticks / hz)
            for e in events
            if isinstance(e, OperatorTimed)
        ),
        outputs=tuple(
            OutputTensor(inference=e.inference, name=e.name, dtype=e.dtype, shape=e.shape, content=e.content)
            for e in events
            if isinstance(e, OutputReceived)
        ),
        notes=tuple((e.code, e.text) for e in events if isinstance(e, Noted)),
        clock_offset_s=_clock_offset(events, hz),
        clock=_clock(events, hz),
        sensors=_sensors(events, hz),
        sampling=_sampling(events),
    )


def _figures(events: list[Event], hz: int) -> dict[str, float]:
    """Return the single figures, ticks turned into seconds and renamed so."""
    figures: dict[str, float] = {}
    for event in events:
        if isinstance(event, FigureRead):
            stem, _, unit = event.name.rpartition("_")
            if unit == "ticks":
                figures[f"{stem}_s"] = event.value / hz
            else:
                figures[event.name] = event.value
    return figures


def _samples(events: list[Event], hz: int) -> SampleColumns:
    start: list[float] = []
    duration: list[float] = []
    batch: list[int] = []
    flags: list[int] = []
    for event in events:
        if isinstance(event, SamplesReceived):
            start += [ticks / hz for ticks in event.start_ticks]
            duration += [ticks / hz for ticks in event.duration_ticks]
            batch += [event.batch] * len(event.duration_ticks)
            flags += event.flags
    return SampleColumns(start=tuple(start), duration=tuple(duration), batch=tuple(batch), flags=tuple(flags))


def _sensors(events: list[Event], hz: int) -> tuple[SensorSeries, ...]:
    """Return the readings of each channel; what it could not read is said at the end of the pass."""
    found = [event for event in events if isinstance(event, ChannelsFound)]
    if not found:
        return ()
    rows: list[list[tuple[float, float]]] = [[] for _ in found[0].channels]
    for event in events:
        if isinstance(event, SensorsRead):
            for ticks, channel, value in zip(event.ticks, event.channel, event.value, strict=True):
                rows[channel].append((ticks / hz, value))
    described = [{**first, **last} for first, last in zip(found[0].channels, found[-1].channels, strict=False)]
    return tuple(
        replace(
            convert({name: value for name, value in words.items() if name not in COSTS}, SensorSeries),
            time_s=tuple(time_s for time_s, _ in row),
            value=tuple(value for _, value in row),
        )
        for words, row in zip(described, rows, strict=False)
    )


COSTS = frozenset({"cpu_s", "wall_s", "reads"})


def _sampling(events: list[Event]) -> SamplingCost | None:
    """Return what the sampling took; the agent says it with its last words about the channels."""
    for event in events:
        if isinstance(event, ChannelsFound) and event.ended:
            for words in event.channels:
                if words.keys() >= COSTS:
                    return SamplingCost(cpu_s=words["cpu_s"], wall_s=words["wall_s"], reads=words["reads"])
    return None


def _clock(events: list[Event], hz: int) -> tuple[ClockReading, ...]:
    """Return every bracket of the pass: a power trace on the host's clock is laid over the samples by them."""
    return tuple(
        ClockReading(host_before_s=event.host_before_s, agent_s=event.agent_ticks / hz, host_after_s=event.host_after_s)
        for event in events
        if isinstance(event, ClockBracketed)
    )


def _clock_offset(events: list[Event], hz: int) -> tuple[float, float] | None:
    """Return host clock minus agent clock, before and after the pass, by the middle of each bracket."""
    offsets = [
        (event.host_before_s + event.host_after_s) / 2 - event.agent_ticks / hz
        for event in events
        if isinstance(event, ClockBracketed)
    ]
    return (offsets[0], offsets[-1]) if offsets else None
