"""What an ELF file of a microcontroller holds: its sections, and what a flash tool would write.

Tool Interface Standard, Executable and Linking Format 1.2, for 32 bits and little-endian, as Arm's are.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.bounded import read_bounded
from edgeprof.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_IMAGE_BYTES = 256 << 20
MAGIC = b"\x7fELF\x01\x01"
PT_LOAD, SHT_NOBITS, SHF_ALLOC = 1, 8, 2
_HEADER = struct.Struct("<16xHHIIIIIHHHHHH")
_SECTION = struct.Struct("<IIIIII")
_SEGMENT = struct.Struct("<IIIIII")


class Section(NamedTuple):
    """A section that takes room on the board; only one with content is written to flash."""

    name: str
    offset: int
    bytes: int
    has_content: bool


def read_elf(path: Path) -> bytes:
    """Return the content of an ELF file for 32 bits; anything else is refused."""
    content = read_bounded(path, LARGEST_IMAGE_BYTES, "the image")
    if not content.startswith(MAGIC):
        raise UsageError(f"{path} is no ELF file for a microcontroller", hint="edgeprof firmware build PORT makes one")
    try:
        sections_of(content)
    except (struct.error, ValueError) as error:
        raise UsageError(
            f"{path} is a damaged ELF file", hint="build it again: edgeprof firmware build PORT"
        ) from error
    return content


def sections_of(content: bytes) -> tuple[Section, ...]:
    """Return the sections that take room on the board."""
    header = _HEADER.unpack_from(content)
    at, step, count, names = header[5], header[10], header[11], header[12]
    rows = [_SECTION.unpack_from(content, at + step * index) for index in range(count)]
    if not rows:
        return ()
    text_at = rows[names][4] if names < count else 0
    return tuple(
        Section(_text(content, text_at + name), offset, size, kind != SHT_NOBITS)
        for name, kind, flags, _address, offset, size in rows
        if flags & SHF_ALLOC
    )


def stray(content: bytes) -> tuple[int, int] | None:
    """Return address and size of what would be written before a segment's first section: the file's own headers.

    A linker puts them into the first segment where there is room; on a board there is no flash below its flash.
    """
    header = _HEADER.unpack_from(content)
    at, step, count = header[4], header[8], header[9]
    starts = [section.offset for section in sections_of(content) if section.has_content and section.bytes]
    for index in range(count):
        kind, offset, _virtual, address, size, _memory = _SEGMENT.unpack_from(content, at + step * index)
        inside = [start for start in starts if offset <= start < offset + size]
        if kind == PT_LOAD and size and inside and min(inside) > offset:
            return address, min(inside) - offset
    return None


def _text(content: bytes, at: int) -> str:
    return content[at : content.index(b"\0", at)].decode("ascii", "replace")
