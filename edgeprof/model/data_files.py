"""The files beside an ONNX model that hold its weights: what the model declares of them, and what lies there.

ONNX names them by location, offset and length (`TensorProto.external_data`). The names are untrusted: nothing outside
of the model's own folder is looked at, and of what is inside only sizes, unless a digest is asked for.
"""

from __future__ import annotations

import re
import stat
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from edgeprof.errors import FileUnreadable, ModelInvalid
from edgeprof.model.graph import DataFile

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edgeprof.model.graph import Graph
    from edgeprof.model.onnx_proto import ExternalWeight

LFS_MARK = b"version https://git-lfs"
PULL = "run git lfs pull"
IN_ONE_FOLDER = "save it again with all weights in one file beside it, or inside it"
BESIDE_IT = "put it beside the model"
AGAIN = "copy or download both files again"
EXPORT_AGAIN = "export the model again"
_number = re.compile("[0-9]{1,18}")


# ── what the model declares ──────────────────────────────────────────────────────────────────────────────────────────


def declared_files(weights: Sequence[ExternalWeight]) -> tuple[DataFile, ...]:
    """Return the files that a model's weights lie in, each once, in the order of their names; nothing is looked at."""
    of_files: dict[str, list[ExternalWeight]] = {}
    for weight in weights:
        of_files.setdefault(_plain(weight.place.get("location", "")), []).append(weight)
    return tuple(_declared(name, of_files[name]) for name in sorted(of_files))


def _plain(name: str) -> str:
    """Return a name without `./` and doubled slashes, so that one file has one name."""
    return str(PurePosixPath(name)) if name else ""


class _Extent(NamedTuple):
    """Where a weight lies in its file."""

    start: int
    end: int


def _declared(name: str, weights: Sequence[ExternalWeight]) -> DataFile:
    extents, fault = set[_Extent](), ""
    for weight in weights:
        extent = _extent(weight)
        if isinstance(extent, str):
            fault = fault or extent
        else:
            extents.add(extent)
    if leads_elsewhere(name):
        fault = f"weights lie in {_shown(name)}, which is not in the model's own folder" if name else fault
        fault = fault or f"the weight {_shown(weights[0].name)} lies in a file without a name"
    return DataFile(
        name=name,
        weights_count=len(weights),
        weights_bytes=sum(extent.end - extent.start for extent in extents),
        needed_bytes=max((extent.end for extent in extents), default=0),
        fault=fault,
        hint="" if not fault else IN_ONE_FOLDER if leads_elsewhere(name) else EXPORT_AGAIN,
    )


def _extent(weight: ExternalWeight) -> _Extent | str:
    """Return where a weight lies, or what is wrong with that."""
    texts = {key: weight.place.get(key) or "0" for key in ("offset", "length")}
    of = f"the weight {_shown(weight.name)} in {_shown(weight.place.get('location', ''))}"
    for key, text in texts.items():
        if not _number.fullmatch(text):
            return f"{of} has the {key} {_shown(text)}, which is no number of bytes"
    offset, length = int(texts["offset"]), int(texts["length"])
    if length and weight.bytes and length != weight.bytes:
        return f"{of} has a length of {length:,} bytes, its shape wants {weight.bytes:,}"
    return _Extent(offset, offset + (weight.bytes or length))


def leads_elsewhere(name: str) -> bool:
    """Tell whether a name is none of a file in the model's folder or below it, on any system that a board may have."""
    parts = PurePosixPath(name).parts
    drive = PureWindowsPath(name).drive
    return not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or bool(drive)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 100 else f"{name[:99]}…")  # a line's worth


# ── what lies there ──────────────────────────────────────────────────────────────────────────────────────────────────


def looked_at(model: Path, files: Sequence[DataFile]) -> tuple[DataFile, ...]:
    """Return the files with their sizes, or with what is wrong with them; one file under two names counts once."""
    counted = {_identity(model.stat()): model.name} if files else {}
    found = []
    for file in files:
        seen, identity = (file, None) if file.fault else _looked_at(model, file)
        found.append(replace(seen, same_as=counted.get(identity, "")) if identity is not None else seen)
        if identity is not None:
            counted.setdefault(identity, file.name)
    return tuple(found)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _looked_at(model: Path, file: DataFile) -> tuple[DataFile, tuple[int, int] | None]:
    """Return the file with its size or its fault, and what tells it from all other files."""
    path = model.parent / file.name
    shown = _shown(file.name)
    try:
        status = path.stat()
        if not _is_inside(path, model):
            return replace(file, fault=f"{shown} is a link out of the model's folder", hint=IN_ONE_FOLDER), None
        if not stat.S_ISREG(status.st_mode):
            return replace(file, fault=f"weights lie in {shown}, which is no regular file", hint=BESIDE_IT), None
        return sized(file, status.st_size, _head(path)), _identity(status)
    except FileNotFoundError:
        return replace(file, fault=f"weights lie in {shown}, which is not beside the model", hint=BESIDE_IT), None
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links that go round
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return replace(file, fault=f"weights lie in {shown}, which cannot be read: {reason}", hint=BESIDE_IT), None


