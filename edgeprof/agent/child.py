"""A fresh process for each pass and each probe: whatever a runtime does to itself, the agent goes on."""

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
from typing import IO, Any, Dict, List, Tuple

from edgeprof.agent import install


class Child(object):
    """A measuring process, its pipe, and the bytes that have not made a message yet."""

    def __init__(self, process: "subprocess.Popen[bytes]", descriptor: int, log: "IO[bytes]", run: int) -> None:
        self.process = process
        self.descriptor = descriptor
        self.log = log
        self.run = run
        self.buffer = bytearray()
        self.ended = False

    def messages(self) -> List[Tuple[int, bytes]]:
        """Read what is there and return the messages that are complete."""
        content = os.read(self.descriptor, 1 << 16)
        self.ended = not content
        self.buffer += content
        found = []
        while len(self.buffer) >= 5:
            size, kind = struct.unpack_from("<IB", self.buffer)
            if len(self.buffer) < 5 + size:
                break
            found.append((kind, bytes(self.buffer[5 : 5 + size])))
            del self.buffer[: 5 + size]
        return found

    def last_words(self) -> str:
        """Return the end of what the child printed."""
        self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, self.log.tell() - 2000))
        lines = self.log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def kill(self) -> None:
        """End the child and everything it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except OSError:
            pass  # it is gone already
        self.process.wait()
        os.close(self.descriptor)
        self.log.close()


def start_child(orders: Dict[str, Any], folder: str) -> Child:
    """Start a process for a pass or a probe; `orders` reach it on its standard input."""
    reading, writing = os.pipe()
    log = tempfile.TemporaryFile()
    process = subprocess.Popen(
        [sys.executable, sys.argv[0], "measure", str(writing)],
        stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=(writing,), start_new_session=True,
        env=install.environment(folder, orders),
    )  # fmt: skip
    os.close(writing)
    assert process.stdin is not None  # noqa: S101  PIPE was asked for
    try:
        process.stdin.write(json.dumps(orders).encode("utf-8"))
        process.stdin.close()
    except BrokenPipeError:
        pass  # it died at once; its status says why
    return Child(process, reading, log, orders["run"])


def death(status: int, words: str) -> str:
    """Return how a child ended, in words."""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = "signal {}".format(-status)
        known = {"SIGILL": "an instruction that this CPU does not have", "SIGKILL": "most likely out of memory"}
        why = " ({})".format(known[name]) if name in known else ""
        return "the measuring process was ended by {}{}".format(name, why)
    return "the measuring process ended with status {}{}".format(status, ": " + words if words else "")
