"""The energy of a measurement: its energy pass laid over the board's own sensors or over an instrument's trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgeprof.errors import UsageError
from edgeprof.power.metrics import NAMES, UNPRICED, energy_metrics
from edgeprof.summary.summarise import absent
from edgeprof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.errors import EdgeprofError
    from edgeprof.power.alignment import Alignment, Bracket, ClockFit
    from edgeprof.power.metrics import Priced
    from edgeprof.power.trace import PowerTrace
    from edgeprof.power.windows import Marked, Window
    from edgeprof.records.energy import EnergyReport
    from edgeprof.records.result import Measurement, Metric, PassMeasurement

LEAST_BRACKET_S = 1e-3
"""How wide a bracket is taken to be where only its middle was kept: a round trip over USB or a network at rest."""

FEWEST_SAMPLES = 2
MOST_LENGTH_RATIO = 0.03
"""How far a window of a recording may differ from the run's: two clocks, and times that were rounded."""

UNNAMED = "the agent at rest, state not named"

Breakdown = dict[str, Any]


def result_energy(
    measurement: Measurement,
    trace: PowerTrace | None = None,
    *,
    brackets: Sequence[Bracket] = (),
    instrument: Sequence[Bracket] = (),
    idle_state: str = "",
    priced: Priced = UNPRICED,
) -> tuple[dict[str, Metric], Breakdown]:
    """Return the energy metrics of a measurement and what `breakdowns["energy"]` holds (an EnergyReport as JSON).

    `trace` None: the board's own sensors. An external trace is aligned by its marker bits if it has any, else by the
    clocks: `brackets` of the agent's against the host's, `instrument` of the trace's own against the host's (not
    needed on clock `host`); else by the pattern of the windows. What cannot be known is absent with its reason.
    `idle_state`: what the board does between windows; the agent's own note of it otherwise.
    """
    try:
        report = _report(measurement, trace, brackets, instrument, idle_state, priced)
    except UsageError as error:
        return {name: absent(measurement.basis, reason_of(error)) for name in NAMES}, {}
    return report.metrics, msgspec.to_builtins(report)


def reason_of(error: EdgeprofError) -> str:
    """Return an error as a metric's reason. A hint that names an option is one of `edgeprof energy`, not of a run."""
    return error.message + (f" ({error.hint})" if error.hint != error.usual_hint and "--" not in error.hint else "")


def _report(
    measurement: Measurement,
    trace: PowerTrace | None,
    brackets: Sequence[Bracket],
    instrument: Sequence[Bracket],
    idle_state: str,
    priced: Priced,
) -> EnergyReport:
    from edgeprof.power.trace import period_s
    from edgeprof.power.windows import sample_windows

    measured = next((one for one in measurement.passes if one.kind == "energy"), None)
    if measured is None:
        raise UsageError("no energy pass was run")
    windows = sample_windows(measured.samples)
    if not windows:
        raise UsageError("the energy pass has no window" + (f": {measured.failure_text}" if measured.failure else ""))
    trace = trace or _own_trace(measured)
    if len(trace.time_s) < FEWEST_SAMPLES:
        raise UsageError(f"{trace.source} gave {len(trace.time_s)} samples" + (f": {trace.lost}" if trace.lost else ""))
    timeless = measurement.counter_unit == "instructions"
    windows, alignment = _aligned(measured, windows, trace, (brackets, instrument), timeless=timeless)
    guard_s = period_s(trace) if trace.clock == "agent" else 0.0
    return energy_metrics(
        trace,
        windows,
        alignment=alignment,
        guard_s=guard_s,
        idle_state=idle_state or next((text for code, text in measured.notes if code == "idle-state"), UNNAMED),
        basis=measurement.basis,
        priced=priced,
    )


def _own_trace(measured: PassMeasurement) -> PowerTrace:
    from edgeprof.power.onboard import NoTrace, onboard_trace

    found = onboard_trace(measured.sensors)
    if isinstance(found, NoTrace):
        raise UsageError(found.reason)
    return found


