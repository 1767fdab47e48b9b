"""Firmware that speaks the MLPerf Tiny protocol, on a pseudo-terminal or a loopback socket, with a clock of its own.

Written from the protocol: commands end with `%`, an empty one crashes it as it does the reference, answers end with
`m-ready`. Its clock moves with inferences and with every byte it prints, never with real time, so that a window of 10 s
takes no time. `Quirks` are what real firmware does otherwise.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import threading
import time
import tty
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

BUFFER_BYTES = 27648
COMMAND_BYTES = 80


@dataclass(frozen=True, kw_only=True)
class Quirks:
    """How one firmware differs from the protocol; the defaults do not."""

    echo: str = ""  # "%": the command with its terminator; "bare": without; printed in front of the answer, no line end
    glued: str = ""  # debug text in front of each message, no line end
    colour: bool = False
    blank_lines: bool = False
    missing: frozenset[str] = frozenset()  # beginnings of messages that are never printed
    trailing_comma: bool = False
    results: str = "0.000,0.003,0.000,0.761,0.234"
    clock_bits: int = 32
    clock_starts_us: int = 250_000_000
    clock_step_us: int = 1
    clock_jumps_us: tuple[int, ...] = ()  # added during the window of this number
    energy: bool = False
    unknown: frozenset[str] = frozenset()  # commands that it does not know
    damages: frozenset[int] = frozenset()  # numbers of the db commands that arrive damaged
    boots_for_s: float = 0.0  # real time until the banner; commands before it are lost
    silent: bool = False
    speaks: bytes = b""  # what it says instead of anything else
    restarts_in_window: int = 0
    hangs_up_in_window: int = 0
    falls_silent_in_window: int = 0


@dataclass(kw_only=True)
class Board:
    """What the firmware runs, and what became of it."""

    vendor: str = "Acme"
    profile: str = "ULPMark for tinyML Firmware V0.0.1"
    model: str = "kws01"
    latency_us: Callable[[int], float] = lambda _window: 4321.0
    baud: int = 115200
    quirks: Quirks = field(default_factory=Quirks)
    recorded: dict[str, deque[list[str]]] = field(default_factory=dict)  # answers to give word by word, once each
    commands: list[str] = field(default_factory=list)
    crashed: str = ""
    received: bytes = b""


class HungUp(Exception):
    """The cable is pulled, or the firmware has crashed."""


class Firmware:
    """The command loop; `put` sends bytes to the host."""

    def __init__(self, board: Board, put: Callable[[bytes], None]) -> None:
        self.board = board
        self._put = put
        self._command = b""
        self._buffer = bytearray()
        self._expected = 0
        self._digits = 0
        self._windows = 0
        self._now_us = float(board.quirks.clock_starts_us)

    def boot(self) -> None:
        mode = "energy" if self.board.quirks.energy else "performance"
        self._print(f"m-timestamp-mode-{mode}")
        self._timestamp()
        self._print("4 bytes lost due to alignment.")
        self._print("m-init-done")
        self._print("m-ready")

    def receive(self, content: bytes) -> None:
        """Take bytes as the interrupt routine would: over-long commands keep overwriting their last character."""
        for byte in content:
            if byte == ord("%"):
                command, self._command = self._command.decode("ascii", "replace"), b""
                self._run(command)
            elif len(self._command) < COMMAND_BYTES:
                self._command += bytes([byte])
            else:
                self._command = self._command[:-1] + bytes([byte])

    def _run(self, command: str) -> None:
        quirks = self.board.quirks
        self.board.commands.append(command)
        if not command.split():
            self.board.crashed = f"empty command {command!r}"
            raise HungUp
        if quirks.echo:
            self._send(command + ("%" if quirks.echo == "%" else ""))
        answers = self.board.recorded.get(command)
        if answers:
            for line in answers.popleft():
                self._send(f"{line}\r\n")
            return
        name, *rest = command.split(" ")
        self._obey("" if name in quirks.unknown else name, rest, command)
        self._print("m-ready")

    def _obey(self, name: str, rest: list[str], command: str) -> None:
        match name:
            case "name":
                self._print(f"m-name-dut-[{self.board.vendor}]")
            case "profile":
                self._print(f"m-profile-[{self.board.profile}]")
                self._print(f"m-model-[{self.board.model}]")
            case "timestamp":
                self._timestamp()
            case "db":
                self._db(rest)
            case "infer":
                self._infer(int(rest[0]) if rest else 1, int(rest[1]) if len(rest) > 1 else 10)
            case "results":
                self._results()
            case _:
                self._print(f"e-[Unknown command: {command.partition(' ')[0]}]")

    def _db(self, rest: list[str]) -> None:
        if rest[0] == "load":
            self._expected = int(rest[1])
            self._buffer.clear()
            if self._expected > BUFFER_BYTES:
                self._send(f"Supplied buffer size {self._expected} exceeds maximum of {BUFFER_BYTES}\n")
            else:
                self._print(f"m-[Expecting {self._expected} bytes]")
            return
        self._digits += 1
        digits = rest[0]
        if self._digits in self.board.quirks.damages:
            digits = digits[:-2] + "zz"
        try:
            content = bytes.fromhex(digits)
        except ValueError:
            self._print(f"e-[Invalid hex digit '{digits[-2:]}']")
            return
        self._buffer += content[: self._expected - len(self._buffer)]
        if len(self._buffer) == self._expected:
            self.board.received = bytes(self._buffer)
            self._print("m-load-done")

    def _infer(self, iterations: int, warmup: int) -> None:
        if iterations <= 0 or warmup < 0:
            self._print(
                "e-[Inference iterations must be >0]" if iterations <= 0 else "e-[Inference warmup must be >=0]"
            )
            return
        quirks = self.board.quirks
        self._windows += 1
        if self._windows == quirks.restarts_in_window:
            self.boot()
            return
        each_us = self.board.latency_us(self._windows)
        self._print(f"m-warmup-start-{warmup}")
        self._now_us += each_us * warmup
        self._print("m-warmup-done")
        self._print(f"m-infer-start-{iterations}")
        self._timestamp()
        self._now_us += each_us * iterations
        if self._windows <= len(quirks.clock_jumps_us):
            self._now_us += quirks.clock_jumps_us[self._windows - 1]
        if self._windows == quirks.hangs_up_in_window:
            raise HungUp
        while self._windows == quirks.falls_silent_in_window:
            time.sleep(0.1)
            self._put(b"")
        self._timestamp()
        self._print("m-infer-done")
        self._results()

    def _results(self) -> None:
        self._print(f"m-results-[{self.board.quirks.results}{',' * self.board.quirks.trailing_comma}]")

    def _timestamp(self) -> None:
        if not self.board.quirks.energy:
            step = self.board.quirks.clock_step_us
            reading = int(self._now_us) // step * step % (1 << self.board.quirks.clock_bits)
            self._print(f"m-lap-us-{reading}")

    def _print(self, line: str) -> None:
        quirks = self.board.quirks
        if any(line.startswith(beginning) for beginning in quirks.missing):
            return
        if quirks.colour:
            line = f"\x1b[1;32m{line}\x1b[0m"
        self._send(f"{quirks.glued}{line}\r\n" + "\r\n" * quirks.blank_lines)

    def _send(self, text: str) -> None:
        self._now_us += len(text) * 10e6 / self.board.baud
        self._put(text.encode())


class OnPty:
    """The firmware on a pseudo-terminal; `url` is its path."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._host_side, self._device = pty.openpty()
        tty.setraw(self._device)
        self.url = os.ttyname(self._device)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self.pull()

    def pull(self) -> None:
        """Pull the cable: the host's end hangs up."""
        for descriptor in (self._host_side, self._device):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._host_side = self._device = -1

    def _put(self, content: bytes) -> None:
        if self._stop.is_set():
            raise HungUp
        while content:
            content = content[os.write(self._host_side, content) :]

    def _receive(self) -> bytes:
        ready, _, _ = select.select([self._host_side], [], [], 0.05)
        return os.read(self._host_side, 4096) if ready else b""

    def _serve(self) -> None:
        with contextlib.suppress(HungUp, OSError):
            serve(self.board, self._receive, self._put, self._stop)
        if not self._stop.is_set():
            self.pull()


class OnSocket:
    """The same behind a TCP port of the loopback; `url` is pyserial's."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._listening.getsockname()[1]}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)

    def _serve(self) -> None:
        with contextlib.suppress(HungUp, OSError):
            connection, _ = self._listening.accept()
            connection.settimeout(0.05)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                serve(self.board, lambda: _received(connection), connection.sendall, self._stop)


def _received(connection: socket.socket) -> bytes:
    try:
        content = connection.recv(4096)
    except TimeoutError:
        return b""
    if not content:
        raise HungUp
    return content


def serve(board: Board, receive: Callable[[], bytes], put: Callable[[bytes], None], stop: threading.Event) -> None:
    """Boot, then answer until the host is gone."""
    quirks = board.quirks
    firmware = Firmware(board, put)
    booted_at = time.monotonic() + quirks.boots_for_s
    while time.monotonic() < booted_at and not stop.is_set():
        receive()
    if not quirks.silent and not quirks.speaks:
        firmware.boot()
    while not stop.is_set():
        content = receive()
        if quirks.speaks and content:
            put(quirks.speaks)
        elif content and not quirks.silent:
            firmware.receive(content)
