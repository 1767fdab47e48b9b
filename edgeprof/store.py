"""Files: where edgeprof keeps things, the journal of a run, results; none is ever half there."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from edgeprof.bounded import opened, read_bounded
from edgeprof.errors import FileUnreadable, Interrupted, OutputUnwritable, ResultInvalid, UnknownName
from edgeprof.folders import state_folder
from edgeprof.records.events import Event, SamplesReceived
from edgeprof.records.result import Result
from edgeprof.records.sound import fault_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from edgeprof.records.board import Board

RUNS_KEPT = 50
SIDECAR_ABOVE = 200_000
LARGEST_RESULT_BYTES, LARGEST_JOURNAL_BYTES = 256 << 20, 8 << 30


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_writable(path: Path) -> None:
    """Refuse an output file before anything is measured, when it could not be written after."""
    folder = path.parent
    if path.is_dir():
        raise OutputUnwritable(f"cannot write the result to {path}: it is a folder", hint=f"-o {path}/result.json")
    if not folder.is_dir():
        raise OutputUnwritable(f"cannot write the result to {path}: there is no folder {folder}")
    try:
        descriptor, name = tempfile.mkstemp(prefix=".edgeprof-", dir=folder)
    except OSError as error:
        raise OutputUnwritable(f"cannot write the result to {path}: {error.strerror}") from error
    os.close(descriptor)
    Path(name).unlink()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or as it was."""
    path = path.resolve()  # a link stays a link
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # a device or a pipe is written into, never replaced
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# ── results ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def encode_result(result: Result) -> bytes:
    """Return a result as JSON."""
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"


def write_result(path: Path, result: Result) -> None:
    """Write a result; above 200,000 samples the raw ones go to a file beside it, named in the result."""
    if len(result.samples.start_s) > SIDECAR_ABOVE:
        result = _with_sidecar(path, result)
    write_atomically(path, encode_result(result))


def _with_sidecar(path: Path, result: Result) -> Result:
    sidecar = path.with_name(f"{path.name}.samples.json")
    write_atomically(sidecar, msgspec.json.encode(result.samples))
    samples = msgspec.structs.replace(
        result.samples,
        launch=(),
        start_s=(),
        duration_s=(),
        batch=(),
        flags=(),
        sidecar=sidecar.name,
        count=len(result.samples.start_s),
    )
    return msgspec.structs.replace(result, samples=samples)


def read_result(path: Path) -> Result:
    """Read a result file; one that is not a result is refused with the place that is wrong."""
    content = read_bounded(path, LARGEST_RESULT_BYTES, "the result")
    try:
        result = msgspec.json.decode(content, type=Result)
        fault = fault_of(result)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(path, str(error)) from error
    except RecursionError as error:
        raise _invalid(path, "it is nested too deeply") from error
    if fault:
        raise _invalid(path, fault)
    return result


def _invalid(path: Path, fault: str) -> ResultInvalid:
    hint = "results are written with edgeprof profile MODEL -o RESULT.json"
    return ResultInvalid(f"{path} is not an edgeprof result: {' '.join(fault.split())}", hint=hint)


def keep_result(result: Result) -> Path:
    """Keep a result for `edgeprof report last`, and forget the oldest ones."""
    folder = state_folder() / "runs" / result.id
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "result.json"
    write_result(path, result)
    _forget_old()
    return path


def last_result() -> Path:
    """Return the newest kept result, or the journal of a run that was killed before it had one.

    What a run left that failed before its first sample, or the turns of a comparison, is no result.
    """
    for folder in sorted((state_folder() / "runs").glob("*"), reverse=True):
        result, journal = folder / "result.json", folder / "journal.jsonl"
        if result.is_file() and result.stat().st_size:
            return result
        if _is_recoverable(journal):
            return journal
    raise FileUnreadable("there is no last result yet", hint="edgeprof profile MODEL makes one")


