"""Entries of a zip archive, told from its directory; what a hostile one can claim is refused before it is believed."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple

from edgeprof.bundle.budget import (
    Budget,
    BundleRefused,
    BundleUnreadable,
    deflate_ratio,
    max_directory_bytes,
    max_entries,
    refuse_bomb,
    too_many,
)
from edgeprof.bundle.entry import Content, Entry, head_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

_methods = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflate"}
_head_window = 1_024
"""Enough of a deflated entry for its first bytes: the code tables before them take at most 600."""
_end, _end64, _locator64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
damage = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError, ValueError, OSError, KeyError,
           RuntimeError, OverflowError)  # fmt: skip
"""What zipfile raises at damaged archives; UnicodeDecodeError is a ValueError."""


class Zip(NamedTuple):
    """An open archive. `file` is whole and can be read anywhere."""

    archive: zipfile.ZipFile
    file: IO[bytes]
    place: str
    infos: list[zipfile.ZipInfo]


@contextmanager
def opened(file: IO[bytes], place: str) -> Iterator[Zip]:
    """Yield the archive in `file`, its directory checked.

    Raises BundleUnreadable for what is not a whole archive and BundleRefused for one with lying sizes, entries that
    overlap, too many entries, or the ratio of a decompression bomb.
    """
    _check_directory(file, place)
    try:
        archive = zipfile.ZipFile(file)
    except damage as error:
        raise _damaged(place, error) from error
    with archive:
        infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
        _check_sizes(infos, place)
        yield Zip(archive, file, place, infos)


def entries(opened_zip: Zip, budget: Budget) -> Iterator[Entry]:
    """Yield the files of the archive, each with its first bytes."""
    for info in opened_zip.infos:
        budget.spend_entry(opened_zip.place)
        closed = why_closed(info)
        head = b"" if closed else _head(opened_zip, info)
        yield Entry(
            name=info.filename,
            size=info.file_size,
            compressed_size=info.compress_size,
            head=head,
            open=lambda info=info: _content(opened_zip, info),  # type: ignore[misc]  # mypy wants no default here
            closed=closed,
        )


def why_closed(info: zipfile.ZipInfo) -> str:
    """Return why an entry is not read, empty for one that is."""
    if info.flag_bits & 0x1:
        return "encrypted"
    if info.compress_type not in _methods:
        return f"compressed by method {info.compress_type}, of which only stored and deflate are read"
    return "a symbolic link" if stat.S_ISLNK(info.external_attr >> 16) else ""


def _head(opened_zip: Zip, info: zipfile.ZipInfo) -> bytes:
    """Return the first bytes of an entry. zipfile.open takes three times as long, which tells at 100,000 entries."""
    try:
        opened_zip.file.seek(info.header_offset)
        packed = opened_zip.file.read(1_536)
        if packed[:4] != b"PK\x03\x04":
            raise _damaged(opened_zip.place, zipfile.BadZipFile("an entry does not start where the directory says"))
        name, extra = struct.unpack_from("<HH", packed, 26)
        start = 30 + name + extra
        if len(packed) < start + _head_window:
            opened_zip.file.seek(info.header_offset + start)
            packed, start = opened_zip.file.read(_head_window), 0
        packed = packed[start : start + min(_head_window, info.compress_size)]
        if info.compress_type == zipfile.ZIP_STORED:
            return packed[:head_bytes]
        return zlib.decompressobj(-15).decompress(packed, head_bytes)
    except damage as error:
        raise _damaged(opened_zip.place, error) from error


@contextmanager
def _content(opened_zip: Zip, info: zipfile.ZipInfo) -> Iterator[Content]:
    """Yield what an entry holds; reading checks its CRC and ends at the size that the directory states."""
    try:
        content = opened_zip.archive.open(info)
    except damage as error:
        raise _damaged(opened_zip.place, error) from error
    with content:
        yield _Reader(content, opened_zip.place)


class _Reader:
    """Reads an entry and tells damage as what it is."""

    def __init__(self, content: IO[bytes], place: str) -> None:
        self._content, self._place = content, place

    def read(self, size: int, /) -> bytes:
        """Return the next bytes. Raises BundleUnreadable where they are damaged."""
        try:
            return self._content.read(size)
        except damage as error:
            raise _damaged(self._place, error) from error


def _damaged(place: str, error: Exception) -> BundleUnreadable:
    return BundleUnreadable(
        f"{place} is a damaged zip archive: {str(error) or type(error).__name__}", hint="build or download it again"
    )


# ── what is checked before zipfile reads the directory, and before its sizes are believed ────────────────────────────


def _check_directory(file: IO[bytes], place: str) -> None:
    """Refuse a directory that zipfile would read into memory at any size, with any number of entries."""
    end = file.seek(0, 2)
    start = max(0, end - 65_557)
    file.seek(start)
    tail = file.read(65_557)
    found = tail.rfind(_end)
    if found < 0 or len(tail) - found < 22:  # the size of an end record
        raise BundleUnreadable(
            f"{place} is not a whole zip archive: its directory is missing", hint="it was cut off, or is not a zip"
        )
    size, _ = struct.unpack_from("<II", tail, found + 12)
    size = max(size if size != 0xFFFFFFFF else 0, _size64(file, tail, start, found))  # zip64's mark
    if size > min(max_directory_bytes, end):
        raise BundleRefused(
            f"{place} claims a directory of {size:,} bytes; at most {max_directory_bytes:,} make sense",
            hint="unpack it and check the folder that holds the models",
        )
    file.seek(max(0, start + found - size - 1024))
    if file.read(size + 2048).count(b"PK\x01\x02") > max_entries:
        raise too_many(place)
    file.seek(0)


def _size64(file: IO[bytes], tail: bytes, start: int, found: int) -> int:
    """Return the directory's size by the zip64 record, which zipfile prefers, or 0 where there is none."""
    if found < 20 or tail[found - 20 : found - 16] != _locator64:  # the size of a locator
        return 0
    place = start + found - 20 - 56
    if place < 0:
        return 0
    file.seek(place)
    record = file.read(56)
    if len(record) < 56 or record[:4] != _end64:  # the size of a zip64 end record
        return 0
    (size,) = struct.unpack_from("<Q", record, 40)
    return int(size)


def _check_sizes(infos: list[zipfile.ZipInfo], place: str) -> None:
    end, last = 0, ""
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise BundleRefused(f"{place} is hostile: its entries {last!r} and {info.filename!r} overlap")
        end, last = info.header_offset + 30 + len(info.orig_filename) + info.compress_size, info.filename
        if info.compress_type == zipfile.ZIP_STORED and info.file_size > info.compress_size:
            raise _lying(place, info)
        if info.compress_type == zipfile.ZIP_DEFLATED and info.file_size > deflate_ratio * (info.compress_size + 16):
            raise _lying(place, info)
    refuse_bomb(place, sum(info.compress_size for info in infos), sum(info.file_size for info in infos))


def _lying(place: str, info: zipfile.ZipInfo) -> BundleRefused:
    return BundleRefused(
        f"{place} is hostile: {info.compress_size:,} bytes of its entry {info.filename[:100]!r} cannot hold the"
        f" {info.file_size:,} that its header claims"
    )
