"""The agent in QEMU and as a program of this machine: started, talked to, ended."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edgeprof.records.events import Event, OutputReceived, PassEnded
from edgeprof.records.result import Pass, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.links.framed import FramedSession
    from scripts.fetch_firmware_tools import FirmwareTools

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware_stubs"
START_TIMEOUT_S = 20.0
QEMU_OPTIONS = ("-nographic", "-monitor", "none", "-icount", "shift=6,sleep=off")


def start_qemu(
    machine: str, elf: Path, *, tools: FirmwareTools, options: Sequence[str] = QEMU_OPTIONS, extra: Sequence[str] = ()
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a board in QEMU and return its process and its serial line. Who calls this ends both."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(START_TIMEOUT_S)
        port = server.getsockname()[1]
        command = [str(tools.qemu), "-M", machine, *options]
        command += ["-serial", f"tcp:127.0.0.1:{port}", "-kernel", str(elf), *extra]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=tools.environment(),
        )
        try:
            line, _ = server.accept()
        except OSError:
            process.kill()
            process.wait()
            raise
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return process, line


def preloaded(machine: str, blobs: Sequence[bytes], path: Path) -> list[str]:
    """Write blobs into a file and return the options with which QEMU puts it into the board's PSRAM.

    The agent finds them when it is asked for them, so that they need not come over the serial line.
    """
    parts = [b"EPPL".ljust(16, b"\0")]
    for blob in blobs:
        parts += [struct.pack("<I12x", len(blob)), blob, bytes(-len(blob) % 16)]
    path.write_bytes(b"".join([*parts, bytes(16)]))
    address = 0x60000000 if machine == "mps2-an500" else 0x21000000
    return ["-device", f"loader,file={path},addr={address:#x},force-raw=on"]


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and wait for it."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


class SocketChannel:
    """A channel over a serial line that is a socket, with the emulator behind it."""

    def __init__(self, process: subprocess.Popen[bytes], line: socket.socket) -> None:
        self._process = process
        self._line = line
        self._line.setblocking(False)  # noqa: FBT003  its only parameter

    @classmethod
    def qemu(cls, tools: FirmwareTools, machine: str, elf: Path, extra: Sequence[str] = ()) -> Self:
        """Start a board in QEMU."""
        return cls(*start_qemu(machine, elf, tools=tools, extra=extra))

    def read(self, timeout_s: float) -> bytes:
        """Return what has come."""
        if not select.select([self._line], [], [], max(0.0, timeout_s))[0]:
            raise TimeoutError
        content = self._line.recv(1 << 16)
        if not content:
            raise EOFError
        return content

    def write(self, content: bytes) -> None:
        """Write all of it."""
        left = memoryview(content)
        while left:
            select.select([], [self._line], [], 10.0)
            left = left[self._line.send(left) :]

    def put_blob(self, path: str, content: bytes) -> bool:
        """Say that there is no faster way."""
        del path, content
        return False

    def last_words(self) -> str:
        """Return nothing: what a board says comes over the line."""
        return ""

    def cancel(self) -> None:
        """Wake a blocked read."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the emulator."""
        self._line.close()
        end(self._process)


class HostChannel:
    """A channel to the agent that runs as a program of this machine."""

    def __init__(self, program: Path) -> None:
        environment = {
            **os.environ,
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        self._process = subprocess.Popen(
            [str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            bufsize=0,
        )

    @property
    def process_id(self) -> int:
        """Return the number of the program's process."""
        return self._process.pid

    def read(self, timeout_s: float) -> bytes:
        """Return what has come."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], max(0.0, timeout_s))[0]:
            raise TimeoutError
        content = os.read(self._process.stdout.fileno(), 1 << 16)
        if not content:
            raise EOFError
        return content

    def write(self, content: bytes) -> None:
        """Write all of it."""
        assert self._process.stdin is not None
        left = memoryview(content)
        while left:
            left = left[self._process.stdin.write(left) :]

    def put_blob(self, path: str, content: bytes) -> bool:
        """Say that there is no faster way."""
        del path, content
        return False

    def last_words(self) -> str:
        """Return what a sanitizer said, once the program has ended."""
        if self._process.poll() is None:
            time.sleep(0.2)
        if self._process.poll() is None or self._process.stderr is None:
            return ""
        return self._process.stderr.read().decode("utf-8", "replace")[:3000]

    def cancel(self) -> None:
        """End the program."""
        self._process.kill()

    def close(self) -> None:
        """End the program."""
        end(self._process)


def run_passes(
    session: FramedSession, program: bytes, inputs: bytes, passes: Sequence[Pass], format_name: str = "program"
) -> list[Event]:
    """Upload and run, and return all events; a pass that fails fails the test."""
    plan = Plan(passes=tuple(passes), format=format_name)
    events = list(session.run(plan, {"model": program, "inputs": inputs}))
    for event in events:
        if isinstance(event, PassEnded):
            assert event.complete, f"{event.failure}: {event.text}"
    return events


def outputs_of(events: Sequence[Event]) -> list[bytes]:
    """Return the content of every output in its order."""
    return [event.content for event in events if isinstance(event, OutputReceived)]
