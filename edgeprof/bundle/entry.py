"""One file in a bundle, wherever it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

head_bytes = 64
chunk_bytes = 1 << 18


class Content(Protocol):
    """What can be read from its start."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; nothing at the end."""


class Entry(NamedTuple):
    """A file: its name, its size as its archive states it, and its content, which may be opened until the next one.

    `compressed_size` is None where there is no such thing: in a folder, or where the archive is compressed as a
    whole. `closed` says why the content cannot be looked at, such as encryption.
    """

    name: str
    size: int
    compressed_size: int | None
    head: bytes
    open: Callable[[], AbstractContextManager[Content]]
    closed: str = ""


def chunks(content: Content) -> Iterator[bytes]:
    """Yield the content piece by piece."""
    while piece := content.read(chunk_bytes):
        yield piece
