"""Where a run's power is read from: the board's own sensors, an instrument on this machine, or a recording on disk."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from msgspec.structs import replace

from edgeprof.errors import EdgeprofError, UsageError
from edgeprof.meters import is_meter, open_meter, parse_meter
from edgeprof.records.events import ClockBracketed, PassEnded
from edgeprof.records.result import Warned
from edgeprof.records.sensors import SensorSeries
from edgeprof.summary.summarise import absent
from edgeprof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from edgeprof.battery.options import BatteryOptions
    from edgeprof.meters import Meter
    from edgeprof.power.metrics import Priced
    from edgeprof.power.trace import PowerTrace
    from edgeprof.records.events import Event
    from edgeprof.records.result import Measurement, Plan, Result

ONBOARD = "onboard"
DRAWN_POINTS = 4000
"""Of an instrument's trace that stays in the result, each the mean of what it stands for; the energy is of all."""
RECORDINGS = frozenset({".csv", ".tsv", ".txt", ".npz", ".bin"})
"""What a recording is called that may yet come."""
CLOCKS_S = 2.0
"""How far the date of a file may be off: some file systems keep it to two seconds."""
STALE_S = 600.0
"""A file that was last written so long before the run holds another one; a recorder may keep back what it writes."""
EPOCH_S = 1e9
"""Times above this count from 1970: no recording takes thirty years."""
HINT = "--power onboard, ppk2:///dev/ttyACM1?voltage=3300mV, or a recording such as trace.csv"
IN_PARALLEL = (
    "start the recorder first, then edgeprof, and let it write FILE until the run is over; on a terminal edgeprof waits"
    " for a recording to be exported then"
)


def check_power(text: str) -> str:
    """Return what --power names when it can be that; raise UsageError before the board is touched."""
    if text in {"", ONBOARD}:
        return text
    if is_meter(text):
        parse_meter(text)
        return text
    path = Path(text)
    to_come = not path.exists() and path.suffix.lower() in RECORDINGS and path.absolute().parent.is_dir()
    if not path.is_file() and not to_come:
        raise UsageError(f"--power {text} is neither onboard, nor an instrument, nor a file that is there", hint=HINT)
    return text


def is_recording(text: str) -> bool:
    """Tell whether --power names the file of another program's recording: it holds one run and no other."""
    return text not in {"", ONBOARD} and not is_meter(text)


def supplied(battery: BatteryOptions, power: str) -> BatteryOptions:
    """Return the battery's options with the voltage that the instrument is told to supply, where none is given."""
    voltage = getattr(parse_meter(power), "voltage_v", None) if is_meter(power) else None
    return battery._replace(supply_v=voltage) if battery.supply_v is None and voltage else battery


class Unread(NamedTuple):
    """Why the recording that --power names says nothing of this run, and what mends it."""

    reason: str
    advice: str


class PowerSource:
    """The instrument of one run: open while the board runs, recording during its energy pass.

    A recording on disk is another program's: it records while the board runs, and its file is read when that is over.
    A file that was last written long before the run began holds another run, whatever its windows are like; one that
    is a little older leaves a warning. A `simulated` board has no power of its own: what is laid over its run was made
    before, and dates say nothing. `ask` asks a person; who is there to be asked may export the recording when the run
    is over.
    """

    def __init__(
        self, text: str, plan: Plan, ask: Callable[[str], bool] | None = None, *, simulated: bool = False
    ) -> None:
        self._text = text
        self._ask = ask
        self._simulated = simulated
        self._began_s = 0.0
        self._energy = next((index for index, asked in enumerate(plan.passes) if asked.kind == "energy"), None)
        self._stack = ExitStack()
        self._meter: Meter | None = None
        self._recording = False
        self._ended = False
        self.trace: PowerTrace | None = None
        self.warnings: tuple[Warned, ...] = ()

    def __enter__(self) -> Self:
        self._began_s = time.time()  # the wall clock: the one that dates files
        if is_recording(self._text) and self._ask is None and not Path(self._text).exists():
            raise UsageError(
                f"--power {self._text} is neither onboard, nor an instrument, nor a file that is there",
                hint=IN_PARALLEL,
            )
        if self._energy is not None and is_meter(self._text):
            self._meter = self._stack.enter_context(open_meter(self._text))
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._stop()
        finally:
            self._stack.close()

    def heard(self, then: Callable[[Plan, Event], None] | None) -> Callable[[Plan, Event], None]:
        """Return what is to hear the events: it starts and ends the recording around the energy pass."""

        def hear(plan: Plan, event: Event) -> None:
            if isinstance(event, ClockBracketed | PassEnded) and event.index == self._energy:
                self._at(event)
            if then is not None:
                then(plan, event)

        return hear

    def _at(self, event: ClockBracketed | PassEnded) -> None:
        """Start with the first reading of the clock before the pass, end with the first one after it."""
        if isinstance(event, PassEnded):
            self._ended = True
        elif self._ended:
            self._stop()
        elif self._meter is not None and not self._recording:
            self._recording = True
            self._meter.start()

    def _stop(self) -> None:
        if self._meter is not None and self._recording:
            self._recording = False
            self.trace = self._meter.stop().trace

    def recorded(self) -> PowerTrace | Unread | None:
        """Return the instrument's trace, or what the named file holds of this run; None for the board's own sensors."""
        if not is_recording(self._text) or self._energy is None:
            return self.trace
        path = Path(self._text)
        if self._ask is not None and not self._written_since(path):
            with suppress(KeyboardInterrupt):  # who stops here does without the energy, not without the run
                self._ask(f"The run is over. End the recording and export it to {path}. Is it there?")
        try:
            return self._read(path)
        except EdgeprofError as error:
            from edgeprof.power.measurements import reason_of

            return Unread(
                reason_of(error), f"edgeprof energy {path} reads it alone, with options for what it leaves out"
            )

    def _written_since(self, path: Path) -> bool:
        return path.is_file() and path.stat().st_mtime >= self._began_s - CLOCKS_S

    def _read(self, path: Path) -> PowerTrace | Unread:
        from edgeprof.power.options import EnergyOptions
        from edgeprof.power.recordings import read_trace

        if not path.is_file():
            return Unread(f"{path} was not there when the run was over", IN_PARALLEL)
        dates = [(path.stat().st_mtime, f"{path} was last written at")]
        trace = read_trace(path, EnergyOptions())
        first_s, last_s = float(trace.time_s[0]), float(trace.time_s[-1])
        if first_s > EPOCH_S:
            dates.append((last_s, f"the times of {path} end at"))
        when_s, what = min(dates)
        older_s = 0.0 if self._simulated else self._began_s - when_s
        told = f"{what} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(when_s))}, before this run began"
        if older_s > STALE_S:
            return Unread(f"{told}: it holds another", IN_PARALLEL)
        if older_s > CLOCKS_S:
            text = f"{told}: its windows are like this run's, and it is of this run only if its recorder wrote late"
            self.warnings = (Warned(code="recording-older", text=text, advice=IN_PARALLEL),)
        return trace


