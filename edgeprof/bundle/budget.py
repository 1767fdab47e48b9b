"""How much the scanner will do for one bundle before it stops looking or refuses.

The ceilings keep a hostile bundle from costing more than 2 s or 300 MB. Sizes are told from an archive's directory;
only what is read to the end, models and archives inside the archive, is unpacked, and that is bounded in all.
"""

from __future__ import annotations

from typing import Final

from edgeprof.errors import EdgeprofError, FileUnreadable, ModelError
from edgeprof.printable import printable as in_one_line

max_entries: Final = 100_000
max_directory_bytes: Final = 24 * 2**20
max_content_bytes: Final = 256 * 2**20
max_stream_bytes: Final = 512 * 2**20
max_depth: Final = 2
max_archives: Final = 64
max_models: Final = 1_000
max_read_models: Final = 200
max_graph_s: Final = 1.0
max_folder_depth: Final = 64
max_name_characters: Final = 300
bomb_bytes: Final = 512 * 2**20
bomb_ratio: Final = 100
deflate_ratio: Final = 1_032
"""What deflate can save at most (zlib's technical notes): a header that claims more is lying."""


class BundleUnreadable(FileUnreadable):
    """Not a bundle, cut off, or damaged."""


class BundleRefused(ModelError):
    """A bundle that would harm whoever unpacks it, or that is too large to be looked through."""


class Budget:
    """What is left for one bundle, with all archives inside it."""

    def __init__(self) -> None:
        self.entries = max_entries
        self.content_bytes = max_content_bytes
        self.archives = max_archives
        self.read_models = max_read_models
        self.graph_s = max_graph_s

    def spend_entry(self, place: str) -> None:
        """Take one entry. Raises BundleRefused when there are too many."""
        self.entries -= 1
        if self.entries < 0:
            raise too_many(place)

    def take_content(self, size: int) -> bool:
        """Take `size` bytes from what may be read to the end, or nothing where that is not left."""
        if size > self.content_bytes:
            return False
        self.content_bytes -= size
        return True


def too_many(place: str) -> EdgeprofError:
    """Return the refusal of a bundle with too many entries."""
    return BundleRefused(
        f"{place} has more than {max_entries:,} entries", hint="unpack it and check the folder that holds the models"
    )


def refuse_bomb(place: str, packed: int, unpacked: int) -> None:
    """Raise BundleRefused where so little claims to hold so much that it is a decompression bomb."""
    if unpacked > bomb_bytes and unpacked > bomb_ratio * max(packed, 1):
        raise BundleRefused(
            f"{place} is a decompression bomb: {packed:,} bytes claim to hold {unpacked:,}",
            hint="nothing of it was unpacked; do not open it elsewhere",
        )


def printable(name: str) -> str:
    """Return a name from a foreign archive without what a terminal, XML or a table would trip over."""
    text = in_one_line(name[: max_name_characters + 1])
    return text if len(text) <= max_name_characters else f"{text[: max_name_characters - 1]}…"