def _is_recoverable(journal: Path) -> bool:
    """Tell whether a journal holds samples of one model; one that cannot be read does not."""
    try:
        events = read_journal(journal)
        if not any(isinstance(event, SamplesReceived) for event in events):
            return False
        return read_result(journal.with_name("begun.json")).plan.second is None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, FileUnreadable, ResultInvalid):
        return False


def recover_result(journal: Path) -> Result:
    """Return what the journal of a run holds that was killed before it could write its result."""
    from edgeprof.judging.marks import run_findings
    from edgeprof.summary.fold import fold
    from edgeprof.summary.results import filled_result
    from edgeprof.targets import board_folders

    begun = read_result(journal.with_name("begun.json"))
    if begun.plan.second is not None:
        raise ResultInvalid(f"{journal} holds the turns of two models, which are no result of either")
    killed = Interrupted("the run was killed; this is what its journal holds")
    try:
        measurement = fold(read_journal(journal), begun.plan)
    except OSError as error:
        raise FileUnreadable(f"cannot read the journal {journal}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ResultInvalid(f"{journal} is not the journal of a run: {error}") from error
    folders = board_folders()
    result = filled_result(begun, measurement, failure=killed, board=_board(begun, folders), folders=folders)
    return msgspec.structs.replace(result, findings=run_findings(result))


def _board(begun: Result, folders: Sequence[Path]) -> Board | None:
    """Return the board that the run was begun for; None where none was named, or is not known any more."""
    from edgeprof.boards import load_board

    try:
        return load_board(begun.board.id, folders) if begun.board.id else None
    except UnknownName:
        return None


def kept_result(path: Path) -> Result:
    """Read a result file, the last one for `last`, or what the journal of a killed run holds."""
    found = last_result() if str(path) == "last" else path
    return recover_result(found) if found.suffix == ".jsonl" else read_result(found)


def forget_run(run_id: str) -> None:
    """Remove what a run left that is to have no result."""
    shutil.rmtree(state_folder() / "runs" / run_id, ignore_errors=True)


def _forget_old() -> None:
    """Forget what is older than the newest results; runs that failed push none of them out."""
    folders = sorted((state_folder() / "runs").iterdir())
    kept = [folder for folder in folders if (folder / "result.json").is_file()][-RUNS_KEPT:]
    for folder in folders[: folders.index(kept[0])] if len(kept) == RUNS_KEPT else ():
        shutil.rmtree(folder, ignore_errors=True)


# ── the journal ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Journal:
    """Every event of a run on disk, one JSON line each, before any number is computed from it.

    Beside it lies the result as it was begun, so that the journal of a killed run can be drawn.
    """

    def __init__(self, begun: Result) -> None:
        self.path = state_folder() / "runs" / begun.id / "journal.jsonl"
        self._begun = begun

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path.with_name("begun.json"), msgspec.json.encode(self._begun))
            self._file = self.path.open("wb")
        except OSError as error:
            raise OutputUnwritable(
                f"cannot keep a journal in {self.path.parent}: {error.strerror}",
                hint="set EDGEPROF_STATE to a folder that can be written",
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError:
            return  # the disk is full; append has said so

    def append(self, event: Event) -> None:
        """Write one event; a full disk stops the run and loses nothing of what came before."""
        try:
            self._file.write(msgspec.json.encode(event) + b"\n")
            self._file.flush()
        except OSError as error:
            raise Interrupted(
                f"the journal {self.path} cannot be written any more: {error.strerror}",
                hint="free some space, or set EDGEPROF_STATE to another folder; what was measured so far is kept",
            ) from error


def read_journal(path: Path) -> Iterator[Event]:
    """Yield the events of a journal; a last line that is torn is left out."""
    decoder = msgspec.json.Decoder(Event)
    with opened(path, LARGEST_JOURNAL_BYTES, "the journal") as file:
        while line := file.readline(LARGEST_RESULT_BYTES):
            if line.endswith(b"\n"):
                yield decoder.decode(line)


def now() -> str:
    """Return the time as a result states it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_id() -> str:
    """Return an id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(3)}"
