"""NPZ: arrays named as CSV headers are (time_s, power_w, current_ma, marker), or a rate_hz in place of times."""

from __future__ import annotations

from math import isfinite, prod
from typing import TYPE_CHECKING

from edgeprof.bundle.budget import printable
from edgeprof.errors import UsageError
from edgeprof.npz import array_of, opened_npz
from edgeprof.power.columns import columns_of
from edgeprof.power.csv_file import LARGEST_SAMPLES, WHAT
from edgeprof.power.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeprof.npz import Declared, Npz
    from edgeprof.power.options import EnergyOptions

LARGEST_BYTES = 4 << 30
LARGEST_REALS_BYTES = 2 << 30
"""Of all columns as 64 bit floats: a few bytes may unpack to as many values."""
RATES = ("rate_hz", "fs", "sample_rate_hz", "fs_hz")


def read_npz(path: Path, options: EnergyOptions) -> Table:
    """Return the arrays of an NPZ file that a trace is made of; sizes are checked before any of them is read."""
    with opened_npz(path, LARGEST_BYTES, WHAT) as npz:
        rate_hz = _rate(path.name, npz)
        headers = [name for name in npz.declared if name not in RATES]
        columns = columns_of([printable(name) for name in headers], options.columns)
        _check(path.name, [npz.declared[headers[column.place]] for column in columns])
        arrays = [(column, array_of(npz, headers[column.place]).astype(float)) for column in columns]
    return Table(tuple(arrays), rate_hz)


def _rate(name: str, npz: Npz) -> float | None:
    for key in RATES:
        if (declared := npz.declared.get(key)) is None:
            continue
        rate_hz = 0.0
        if prod(declared.shape) == 1 and declared.dtype.kind in "fiu":
            rate_hz = float(array_of(npz, key).reshape(()))
        if not (isfinite(rate_hz) and rate_hz > 0):
            raise UsageError(f"{key} of {name} is not one positive number")
        return rate_hz
    return None


def _check(name: str, arrays: Sequence[Declared]) -> None:
    """Refuse what is no trace, or more of it than is taken into memory."""
    for array in arrays:
        if len(array.shape) != 1 or array.dtype.kind not in "fiub":
            raise UsageError(
                f"{printable(array.name)} of {name} is {array.dtype} of shape {array.shape};"
                " numbers in one row are wanted"
            )
    lengths = {printable(array.name): array.shape[0] for array in arrays}
    if len(set(lengths.values())) != 1:
        raise UsageError(
            f"the arrays of {name} differ in length: {', '.join(f'{key} {count:,}' for key, count in lengths.items())}"
        )
    samples = arrays[0].shape[0]
    if not samples:
        raise UsageError(f"{name} holds no samples")
    most = min(LARGEST_SAMPLES, LARGEST_REALS_BYTES // (8 * len(arrays)))
    if samples > most:
        raise UsageError(
            f"{name} has {samples:,} samples; at most {most:,} of {len(arrays)} columns are read",
            hint="export a part of it",
        )
