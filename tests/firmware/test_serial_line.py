"""The command line over a serial line that is real up to the board: a socket, a pseudo-terminal, and what befalls them.

Behind the line is the agent in QEMU, or as a program of this machine; between the two a cable that can be spoiled.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import socket
import subprocess
import sys
import threading
import time
import tty
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
import pytest

from edgeprof import wire
from edgeprof.errors import LinkLost
from edgeprof.links.framed import FramedSession
from edgeprof.links.serial_port import open_serial
from edgeprof.targets import Serial, resolve_target
from tests.conftest import COMMAND, REPOSITORY
from tests.firmware.boards import HostChannel, SocketChannel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgeprof.session import Channel
    from scripts.fetch_firmware_tools import FirmwareTools

pytestmark = [pytest.mark.usefixtures("_oracle"), pytest.mark.timeout(400)]
Kind = Literal["socket", "pty"]
KINDS: tuple[Kind, ...] = ("socket", "pty")
TURN_S = 0.05
RATE = 0.01
QUIET = ("--format", "json", "--quiet")
SHORT_PATIENCE = (
    "from edgeprof.links import conversation; conversation.HELLO_TIMEOUT_S = 1.3; from edgeprof.cli import main; main()"
)
"""Half a minute for a hello is right for boards and long for a test."""
BOOTING = (
    b"\r\n*** Booting MCUboot v2.1.0 ***\r\nI: Image index: 0, Swap type: none\r\n"
    b"\x1b[1;32mI: Jumping to the first slot\x1b[0m\r\n"
)


class Corruption:
    """Harms a hundredth of the frames of one direction, in each of the ways that a line has."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  reproducible, not secret
        self._rest = b""
        self.frames = self.harmed = 0

    def __call__(self, content: bytes) -> bytes:
        *whole, self._rest = (self._rest + content).split(b"\0")
        return b"".join(map(self._one, whole))

    def _one(self, frame: bytes) -> bytes:
        self.frames += bool(frame)
        if not frame or self._random.random() >= RATE:
            return frame + b"\0"
        self.harmed += 1
        at = self._random.randrange(len(frame))
        return self._random.choice(
            (
                frame[:at] + bytes([frame[at] ^ 1 << self._random.randrange(8)]) + frame[at + 1 :] + b"\0",
                frame[:at] + frame[at + 1 :] + b"\0",
                frame[:at] + b"\xaa\0\x05" + frame[at:] + b"\0",
                frame,  # runs into the next one
                b"",
            )
        )


class Pull(NamedTuple):
    """Behind which message of the board the cable is pulled."""

    message: type[Any]
    times: int


