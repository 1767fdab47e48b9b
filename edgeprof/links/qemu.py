"""`qemu:BOARD`: the microcontroller agent on a board that QEMU emulates, its UART on a loopback socket.

`-icount shift=6,sleep=off` makes an instruction 64 ns of QEMU's own time, so that counts are exact and never differ.
"""

from __future__ import annotations

import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from edgeprof.errors import BoardUnreachable, UnknownName, did_you_mean
from edgeprof.links.firmware_files import agent_elf, preloaded

if TYPE_CHECKING:
    from collections.abc import Sequence

START_TIMEOUT_S = 20.0
WRITE_TIMEOUT_S = 20.0
READ_BYTES = 1 << 16


# QEMU does not end when its serial line closes: the kernel ends it when edgeprof is killed (PR_SET_PDEATHSIG).
DIE_WITH_PARENT = "import ctypes,os,sys; ctypes.CDLL(None).prctl(1,9,0,0,0); os.execv(sys.argv[1],sys.argv[1:])"


class Machine(NamedTuple):
    """What a board is called in QEMU, its core, and where its PSRAM lies."""

    core: str
    psram: int


MACHINES = {
    "mps2-an385": Machine("cortex-m3", 0x21000000),
    "mps2-an386": Machine("cortex-m4", 0x21000000),
    "mps2-an500": Machine("cortex-m7", 0x60000000),
}


def open_qemu(board: str, blobs: Sequence[bytes]) -> QemuChannel:
    """Start QEMU with the agent, and the blobs in the board's PSRAM."""
    if board not in MACHINES:
        hint = did_you_mean(board, MACHINES) or f"known: {', '.join(MACHINES)}"
        raise UnknownName(f"QEMU has no board {board!r} that edgeprof has an agent for", hint=hint)
    qemu = _found_qemu()
    if qemu is None:
        raise BoardUnreachable(
            f"qemu:{board} {missing_qemu()}",
            hint="sudo apt install qemu-system-arm, or EDGEPROF_QEMU=/path/to/it, or use emu:cortex-m4",
        )
    folder = tempfile.TemporaryDirectory(prefix="edgeprof-")
    memory = Path(folder.name) / "memory"
    memory.write_bytes(preloaded(blobs))
    try:
        return _start(qemu, board, memory, folder)
    except BaseException:
        folder.cleanup()
        raise


def _found_qemu() -> str | None:
    return os.environ.get("EDGEPROF_QEMU") or shutil.which("qemu-system-arm")


def missing_qemu() -> str:
    """Return what is missing to emulate a board; empty where nothing is."""
    return "" if _found_qemu() else "needs qemu-system-arm"


def _start(qemu: str, board: str, memory: Path, folder: tempfile.TemporaryDirectory[str]) -> QemuChannel:
    machine = MACHINES[board]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(START_TIMEOUT_S)
        command = [
            sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, qemu,
            "-M", board, "-nographic", "-monitor", "none", "-icount", "shift=6,sleep=off",
            "-serial", f"tcp:127.0.0.1:{server.getsockname()[1]}", "-kernel", str(agent_elf(machine.core)),
            "-device", f"loader,file={memory},addr={machine.psram:#x},force-raw=on",
        ]  # fmt: skip
        log = tempfile.TemporaryFile()  # noqa: SIM115  the channel owns it and closes it
        try:
            process = subprocess.Popen(  # noqa: S603  QEMU, with arguments of our own
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
            )
        except OSError as error:
            raise BoardUnreachable(f"{qemu} cannot be started: {error.strerror}") from error
        try:
            line, _ = server.accept()
        except OSError as error:
            process.kill()
            process.wait()
            log.seek(0)
            words = log.read().decode("utf-8", "replace").strip()[-300:]
            log.close()
            raise BoardUnreachable(f"qemu:{board} did not start: {words or error}") from error
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return QemuChannel(process, line, log, folder)


class QemuChannel:
    """The board's serial line; closing it ends QEMU."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        line: socket.socket,
        log: IO[bytes],
        folder: tempfile.TemporaryDirectory[str],
    ) -> None:
        self._process, self._line, self._log, self._folder = process, line, log, folder
        self.emulator_pid = process.pid
        self._line.settimeout(0)
        self._wake_read, self._wake_write = socket.socketpair()
        self._closed = False

    def read(self, timeout_s: float) -> bytes:
        """Return what the board sent."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._line, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(max(0.0, timeout_s))]
        if self._wake_read in ready:
            raise EOFError
        if not ready:
            raise TimeoutError
        content = self._line.recv(READ_BYTES)
        if not content:
            raise EOFError
        return content

    def write(self, content: bytes) -> None:
        """Write all of it."""
        if self._closed:
            raise BrokenPipeError
        left = memoryview(content)
        with selectors.DefaultSelector() as selector:
            selector.register(self._line, selectors.EVENT_WRITE)
            while left:
                if not selector.select(WRITE_TIMEOUT_S):
                    raise BrokenPipeError(f"the board took nothing for {WRITE_TIMEOUT_S:.0f} s")
                left = left[self._line.send(left) :]

    def put_blob(self, path: str, content: bytes) -> bool:  # noqa: ARG002  the channel's signature
        """Tell that a serial line has no faster way; the blobs are in the board's memory already."""
        return False

    def last_words(self) -> str:
        """Return what QEMU itself had to say."""
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace").strip()[-300:]

    def cancel(self) -> None:
        """Wake a blocked read."""
        self._wake_write.send(b"x")

    def close(self) -> None:
        """End QEMU."""
        if self._closed:
            return
        self._closed = True
        self._process.kill()
        self._process.wait()
        for end in (self._line, self._wake_read, self._wake_write, self._log):
            end.close()
        self._folder.cleanup()
