"""Reads one model of a bundle to its end: its digest, and its metrics where it is TFLite or ONNX."""

from __future__ import annotations

import hashlib
import mmap
import tempfile
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.bundle.budget import Budget, BundleUnreadable, max_content_bytes
from edgeprof.bundle.entry import Entry, chunks
from edgeprof.errors import EdgeprofError, OutputUnwritable

if TYPE_CHECKING:
    from typing import IO

    from edgeprof.model.graph import DataFile, Graph
    from edgeprof.records.result import Metric

readable = ("TFLite", "ONNX")


class ReadModel(NamedTuple):
    """What the content says: `note` says why there is no digest or there are no metrics."""

    sha256: str | None = None
    metrics: dict[str, Metric] = {}  # noqa: RUF012  never written to
    note: str = ""
    data_files: tuple[DataFile, ...] = ()


def read_entry(entry: Entry, name_of_format: str, budget: Budget) -> ReadModel:
    """Return digest and metrics of a model, as far as the budget goes."""
    budget.read_models -= 1
    if budget.read_models < 0 or not budget.take_content(entry.size):
        return ReadModel(note=f"not read: more than {max_content_bytes // 2**20} MiB of models; sizes are as stated")
    if name_of_format not in readable:
        return ReadModel(_digest(entry), note=f"edgeprof does not read {name_of_format}; only its size is judged")
    with tempfile.TemporaryFile() as file:
        digest = spool(entry, file)
        if budget.graph_s < 0:
            return ReadModel(digest, note="its operators were not counted: there are too many models in the bundle")
        began = process_time()
        try:
            graph = _graph(file, entry.name, name_of_format)
            return ReadModel(digest, _metrics(graph), data_files=graph.data_files)
        except EdgeprofError as error:
            return ReadModel(digest, note=f"not readable as {name_of_format}: {error.message[:300]}")
        finally:
            budget.graph_s -= process_time() - began


def spool(entry: Entry, file: IO[bytes]) -> str:
    """Copy the content, whose size the budget has allowed, into a file. Returns its digest."""
    digest, seen = hashlib.sha256(), 0
    with entry.open() as content:
        for piece in chunks(content):
            seen += len(piece)
            _check_size(entry, seen, at_end=False)
            digest.update(piece)
            try:
                file.write(piece)
            except OSError as error:
                folder = tempfile.gettempdir()
                raise OutputUnwritable(f"cannot unpack into {folder}: {error.strerror}", hint="set TMPDIR") from error
    _check_size(entry, seen, at_end=True)
    file.flush()
    return digest.hexdigest()


def _digest(entry: Entry) -> str:
    digest = hashlib.sha256()
    with entry.open() as content:
        for piece in chunks(content):
            digest.update(piece)
    return digest.hexdigest()


def _check_size(entry: Entry, seen: int, *, at_end: bool) -> None:
    if seen > entry.size or (at_end and seen < entry.size):
        raise BundleUnreadable(f"{entry.name[:100]!r} does not hold the {entry.size:,} bytes that are stated")


def _graph(file: IO[bytes], name: str, name_of_format: str) -> Graph:
    from edgeprof.model.onnx import read_onnx
    from edgeprof.model.tflite import read_tflite

    base = Path(name).name or "model"
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        if name_of_format == "TFLite":
            return read_tflite(memory, base)
        # ONNX names files of external data relative to its own; there are none beside a member of an archive.
        return read_onnx(memory, Path(base))


def _metrics(graph: Graph) -> dict[str, Metric]:
    from edgeprof.summary.static import model_metrics

    return model_metrics(graph)
