"""Goes through a bundle once and collects its models and ML runtimes; archives inside it are gone through too."""

from __future__ import annotations

import posixpath
import stat
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from edgeprof.bundle import folders, recognise, tars, zips
from edgeprof.bundle.budget import (
    Budget,
    BundleRefused,
    BundleUnreadable,
    max_depth,
    max_models,
    max_name_characters,
    printable,
)
from edgeprof.bundle.reading import read_entry, spool
from edgeprof.bundle.sizes import Sizes, summed
from edgeprof.errors import FileUnreadable
from edgeprof.model.data_files import LFS_MARK, sized
from edgeprof.model.graph import DataFile
from edgeprof.records.bundle import Bundle, BundleKind, FoundLibrary, FoundModel

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edgeprof.bundle.entry import Entry

_gzip = b"\x1f\x8b"
_packed = (
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf", "7-Zip"),
    (b"Rar!", "RAR"),
)
_zip_kinds: dict[str, BundleKind] = {".apk": "apk", ".aab": "aab", ".ipa": "ipa", ".aar": "aar", ".whl": "whl"}


class _Part(NamedTuple):
    """Where entries come from: the prefix of their names, and how deep inside other archives they lie."""

    prefix: str
    depth: int


class _Seen(NamedTuple):
    """What is kept of every entry: it may turn out to hold a model's weights."""

    size: int
    compressed_size: int | None
    head: bytes


class _Found:
    """What has been found so far."""

    def __init__(self) -> None:
        self.budget = Budget()
        self.models: list[FoundModel] = []
        self.libraries: list[FoundLibrary] = []
        self.notes: dict[str, None] = {}
        self.sizes = Sizes()
        self.folders: dict[str, list[Entry]] = {}
        self.beside: dict[int, tuple[DataFile, ...]] = {}
        self.entries: dict[str, _Seen] = {}


def scan(path: Path) -> Bundle:
    """Return what is in an archive, a folder or a single file.

    Raises BundleUnreadable (exit code 2) for what is missing, cut off or no bundle, and BundleRefused (4) for one that
    is hostile, compressed in a way that is not read, or too large to be looked through.
    """
    found = _Found()
    status = _status(path)
    if stat.S_ISDIR(status.st_mode):
        _collect(folders.entries(path, found.budget), _Part("", 0), found)
        return _finished(found, "folder", None)
    if not stat.S_ISREG(status.st_mode):
        raise BundleUnreadable(f"{path} is neither a file nor a folder")
    with path.open("rb") as file:
        kind = _scan_file(path, file, found)
    return _finished(found, kind, status.st_size)


def looks_like_bundle(path: Path, head: bytes) -> bool:
    """Return whether this is an archive or a folder, rather than a model or a result."""
    tarred = head[257:262] == b"ustar" or path.suffix in {".tar", ".tgz"}
    packed = any(head.startswith(mark) for mark, _ in _packed)
    named = path.suffix.lower() in recognise.archive_suffixes
    return path.is_dir() or recognise.is_zip(head) or head[:2] == _gzip or tarred or packed or named


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BundleUnreadable(f"cannot read {path}: {reason}") from error


def _scan_file(path: Path, file: IO[bytes], found: _Found) -> BundleKind:
    place, head = str(path), file.read(512)
    if recognise.is_zip(head) or path.suffix.lower() in recognise.archive_suffixes:
        return _scan_zip(path, file, found)
    for mark, name in _packed:
        if head.startswith(mark):
            raise BundleRefused(
                f"{place} is packed with {name}, which is not read", hint="unpack it and check the folder"
            )
    if head[:2] == _gzip:
        stream = tars.Gunzipped(file, place)
        _collect(tars.entries(stream, place, found.budget), _Part("", 0), found)
        return "tar.gz"
    if head[257:262] == b"ustar" or path.suffix == ".tar":
        _collect(tars.entries(tars.Plain(file), place, found.budget), _Part("", 0), found)
        return "tar"
    _collect([folders.file_entry(path)], _Part("", 0), found)
    if not found.models:
        raise BundleUnreadable(
            f"{place} is not a model, an app bundle, an archive or a result that edgeprof knows",
            hint="a bundle is .apk .aab .ipa .aar .whl .zip .tar.gz, or a folder",
        )
    return "file"


