"""The two seams between edgeprof and a board; nothing else lives here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from edgeprof.records.events import AgentIdentified, Event
    from edgeprof.records.result import Plan


class Channel(Protocol):
    """Bytes to and from an agent. Blocking: several boards are several threads."""

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, at least one byte; raise TimeoutError after `timeout_s`, EOFError when it is closed."""

    def write(self, content: bytes) -> None:
        """Write all of it; raise OSError when the other side is gone."""

    def put_blob(self, path: str, content: bytes) -> bool:
        """Write a file of the agent's by a way faster than frames; return False where there is none or it fails."""

    def last_words(self) -> str:
        """Return what the far end last said beside the frames, for an error message."""

    def cancel(self) -> None:
        """Make a read that is blocked in another thread return at once."""

    def close(self) -> None:
        """End the far end and release everything; may be called twice."""


@runtime_checkable
class Emulating(Protocol):
    """A channel that may have an emulator behind it, a process of ours that works only as fast as this host lets it."""

    @property
    def emulator_pid(self) -> int | None:
        """Return its process id; None where there is no emulator."""


class Session(Protocol):
    """A conversation with a board."""

    def __enter__(self) -> Self:
        """Open it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, whatever happened."""

    def identify(self) -> AgentIdentified:
        """Ask who is there."""

    def interrupt(self) -> None:
        """End the conversation from another thread: `run` raises Interrupted, and what came before is kept."""

    def run(self, plan: Plan, blobs: Mapping[str, bytes]) -> Iterator[Event]:
        """Carry out the plan and yield what the board says, as it says it."""
