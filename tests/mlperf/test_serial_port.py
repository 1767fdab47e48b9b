"""Serial ports as they are in the wild: taken, gone, forbidden, behind a socket."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pty
import pwd
import socket
import threading
import time
import tty
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import serial
import serial.rfc2217

from edgeprof.errors import BoardUnreachable, UsageError
from edgeprof.links import serial_port
from edgeprof.links.serial_port import line_trouble, open_serial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

    from edgeprof.links.serial_port import Dtr


@pytest.fixture
def ends() -> Iterator[tuple[int, str]]:
    """Return the board's end of a line and the path of the host's."""
    board, host = pty.openpty()
    tty.setraw(host)
    path = os.ttyname(host)
    yield board, path
    os.close(host)
    os.close(board)


def test_bytes_go_both_ways_whatever_they_are(ends: tuple[int, str]) -> None:
    board, path = ends
    everything = bytes(range(256))
    channel = open_serial(path, 115200)
    channel.write(everything)
    assert os.read(board, 1000) == everything
    os.write(board, everything)
    assert channel.read(1.0) == everything
    assert not channel.put_blob("x", b"")
    channel.close()
    channel.close()
    with pytest.raises(EOFError):
        channel.read(0)
    with pytest.raises(OSError):  # noqa: PT011  any
        channel.write(b"x")


def test_a_read_ends_in_time_and_at_once_when_it_is_cancelled(ends: tuple[int, str]) -> None:
    channel = open_serial(ends[1], 115200)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        channel.read(0.05)
    threading.Timer(0.05, channel.cancel).start()
    with pytest.raises(EOFError):
        channel.read(30)
    assert time.monotonic() - began < 5
    channel.close()
    channel.cancel()


def test_a_port_that_disappears_ends_the_read_and_says_so() -> None:
    board, host = pty.openpty()
    path = os.ttyname(host)
    channel = open_serial(path, 115200)
    os.close(host)
    os.write(board, b"last")
    assert channel.read(1.0) == b"last"
    os.close(board)
    with pytest.raises(EOFError):
        channel.read(1.0)
    assert f"{path} is gone: unplugged" in channel.last_words()
    with pytest.raises(OSError):  # noqa: PT011  any
        channel.write(b"x")
    channel.close()


def test_a_port_is_for_one_program_and_free_again_after(ends: tuple[int, str]) -> None:
    first = open_serial(ends[1], 115200)
    with pytest.raises(BoardUnreachable, match="is busy: another program has it open") as caught:
        open_serial(ends[1], 115200)
    assert f"fuser -v {ends[1]}" in caught.value.hint
    first.close()
    open_serial(ends[1], 115200).close()


@pytest.mark.parametrize("dtr", ["on", "off", "pulse"])
def test_a_line_without_dtr_is_opened_all_the_same(ends: tuple[int, str], dtr: Dtr) -> None:
    open_serial(ends[1], 921600, dtr=dtr).close()


def test_dtr_is_pulsed_or_left_alone_as_asked(mocker: MockerFixture, ends: tuple[int, str]) -> None:
    levels: list[bool | None] = []
    asked: tuple[Dtr, ...] = ("on", "off", "pulse")
    mocker.patch.object(
        serial.Serial, "_update_dtr_state", autospec=True, side_effect=lambda port: levels.append(port.dtr)
    )
    mocker.patch.object(serial_port, "PULSE_S", 0)
    for dtr in asked:
        levels.append(None)
        open_serial(ends[1], 115200, dtr=dtr).close()
    assert levels == [None, True, None, False, None, True, False, True]


def test_a_missing_port_names_those_that_are_there(mocker: MockerFixture) -> None:
    mocker.patch("serial.tools.list_ports.comports", return_value=[])
    with pytest.raises(BoardUnreachable, match="there is no serial port /dev/ttyNONE9; no USB serial port") as caught:
        open_serial("/dev/ttyNONE9", 115200)
    assert caught.value.hint == "edgeprof targets list"
    port = mocker.Mock(device="/dev/ttyACM3", product="STM32 STLink", vid=0x0483)
    mocker.patch("serial.tools.list_ports.comports", return_value=[port])
    with pytest.raises(BoardUnreachable, match=r"plugged in: /dev/ttyACM3 \(STM32 STLink\)"):
        open_serial("/dev/ttyNONE9", 115200)


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.EACCES, "no permission to open"), (errno.EBUSY, "is busy"), (errno.EIO, "cannot be used as a serial port")],
)
def test_what_the_system_refuses_is_told(mocker: MockerFixture, ends: tuple[int, str], number: int, says: str) -> None:
    mocker.patch("serial.serialposix.os.open", side_effect=OSError(number, os.strerror(number)))
    with pytest.raises(BoardUnreachable, match=says):
        open_serial(ends[1], 115200)


def test_permission_comes_with_the_group_of_the_port(mocker: MockerFixture, ends: tuple[int, str]) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    group = grp.struct_group(("uucp", "x", 14, []))
    mocker.patch("edgeprof.links.serial_port.grp.getgrgid", return_value=group)
    mocker.patch("serial.serialposix.os.open", side_effect=PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(BoardUnreachable) as caught:
        open_serial(ends[1], 115200)
    assert caught.value.hint in {
        f"sudo usermod -aG uucp {user}, then log out and in again",
        f"sudo usermod -aG dialout {user}, then log out and in again",
    }
    group = grp.struct_group(("dialout", "x", 20, [user]))
    mocker.patch("edgeprof.links.serial_port.grp.getgrgid", return_value=group)
    mocker.patch("edgeprof.links.serial_port.os.getgroups", return_value=[])
    with pytest.raises(BoardUnreachable) as caught:
        open_serial(ends[1], 115200)
    assert caught.value.hint.startswith(f"{user} is in the group dialout since after this login")


@pytest.mark.parametrize("what", ["/dev/null", "file", "folder"])
def test_what_is_no_serial_port_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(BoardUnreachable, match="cannot be used as a serial port"):
        open_serial(str(tmp_path / what), 115200)


@pytest.mark.parametrize("url", ["sokcet://host:1", "socket://host", "socket://host:99999", "rfc2217://host"])
def test_a_url_that_means_nothing_is_a_mistake_of_usage(url: str) -> None:
    with pytest.raises(UsageError, match="is no serial port") as caught:
        open_serial(url, 115200)
    assert "socket://HOST:PORT" in caught.value.hint


def test_a_socket_that_nobody_serves_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(BoardUnreachable, match="cannot be reached: Connection refused"):
        open_serial(f"socket://127.0.0.1:{port}", 115200)


def test_bytes_go_through_a_socket_and_its_end_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        channel = open_serial(f"socket://127.0.0.1:{server.getsockname()[1]}", 115200)
        board, _ = server.accept()
        with board:
            channel.write(b"hello\x00")
            assert board.recv(100) == b"hello\x00"
            board.sendall(bytes(1000))
    assert not channel.read(1.0).strip(b"\0")
    with pytest.raises(EOFError):
        channel.read(1.0)
    channel.close()


def test_bytes_go_through_a_port_that_cannot_be_waited_for() -> None:
    channel = open_serial("loop://", 115200)
    channel.write(b"\x00around")
    assert channel.read(1.0) == b"\x00around"
    with pytest.raises(TimeoutError):
        channel.read(0.01)
    channel.close()


@pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
def test_bytes_go_through_rfc2217() -> None:
    """The server is pyserial's own, around a port that gives back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server, serial.serial_for_url("loop://", timeout=0) as device:
        thread = threading.Thread(target=_serve_rfc2217, args=(server, device), daemon=True)
        thread.start()
        channel = open_serial(f"rfc2217://127.0.0.1:{server.getsockname()[1]}", 57600)
        said = b"there and back \xff\x00"
        channel.write(said)
        heard = b""
        while len(heard) < len(said):
            heard += channel.read(5.0)
        assert heard == said
        assert device.baudrate == 57600
        channel.close()
        thread.join(5)


