"""NPZ files from outside: what they declare is checked before anything is unpacked, and nothing in them is executed.

The NPY format is numpy's own (numpy.lib.format): a magic, a version, the length of a header, the header, the values.
The header is a Python dictionary of three keys; it is matched, never evaluated.
"""

from __future__ import annotations

import re
import struct
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgeprof.bounded import opened
from edgeprof.bundle.budget import BundleRefused, BundleUnreadable, printable
from edgeprof.bundle.zips import damage, why_closed
from edgeprof.bundle.zips import opened as opened_zip
from edgeprof.errors import FileUnreadable

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgeprof.bundle.zips import Zip

SUFFIX = ".npy"
MOST_ARRAYS = 1_000
MOST_AXES = 32
MOST_HEADER_BYTES = 1 << 16
CHUNK_BYTES = 1 << 20
HINT = "numpy.savez writes such a file"
_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: "<H", 2: "<I", 3: "<I"}
_DESCR = r"""['"]descr['"]\s*:\s*['"]([^'"]*)['"]"""
_FORTRAN = r"""['"]fortran_order['"]\s*:\s*(True|False)"""
_SHAPE = r"""['"]shape['"]\s*:\s*\(([0-9L,\s]*)\)"""
_HEADER = re.compile(rf"\s*+\{{\s*+(?:(?:{_DESCR}|{_FORTRAN}|{_SHAPE})\s*+,?+\s*+){{3}}\}}\s*+")
_TYPE = re.compile(r"[<>|=]?[biufcSUVmMO]\d{0,9}(?:\[\w{1,20}\])?", re.ASCII)
_SIZE = re.compile(r"[0-9]{1,18}L?")


class _Refused(FileUnreadable):
    """What is wrong with a file, without its name."""


