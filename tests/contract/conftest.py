"""The links that the contract holds for. A link is added here, with a function that opens its channel, nowhere else."""

from __future__ import annotations

import os
import time
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
from edgeprof.targets import Sim, resolve_target
from scripts.fetch_sshd import FetchError
from tests.ssh.rig import Rig, as_somebody, shared_rig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
        reason = f"no sshd can run here: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


OPENERS: dict[str, Callable[[], Channel]] = {
    "local": open_local,
    "sim": open_sim,
    "ssh": open_ssh,
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

    def __enter__(self) -> Self:
        self.say(wire.Ask())
        self.writer.max_frame = self.hear(wire.Hello).max_frame
        return self

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
            for at in range(status.received, len(content), step)[:16]:
                self.say(wire.BlobChunk(at, content[at : at + step]))
            status = self.hear(wire.BlobStatus, wire.Failed)
            if isinstance(status, wire.Failed):
                break
        return status


class Link(NamedTuple):
    """One way to a board."""

    name: str
    open: Callable[[], Channel]

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
    return Link(name, OPENERS[name])


class Blobs(NamedTuple):
    """A model and two different inputs."""

    model: bytes
    inputs: bytes
    other_inputs: bytes

    def of(self, *, other: bool = False) -> dict[str, bytes]:
        """Return what a session is given."""
        return {"model": self.model, "inputs": self.other_inputs if other else self.inputs}


@pytest.fixture(scope="module")
def blobs(kws: Path) -> Blobs:
    graph = read_model(kws)
    return Blobs(kws.read_bytes(), random_inputs(graph, 0).blob, random_inputs(graph, 1).blob)