class Line:
    """A port that the command line can open, and the cable from there to a board; None: to nothing.

    `greeting` is what comes at the first word from the host; until `deaf_s` later the board hears nothing.
    """

    def __init__(
        self,
        kind: Kind,
        board: Channel | None,
        *,
        greeting: bytes = b"",
        deaf_s: float = 0.0,
        corrupt: tuple[Corruption, Corruption] | None = None,
        pull: Pull | None = None,
    ) -> None:
        self._board, self._greeting, self._deaf_s, self._pull = board, greeting, deaf_s, pull
        self._up: Callable[[bytes], bytes] = corrupt[0] if corrupt else bytes
        self._down: Callable[[bytes], bytes] = corrupt[1] if corrupt else bytes
        self._heard = wire.FrameReader()
        self._stop = threading.Event()
        self._ends = contextlib.ExitStack()
        self._port = -1
        if kind == "pty":
            self._port, other = os.openpty()  # held open here, so that it is there before the host and after it
            self._ends.callback(os.close, self._port)
            self._ends.callback(os.close, other)
            tty.setraw(other)
            self.target = f"serial://{os.ttyname(other)}"
        else:
            self._server = self._ends.enter_context(socket.create_server(("127.0.0.1", 0)))
            self.target = f"serial+socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._carry, args=(way,)) for way in (self._upward, self._downward)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Take the port away and end the board; may be called twice."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._ends.close()
        if self._board is not None:
            self._board.close()

    def _carry(self, way: Callable[[], None]) -> None:
        with contextlib.suppress(OSError, EOFError):  # one of the ends has gone
            way()

    def _upward(self) -> None:
        if self._port < 0:
            self._accept()
        content = self._from_host()
        self._to_host(self._greeting)
        hears_at = time.monotonic() + self._deaf_s
        if self._board is not None:
            self._threads[1].start()
        while content:
            if self._board is not None and time.monotonic() >= hears_at:
                self._board.write(self._up(content))
            content = self._from_host()

    def _accept(self) -> None:
        self._server.settimeout(60)
        connection, _ = self._server.accept()
        self._ends.enter_context(connection).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port = connection.fileno()

    def _from_host(self) -> bytes:
        """Return what the host sent; nothing when that is over."""
        while not self._stop.is_set():
            if select.select([self._port], [], [], TURN_S)[0]:
                return os.read(self._port, 1 << 12)
        return b""

    def _to_host(self, content: bytes) -> None:
        left = memoryview(content)
        while left and not self._stop.is_set():
            if select.select([], [self._port], [], TURN_S)[1]:
                left = left[os.write(self._port, left[:256]) :]

    def _downward(self) -> None:
        assert self._board is not None
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                content = self._board.read(TURN_S)
                self._to_host(self._down(content))
                if self._pull is not None and self._is_time(content, self._pull):
                    self._stop.set()
                    self._threads[0].join()
                    self._ends.close()

    def _is_time(self, content: bytes, pull: Pull) -> bool:
        kinds = [frame.type for frame in self._heard.feed(content)]
        self._pull = pull._replace(times=pull.times - kinds.count(wire.LAYOUTS[pull.message].type))
        return self._pull.times <= 0


class Boards:
    """Starts agents: in QEMU, with exact counts, and as a program of this machine, with the sanitizers."""

    def __init__(self, qemu: Callable[[], Channel], native: Callable[[], Channel]) -> None:
        self.qemu, self.native = qemu, native


@pytest.fixture(scope="module")
def boards(tools: FirmwareTools, agents: Callable[[str], Path], native_agent: Path) -> Boards:
    return Boards(
        lambda: SocketChannel.qemu(tools, "mps2-an386", agents("mps2-an386")), lambda: HostChannel(native_agent)
    )


@pytest.fixture(scope="module")
def ad(kws: Path) -> Path:
    """Return the model with the most bytes to upload for the instructions that it takes."""
    return kws.with_name("ad_int8.tflite")


def edgeprof(*arguments: object, program: tuple[str, ...] = COMMAND) -> subprocess.CompletedProcess[str]:
    command = [*program, *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=100, check=False)


