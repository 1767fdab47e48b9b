"""Waits for an agent that was just flashed: its port may vanish and come back, a bootloader may talk first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgeprof.errors import BoardUnreachable, FrameError
from edgeprof.links.framed import FramedSession
from edgeprof.links.serial_port import line_trouble, open_serial

if TYPE_CHECKING:
    from edgeprof.links.serial_port import SerialChannel
    from edgeprof.records.events import AgentIdentified
    from edgeprof.targets import Serial

ASK_S = 2.0
"""An agent that is still starting never sees the first question, so that it is asked again."""
RETRY_S = 0.2
KEPT_BYTES = 4096


def await_hello(place: Serial, patience_s: float) -> AgentIdentified:
    """Return who answers on a port; what came instead is told with its remedy."""
    until = time.monotonic() + patience_s
    heard = b""
    trouble: BoardUnreachable | None = None
    while time.monotonic() < until:
        try:
            channel = open_serial(place.url, place.baud, dtr=place.dtr)
        except BoardUnreachable as error:
            trouble = error
            time.sleep(RETRY_S)
            continue
        trouble = None
        try:
            answered, said = _ask(channel, place.url, until)
        finally:
            channel.close()
        if answered is not None:
            return answered
        heard = (heard + said)[-KEPT_BYTES:]
    raise _unanswered(place.url, patience_s, heard, trouble)


def _ask(channel: SerialChannel, url: str, until: float) -> tuple[AgentIdentified | None, bytes]:
    """Ask again and again on one open port, since opening it resets some boards; end when the port is lost."""
    heard = b""
    while time.monotonic() < until:
        attempt = _Attempt(channel, min(until, time.monotonic() + ASK_S))
        try:
            return FramedSession(attempt, name=url).identify(), heard
        except (BoardUnreachable, FrameError):
            heard = (heard + attempt.heard)[-KEPT_BYTES:]
        if channel.last_words():
            break
        if time.monotonic() < attempt.until:
            time.sleep(min(RETRY_S, max(0.0, until - time.monotonic())))
    return None, heard


def _unanswered(url: str, patience_s: float, heard: bytes, trouble: BoardUnreachable | None) -> BoardUnreachable:
    flashed = f"it was flashed, but no agent said hello on {url} within {patience_s:g} s"
    if trouble is not None:
        return BoardUnreachable(f"{flashed}: {trouble.message}", hint=trouble.hint)
    what, hint = line_trouble(heard)
    return BoardUnreachable(f"{flashed}: {what}", hint=hint)


class _Attempt:
    """A channel for one question: it ends at its deadline, and leaves the port open."""

    def __init__(self, channel: SerialChannel, until: float) -> None:
        self._channel = channel
        self.until = until
        self.heard = b""

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, until the attempt is over."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise EOFError
        content = self._channel.read(min(timeout_s, left))
        self.heard = (self.heard + content)[-KEPT_BYTES:]
        return content

    def write(self, content: bytes) -> None:
        """Write all of it."""
        self._channel.write(content)

    def put_blob(self, path: str, content: bytes) -> bool:
        """Tell that a serial port has no faster way."""
        return self._channel.put_blob(path, content)

    def last_words(self) -> str:
        """Return why the port was lost."""
        return self._channel.last_words()

    def cancel(self) -> None:
        """Wake a blocked read."""
        self._channel.cancel()

    def close(self) -> None:
        """Leave the port open for the next question."""
