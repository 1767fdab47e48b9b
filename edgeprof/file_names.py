"""File names as text that can be written into any report."""

from __future__ import annotations

import os


def written(name: str | os.PathLike[str]) -> str:
    """Return a file's name or path as UTF-8 can hold it: bytes that are none become U+FFFD.

    Python carries such bytes as lone surrogates (PEP 383), which neither JSON nor a terminal takes.
    """
    return os.fsencode(name).decode("utf-8", errors="replace")
