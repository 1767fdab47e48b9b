"""Entries of a tar archive, in one pass. tarfile reads extended headers of any size into memory; this does not."""

from __future__ import annotations

import tarfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from edgeprof.bundle.budget import Budget, BundleRefused, BundleUnreadable, bomb_ratio, max_stream_bytes
from edgeprof.bundle.entry import Content, Entry, chunk_bytes, head_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

_block = 512
_max_extended = 1 << 16
_files = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE}


class Plain:
    """A tar that is not compressed: what is not wanted is skipped."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        file.seek(0)

    def read(self, size: int) -> bytes:
        """Return the next bytes; less at the end."""
        return self._file.read(size)

    def skip(self, size: int) -> None:
        """Go on behind the next bytes. Raises BundleUnreadable where the file ends before."""
        if self._file.seek(size, 1) > self._size:
            raise BundleUnreadable("the archive is cut off")


class Gunzipped:
    """A tar in gzip, unpacked as it is read and never kept. Raises BundleRefused at too much of it."""

    def __init__(self, file: IO[bytes], place: str) -> None:
        file.seek(0)
        self._file, self._place = file, place
        self._inflate = zlib.decompressobj(31)
        self._ready = b""
        self.read_bytes = 0
        self.unpacked_bytes = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes; less at the end."""
        pieces, wanted = [], size
        while wanted > 0 and (self._ready or self._more()):
            pieces.append(self._ready[:wanted])
            self._ready = self._ready[wanted:]
            wanted -= len(pieces[-1])
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Go on behind the next bytes. Raises BundleUnreadable where the archive ends before."""
        while size > 0:
            piece = len(self.read(min(size, chunk_bytes)))
            if not piece:
                raise BundleUnreadable(f"{self._place} is cut off", hint="build or download it again")
            size -= piece

    def _more(self) -> bool:
        """Unpack another piece; members of a multi-member file follow each other."""
        while not self._ready:
            packed = self._inflate.unconsumed_tail or self._inflate.unused_data or self._file.read(1 << 16)
            if not packed and not self._inflate.eof:
                raise BundleUnreadable(f"{self._place} is cut off", hint="build or download it again")
            if not packed:
                return False
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(31)
            self.read_bytes = self._file.tell()
            try:
                self._ready = self._inflate.decompress(packed, chunk_bytes)
            except zlib.error as error:
                raise BundleUnreadable(f"{self._place} is damaged gzip: {error}") from error
            self.unpacked_bytes += len(self._ready)
            self._refuse()
        return True

    def _refuse(self) -> None:
        small = self.unpacked_bytes <= max_stream_bytes // 4
        if not small and self.unpacked_bytes > bomb_ratio * self.read_bytes:
            raise BundleRefused(
                f"{self._place} is a decompression bomb: its first {self.read_bytes:,} bytes hold"
                f" more than {self.unpacked_bytes:,}"
            )
        if self.unpacked_bytes > max_stream_bytes:
            raise BundleRefused(
                f"{self._place} unpacks to more than {max_stream_bytes // 2**20} MiB",
                hint="unpack it and check the folder",
            )


def entries(stream: Plain | Gunzipped, place: str, budget: Budget) -> Iterator[Entry]:
    """Yield the regular files; links and devices are never followed. Raises BundleUnreadable for a damaged archive."""
    name, size = "", None
    for info in _headers(stream, place, budget):
        if info.type in {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME}:
            name, size = _extended(stream, info, place, (name, size))
            continue
        length = info.size if size is None else size
        if info.type not in _files:
            if info.type in {tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK} or info.type not in tarfile.SUPPORTED_TYPES:
                stream.skip(_padded(length))
            name, size = ("", None) if info.type != tarfile.GNUTYPE_LONGLINK else (name, size)
            continue
        member = _Member(stream, length)
        yield Entry(name or info.name, length, None, member.head, member.opened)
        stream.skip(_padded(length) - member.taken)
        name, size = "", None


class _Member:
    """The content of one file while the stream stands at it; it can be opened once."""

    def __init__(self, stream: Plain | Gunzipped, size: int) -> None:
        self._stream, self._size = stream, size
        self.head = stream.read(min(head_bytes, size))
        self.taken = len(self.head)
        self._pending = self.head

    @contextmanager
    def opened(self) -> Iterator[Content]:
        """Yield the content from its start."""
        yield self

    def read(self, size: int, /) -> bytes:
        """Return the next bytes of this file alone."""
        if self._pending:
            piece, self._pending = self._pending[:size], self._pending[size:]
            return piece
        piece = self._stream.read(min(size, self._size - self.taken))
        self.taken += len(piece)
        return piece


def _headers(stream: Plain | Gunzipped, place: str, budget: Budget) -> Iterator[tarfile.TarInfo]:
    first = True
    while block := stream.read(_block):
        if block == bytes(_block):
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            what = "is not a tar archive" if first else "is a damaged tar archive"
            raise BundleUnreadable(f"{place} {what}: {error}", hint="build or download it again") from error
        if info.size < 0:
            raise BundleRefused(f"{place} is hostile: an entry claims a size below 0")
        first = False
        budget.spend_entry(place)
        yield info


def _extended(
    stream: Plain | Gunzipped, info: tarfile.TarInfo, place: str, known: tuple[str, int | None]
) -> tuple[str, int | None]:
    """Return name and size as an extended header states them for the next file."""
    if info.size > _max_extended:
        raise BundleRefused(f"{place} is hostile: an extended header of {info.size:,} bytes")
    content = stream.read(_padded(info.size))[: info.size]
    if info.type == tarfile.GNUTYPE_LONGNAME:
        return content.rstrip(b"\0").decode("utf-8", "replace"), known[1]
    name, size = known
    while content:
        length, _, _ = content.partition(b" ")
        record = content[: int(length)] if length.isdigit() and len(length) < 8 else b""  # noqa: PLR2004  64 KiB
        if len(record) <= len(length) + 1:
            break
        key, _, value = record[len(length) + 1 :].rstrip(b"\n").partition(b"=")
        if key == b"path":
            name = value.decode("utf-8", "replace")
        if key == b"size" and value.isdigit() and len(value) < 20:  # noqa: PLR2004  digits of 2^64
            size = int(value)
        content = content[len(record) :]
    return name, size


def _padded(size: int) -> int:
    return (size + _block - 1) // _block * _block
