"""NPZ: arrays named as CSV headers are (time_s, power_w, current_ma, marker), or a rate_hz in place of times."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np

from edgeprof.errors import UsageError
from edgeprof.power.quantities import columns_of
from edgeprof.power.tables import Table

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.power.options import EnergyOptions
    from edgeprof.power.trace import Floats

LARGEST_BYTES = 4 << 30
RATES = ("rate_hz", "fs", "sample_rate_hz", "fs_hz")


def read_npz(path: Path, options: EnergyOptions) -> Table:
    """Return the arrays of an NPZ file that a trace is made of; nothing in it is executed (no pickles)."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > LARGEST_BYTES:
            raise UsageError(f"{path.name} unpacks to {unpacked:,} bytes, at most {LARGEST_BYTES >> 30} GiB are read")
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: np.asarray(arrays[name]) for name in arrays.files}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        raise UsageError(f"{path.name} is a damaged NPZ file: {error}") from error
    rate_hz = _rate(path.name, found)
    headers = [name for name in found if name not in RATES]
    columns = columns_of(headers, options.columns)
    arrays_of = [(column, _vector(path.name, headers[column.place], found)) for column in columns]
    lengths = {column.header: len(values) for column, values in arrays_of}
    if len(set(lengths.values())) != 1:
        raise UsageError(
            f"the arrays of {path.name} differ in length: {', '.join(f'{n} {c:,}' for n, c in lengths.items())}"
        )
    if not arrays_of or not len(arrays_of[0][1]):
        raise UsageError(f"{path.name} holds no samples")
    return Table(tuple(arrays_of), rate_hz)


def _rate(name: str, found: dict[str, np.ndarray]) -> float | None:
    for key in RATES:
        if key in found:
            if found[key].size != 1 or not np.isfinite(float(found[key].reshape(()))) or float(found[key]) <= 0:
                raise UsageError(f"{key} of {name} is not one positive number")
            return float(found[key].reshape(()))
    return None


def _vector(name: str, key: str, found: dict[str, np.ndarray]) -> Floats:
    values = found[key]
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise UsageError(f"{key} of {name} is {values.dtype} of shape {values.shape}; numbers in one row are wanted")
    return values.astype(float)
