"""A recording on disk to an energy report: which format it is, where its windows are, what they hold."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgeprof.bounded import opened
from edgeprof.errors import UsageError
from edgeprof.power.alignment import Alignment
from edgeprof.power.burst import by_burst
from edgeprof.power.csv_file import LARGEST_BYTES, WHAT, read_csv
from edgeprof.power.eembc_file import VERSION, read_eembc, timestamps_beside
from edgeprof.power.energy import IdleAsked
from edgeprof.power.marker_file import UNIT_HINT, read_markers
from edgeprof.power.metrics import Priced, energy_metrics
from edgeprof.power.npz_file import read_npz
from edgeprof.power.options import ALIGNMENTS, LEVELS, SIDES
from edgeprof.power.tables import other_unit_hint, trace_of_table
from edgeprof.power.trace import period_s
from edgeprof.power.windows import Window, marker_windows
from edgeprof.records.result import Warned

if TYPE_CHECKING:
    from edgeprof.power.options import EnergyOptions
    from edgeprof.power.trace import PowerTrace
    from edgeprof.records.energy import EnergyReport

FEWEST_SAMPLES = 2


def read_trace(path: str | Path, options: EnergyOptions) -> PowerTrace:
    """Return a recorded trace; its format is told by its content. Raises UsageError with the line where there is one.

    Its clock is the instrument's own: markers, or a pattern, lay windows over it.
    """
    path = Path(path)
    with opened(path, LARGEST_BYTES, WHAT) as file:
        begin = file.read(4)
    if begin[:2] == b"PK":
        trace = trace_of_table(read_npz(path, options), path.name, options)
    elif begin[:1] == bytes([VERSION]):
        trace = read_eembc(path, options)
    else:
        trace = trace_of_table(read_csv(path, options), path.name, options)
    if len(trace.time_s) < FEWEST_SAMPLES:
        raise UsageError(f"{path.name} holds {len(trace.time_s)} samples with a time: nothing to integrate")
    return trace


def energy_of_recording(
    trace_path: str | Path, markers: str | Path | None, options: EnergyOptions
) -> EnergyReport:  # fmt: skip
    """Read, find the windows, integrate; see `edgeprof.power.energy_of_file`."""
    _refuse_impossible(options)
    trace = read_trace(trace_path, options)
    windows, alignment, findings = _windows(trace, Path(trace_path), markers, options)
    if options.inferences is not None:
        windows = tuple(window._replace(inferences=options.inferences) for window in windows)
    report = energy_metrics(
        trace,
        windows,
        alignment=alignment,
        guard_s=options.guard_s,
        idle_state=options.idle_state,
        idle=IdleAsked(options.idle_span_s, options.idle_side),
        priced=Priced(options.price_usd_per_kwh, options.grid_g_per_kwh),
    )
    return replace(report, findings=(*findings, *map(_with_option, report.findings)))


def _with_option(found: Warned) -> Warned:
    """Return a finding with what the command line of a recording can do about it; a run's has no such option."""
    declares = "its data sheet says it; edgeprof energy --accuracy 1% declares it"
    return replace(found, advice=declares) if found.code == "accuracy-unknown" else found


def _windows(
    trace: PowerTrace, path: Path, markers: str | Path | None, options: EnergyOptions
) -> tuple[tuple[Window, ...], Alignment, list[Warned]]:
    """Return the windows on the trace's clock, and how they came there."""
    file = Path(markers) if markers is not None else timestamps_beside(path)
    if file is not None:
        windows, unsaid = read_markers(file)
        if options.align == "burst":
            return *by_burst(trace, windows), []
        taken = ", taken as seconds" if unsaid else ""
        text = f"times of {file.name}{taken}, on the recording's own clock; off by half a sample at most"
        _check_inside(trace, windows, file.name, unsaid=unsaid)
        return windows, Alignment("marker", "exact", period_s(trace) / 2, text), []
    if trace.marker is not None:
        marked = marker_windows(trace, bit=options.marker_bit, level=options.level)
        if not marked.windows:
            raise UsageError(
                f"the marker of {trace.source} bounds no whole window",
                hint="; ".join(marked.notes) or "--level says what the marker means",
            )
        text = "edges of the marker in the sample stream, each in the middle between two samples"
        notes = [Warned(code="marker", text=note, advice="") for note in marked.notes]
        return marked.windows, Alignment("marker", "exact", marked.error_s, text), notes
    whole = Window(float(trace.time_s[0]), float(trace.time_s[-1]) + (period_s(trace) if trace.hold else 0.0))
    advice = "--markers FILE gives the windows' times; what the board did beside inferring is in these figures"
    told = Warned(code="no-markers", text="no marker: the whole recording is one window", advice=advice)
    return (whole,), Alignment("whole recording", "exact", 0.0, "no windows are known"), [told]


def _check_inside(trace: PowerTrace, windows: tuple[Window, ...], name: str, *, unsaid: bool) -> None:
    """Refuse times of another clock, or of another unit: no window touches the recording, or none holds a sample."""
    first_s, last_s = float(trace.time_s[0]), float(trace.time_s[-1])
    if all(window.end_s <= first_s or window.start_s >= last_s for window in windows):
        raise UsageError(
            f"no window of {name} lies in the recording ({first_s:g} to {last_s:g} s): another clock or unit",
            hint=_unit_hint(trace, windows, unsaid=unsaid) or "--align burst looks for their pattern in the power",
        )
    if trace.time_unsaid and all(window.length_s < FEWEST_SAMPLES * period_s(trace) for window in windows):
        raise UsageError(
            f"the header {trace.time_unsaid!r} has no unit, and in seconds no window of {name} holds"
            f" {FEWEST_SAMPLES} samples",
            hint=other_unit_hint(trace.time_unsaid),
        )


def _unit_hint(trace: PowerTrace, windows: tuple[Window, ...], *, unsaid: bool) -> str:
    """Return how to name the unit of times that were taken as seconds without being told so."""
    if trace.time_unsaid:
        return other_unit_hint(trace.time_unsaid)
    within = any(trace.time_s[0] < window.start_s * 1e-3 < trace.time_s[-1] for window in windows)
    return f"in milliseconds they would: {UNIT_HINT}" if unsaid and within else ""


def _refuse_impossible(options: EnergyOptions) -> None:
    """Raise UsageError for what no recording has; a command line refuses most of it before."""
    positive = (
        ("inferences", options.inferences), ("voltage", options.voltage_v), ("counter-range", options.counter_range_j),
        ("idle-span", options.idle_span_s),
    )  # fmt: skip
    for name, value in positive:
        if value is not None and not (isfinite(value) and value > 0):
            raise UsageError(f"--{name} has to be above 0, it is {value:g}")
    not_negative = (
        ("guard", options.guard_s), ("accuracy", options.accuracy_ratio), ("price", options.price_usd_per_kwh),
        ("grid", options.grid_g_per_kwh),
    )  # fmt: skip
    for name, value in not_negative:
        if value is not None and not (isfinite(value) and value >= 0):
            raise UsageError(f"--{name} cannot be below 0, it is {value:g}")
    chosen = (
        ("level", options.level, LEVELS), ("idle-side", options.idle_side, SIDES), ("align", options.align, ALIGNMENTS),
    )  # fmt: skip
    for name, word, known in chosen:
        if word not in known:
            raise UsageError(f"--{name} {word}: {', '.join(known)} can be")
