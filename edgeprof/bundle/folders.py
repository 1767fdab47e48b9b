"""Files of a folder. Links are never followed, and nothing but regular files is opened."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgeprof.bundle.budget import Budget, BundleRefused, BundleUnreadable, max_folder_depth
from edgeprof.bundle.entry import Content, Entry, head_bytes
from edgeprof.file_names import written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def entries(folder: Path, budget: Budget) -> Iterator[Entry]:
    """Yield the regular files below the folder, in the order of their names."""
    # A folder that is a model (Core ML's are) is known by its own name.
    own = f"{folder.name}/" if folder.suffix in {".mlpackage", ".mlmodelc"} else ""
    yield from _below(str(folder), own, 0, budget)


def file_entry(path: Path) -> Entry:
    """Return a single file as an entry."""
    return _entry(str(path), path.name, path.stat().st_size)


def _below(folder: str, prefix: str, depth: int, budget: Budget) -> Iterator[Entry]:
    if depth > max_folder_depth:
        raise BundleRefused(f"{folder} lies more than {max_folder_depth} folders deep")
    try:
        with os.scandir(folder) as found:
            items = sorted(found, key=lambda item: item.name)
    except OSError as error:
        raise BundleUnreadable(f"cannot look into {folder}: {error.strerror}") from error
    for item in items:
        name = prefix + item.name
        if item.is_dir(follow_symlinks=False):
            yield from _below(item.path, f"{name}/", depth + 1, budget)
        elif item.is_file(follow_symlinks=False):
            budget.spend_entry(folder)
            yield _entry(item.path, name, item.stat(follow_symlinks=False).st_size)


def _entry(path: str, name: str, size: int) -> Entry:
    try:
        with _content(path) as content:
            head, closed = content.read(head_bytes), ""
    except BundleUnreadable as error:
        head, closed = b"", error.message
    return Entry(written(name), size, None, head, lambda: _content(path), closed)


@contextmanager
def _content(path: str) -> Iterator[Content]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise BundleUnreadable(f"cannot read {path}: {error}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BundleUnreadable(f"{path} is not a regular file")
        yield _Reader(descriptor, path)
    finally:
        os.close(descriptor)


class _Reader:
    """Reads an open file."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor, self._path = descriptor, path

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""
        try:
            return os.read(self._descriptor, size)
        except OSError as error:
            raise BundleUnreadable(f"cannot read {self._path}: {error.strerror}") from error