def result_of(run: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert run.returncode == code, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def exact(result: dict[str, Any]) -> dict[str, float]:
    """Return the figures that cannot depend on the line."""
    names = ("instructions_count", "arena_bytes", "stack_peak_bytes", "static_ram_bytes", "sram_peak_bytes")
    return {name: result["metrics"][name]["value"] for name in names}


def outputs_verdict(result: dict[str, Any]) -> str:
    (finding,) = (found for found in result["findings"] if found["limit"] == "outputs")
    assert finding["reason"].endswith("byte for byte"), finding
    return str(finding["verdict"])


class Profiled(NamedTuple):
    """What a run gave."""

    result: dict[str, Any]
    outputs: dict[str, bytes]


def on_qemu(line: Line, model: Path, outputs: Path) -> Profiled:
    with line:
        run = edgeprof("profile", model, "-t", line.target, "--runs", 3, "--warmup", 0, "--outputs", outputs, *QUIET)
    result = result_of(run)
    with np.load(outputs) as file:
        return Profiled(result, {name: file[name].tobytes() for name in file.files})


@pytest.fixture(scope="module")
def clean(boards: Boards, ad: Path, tmp_path_factory: pytest.TempPathFactory) -> Profiled:
    return on_qemu(Line("socket", boards.qemu()), ad, tmp_path_factory.mktemp("clean") / "outputs.npz")


def test_a_board_in_qemu_is_profiled_through_a_socket_and_its_figures_are_emulated(clean: Profiled) -> None:
    metrics = clean.result["metrics"]
    assert clean.result["status"] == "complete"
    assert outputs_verdict(clean.result) == "PASS"
    assert {metrics[name]["basis"] for name in exact(clean.result)} <= {"emulated", "static", "computed"}
    assert metrics["instructions_count"]["basis"] == "emulated"
    assert "latency_p50_s" not in metrics
    assert (clean.result["target"]["link"], clean.result["board"]["name"]) == ("serial", "mps2-an386 (QEMU)")


def test_a_board_behind_a_pseudo_terminal_is_profiled_with_the_basis_of_its_hello(boards: Boards, kws: Path) -> None:
    with Line("pty", boards.native()) as line:
        result = result_of(edgeprof("profile", kws, "-t", line.target, "--runs", 20, "--per-op", *QUIET))
    assert result["status"] == "complete"
    assert outputs_verdict(result) == "PASS"
    assert result["metrics"]["latency_p50_s"]["basis"] == "measured"
    assert result["metrics"]["arena_bytes"]["value"] == 16000
    assert len(result["operators"]) > 5
    assert "instructions_count" not in result["metrics"]


def test_a_line_that_harms_every_hundredth_frame_gives_the_same_outputs_and_counts(
    clean: Profiled, boards: Boards, ad: Path, tmp_path: Path
) -> None:
    for left in (2, 1, 0):  # on a busy machine QEMU may be silent for longer than a board ever is
        harm = (Corruption(5), Corruption(1))
        try:
            spoiled = on_qemu(Line("socket", boards.qemu(), corrupt=harm), ad, tmp_path / "outputs.npz")
            break
        except (AssertionError, subprocess.TimeoutExpired) as error:
            if not left or not ("fell silent" in str(error) or isinstance(error, subprocess.TimeoutExpired)):
                raise
    assert harm[0].harmed
    assert harm[1].harmed
    assert spoiled.result["status"] == "complete"
    assert spoiled.outputs == clean.outputs
    assert exact(spoiled.result) == exact(clean.result)
    assert outputs_verdict(spoiled.result) == "PASS"


@pytest.mark.parametrize("kind", KINDS)
def test_samples_that_come_over_a_harmful_line_are_all_there(boards: Boards, ad: Path, kind: Kind) -> None:
    harm = (Corruption(18), Corruption(32))
    with Line(kind, boards.native(), corrupt=harm) as line:
        result = result_of(edgeprof("profile", ad, "-t", line.target, "--runs", 1000, "--warmup", 0, *QUIET))
    assert harm[0].harmed
    assert harm[1].harmed
    assert result["status"] == "complete"
    assert len(result["samples"]["start_s"]) == 1000
    assert outputs_verdict(result) == "PASS"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("message", [wire.Hello, wire.BlobStatus])
def test_a_cable_pulled_before_the_first_sample_is_a_lost_link(
    boards: Boards, ad: Path, kind: Kind, message: type[Any]
) -> None:
    with Line(kind, boards.native(), pull=Pull(message, 3 if message is wire.BlobStatus else 1)) as line:
        run = edgeprof("profile", ad, "-t", line.target, "--runs", 100, *QUIET)
    assert run.returncode == 3, run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    assert f"the link to {line.target} was lost: " in run.stderr or "no agent answered" in run.stderr
    assert "Hint: " in run.stderr


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [("--runs", 100_000), ("--duration", "60s")])
def test_a_cable_pulled_among_the_samples_leaves_what_had_come(
    boards: Boards, ad: Path, kind: Kind, length: tuple[object, ...]
) -> None:
    with Line(kind, boards.native(), pull=Pull(wire.Samples, 3)) as line:
        run = edgeprof("profile", ad, "-t", line.target, "--warmup", 0, *length, *QUIET)
    result = result_of(run, 5)
    assert result["status"] == "partial"
    assert 50 < len(result["samples"]["start_s"]) < 10_000
    assert "broken-off" in [warned["code"] for warned in result["warnings"]]
    assert result["metrics"]["latency_p50_s"]["basis"] == "measured"
    assert json.loads(edgeprof("report", "last", "--format", "json").stdout)["samples"] == result["samples"]
    drawn = edgeprof("report", "last")
    assert drawn.returncode == 5, drawn.stderr
    assert "partial" in drawn.stdout
    assert "Latency" in drawn.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_board_that_boots_with_words_and_hears_nothing_meanwhile_is_waited_for(
    boards: Boards, ad: Path, kind: Kind
) -> None:
    with Line(kind, boards.native(), greeting=BOOTING, deaf_s=1.5) as line:
        result = result_of(edgeprof("profile", ad, "-t", line.target, "--runs", 5, *QUIET))
    assert result["status"] == "complete"
    assert outputs_verdict(result) == "PASS"