class Declared(NamedTuple):
    """An array as its header declares it; `begin` is where its values begin in the entry."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool
    begin: int
    info: zipfile.ZipInfo

    @property
    def bytes(self) -> int:
        """Return how many bytes its values take."""
        return prod(self.shape) * self.dtype.itemsize


class Npz(NamedTuple):
    """An open file: what its arrays declare, by name in their order."""

    declared: dict[str, Declared]
    zip: Zip


@contextmanager
def opened_npz(path: Path, most: int, what: str) -> Iterator[Npz]:
    """Open an NPZ whose arrays unpack to at most `most` bytes; `what` names it in errors, such as `the inputs`.

    Raises FileUnreadable with the path for one that is damaged, lies of its sizes, or holds what is no plain array.
    """
    with opened(path, most, what) as file:
        try:
            with opened_zip(file, "it") as found:
                yield Npz(_declared(found, most), found)
        except (_Refused, BundleUnreadable) as error:
            raise FileUnreadable(f"cannot read {what} {path}: {error.message}", hint=HINT) from error
        except BundleRefused as error:
            hint = f"at most {most:,} bytes are unpacked, of no more than {MOST_ARRAYS:,} arrays"
            raise FileUnreadable(f"cannot read {what} {path}: {error.message}", hint=hint) from error


def array_of(npz: Npz, name: str) -> NDArray[Any]:
    """Return an array of an open file in this machine's byte order.

    What is wrong with its values leaves `opened_npz` as FileUnreadable.
    """
    array = npz.declared[name]
    try:
        flat = np.empty(array.bytes, np.uint8)
        with npz.zip.archive.open(array.info) as content:
            content.read(array.begin)
            at = 0
            while piece := content.read(CHUNK_BYTES):
                flat[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
                at += len(piece)
    except damage as error:
        raise _Refused(f"its array {printable(name)!r} is damaged: {error or type(error).__name__}") from error
    except MemoryError as error:
        raise _Refused(f"its array {printable(name)!r} of {array.bytes:,} bytes does not fit into memory") from error
    if at != array.bytes:
        raise _Refused(f"its array {printable(name)!r} ends after {at:,} of {array.bytes:,} bytes")
    if not array.bytes:
        return np.zeros(array.shape, array.dtype)
    values = flat.view(array.dtype).reshape(array.shape, order="F" if array.is_fortran else "C")
    if array.dtype.isnative:
        return values
    return values.byteswap(inplace=True).view(array.dtype.newbyteorder("="))


def _declared(found: Zip, most: int) -> dict[str, Declared]:
    """Return what each entry declares."""
    if len(found.infos) > MOST_ARRAYS:
        raise _Refused(f"it holds {len(found.infos):,} entries; at most {MOST_ARRAYS:,} arrays are read")
    unpacked = sum(info.file_size for info in found.infos)
    if unpacked > most:
        raise _Refused(f"it unpacks to {unpacked:,} bytes; at most {most:,} are read")
    arrays: dict[str, Declared] = {}
    for info in found.infos:
        array = _array(found, info)
        if array.name in arrays:
            raise _Refused(f"it holds {printable(array.name)!r} twice")
        arrays[array.name] = array
    return arrays


def _array(found: Zip, info: zipfile.ZipInfo) -> Declared:
    shown = repr(printable(info.filename))
    if not info.filename.endswith(SUFFIX):
        raise _Refused(f"it holds {shown}, which is no array ({SUFFIX})")
    if closed := why_closed(info):
        raise _Refused(f"its entry {shown} is {closed}")
    try:
        header, begin = _header(found, info)
    except damage as error:
        raise _Refused(f"its entry {shown} is damaged: {error or type(error).__name__}") from error
    if header is None:
        raise _Refused(f"its entry {shown} is no array in numpy's format")
    dtype, shape, is_fortran = _described(shown, header)
    array = Declared(info.filename.removesuffix(SUFFIX), dtype, shape, is_fortran, begin, info)
    if array.bytes != info.file_size - begin:
        raise _Refused(
            f"its entry {shown} declares {array.bytes:,} bytes of values and holds {info.file_size - begin:,}"
        )
    return array


def _header(found: Zip, info: zipfile.ZipInfo) -> tuple[str | None, int]:
    """Return the header as text, and where the values begin; None for what does not begin as an array does."""
    with found.archive.open(info) as content:
        begin = content.read(8)
        layout = _LENGTHS.get(begin[6]) if len(begin) == 8 and begin[:6] == _MAGIC else None  # noqa: PLR2004
        if layout is None:
            return None, 0
        length_bytes = struct.calcsize(layout)
        (length,) = struct.unpack(layout, content.read(length_bytes))
        if length > MOST_HEADER_BYTES:
            return None, 0
        header = content.read(length)
    return header.decode("latin-1") if len(header) == length else None, 8 + length_bytes + length


def _described(shown: str, header: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Return type, shape and order of a header."""
    descr, fortran, shape = (re.findall(pattern, header) for pattern in (_DESCR, _FORTRAN, _SHAPE))
    if not _HEADER.fullmatch(header) or not len(descr) == len(fortran) == len(shape) == 1:
        raise _Refused(f"the header of its entry {shown} is not that of a plain array")
    sizes = [size.strip() for size in shape[0].split(",") if size.strip()]
    if len(sizes) > MOST_AXES or not all(_SIZE.fullmatch(size) for size in sizes):
        raise _Refused(f"its entry {shown} has a shape that no array has")
    try:
        dtype = np.dtype(descr[0]) if _TYPE.fullmatch(descr[0]) else None
    except (TypeError, ValueError, OverflowError):
        dtype = None
    if dtype is None or dtype.names or dtype.subdtype:
        raise _Refused(f"its entry {shown} is of type {printable(descr[0])!r}, which is not read")
    if dtype.hasobject:
        raise _Refused(f"its entry {shown} holds Python objects, and nothing is unpickled")
    return dtype, tuple(int(size.rstrip("L")) for size in sizes), fortran[0] == "True"
