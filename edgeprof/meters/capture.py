"""Bytes from an instrument's serial port as they come, with the host's time, in a thread of their own."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.errors import BoardUnreachable

if TYPE_CHECKING:
    from edgeprof.links.serial_port import SerialChannel

POLL_S = 0.05
PACE_S = 0.005
"""Between two reads: the kernel keeps some 64 KiB, of which 100,000 samples a second fill 2 kB in this time."""
FULL_BYTES = 4095
"""A terminal gives no more at once: there is more to read now."""
QUIET_S = 0.1
LONGEST_TAIL_S = 2.0


class Captured(NamedTuple):
    """The bytes of a recording; `ends` are the byte counts at which reads ended, `host_time_s` when. Shape [k] each."""

    content: bytes
    ends: list[int]
    host_time_s: list[float]
    lost: str
    """Why the port ended by itself; empty if it did not."""


class Capture:
    """Reads a port until it is stopped or the port is gone."""

    def __init__(self, channel: SerialChannel) -> None:
        self._channel = channel
        self._blocks: list[bytes] = []
        self._times: list[float] = []
        self._lost = ""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, name="power capture", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _read(self) -> None:
        while not self._ending.is_set():
            try:
                block = self._channel.read(POLL_S)
            except TimeoutError:
                continue
            except EOFError:
                self._lost = self._channel.last_words() or "the port was closed"
                return
            self._times.append(time.monotonic())
            self._blocks.append(block)
            if len(block) < FULL_BYTES:
                time.sleep(PACE_S)

    def stop(self) -> Captured:
        """Wait for the last bytes of an instrument that was told to stop, and return everything."""
        until = time.monotonic() + LONGEST_TAIL_S
        began = time.monotonic()
        while self._thread.is_alive() and time.monotonic() < until:
            last = self._times[-1] if self._times else began
            if time.monotonic() - max(last, began) > QUIET_S:
                break
            time.sleep(QUIET_S / 4)
        self._ending.set()
        self._thread.join()
        ends, total = [], 0
        for block in self._blocks:
            total += len(block)
            ends.append(total)
        return Captured(b"".join(self._blocks), ends, self._times, self._lost)


# ── before a recording ───────────────────────────────────────────────────────────────────────────────────────────────


def drain(channel: SerialChannel) -> None:
    """Throw away what was on its way, until the line is quiet."""
    until = time.monotonic() + LONGEST_TAIL_S
    while time.monotonic() < until:
        try:
            channel.read(QUIET_S)
        except TimeoutError:
            return
        except EOFError:
            raise BoardUnreachable(channel.last_words()) from None


def listen(channel: SerialChannel, end: bytes, timeout_s: float) -> bytes:
    """Return what comes up to an end mark, or in the time allowed."""
    until, heard = time.monotonic() + timeout_s, b""
    while end not in heard and time.monotonic() < until:
        try:
            heard += channel.read(POLL_S)
        except TimeoutError:
            continue
        except EOFError:
            raise BoardUnreachable(channel.last_words()) from None
    return heard


def heard_text(heard: bytes) -> str:
    """Return what came, for a message."""
    text = re.sub(r"[^ -~]+", " ", heard[:60].decode("latin-1")).strip()
    return f"{len(heard)} bytes: {text!r}" if heard else "nothing"
