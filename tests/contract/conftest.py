"""The links that the contract holds for. A link is added here, with a function that opens its channel, nowhere else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest

from edgeprof import wire
from edgeprof.boards import load_board
from edgeprof.inputs import random_inputs
from edgeprof.links import open_channel
from edgeprof.links.framed import FramedSession
from edgeprof.links.local import open_local
from edgeprof.links.sim import SimChannel
from edgeprof.model import read_model
from edgeprof.program import pack_program
from edgeprof.records.result import Plan
from edgeprof.targets import Sim, resolve_target
from examples.build_models import build_dscnn
from scripts.debian import FetchError
from tests.provided import lacking, qemu_found
from tests.ssh.rig import Rig, as_somebody, shared_rig

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.model.graph import Graph
    from edgeprof.records.result import Pass
    from edgeprof.session import Channel


def open_sim() -> Channel:
    return SimChannel(load_board("raspberry-pi-5"), Sim(board="raspberry-pi-5", seed=1))


def open_ssh() -> Channel:
    rig = running_server()
    with as_somebody(rig):  # a home with a key and a known host, needed only while connecting
        return open_channel(resolve_target(rig.url()), None, {})


def running_server() -> Rig:
    """Return the sshd of this process; where none can run, CI fails and others skip."""
    try:
        return shared_rig()
    except (FetchError, RuntimeError, FileNotFoundError) as error:
        lacking(f"no sshd can run here: {error}")


def open_emu() -> Channel:
    return open_channel(resolve_target("emu:cortex-m4"), None, {})


def open_qemu() -> Channel:
    with qemu_found():  # it is needed only while starting
        return open_channel(resolve_target("qemu:mps2-an386"), None, {})


OPENERS: dict[str, tuple[Callable[[], Channel], str]] = {
    "local": (open_local, "tflite"),
    "sim": (open_sim, "tflite"),
    "ssh": (open_ssh, "tflite"),
    "emu": (open_emu, "program"),
    "qemu": (open_qemu, "program"),
}
"""How a link's channel is opened, and the format that its agent executes."""

MODELS: dict[str, Callable[[Path], bytes]] = {
    "tflite": Path.read_bytes,
    "program": lambda _: build_dscnn(channels=8, size=(8, 8), blocks=1, classes=4),  # an emulator is slow
}
PACKERS: dict[str, Callable[[Graph, Path], bytes]] = {
    "tflite": lambda _, path: path.read_bytes(),
    "program": lambda graph, path: pack_program(graph, path).content,
}


class Recorded:
    """A channel that keeps every message of both sides in their order, and may be told to do without the fast way."""

    def __init__(self, channel: Channel, *, files: bool = True) -> None:
        self._channel = channel
        self._files = files
        self._of_host = wire.FrameReader()
        self._of_agent = wire.FrameReader()
        self.messages: list[Any] = []

    def read(self, timeout_s: float) -> bytes:
        content = self._channel.read(timeout_s)
        self.messages += [wire.read(frame) for frame in self._of_agent.feed(content)]
        return content

    def write(self, content: bytes) -> None:
        self.messages += [wire.read(frame) for frame in self._of_host.feed(content)]
        self._channel.write(content)

    def put_blob(self, path: str, content: bytes) -> bool:
        return self._files and self._channel.put_blob(path, content)

    def last_words(self) -> str:
        return self._channel.last_words()

    def cancel(self) -> None:
        self._channel.cancel()

    def close(self) -> None:
        self._channel.close()


class Conversation:
    """Single messages to and from an agent, where a session would be too polite."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._reader = wire.FrameReader()
        self.writer = wire.FrameWriter()
        self._heard: list[Any] = []
        self._capabilities: tuple[str, ...] = ()
        self._window = 1

    def __enter__(self) -> Self:
        self.say(wire.Ask())
        hello = self.hear(wire.Hello)
        self.writer.max_frame = hello.max_frame
        self._window = hello.window
        self._capabilities = wire.capability_names(hello.capabilities)
        return self

    def can(self, capability: str) -> bool:
        """Tell whether the agent says that it can do this."""
        return capability in self._capabilities

    def goes_on(self) -> bool:
        """Tell whether the agent still answers, or has hung up."""
        try:
            self.say(wire.Ping(99))
            while self.hear(wire.Pong, within_s=5).token != 99:
                continue
        except (EOFError, OSError):
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def say(self, message: wire.Message) -> None:
        self.channel.write(self.writer.frame(message))

    def hear(self, *wanted: type[Any], within_s: float = 10.0) -> Any:  # noqa: ANN401  one of the messages wanted
        """Return the next message of these types; raise EOFError when the agent hangs up, TimeoutError when silent."""
        until = time.monotonic() + within_s
        while True:
            while self._heard:
                message = self._heard.pop(0)
                if isinstance(message, wanted):
                    return message
            content = self.channel.read(max(0.0, until - time.monotonic()))
            self._heard += [wire.read(frame) for frame in self._reader.feed(content)]

    def bring(self, content: bytes, sha256: bytes) -> Any:  # noqa: ANN401  BlobStatus or Failed
        """Bring a blob in chunks and return the last word about it."""
        self.say(wire.BlobBegin(len(content), sha256))
        status = self.hear(wire.BlobStatus)
        step = self.writer.max_frame - 32
        while status.state != wire.BLOB_PRESENT:
            for at in range(status.received, len(content), step)[: self._window]:
                self.say(wire.BlobChunk(at, content[at : at + step]))
            status = self.hear(wire.BlobStatus, wire.Failed)
            if isinstance(status, wire.Failed):
                break
        return status


class Link(NamedTuple):
    """One way to a board."""

    name: str
    open: Callable[[], Channel]
    format: str

    def session(self) -> FramedSession:
        """Open a polite conversation."""
        return FramedSession(self.open(), name=self.name)

    def recorded(self, *, files: bool = True) -> Recorded:
        """Open a channel that keeps what passes."""
        return Recorded(self.open(), files=files)

    def conversation(self) -> Conversation:
        """Open a conversation in single messages."""
        return Conversation(self.open())


@pytest.fixture(scope="module", params=sorted(OPENERS))
def link(request: pytest.FixtureRequest) -> Link:
    name: str = request.param
    return Link(name, *OPENERS[name])


class Blobs(NamedTuple):
    """A model as the link's agent executes it, and two different inputs."""

    format: str
    model: bytes
    inputs: bytes
    other_inputs: bytes
    shapes: dict[str, tuple[int, ...]]
    fresh: Callable[[], bytes]
    """Inputs that no agent has seen."""

    def of(self, *, other: bool = False) -> dict[str, bytes]:
        """Return what a session is given."""
        return {"model": self.model, "inputs": self.other_inputs if other else self.inputs}

    def plan(self, *passes: Pass) -> Plan:
        """Return a plan for this model."""
        return Plan(passes=passes, format=self.format, shapes=self.shapes)


@pytest.fixture(scope="module")
def blobs(link: Link, kws: Path, tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    path = tmp_path_factory.mktemp("contract") / "model.tflite"
    path.write_bytes(MODELS[link.format](kws))
    graph = read_model(path)
    given = random_inputs(graph, 0)
    other = random_inputs(graph, 1).blob
    content = PACKERS[link.format](graph, path)
    return Blobs(
        link.format, content, given.blob, other, given.shapes, lambda: random_inputs(graph, time.time_ns()).blob
    )