def _scan_zip(path: Path, file: IO[bytes], found: _Found) -> BundleKind:
    with zips.opened(file, str(path)) as archive:
        if recognise.is_torchscript(info.filename for info in archive.infos):
            _collect([folders.file_entry(path)], _Part("", max_depth), found)
            found.models.append(_torchscript(folders.file_entry(path), ""))
            return "file"
        _collect(zips.entries(archive, found.budget), _Part("", 0), found)
    return _zip_kinds.get(path.suffix.lower(), "zip")


# ── one entry ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _collect(entries: Iterable[Entry], part: _Part, found: _Found) -> None:
    for entry in entries:
        if part.depth == 0:
            found.sizes.add(entry)
        _note_name(entry.name, found)
        _look_at(entry, part, found)


def _look_at(entry: Entry, part: _Part, found: _Found) -> None:
    path = printable(part.prefix + entry.name)
    found.entries[posixpath.normpath(path)] = _Seen(entry.size, entry.compressed_size, entry.head[: len(LFS_MARK)])
    folder = recognise.core_ml_folder(entry.name)
    runtime = recognise.library_runtime(entry)
    if folder is not None:
        found.folders.setdefault(part.prefix + folder, []).append(entry)
    elif runtime is not None:
        abi = recognise.library_abi(entry)
        found.libraries.append(
            FoundLibrary(path=path, runtime=runtime, abi=abi, bytes=entry.size, compressed_bytes=entry.compressed_size)
        )
    elif recognised := recognise.model_format(entry):
        _add_model(entry, path, recognised, found)
    elif recognise.is_zip(entry.head):
        _look_inside(entry, part, found)
    elif recognise.may_be_onnx(entry.head):
        _add_model(entry, path, recognise.Recognised("ONNX", "content"), found)
    if entry.closed and runtime is None:
        found.notes[f"some entries were not looked into: {entry.closed}"] = None


def _add_model(entry: Entry, path: str, recognised: recognise.Recognised, found: _Found) -> None:
    """Add a model. What only may be ONNX is one if it can be read as one, or if its name says so."""
    if len(found.models) >= max_models:
        raise BundleRefused(f"more than {max_models:,} models", hint="check a part of it")
    name, evidence, note = recognised
    content = None if entry.closed or note else read_entry(entry, name, found.budget)
    if name == "ONNX" and content is not None:
        operators = content.metrics.get("activations_total_bytes")
        named = entry.name.lower().endswith(".onnx")
        if operators is None and not named:
            return
        evidence = "content" if operators is not None else "name"
    found.models.append(
        FoundModel(
            path=path,
            format=name,
            evidence=evidence,
            bytes=entry.size,
            compressed_bytes=entry.compressed_size,
            sha256=content.sha256 if content else None,
            metrics=content.metrics if content else {},
            note=note or (content.note if content else ""),
        )
    )
    found.beside[len(found.models) - 1] = content.data_files if content else ()
    if name == "ncnn" and (weights := recognise.ncnn_weights(path)):
        own = DataFile(name=posixpath.basename(weights), weights_count=0, weights_bytes=0, needed_bytes=0)
        found.beside[len(found.models) - 1] = (own,)


def _look_inside(entry: Entry, part: _Part, found: _Found) -> None:
    """Go through an archive inside the bundle, as far as depth and budget go."""
    place = printable(part.prefix + entry.name)
    found.budget.archives -= 1
    if part.depth >= max_depth or found.budget.archives < 0 or not found.budget.take_content(entry.size):
        found.notes["some archives inside the bundle were not looked into: too many, too deep or too large"] = None
        return
    try:
        with _unpacked(entry) as file, zips.opened(file, place) as archive:
            if recognise.is_torchscript(info.filename for info in archive.infos):
                found.models.append(_torchscript(entry, part.prefix))
                return
            inner = _Part(f"{part.prefix}{entry.name}!/", part.depth + 1)
            _collect(zips.entries(archive, found.budget), inner, found)
    except FileUnreadable as error:
        found.notes[f"an archive inside the bundle is damaged: {printable(error.message)}"] = None


