"""Serial ports by device path or pyserial URL: opened for one program alone, their trouble told with its remedy."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import selectors
import socket
import termios
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgeprof.errors import BoardUnreachable, EdgeprofError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

Dtr = Literal["on", "off", "pulse"]
"""The DTR line at opening: `on` as every terminal does, `off` so that no board resets, `pulse` to reset it."""

WRITE_TIMEOUT_S = 10.0
SLICE_S = 0.05
PULSE_S = 0.1
READ_BYTES = 1 << 16
POLLED = frozenset({"rfc2217", "loop", "cp2110"})
"""Kinds of port that no selector can wait for."""


def open_serial(url: str, baud: int, *, dtr: Dtr = "on") -> SerialChannel:
    """Open a port for this program alone, 8N1 and without flow control; what is wrong with it is told with a remedy."""
    import serial

    scheme = url.partition("://")[0].lower() if "://" in url else ""
    polled = scheme in POLLED
    try:
        port = serial.serial_for_url(
            url,
            baudrate=baud,
            timeout=SLICE_S if polled else 0,
            write_timeout=None if scheme == "rfc2217" else WRITE_TIMEOUT_S,
            exclusive=True,
            do_not_open=True,
        )
        if dtr == "off":
            port.dtr = port.rts = False
        port.open()
    except ValueError as error:
        raise _wrong_url(url, str(error)) from error
    except OSError as error:
        raise (_remote_trouble if scheme else _local_trouble)(url, error) from error
    if scheme == "socket":
        _send_at_once(port.fileno())
    if dtr == "pulse":
        _pulse(port)
    return SerialChannel(port, url, polled=polled)


def _send_at_once(descriptor: int) -> None:
    """Let a small command go without waiting for the answer to the last one (40 ms)."""
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _pulse(port: Any) -> None:  # noqa: ANN401  pyserial has no types
    """Reset the board as its programmer would; a pseudo-terminal and a plain socket have no such line."""
    with contextlib.suppress(OSError):
        port.dtr = False
        time.sleep(PULSE_S)
        port.dtr = True
        port.reset_input_buffer()


class SerialChannel:
    """Reads and writes an open port; nobody else can open it until it is closed."""

    def __init__(self, port: Any, url: str, *, polled: bool) -> None:  # noqa: ANN401  pyserial has no types
        self.url = url
        self._port = port
        self._descriptor: int | None = None if polled else port.fileno()
        self._wake_read, self._wake_write = os.pipe()
        self._lock = threading.Lock()
        self._cancelled = self._closed = False
        self._lost = ""
        self._exclusive(termios.TIOCEXCL)

    def _exclusive(self, request: int) -> None:
        """Keep out programs that heed no lock; a socket knows no such request."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._descriptor, request)

    def read(self, timeout_s: float) -> bytes:
        """Return what has come."""
        until = time.monotonic() + timeout_s
        while not (self._cancelled or self._closed or self._lost):
            left = until - time.monotonic()
            content = self._some(max(0.0, left))
            if content:
                return content
            if left <= 0 and not self._cancelled:
                raise TimeoutError
        raise EOFError

    def _some(self, timeout_s: float) -> bytes:
        try:
            if self._descriptor is None:
                first: bytes = self._port.read(1)
                return first + self._port.read(self._port.in_waiting) if first else b""
            with selectors.DefaultSelector() as selector:
                selector.register(self._descriptor, selectors.EVENT_READ)
                selector.register(self._wake_read, selectors.EVENT_READ)
                ready = [key.fileobj for key, _ in selector.select(timeout_s)]
            content: bytes = self._port.read(READ_BYTES) if self._descriptor in ready else b""
        except OSError as error:
            self._lost = self._gone()
            raise EOFError from error
        return content

    def _gone(self) -> str:
        return f"{self.url} is gone: unplugged, switched off or taken by another program"

    def write(self, content: bytes) -> None:
        """Write all of it."""
        if self._closed:
            raise BrokenPipeError
        import serial

        try:
            self._port.write(content)
        except serial.SerialTimeoutException:  # an OSError too, and the port is still there
            raise
        except OSError:
            self._lost = self._gone()
            raise

    def put_blob(self, path: str, content: bytes) -> bool:  # noqa: ARG002  the channel's signature
        """Tell that a serial port has no faster way."""
        return False

    def last_words(self) -> str:
        """Return why the port was lost; empty while it is there."""
        return self._lost

    def cancel(self) -> None:
        """Wake a blocked read, which then ends for good."""
        with self._lock:
            self._cancelled = True
            if not self._closed:
                os.write(self._wake_write, b"x")

    def close(self) -> None:
        """Give the port back."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._exclusive(termios.TIOCNXCL)
            with contextlib.suppress(OSError):  # it may be unplugged
                self._port.close()
            os.close(self._wake_read)
            os.close(self._wake_write)


# ── trouble at opening ───────────────────────────────────────────────────────────────────────────────────────────────


def _wrong_url(url: str, reason: str) -> UsageError:
    return UsageError(
        f"{url!r} is no serial port: {reason}",
        hint="a port is a device path such as /dev/ttyACM0, socket://HOST:PORT or rfc2217://HOST:PORT",
    )


def _remote_trouble(url: str, error: OSError) -> EdgeprofError:
    """Return the error for a port behind a socket; pyserial keeps the cause only as the context."""
    cause = error.__context__
    if cause is None:
        return BoardUnreachable(f"{url} cannot be used as a serial port: {error}")
    if isinstance(cause, TimeoutError):
        return BoardUnreachable(f"{url} does not answer", hint="is its host switched on and in this network?")
    if not isinstance(cause, OSError) or cause.errno is None:
        return _wrong_url(url, str(cause))
    hint = "is the server running there, and on that port?" if cause.errno == errno.ECONNREFUSED else ""
    return BoardUnreachable(f"{url} cannot be reached: {cause.strerror}", hint=hint)


def _local_trouble(path: str, error: OSError) -> EdgeprofError:
    match error.errno:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            return BoardUnreachable(f"there is no serial port {path}; {_plugged_in()}", hint="edgeprof targets list")
        case errno.EACCES | errno.EPERM:
            return BoardUnreachable(f"no permission to open {path}", hint=_permission_hint(path))
        case errno.EBUSY | errno.EAGAIN:
            return BoardUnreachable(
                f"{path} is busy: another program has it open",
                hint=f"fuser -v {path} shows which one; ModemManager lets go of a new port after half a minute",
            )
        case _:
            return BoardUnreachable(f"{path} cannot be used as a serial port: {error}", hint="edgeprof targets list")


def _plugged_in() -> str:
    from serial.tools.list_ports import comports

    found = [f"{port.device} ({port.product or port.description})" for port in sorted(comports()) if port.vid]
    return f"plugged in: {', '.join(found)}" if found else "no USB serial port is plugged in"


def _permission_hint(path: str) -> str:
    """Return the command that gives access: the group that owns the port is dialout on Debian, uucp on Arch."""
    try:
        gid = Path(path).stat().st_gid
        group = grp.getgrgid(gid)
        user = pwd.getpwuid(os.getuid()).pw_name
    except (OSError, KeyError):
        return "sudo usermod -aG dialout $USER, then log out and in again"
    if user in group.gr_mem and gid not in os.getgroups():
        return f"{user} is in the group {group.gr_name} since after this login: log out and in again"
    name = "dialout" if gid == 0 else group.gr_name
    return f"sudo usermod -aG {name} {user}, then log out and in again"


# ── trouble at hello ─────────────────────────────────────────────────────────────────────────────────────────────────

BOOTLOADERS = ("U-Boot", "ESP-ROM", "rst:0x", "waiting for download", "MCUboot", "*** Booting", "UF2 Boot", "BL2:")
TEXT_SHARE = 0.85


def line_trouble(heard: bytes) -> tuple[str, str]:
    """Return what a port said instead of the hello that was waited for, and what mends it."""
    if not heard:
        return (
            "nothing came over the port",
            "is the board powered, is its firmware on it, is this its port? ?dtr=pulse resets many boards",
        )
    text = heard.decode("ascii", "replace")
    if _text_share(heard) < TEXT_SHARE:
        return (
            f"{len(heard)} bytes came that are no text ({heard[:8].hex(' ')} …), as from another baud rate",
            "?baud=115200 sets the rate that the firmware was built with; 9600 and 921600 are usual too",
        )
    if _named(BOOTLOADERS, text):
        return (
            f"a bootloader talks: {_last_line(text)!r}",
            "let it start the firmware: release the BOOT button and reset, or put the firmware on the board",
        )
    return f"something else talks there: {_last_line(text)!r}", "is this the right port, and the firmware on the board?"


def _text_share(heard: bytes) -> float:
    return sum(32 <= byte < 127 or byte in b"\t\r\n\x1b" for byte in heard) / len(heard)  # noqa: PLR2004  printable


def _named(words: Iterable[str], text: str) -> bool:
    return any(word.lower() in text.lower() for word in words)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:120] if lines else ""