def garbage(*, zeros: bool) -> bytes:
    """Return what a line of 921600 baud looks like to one who listens at 115200."""
    content = random.Random(5).randbytes(400)  # noqa: S311  reproducible, not secret
    return content + b"\0" if zeros else content.replace(b"\0", b"\xff")


class PulledAtRequest:
    """A channel whose cable is pulled between a request to send again and the answer to it."""

    def __init__(self, channel: Channel, line: Line) -> None:
        self._channel, self._line = channel, line
        self._pulled = False
        self.write, self.put_blob = channel.write, channel.put_blob
        self.last_words, self.cancel, self.close = channel.last_words, channel.cancel, channel.close

    def pull(self) -> None:
        self._line.end()
        self._pulled = True

    def read(self, timeout_s: float) -> bytes:
        return wire.encode_frame(wire.Resend(0), 1) if self._pulled else self._channel.read(timeout_s)


def test_a_cable_pulled_before_a_frame_is_sent_again_is_a_lost_link(boards: Boards) -> None:
    with Line("pty", boards.native()) as line:
        place = resolve_target(line.target).place
        assert isinstance(place, Serial)
        channel = PulledAtRequest(open_serial(place.url, place.baud), line)
        with FramedSession(channel, name=line.target, lossy=True) as session:
            session.identify()
            channel.pull()
            with pytest.raises(LinkLost, match="was lost"):
                session.line.next_message(2.0, "anything")


NOBODY = (
    pytest.param(b"", "nothing came over the port", "is its firmware on it", id="silence"),
    pytest.param(BOOTING + b"\0", "a bootloader talks: ", "release the BOOT button", id="bootloader, break"),
    pytest.param(BOOTING, "a bootloader talks: ", "release the BOOT button", id="bootloader"),
    pytest.param(b"Temperature 21.5 C\r\n", "'Temperature 21.5 C'", "is this the right port", id="other firmware"),
    pytest.param(garbage(zeros=True), "as from another baud rate", "?baud=115200", id="garbage with zeros"),
    pytest.param(garbage(zeros=False), "as from another baud rate", "?baud=115200", id="garbage without zeros"),
)


@pytest.mark.parametrize(("words", "seen", "remedy"), NOBODY)
def test_a_port_where_no_agent_answers_is_told_with_what_mends_it(
    kws: Path, words: bytes, seen: str, remedy: str
) -> None:
    with Line("pty", None, greeting=words) as line:
        run = edgeprof("profile", kws, "-t", line.target, *QUIET, program=(sys.executable, "-c", SHORT_PATIENCE))
    assert_told(run, line, seen, remedy)


def test_a_time_limit_shorter_than_the_wait_for_a_hello_still_tells_what_mends_it(kws: Path) -> None:
    with Line("socket", None) as line:
        run = edgeprof("profile", kws, "-t", line.target, "--timeout", "1s", *QUIET)
    assert_told(run, line, "nothing came over the port", "is its firmware on it")


def assert_told(run: subprocess.CompletedProcess[str], line: Line, seen: str, remedy: str) -> None:
    assert run.returncode == 3, run.stderr
    assert run.stdout == ""
    message, hint = run.stderr.splitlines()
    assert message.startswith(f"edgeprof: no agent answered on {line.target}: ")
    assert seen in message
    assert hint.startswith("Hint: ")
    assert remedy in hint


@pytest.fixture(autouse=True)
def _no_line_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread behind."""
    before = threading.active_count()
    yield
    assert threading.active_count() <= before
