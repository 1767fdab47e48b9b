"""Where a run's power is read from: the board's own sensors, an instrument on this machine, or a recording on disk."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from edgeprof.errors import UsageError
from edgeprof.meters import is_meter, open_meter, parse_meter
from edgeprof.records.events import ClockBracketed, PassEnded
from edgeprof.records.result import Warned
from edgeprof.records.sensors import SensorSeries

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.battery.options import BatteryOptions
    from edgeprof.meters import Meter
    from edgeprof.power.metrics import Priced
    from edgeprof.power.trace import PowerTrace
    from edgeprof.records.events import Event
    from edgeprof.records.result import Measurement, Plan, Result

ONBOARD = "onboard"
DRAWN_POINTS = 4000
"""Of an instrument's trace that stays in the result, each the mean of what it stands for; the energy is of all."""
HINT = "--power onboard, ppk2:///dev/ttyACM1?voltage=3300mV, or a recording such as trace.csv"


def check_power(text: str) -> str:
    """Return what --power names when it can be that; raise UsageError before the board is touched."""
    if text in {"", ONBOARD}:
        return text
    if is_meter(text):
        parse_meter(text)
        return text
    if not Path(text).is_file():
        raise UsageError(f"--power {text} is neither onboard, nor an instrument, nor a file that is there", hint=HINT)
    return text


def supplied(battery: BatteryOptions, power: str) -> BatteryOptions:
    """Return the battery's options with the voltage that the instrument is told to supply, where none is given."""
    voltage = getattr(parse_meter(power), "voltage_v", None) if is_meter(power) else None
    return battery._replace(supply_v=voltage) if battery.supply_v is None and voltage else battery


class PowerSource:
    """The instrument of one run: open while the board runs, recording during its energy pass."""

    def __init__(self, text: str, plan: Plan) -> None:
        self._text = text
        self._energy = next((index for index, asked in enumerate(plan.passes) if asked.kind == "energy"), None)
        self._stack = ExitStack()
        self._meter: Meter | None = None
        self._recording = False
        self._ended = False
        self.trace: PowerTrace | None = None

    def __enter__(self) -> Self:
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

    def recorded(self) -> PowerTrace | None:
        """Return the instrument's trace, or what the named file holds; None for the board's own sensors."""
        if self.trace is not None or self._text in {"", ONBOARD} or is_meter(self._text):
            return self.trace
        from edgeprof.power.options import EnergyOptions  # noqa: PLC0415  only for a recording
        from edgeprof.power.recordings import read_trace  # noqa: PLC0415  the same

        return read_trace(self._text, EnergyOptions())


def with_energy(
    result: Result, measurement: Measurement, trace: PowerTrace | None, priced: Priced | None = None
) -> Result:
    """Return the result with the energy of its windows, by an external trace or the board's own sensors."""
    from edgeprof.power.measurements import result_energy  # noqa: PLC0415  the same
    from edgeprof.power.metrics import UNPRICED  # noqa: PLC0415  only where power was measured

    metrics, breakdown = result_energy(measurement, trace, priced=priced or UNPRICED)
    warnings = tuple(Warned(**words) for words in breakdown.get("findings", ()) if words["code"] != "trace")
    return replace(
        result,
        metrics={**result.metrics, **metrics},
        breakdowns={**result.breakdowns, **({"energy": breakdown} if breakdown else {})},
        sensors=result.sensors if trace is None else (*result.sensors, drawn(trace, measurement)),
        warnings=(*result.warnings, *warnings),
    )


def drawn(trace: PowerTrace, measurement: Measurement) -> SensorSeries:
    """Return a thinned series of an instrument's trace, on the agent's clock where that is known."""
    import numpy as np  # noqa: PLC0415  only for an instrument's trace

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
