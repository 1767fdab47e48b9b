"""What was sent to the board, by the hash of its content: kept between conversations, checked when it arrives."""

import glob
import hashlib
import json
import os
import shutil
import time
from typing import Optional

from edgeprof import wire
from edgeprof.agent.refusal import Refused

WINDOW = 16
KEPT_DAYS = 30


class Blobs(object):
    """The agent's folder of blobs; one conversation receives one at a time."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.suffix = ".{}.part".format(os.getpid())
        self._receiving: Optional[wire.BlobBegin] = None
        self._chunks = 0

    def path(self, sha256: bytes) -> str:
        """Return where a blob is, or would be."""
        return os.path.join(self.folder, "blobs", sha256.hex())

    def found(self, name: str, sha256: bytes) -> str:
        """Return where a blob is; `name` is what it is for. Raises Refused where it is not."""
        path = self.path(sha256)
        if not os.path.exists(path):
            raise Refused("unknown-blob", "the {} {} is not here".format(name, os.path.basename(path)))
        return path

    def begin(self, message: wire.BlobBegin) -> wire.BlobStatus:
        """Return how much of a blob is there; what is there in full was checked when it arrived."""
        self._receiving = message
        self._chunks = 0
        path = self.path(message.sha256)
        part = path + self.suffix
        if not os.path.exists(path) and os.path.exists(part) and os.stat(part).st_size == message.size:
            self._complete(path)
        if os.path.exists(path):
            os.utime(path)
            return wire.BlobStatus(message.size, wire.BLOB_PRESENT)
        with open(part, "wb"):
            pass
        return wire.BlobStatus(0, wire.BLOB_ABSENT)

    def append(self, message: wire.BlobChunk) -> Optional[wire.BlobStatus]:
        """Append a part and check the whole when the last has come; return what is to be said, if anything is."""
        if self._receiving is None:
            raise Refused("bad-request", "a chunk without a blob")
        path = self.path(self._receiving.sha256)
        with open(path + self.suffix, "ab") as file:
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
        assert self._receiving is not None  # noqa: S101  our own order of calls
        seen = _sha256(path + self.suffix)
        if seen != self._receiving.sha256:
            os.unlink(path + self.suffix)
            raise Refused("blob-corrupt", "the blob arrived with another hash: {}".format(seen.hex()))
        os.replace(path + self.suffix, path)

    def lay_beside(self, model: bytes, format_name: str, files: str) -> str:
        """Return the path of the model in a folder where its files of weights lie beside it, by hard links."""
        # Models that differ in weights alone share their model file: a run that waits must not change the other's.
        key = hashlib.sha256(model + files.encode("utf-8")).hexdigest()
        folder = os.path.join(self.folder, "runs", key[:16])
        os.makedirs(folder, exist_ok=True)
        named = json.loads(files)
        named["model." + format_name] = model.hex()
        for name, sha256 in named.items():
            if os.path.basename(name) != name or name in {"", ".", ".."}:
                raise Refused("bad-request", "{!r} is no name of a file beside the model".format(name))
            blob = self.path(bytes(bytearray.fromhex(sha256)))
            if not os.path.exists(blob):
                raise Refused("unknown-blob", "the file {} is not here".format(name))
            place = os.path.join(folder, name)
            if not os.path.exists(place) or not os.path.samefile(place, blob):
                _link(blob, place)
        return os.path.join(folder, "model." + format_name)

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


def _sha256(path: str) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.digest()
