"""Power traces: where they come from, laid over inferences, integrated. Pure but for the reading of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.power.options import EnergyOptions
    from edgeprof.records.energy import EnergyReport


def energy_of_file(
    trace: str | Path, markers: str | Path | None = None, options: EnergyOptions | None = None
) -> EnergyReport:
    """Integrate a recorded power trace (CSV, NPZ or EEMBC) between its marks; no board is needed.

    `markers`: a file with the windows' times; without one the recording's own marker bits, the timestamps beside an
    EEMBC trace, or the whole recording as one window, which is told. Raises UsageError for what cannot be read or
    makes no sense, naming file and line.
    """
    from edgeprof.power.options import EnergyOptions
    from edgeprof.power.recordings import energy_of_recording

    return energy_of_recording(trace, markers, options or EnergyOptions())
