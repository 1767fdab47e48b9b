"""Calibrations on disk: one JSON file a board, runtime and number of threads, in the user's data folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from edgeprof.bounded import read_bounded
from edgeprof.errors import FileUnreadable, OutputUnwritable, ResultInvalid, UsageError
from edgeprof.records.calibration import Calibration
from edgeprof.store import write_atomically
from edgeprof.targets import resolve_target

SUFFIX = ".json"
LARGEST_BYTES = 16 << 20


def calibration_folder() -> Path:
    """Return where calibrations are kept: EDGEPROF_CALIBRATIONS, else beside the history of results."""
    import platformdirs

    named = os.environ.get("EDGEPROF_CALIBRATIONS")
    return Path(named) if named else Path(platformdirs.user_data_dir("edgeprof")) / "calibrations"


def store_calibration(calibration: Calibration, folder: Path | None = None) -> Path:
    """Keep a calibration in the place of an older one of the same board, runtime and threads; return its file."""
    place = (folder or calibration_folder()) / _file_name(calibration)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, msgspec.json.format(msgspec.json.encode(calibration), indent=1) + b"\n")
    except OSError as error:
        raise OutputUnwritable(f"cannot keep the calibration in {place}: {error.strerror}") from error
    return place


def kept_calibrations(target: str, threads: int | None = None, folder: Path | None = None) -> tuple[Calibration, ...]:
    """Return what is kept of a target, oldest first; `threads` None: of every number of threads."""
    place = folder or calibration_folder()
    own = f"{_name_part(target)}_*{SUFFIX}"  # a damaged file of another target is no trouble of this one
    found = [read_calibration(path) for path in sorted(place.glob(own))] if place.is_dir() else []
    wanted = [each for each in found if each.target == target and threads in {None, each.threads}]
    return tuple(sorted(wanted, key=lambda each: each.created))


def needed_calibrations(target: str, threads: int, folder: Path | None = None) -> tuple[Calibration, ...]:
    """Return what is kept of a target; raise UsageError where that is nothing, or the target is none."""
    found = kept_calibrations(target, threads, folder)
    if not found:
        resolve_target(target)
        raise UsageError(
            f"{target} has not been calibrated with {threads} thread{'s' * (threads != 1)}",
            hint=f"edgeprof calibrate --target {target} --threads {threads}",
        )
    return found


def read_calibration(path: Path) -> Calibration:
    """Read one file; what is no calibration is refused with the place that is wrong."""
    try:
        return msgspec.json.decode(read_bounded(path, LARGEST_BYTES, "the calibration"), type=Calibration)
    except (FileUnreadable, msgspec.DecodeError) as error:
        raise ResultInvalid(
            f"{path} is no calibration: {error}", hint=f"remove it; edgeprof calibrate writes {path.name} again"
        ) from error


def _file_name(calibration: Calibration) -> str:
    parts = (calibration.target, calibration.board.id or "", calibration.runtime, f"{calibration.threads}t")
    return f"{'_'.join(word for word in map(_name_part, parts) if word)}{SUFFIX}"


def _name_part(text: str) -> str:
    return re.sub("[^A-Za-z0-9.]+", "-", text).strip("-")