def with_energy(
    result: Result, measurement: Measurement, trace: PowerTrace | Unread | None, priced: Priced | None = None
) -> Result:
    """Return the result with the energy of its windows, by an external trace or the board's own sensors.

    An instrument that was lost while windows were still to come leaves the result partial, as a lost board does: what
    was asked for was measured in part. Where all windows were over, nothing is missing, and that is said.
    """
    from edgeprof.power.measurements import result_energy
    from edgeprof.power.metrics import NAMES, UNPRICED

    if isinstance(trace, Unread):
        unknown = {name: absent(measurement.basis, trace.reason) for name in NAMES}
        return replace(result, metrics={**result.metrics, **unknown}, warnings=(*result.warnings, _refused(trace)))
    metrics, breakdown = result_energy(measurement, trace, priced=priced or UNPRICED)
    lost = () if trace is None else _lost(trace, breakdown)
    if trace is not None and trace.clock == "instrument" and not breakdown:
        lost = (_refused(Unread(metrics[NAMES[0]].reason or "", IN_PARALLEL)),)
        trace = None  # what may be of another run is not drawn beside this one
    warnings = (*lost, *(Warned(**words) for words in breakdown.get("findings", ()) if words["code"] != "trace"))
    return replace(
        result,
        status="partial" if any(one.code == "instrument-lost" for one in lost) else result.status,
        metrics={**result.metrics, **metrics},
        breakdowns={**result.breakdowns, **({"energy": breakdown} if breakdown else {})},
        sensors=result.sensors
        if trace is None or not len(trace.time_s)
        else (*result.sensors, drawn(trace, measurement)),
        warnings=(*result.warnings, *warnings),
    )


def _refused(unread: Unread) -> Warned:
    return Warned(code="recording-refused", text=unread.reason, advice=unread.advice)


def _lost(trace: PowerTrace, breakdown: Mapping[str, Any]) -> tuple[Warned, ...]:
    """Return what to say of an instrument that ended by itself."""
    if not trace.lost:
        return ()
    windows = breakdown.get("windows", ())
    missing = sum(1 for window in windows if window["reason"])
    lasted = float(trace.time_s[-1] - trace.time_s[0]) if len(trace.time_s) else 0.0
    text = f"{trace.source} ended by itself after {format_duration(lasted)}: {trace.lost}"
    if windows and not missing:
        return (Warned(code="instrument-ended", text=f"{text}; all windows were over", advice="check its cable"),)
    of = f"{missing} of {len(windows)} windows have no energy" if windows else "no window has an energy"
    advice = (
        "check its cable and its hub's supply, then repeat the run: the energy that is here is of the other windows"
    )
    return (Warned(code="instrument-lost", text=f"{text}; {of}", advice=advice),)


def drawn(trace: PowerTrace, measurement: Measurement) -> SensorSeries:
    """Return a thinned series of an instrument's trace, on the agent's clock where that is known."""
    import numpy as np

    offset_s = 0.0
    if trace.clock == "host":
        offsets = [m.clock_offset_s for m in measurement.passes if m.kind == "energy" and m.clock_offset_s]
        offset_s = sum(offsets[0]) / 2 if offsets else 0.0
    step = max(1, -(-len(trace.time_s) // DRAWN_POINTS))
    edges = np.arange(0, len(trace.time_s), step)
    counts = np.add.reduceat(np.isfinite(trace.power_w).astype(float), edges)
    sums = np.add.reduceat(np.nan_to_num(trace.power_w, nan=0.0), edges)
    known = counts > 0
    return SensorSeries(
        name="power",
        quantity="power",
        unit="w",
        source=trace.source,
        role="board-total" if trace.covers == "board" else "",
        time_s=tuple((trace.time_s[edges][known] - offset_s).tolist()),
        value=tuple((sums[known] / counts[known]).tolist()),
        interval_s=step / trace.nominal_rate_hz if trace.nominal_rate_hz else None,
        failures=int(np.count_nonzero(~np.isfinite(trace.power_w))),
        reason="samples that the instrument lost" if not np.isfinite(trace.power_w).all() else "",
    )
