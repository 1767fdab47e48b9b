"""EEMBC energy traces, as the energy runner of MLPerf Tiny and ULPMark-ML writes them.

`…-energy.bin`: one byte 0xF1, the sample rate as float32, then microjoules a sample as float32, little-endian.
`…-timestamps.json`: seconds of falling edges; the first opens the recording, the others bound windows in pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeprof.bounded import read_bounded
from edgeprof.errors import UsageError
from edgeprof.power.trace import Accuracy, PowerTrace, cleaned

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.power.options import EnergyOptions

VERSION = 0xF1
HEAD_BYTES = 5
SAMPLE_BYTES = 4
LARGEST_BYTES = 1 << 30
MICRO = 1e-6


def read_eembc(path: Path, options: EnergyOptions) -> PowerTrace:
    """Return the trace; each sample is the mean power of its own interval."""
    if options.counter_range_j is not None:
        raise UsageError(
            f"--counter-range is of no use for {path.name}: an EEMBC trace holds the energy of each sample",
            hint="leave it out",
        )
    content = read_bounded(path, LARGEST_BYTES, "the recording")
    if len(content) < HEAD_BYTES + SAMPLE_BYTES or (len(content) - HEAD_BYTES) % SAMPLE_BYTES:
        raise UsageError(f"{path.name} is cut short: {len(content):,} bytes are no whole samples of an EEMBC trace")
    rate_hz = float(np.frombuffer(content, "<f4", 1, 1)[0])
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise UsageError(f"{path.name} gives a sample rate of {rate_hz:g} Hz")
    with np.errstate(invalid="ignore"):  # a signalling NaN is a gap like any other
        energy_j = np.frombuffer(content, "<f4", offset=HEAD_BYTES).astype(float) * MICRO
    accuracy = None
    if options.accuracy_ratio is not None:
        accuracy = Accuracy(options.accuracy_ratio, 0.0, None, "declared on the command line")
    return cleaned(
        PowerTrace(
            time_s=np.arange(len(energy_j)) / rate_hz,
            power_w=energy_j * rate_hz,
            source=path.name,
            clock="instrument",
            nominal_rate_hz=rate_hz,
            accuracy=accuracy,
            hold=True,
        )
    )


def timestamps_beside(path: Path) -> Path | None:
    """Return the file of timestamps that belongs to an energy trace, None where there is none."""
    stem = path.name.removesuffix(".bin").removesuffix("-energy")
    beside = path.with_name(f"{stem}-timestamps.json")
    return beside if beside.is_file() else None
