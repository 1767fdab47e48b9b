"""Files from outside, read with a bound: regular ones only, since a device has no end and a pipe may have none."""

from __future__ import annotations

import stat
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from edgeprof.errors import FileUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20


@contextmanager
def opened(path: Path, most: int, what: str) -> Iterator[IO[bytes]]:
    """Open a regular file of at most `most` bytes; `what` names it in errors, such as `the result`.

    Raises FileUnreadable with the path for everything else, before anything is read.
    """
    try:
        status = path.stat()  # before it is opened: a FIFO waits there
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise FileUnreadable(f"cannot read {what} {path}: it is {kind}")
        if status.st_size > most:
            raise FileUnreadable(
                f"cannot read {what} {path}: it has {status.st_size:,} bytes, larger than the {most:,} that are read",
                hint="is it the file that you mean?",
            )
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise FileUnreadable(f"cannot read {what} {path}: {error.strerror or error}") from error
    except ValueError as error:  # a name with a NUL in it
        if "\0" not in str(path):
            raise
        raise FileUnreadable(f"cannot read {what} {str(path)!r}: {error}") from error


def read_bounded(path: Path, most: int, what: str) -> bytes:
    """Return what a regular file holds, at most `most` bytes. Raises FileUnreadable for everything else."""
    with opened(path, most, what) as file:
        content = file.read(most + 1)
    if len(content) > most:  # it has grown, or is one that tells no size, such as those in /proc
        raise FileUnreadable(f"cannot read {what} {path}: it is larger than the {most:,} bytes that are read")
    return content