@contextmanager
def _unpacked(entry: Entry) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        spool(entry, file)
        yield file


def _torchscript(entry: Entry, prefix: str) -> FoundModel:
    return FoundModel(
        path=printable(prefix + entry.name),
        format="TorchScript",
        evidence="content",
        bytes=entry.size,
        compressed_bytes=entry.compressed_size,
        note="edgeprof does not read TorchScript; only its size is judged",
    )


def _note_name(name: str, found: _Found) -> None:
    if name.startswith(("/", "\\")) or (".." in name and ".." in name.replace("\\", "/").split("/")):
        found.notes["hostile names: some entries would be unpacked outside of the folder; nothing was unpacked"] = None
    if len(name) > max_name_characters or not name.isprintable():
        found.notes["some names are too long or hold characters that cannot be shown"] = None


# ── all entries ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _finished(found: _Found, kind: BundleKind, size: int | None) -> Bundle:
    counted: set[str] = set()
    models = [
        _with_weights(model, found.beside.get(index, ()), found, counted) for index, model in enumerate(found.models)
    ]
    models += _core_ml(found)
    models.sort(key=lambda model: -model.bytes)
    libraries = sorted(found.libraries, key=lambda library: -library.bytes)
    return summed(kind, size, found.sizes, _marked_duplicates(models), libraries, tuple(found.notes))


def _core_ml(found: _Found) -> Iterator[FoundModel]:
    for folder, entries in found.folders.items():
        compressed = [entry.compressed_size for entry in entries if entry.compressed_size is not None]
        yield FoundModel(
            path=printable(folder),
            format="Core ML",
            evidence="name",
            bytes=sum(entry.size for entry in entries),
            compressed_bytes=sum(compressed) if len(compressed) == len(entries) else None,
            note=f"a folder of {len(entries)} files; edgeprof does not read Core ML; only its size is judged",
        )


def _with_weights(model: FoundModel, beside: tuple[DataFile, ...], found: _Found, counted: set[str]) -> FoundModel:
    """Add to a model the files beside it that hold its weights; those that are not there, or not whole, are named.

    `counted` are those that another model has brought in already.
    """
    if not beside:
        return model
    folder = model.path.rpartition("/")[0]
    places = [posixpath.normpath(posixpath.join(folder, printable(file.name))) for file in beside]
    looked = [_sized(file, found.entries.get(place)) for file, place in zip(beside, places, strict=True)]
    there = {
        place: found.entries[place]
        for place, file in zip(places, looked, strict=True)
        if not file.fault and place != posixpath.normpath(model.path)
    }
    shared = [seen for place, seen in there.items() if place in counted]
    counted.update(there)
    packed = [model.compressed_bytes, *(seen.compressed_size for seen in there.values())]
    faults = [file.fault for file in looked if file.fault]
    return replace(
        model,
        bytes=model.bytes + sum(seen.size for seen in there.values()),
        compressed_bytes=None if None in packed else sum(size or 0 for size in packed),
        sha256=None,  # it would be that of the graph alone, the same whatever the weights
        missing_files=tuple(place for place, file in zip(places, looked, strict=True) if file.fault),
        weights_fault=printable("; ".join(faults)),
        shared_bytes=sum(seen.size for seen in shared),
        shared_compressed_bytes=sum(seen.compressed_size or 0 for seen in shared),
        note="; ".join(
            part for part in (model.note, *faults, f"{len(there)} of {len(beside)} files of weights beside it") if part
        ),
    )


def _sized(file: DataFile, seen: _Seen | None) -> DataFile:
    """Return a file of weights with its size, or with what is wrong with it."""
    if file.fault:
        return file
    if seen is None:
        return replace(file, fault=f"{file.name!r} is not in the bundle")
    return sized(file, seen.size, seen.head)


def _marked_duplicates(models: list[FoundModel]) -> list[FoundModel]:
    first: dict[str, str] = {}
    marked = []
    for model in models:
        same = first.setdefault(model.sha256, model.path) if model.sha256 else model.path
        marked.append(model if same == model.path else replace(model, same_as=same))
    return marked
