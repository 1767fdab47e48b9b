"""A channel over two file descriptors and, where there is one, the process behind them."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

CLOSE_TIMEOUT_S = 3.0
READ_BYTES = 1 << 17


class PipeChannel:
    """Reads from one descriptor, writes to another; ends the process when closed."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        log: IO[bytes],
        folder: TemporaryDirectory[str] | None = None,
        *,
        emulates: bool = False,
    ) -> None:
        self.emulator_pid = process.pid if emulates else None
        self._folder = folder
        self._process = process
        self._log = log
        self._wake_read, self._wake_write = os.pipe()
        if process.stdin is None or process.stdout is None:
            message = "the process must have pipes"
            raise ValueError(message)
        self._reading, self._writing = process.stdout, process.stdin
        self._closed = False

    def read(self, timeout_s: float) -> bytes:
        """Return what has come."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._reading, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(timeout_s)]
        if self._wake_read in ready:
            raise EOFError
        if not ready:
            raise TimeoutError
        content = os.read(self._reading.fileno(), READ_BYTES)
        if not content:
            raise EOFError
        return content

    def write(self, content: bytes) -> None:
        """Write all of it."""
        if self._closed:
            raise BrokenPipeError
        self._writing.write(content)
        self._writing.flush()

    def put_blob(self, path: str, content: bytes) -> bool:
        """Write the file: the agent is on this machine."""
        try:
            Path(path).write_bytes(content)
        except OSError:
            with contextlib.suppress(OSError):
                Path(path).unlink()
            return False
        return True

    def last_words(self) -> str:
        """Return the last line that the process printed on its standard error."""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 2000))
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def cancel(self) -> None:
        """Wake a blocked read."""
        os.write(self._wake_write, b"x")

    def close(self) -> None:
        """Close the pipes, at which the agent ends by itself; else end it."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):  # it may be gone already
            self._writing.close()
        try:
            self._process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reading.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        self._log.close()
        if self._folder is not None:
            self._folder.cleanup()
