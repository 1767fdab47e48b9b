"""A serial port whose instrument records between two words: opened, told to start, told to stop, left in order."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edgeprof.errors import UsageError
from edgeprof.links.serial_port import open_serial
from edgeprof.meters.capture import Capture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeprof.links.serial_port import SerialChannel
    from edgeprof.meters.capture import Captured


class RecordedPort:
    """What an instrument says between `begin` and `end`, captured in a thread; `name` is for messages."""

    def __init__(self, name: str, *, begin: bytes, end: bytes) -> None:
        self._name = name
        self._begin = begin
        self._end = end
        self._channel: SerialChannel | None = None
        self._capture: Capture | None = None

    def open(self, port: str, baud: int, prepare: Callable[[SerialChannel], None]) -> None:
        """Open the port and prepare the instrument; it is closed again where that fails."""
        self._channel = open_serial(port, baud)
        try:
            prepare(self._channel)
        except BaseException:
            self._channel.close()
            raise

    def start(self) -> None:
        """Record from now on."""
        if self._channel is None or self._capture is not None:
            raise UsageError(f"{self._name} is started once it is open and not recording")
        self._capture = Capture(self._channel)
        self._capture.start()
        self._channel.write(self._begin)

    def stop(self) -> Captured:
        """End the recording; nothing that came is lost, also where the instrument was unplugged."""
        if self._channel is None or self._capture is None:
            raise UsageError(f"{self._name} is stopped after it was started")
        capture, self._capture = self._capture, None
        with contextlib.suppress(OSError):  # unplugged: the capture knows
            self._channel.write(self._end)
        return capture.stop()

    def leave(self, words: Sequence[bytes]) -> None:
        """End a recording that nobody wants, say the last words and close the port."""
        if self._channel is None:
            return
        try:
            for word in ([self._end] if self._capture is not None else []) + list(words):
                self._channel.write(word)
        except OSError:
            pass  # it is unplugged, and the recording says so
        finally:
            if self._capture is not None:
                self._capture.stop()
            self._channel.close()
            self._channel = self._capture = None