def _serve_rfc2217(server: socket.socket, device: serial.SerialBase) -> None:
    connection, _ = server.accept()
    with connection, contextlib.suppress(OSError):
        connection.settimeout(0.02)
        manager = serial.rfc2217.PortManager(device, SimpleNamespace(write=connection.sendall))
        while True:
            with contextlib.suppress(TimeoutError):
                content = connection.recv(1024)
                if not content:
                    return
                device.write(b"".join(manager.filter(content)))
            if device.in_waiting:
                connection.sendall(b"".join(manager.escape(device.read(device.in_waiting))))


@pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
def test_a_socket_that_does_not_speak_rfc2217_is_unreachable(mocker: MockerFixture) -> None:
    mocker.patch("serial.rfc2217.time.sleep")
    with socket.create_server(("127.0.0.1", 0)) as server:
        mocker.patch("serial.rfc2217.Timeout.expired", return_value=True)
        with pytest.raises(BoardUnreachable, match="cannot be used as a serial port"):
            open_serial(f"rfc2217://127.0.0.1:{server.getsockname()[1]}", 115200)


@pytest.mark.parametrize(
    ("heard", "says", "hint"),
    [
        (b"", "nothing came", "powered"),
        (bytes(range(128, 200)), "another baud rate", "?baud="),
        (b"ESP-ROM:esp32s3\r\nwaiting for download\r\n", "a bootloader talks: 'waiting for download'", "BOOT"),
        (b"\r\nMicroPython v1.22\r\n>>> ", "something else talks there: '>>>'", "right port"),
    ],
)
def test_what_came_in_place_of_a_hello_is_told_with_its_remedy(heard: bytes, says: str, hint: str) -> None:
    seen, remedy = line_trouble(heard)
    assert says in seen
    assert hint in remedy
