"""What was sent to the board, by the hash of its content: kept between conversations.

A name proves nothing: memory cards rot, power is cut before a write reached the disk, people copy files. So what is
there is read once in each conversation before it counts, and again where its stamp says that it was written to.
"""

import glob
import hashlib
import json
import os
import shutil
import time
from typing import Callable, Dict, List, Optional

from edgeprof import wire
from edgeprof.agent.digests import Seen, Stamp, look, stamp_of, told
from edgeprof.agent.refusal import Refused

WINDOW = 16
KEPT_DAYS = 30
FRESH_SECONDS = 86400


class Blobs(object):
    """The agent's folder of blobs; one conversation receives one at a time. `busy` is called while a file is read."""

    def __init__(self, folder: str, busy: Callable[[], None]) -> None:
        self.folder = folder
        self._busy = busy
        self._known: Dict[Stamp, str] = {}
        self.suffix = ".{}.part".format(os.getpid())
        self._receiving: Optional[wire.BlobBegin] = None
        self._chunks = 0

    def path(self, sha256: bytes) -> str:
        """Return where a blob is, or would be."""
        return os.path.join(self.folder, "blobs", sha256.hex())

    def look(self, path: str) -> Seen:
        """Return what a file holds; what this conversation has read before is read again only when it was touched."""
        seen = look(path, self._known, self._busy)
        self._known[seen.stamp] = seen.sha256
        return seen

    def found(self, name: str, sha256: bytes) -> str:
        """Return where a blob is; `name` is what it is for. Raises Refused where it is not, or is damaged."""
        path = self.path(sha256)
        if not os.path.exists(path):
            raise Refused("unknown-blob", "the {} {} is not here".format(name, os.path.basename(path)))
        self._check(name, path, sha256)
        return path

    def _check(self, name: str, path: str, sha256: bytes) -> None:
        seen = self.look(path)
        if seen.sha256 != sha256.hex():
            raise Refused("blob-corrupt", "the {} on the board is damaged: {}".format(name, told(seen)))

    def drop_damaged(self, sha256: bytes) -> str:
        """Remove a blob that does not hold what its name says; return what it held, nothing where all is well."""
        path = self.path(sha256)
        if not os.path.lexists(path):
            return ""
        seen = self.look(path) if os.path.isfile(path) else None
        if seen is not None and seen.sha256 == sha256.hex():
            return ""
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
        return told(seen) if seen is not None else "no file"

    def begin(self, message: wire.BlobBegin) -> wire.BlobStatus:
        """Return how much of a blob is there; `drop_damaged` has looked at what is."""
        self._receiving = message
        self._chunks = 0
        path = self.path(message.sha256)
        part = path + self.suffix
        if not os.path.exists(path) and os.path.exists(part) and os.stat(part).st_size == message.size:
            self._complete(path)
        if os.path.exists(path):
            if time.time() - os.stat(path).st_mtime > FRESH_SECONDS:
                os.utime(path)  # asked for today: `tidy` leaves it
            return wire.BlobStatus(message.size, wire.BLOB_PRESENT)
        if os.path.lexists(part):
            os.unlink(part)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        return wire.BlobStatus(0, wire.BLOB_ABSENT)

    def append(self, message: wire.BlobChunk) -> Optional[wire.BlobStatus]:
        """Append a part and check the whole when the last has come; return what is to be said, if anything is."""
        if self._receiving is None:
            raise Refused("bad-request", "a chunk without a blob")
        path = self.path(self._receiving.sha256)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW  # a faster way that failed took its part with it
        descriptor = os.open(path + self.suffix, flags, 0o600)
        with open(descriptor, "ab") as file:
            received = file.tell()
            if message.offset == received:  # a chunk out of order is left out; the status tells the host where to go on
                file.write(message.content)
                received += len(message.content)
        self._chunks += 1
        if received == self._receiving.size:
            self._complete(path)
            return wire.BlobStatus(received, wire.BLOB_PRESENT)
        return wire.BlobStatus(received, wire.BLOB_PARTIAL) if self._chunks % WINDOW == 0 else None

    def _complete(self, path: str) -> None:
        """Take what has come for the blob: its bytes are on the disk before its name is."""
        assert self._receiving is not None  # noqa: S101  our own order of calls
        part = path + self.suffix
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        seen = look(part, {}, self._busy)
        if seen.sha256 != self._receiving.sha256.hex():
            os.unlink(part)
            raise Refused("blob-corrupt", "the blob arrived with another hash: {}".format(seen.sha256))
        os.replace(part, path)
        _sync_folder(os.path.dirname(path))
        stamp = stamp_of(os.stat(path))
        if stamp[:4] == seen.stamp[:4]:  # renaming moves the time of the last change of anything
            self._known[stamp] = seen.sha256

    def lay_beside(self, model: bytes, format_name: str, files: str) -> List[str]:
        """Return the paths of a model and its files of weights side by side in a folder, by hard links."""
        # Models that differ in weights alone share their model file: a run that waits must not change the other's.
        key = hashlib.sha256(model + files.encode("utf-8")).hexdigest()
        folder = os.path.join(self.folder, "runs", key[:16])
        os.makedirs(folder, exist_ok=True)
        first = {"model." + format_name: model.hex()}
        named = dict(first, **dict(json.loads(files), **first))  # the model comes first and keeps its name
        places = []
        for name, sha256 in named.items():
            if os.path.basename(name) != name or name in {"", ".", ".."}:
                raise Refused("bad-request", "{!r} is no name of a file beside the model".format(name))
            digest = bytes(bytearray.fromhex(sha256))
            blob = self.found("file " + name, digest)
            place = os.path.join(folder, name)
            if not os.path.exists(place) or not os.path.samefile(place, blob):
                _link(blob, place)
            self._check("file " + name, place, digest)
            places.append(place)
        return places

    def tidy(self) -> None:
        """Remove this conversation's half blobs, and what nobody has asked for in a month."""
        kept = glob.glob(os.path.join(self.folder, "blobs", "*")) + glob.glob(
            os.path.join(self.folder, "runs", "*", "*")
        )
        for path in [*kept, *glob.glob(os.path.join(self.folder, "agent-*.pyz"))]:
            try:
                old = time.time() - os.stat(path).st_mtime > KEPT_DAYS * 86400
                if old or path.endswith(self.suffix):
                    os.unlink(path)
            except OSError:
                continue  # another conversation was quicker


def _link(blob: str, place: str) -> None:
    part = "{}.{}.part".format(place, os.getpid())
    try:
        os.link(blob, part)
    except OSError:  # a file system without hard links
        shutil.copyfile(blob, part)
    os.replace(part, place)


def _sync_folder(folder: str) -> None:
    """Bring the names in a folder to the disk, where its file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