def _aligned(
    measured: PassMeasurement,
    windows: tuple[Window, ...],
    trace: PowerTrace,
    clocks: tuple[Sequence[Bracket], Sequence[Bracket]],
    *,
    timeless: bool,
) -> tuple[tuple[Window, ...], Alignment]:
    """Return the windows on the trace's clock, by the best way there is; `clocks` are the agent's and the instrument's.

    A reading of the board's own sensors may be as old as the one before it: a period at both ends is the guard's.
    """
    from edgeprof.power import alignment as by
    from edgeprof.power.burst import by_burst
    from edgeprof.power.trace import period_s
    from edgeprof.power.windows import marker_windows

    period, (brackets, instrument) = period_s(trace), clocks
    if trace.clock == "agent" and not timeless:
        text = "sensors and windows on the agent's own clock"
        return windows, by.Alignment("clock", "exact", period, text, 0.0, 0.0)
    unmarked = ""
    if trace.marker is not None:
        try:
            marked = marker_windows(trace)
        except UsageError as error:  # an instrument has its inputs whether a pin is wired to them or not
            unmarked = f"; no marker: {error.message}"
        else:
            unlike = _unlike(marked.windows, windows, marked.error_s, timeless=timeless)
            if unlike is None:
                return _by_marker(trace, marked, windows, timeless=timeless)
            if trace.clock == "instrument":  # a recording on disk has no clock to go by instead
                raise UsageError(f"{trace.source} is no recording of this run: {unlike}")
            unmarked = f"; no marker: {unlike}"
    if timeless:
        raise UsageError(f"the agent's counter counts instructions, no time{unmarked}")
    brackets = brackets or [by.Bracket(one.host_before_s, one.agent_s, one.host_after_s) for one in measured.clock]
    agent = by.fit_clock(brackets) if brackets else _fit_of_offsets(measured, windows)
    if agent is not None and (trace.clock == "host" or instrument):
        moved, aligned = by.by_clocks(windows, agent, by.fit_clock(instrument) if instrument else None, period)
    else:
        try:
            moved, aligned = by_burst(trace, windows)
        except UsageError as error:
            raise UsageError(error.message + unmarked, hint=error.hint) from error
    return moved, aligned._replace(text=aligned.text + unmarked)


def _by_marker(
    trace: PowerTrace, marked: Marked, windows: Sequence[Window], *, timeless: bool
) -> tuple[tuple[Window, ...], Alignment]:
    """Return the marker's windows, which are like those that the agent ran, with the inferences that it counted."""
    from edgeprof.power.alignment import Alignment

    pairs = zip(marked.windows, windows, strict=True)
    merged = tuple(edge._replace(inferences=window.inferences) for edge, window in pairs)
    text = "edges of the marker in the sample stream"
    if trace.clock != "instrument":
        return merged, Alignment("marker", "exact", marked.error_s, text)
    like = "as many" if timeless else f"as many, as long and as far apart to {MOST_LENGTH_RATIO:.0%}"
    text += f" of {trace.source}, taken for this run's as they are {like}"
    return merged, Alignment("marker", "paired", marked.error_s, text)


def _unlike(marked: Sequence[Window], ran: Sequence[Window], error_s: float, *, timeless: bool) -> str | None:
    """Return how a marker's windows differ from those of the run, None where they do not."""
    if len(marked) != len(ran):
        return f"the marker bounds {len(marked)} windows, the agent ran {len(ran)}"
    if timeless:
        return None
    for number, (edge, window) in enumerate(zip(marked, ran, strict=True), 1):
        if _differ(edge.length_s, window.length_s, error_s):
            found, wanted = format_duration(edge.length_s), format_duration(window.length_s)
            return f"window {number} is {found} long by the marker, {wanted} by the agent"
        since, ran_since = edge.start_s - marked[0].start_s, window.start_s - ran[0].start_s
        if _differ(since, ran_since, error_s):
            found, wanted = format_duration(since), format_duration(ran_since)
            return f"window {number} begins {found} after the first by the marker, {wanted} by the agent"
    return None


def _differ(marked_s: float, ran_s: float, error_s: float) -> bool:
    return abs(marked_s - ran_s) > MOST_LENGTH_RATIO * ran_s + 2 * error_s


def _fit_of_offsets(measured: PassMeasurement, windows: Sequence[Window]) -> ClockFit | None:
    """Return a fit by the two offsets that are kept of a pass: before its first and after its last window."""
    from edgeprof.power.alignment import Bracket, fit_clock

    if measured.clock_offset_s is None:
        return None
    half_s = LEAST_BRACKET_S / 2
    ends = zip((windows[0].start_s, windows[-1].end_s), measured.clock_offset_s, strict=True)
    return fit_clock([Bracket(at + offset - half_s, at, at + offset + half_s) for at, offset in ends])