def sized(file: DataFile, size: int, head: bytes) -> DataFile:
    """Return a file that is there with its size, unless it does not hold the weights; `head` are its first bytes."""
    shown = _shown(file.name)
    if head.startswith(LFS_MARK):
        return replace(file, fault=f"{shown} is a Git LFS pointer, not the weights", hint=PULL)
    if size < file.needed_bytes:
        told = f"{shown} has {size:,} bytes, the weights in it reach to byte {file.needed_bytes:,}: it is cut off"
        return replace(file, fault=told, hint=AGAIN)
    return replace(file, bytes=size)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(LFS_MARK))


def _is_inside(path: Path, model: Path) -> bool:
    """Tell whether a file is in the model's folder when all links are followed; those of the model are, too.

    A cache that stores each version's files as links into one folder has both there.
    """
    real = path.resolve()
    return any(real.is_relative_to(folder) for folder in (model.parent.resolve(), model.resolve().parent))


# ── the model as a whole ─────────────────────────────────────────────────────────────────────────────────────────────


def size_bytes(graph: Graph) -> int | None:
    """Return the bytes of the model file and its data files, each once; None where one of them is not as declared."""
    sizes = [file.bytes for file in graph.data_files]
    if None in sizes:
        return None
    return graph.bytes + sum(file.bytes or 0 for file in graph.data_files if not file.same_as)


def needed_bytes(graph: Graph) -> int:
    """Return the size, or the least that it can be: of data files that are not there what their weights take."""
    least = (file.weights_bytes if file.bytes is None else file.bytes for file in graph.data_files if not file.same_as)
    return graph.bytes + sum(least)


def size_method(graph: Graph) -> str:
    """Return what the size is of."""
    count = sum(not file.same_as for file in graph.data_files)
    return "size of the file" if not count else f"size of the file and of {count} with its weights"


def faults(graph: Graph) -> tuple[str, ...]:
    """Return what is wrong with the data files, a clause each."""
    return tuple(file.fault for file in graph.data_files if file.fault)


def fault_text(graph: Graph, most: int = 3) -> str:
    """Return what is wrong with the data files, and the mend, in one line; empty where nothing is."""
    found = tuple(warnings(graph))
    more = f"; and {len(found) - most} more" if len(found) > most else ""
    return "; ".join(found[:most]) + more


def refuse_faulty(graph: Graph) -> None:
    """Raise ModelInvalid where weights are not where the model says: no runtime can load it."""
    if faults(graph):
        hint = next(file.hint for file in graph.data_files if file.fault)
        raise ModelInvalid(f"{graph.name} is not whole: {'; '.join(faults(graph)[:3])}", hint=hint)


def whole_sha256(model_sha256: str, files: Sequence[DataFile]) -> str:
    """Return the digest of a model and its data files: of the model file alone where there are none.

    Else that of the files' digests in hexadecimal, a line each, the model file's first and the others in the order of
    their names: `(sha256sum m.onnx; sha256sum m.onnx.data) | cut -c-64 | sha256sum`. The model names the files, so that
    their names need not go in.
    """
    counted = [file for file in files if not file.same_as]
    if not counted:
        return model_sha256
    if not all(file.sha256 for file in counted):
        return ""
    import hashlib

    lines = "".join(f"{digest}\n" for digest in (model_sha256, *(file.sha256 for file in counted)))
    return hashlib.sha256(lines.encode()).hexdigest()


def with_digests(graph: Graph, path: Path) -> Graph:
    """Return the graph with the digests of its files and of them all; the last is empty where one cannot be used."""
    own = _sha256(path)
    files = tuple(
        replace(file, sha256=_sha256(path.parent / file.name)) if file.bytes is not None and not file.same_as else file
        for file in graph.data_files
    )
    whole = "" if faults(graph) else whole_sha256(own, files)
    return replace(graph, data_files=files, file_sha256=own, sha256=whole)


def _sha256(path: Path) -> str:
    import hashlib

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileUnreadable(f"{path} cannot be read: {error.strerror or error}") from error


def warnings(graph: Graph) -> Iterator[str]:
    """Yield what a reader of figures must know: the files that do not hold what they should, with the mend."""
    for file in graph.data_files:
        if file.fault:
            yield f"{file.fault} ({file.hint})"
