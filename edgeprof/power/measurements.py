"""The energy of a measurement: its energy pass laid over the board's own sensors or over an instrument's trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgeprof.errors import UsageError
from edgeprof.power.metrics import NAMES, UNPRICED, energy_metrics
from edgeprof.summary.summarise import absent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.power.alignment import Alignment, Bracket, ClockFit
    from edgeprof.power.metrics import Priced
    from edgeprof.power.trace import PowerTrace
    from edgeprof.power.windows import Window
    from edgeprof.records.energy import EnergyReport
    from edgeprof.records.result import Measurement, Metric, PassMeasurement

LEAST_BRACKET_S = 1e-3
"""How wide a bracket is taken to be where only its middle was kept: a round trip over USB or a network at rest."""

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
        reason = error.message + (f" ({error.hint})" if error.hint != error.usual_hint else "")
        return {name: absent(measurement.basis, reason) for name in NAMES}, {}
    return report.metrics, msgspec.to_builtins(report)


def _report(
    measurement: Measurement,
    trace: PowerTrace | None,
    brackets: Sequence[Bracket],
    instrument: Sequence[Bracket],
    idle_state: str,
    priced: Priced,
) -> EnergyReport:
    from edgeprof.power.trace import period_s  # noqa: PLC0415  the same
    from edgeprof.power.windows import sample_windows  # noqa: PLC0415  numpy is imported when a trace is at hand

    measured = next((one for one in measurement.passes if one.kind == "energy"), None)
    if measured is None:
        raise UsageError("no energy pass was run")
    windows = sample_windows(measured.samples)
    if not windows:
        raise UsageError("the energy pass has no window" + (f": {measured.failure_text}" if measured.failure else ""))
    trace = trace or _own_trace(measured)
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
    from edgeprof.power.onboard import NoTrace, onboard_trace  # noqa: PLC0415  numpy, the same

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
    from edgeprof.power import alignment as by  # noqa: PLC0415  numpy, the same
    from edgeprof.power.burst import by_burst  # noqa: PLC0415  numpy, the same
    from edgeprof.power.trace import period_s  # noqa: PLC0415  the same

    period, (brackets, instrument) = period_s(trace), clocks
    if trace.clock == "agent" and not timeless:
        text = "sensors and windows on the agent's own clock"
        return windows, by.Alignment("clock", "exact", period, text, 0.0, 0.0)
    unmarked = ""
    if trace.marker is not None:
        try:
            return _by_marker(trace, windows)
        except UsageError as error:  # an instrument has its inputs whether a pin is wired to them or not
            unmarked = f"; no marker: {error.message}"
    if timeless:
        raise UsageError(f"the agent's counter counts instructions, no time{unmarked}")
    brackets = brackets or [by.Bracket(one.host_before_s, one.agent_s, one.host_after_s) for one in measured.clock]
    agent = by.fit_clock(brackets) if brackets else _fit_of_offsets(measured, windows)
    if agent is not None and (trace.clock == "host" or instrument):
        moved, aligned = by.by_clocks(windows, agent, by.fit_clock(instrument) if instrument else None, period)
    else:
        moved, aligned = by_burst(trace, windows)
    return moved, aligned._replace(text=aligned.text + unmarked)


def _by_marker(trace: PowerTrace, windows: Sequence[Window]) -> tuple[tuple[Window, ...], Alignment]:
    """Return the marker's windows with the inferences that the agent counted in each, in their order."""
    from edgeprof.power.alignment import Alignment  # noqa: PLC0415  numpy, the same
    from edgeprof.power.windows import marker_windows  # noqa: PLC0415  the same

    marked = marker_windows(trace)
    if len(marked.windows) != len(windows):
        raise UsageError(f"the marker bounds {len(marked.windows)} windows, the agent ran {len(windows)}")
    pairs = zip(marked.windows, windows, strict=True)
    merged = tuple(edge._replace(inferences=window.inferences) for edge, window in pairs)
    return merged, Alignment("marker", "exact", marked.error_s, "edges of the marker in the sample stream")


def _fit_of_offsets(measured: PassMeasurement, windows: Sequence[Window]) -> ClockFit | None:
    """Return a fit by the two offsets that are kept of a pass: before its first and after its last window."""
    from edgeprof.power.alignment import Bracket, fit_clock  # noqa: PLC0415  numpy, the same

    if measured.clock_offset_s is None:
        return None
    half_s = LEAST_BRACKET_S / 2
    ends = zip((windows[0].start_s, windows[-1].end_s), measured.clock_offset_s, strict=True)
    return fit_clock([Bracket(at + offset - half_s, at, at + offset + half_s) for at, offset in ends])
