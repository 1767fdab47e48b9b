"""What a file holds, by its SHA-256: read once, and believed for as long as the file is the same and untouched."""

import hashlib
import os
from typing import Any, Callable, Dict, Mapping, NamedTuple, Tuple

PART_BYTES = 1 << 20

Stamp = Tuple[int, ...]
"""Device, inode, size and the times of the last change of content and of anything: who writes a file moves it."""


class Seen(NamedTuple):
    """What a file held when it was last read whole."""

    sha256: str
    stamp: Stamp


class Damaged(Exception):
    """A file on this board does not hold what it is called by."""

    def __init__(self, text: str, *values: object) -> None:
        super(Damaged, self).__init__(text.format(*values))


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what tells that a file is another one or was written to."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _nothing() -> None:
    pass


def look(path: str, known: Mapping[Stamp, str], between: Callable[[], None] = _nothing) -> Seen:
    """Return what a file holds, read through one descriptor unless its stamp is known; `between` is called meanwhile.

    The stamp is from before reading: what is written meanwhile moves it, and the next look reads again.
    """
    with open(path, "rb") as file:
        stamp = stamp_of(os.fstat(file.fileno()))
        if stamp in known:
            return Seen(known[stamp], stamp)
        digest = hashlib.sha256()
        for part in iter(lambda: file.read(PART_BYTES), b""):
            digest.update(part)
            between()
    return Seen(digest.hexdigest(), stamp)


def told(seen: Seen) -> str:
    """Return in words what a file holds."""
    return "{} bytes, SHA-256 {}".format(seen.stamp[2], seen.sha256[:12])


# ── in a measuring process ───────────────────────────────────────────────────────────────────────────────────────────


def check_files(orders: Dict[str, Any]) -> None:
    """Look at every file that the orders name; raise Damaged where one is no longer what the agent found there.

    Asked before and after a runtime loads them by their names, this says that what it loaded is what was hashed.
    """
    for path, (sha256, stamp) in orders.get("files", {}).items():
        seen = look(path, {tuple(stamp): sha256})
        if seen.sha256 != sha256:
            raise Damaged("{} was changed on the board: {}", os.path.basename(path), told(seen))


def model_sha256(orders: Dict[str, Any]) -> bytes:
    """Return the hash of what lies where the model was loaded from."""
    path = orders["path"]
    known = {tuple(stamp): sha256 for _, (sha256, stamp) in orders.get("files", {}).items()}
    return bytes(bytearray.fromhex(look(path, known).sha256))


def read_whole(path: str, sha256: str, name: str) -> bytes:
    """Return the bytes of a file; raise Damaged where their hash is another one. An empty hash is not looked at."""
    with open(path, "rb") as file:
        content = file.read()
    seen = hashlib.sha256(content).hexdigest()
    if sha256 and seen != sha256:
        raise Damaged("the {} on the board was changed: {} bytes, SHA-256 {}", name, len(content), seen[:12])
    return content
