"""Messages both ways over any channel: what was lost is asked for, silence and loss are told for what they are."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from threading import Event as Flag
from threading import Thread
from typing import TYPE_CHECKING, Any

from edgeprof import wire
from edgeprof.errors import AgentMismatch, BoardUnreachable, FileDamaged, FrameError, Interrupted, LinkError, LinkLost
from edgeprof.links.framed_pass import FRAME_HINT, bad_frame
from edgeprof.links.silence import Silence
from edgeprof.session import Emulating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.session import Channel

HELLO_TIMEOUT_S = 30.0
HEARTBEAT_S = 10.0
HEARTBEAT = 0xFFFFFFFF
NUDGE_S = 1.0
AGAIN_S = 0.25
MOST_WAITS = 8
"""Whoever talks and never says what is waited for is given up after so many times the time for one word."""


class Conversation:
    """What is said to an agent and what it says. `deadline_s`: when waiting ends for good, on the monotonic clock.

    A `lossy` line (a UART) may lose and change bytes: Ask is said until it is heard, and with an agent that can
    `resend` each side asks for the frames that it misses.
    """

    def __init__(self, channel: Channel, *, name: str, silence_s: float, lossy: bool) -> None:
        self.channel = channel
        self.name = name
        self.silence_s = silence_s
        self.deadline_s = float("inf")
        self.interrupted = False
        self._lossy = lossy
        self._asked: int | None = None
        self._asked_at = 0.0
        self._repeated: int | None = None
        self._repeated_at = 0.0
        self._reader = wire.FrameReader()
        self._writer = wire.FrameWriter()
        self._ready: list[Any] = []
        self._broken: FrameError | None = None
        self._hello: wire.Hello | None = None
        self._beaten = time.monotonic()
        self.silence = Silence(channel.emulator_pid if isinstance(channel, Emulating) else None)
        self.notes: list[wire.Note] = []
        """What was noted beside the answers that were waited for; who asked takes them out."""

    def close(self) -> None:
        """Close the channel."""
        self.channel.close()

    def greet(self) -> wire.Hello:
        """Ask who is there; an agent of another major version is refused."""
        self.say(wire.Ask())
        hello: wire.Hello = self.wait_for(wire.Hello, HELLO_TIMEOUT_S, "hello")
        if hello.major != wire.MAJOR:
            raise AgentMismatch(
                f"the agent on {self.name} speaks protocol {hello.major}.{hello.minor},"
                f" this edgeprof speaks {wire.MAJOR}.{wire.MINOR}",
                hint="use the edgeprof that the agent came with, or put its current agent on the board",
            )
        self._hello = hello
        self._reader.max_frame = wire.LARGEST_FRAME_BYTES
        self._writer.max_frame = hello.max_frame
        return hello

    @property
    def hello(self) -> wire.Hello:
        """What the agent said of itself."""
        if self._hello is None:
            message = "the session has not said hello yet"
            raise RuntimeError(message)
        return self._hello

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the agent can do, by the names of the wire."""
        return wire.capability_names(self.hello.capabilities)

    def say(self, message: wire.Message) -> None:
        """Send one message. Raises LinkLost where nobody takes it."""
        try:
            frame = self._writer.frame(message)
        except wire.WireError as error:
            raise FrameError(f"{type(message).__name__} cannot be sent to {self.name}: {error}") from error
        self._write(frame)

    def _write(self, content: bytes) -> None:
        try:
            self.channel.write(content)
        except OSError as error:
            raise self._lost(str(error)) from error

    def wait_for(self, wanted: type[Any], timeout_s: float, what: str) -> Any:  # noqa: ANN401  the type asked for
        """Return the next message of a type, passing over others; a refusal by the agent is raised."""
        until = time.monotonic() + MOST_WAITS * timeout_s
        while True:
            message = self.next_message(timeout_s, what)
            if isinstance(message, wanted):
                return message
            if isinstance(message, wire.Failed):
                raise _refusal(self.name, message)
            if isinstance(message, wire.Note):
                self.notes.append(message)
            if time.monotonic() > until:
                raise LinkLost(
                    f"{self.name} talks and does not say {what}: {MOST_WAITS * timeout_s:.0f} s waited for it"
                )

    def next_message(self, timeout_s: float, what: str) -> Any:  # noqa: ANN401  any message of the wire
        """Return the next message; `what` is waited for, and named when it does not come.

        Any frame that is heard begins the silence anew, but requests to send again alone do not keep a line alive.
        """
        self.silence.begin()
        until = time.monotonic() + MOST_WAITS * timeout_s if self._lossy else float("inf")
        while not self._ready:
            if self._broken is not None:
                raise self._broken
            self._beat()
            began = time.monotonic()
            if self.silence.over(timeout_s) or began >= min(self.deadline_s, until):
                raise self._silent(what, lossy=began >= until)
            # Not long at a time: an agent wants to hear of its host, an emulator is looked at, a lossy line nudged.
            slice_s = NUDGE_S if self._lossy or self.silence.emulated else HEARTBEAT_S
            asked_s = max(0.0, min(slice_s, self.silence.left(timeout_s), self.deadline_s - began))
            content = self._received(asked_s)
            if content:
                self._take(content)
            else:
                self._nudge()
        return self._ready.pop(0)

    def _received(self, timeout_s: float) -> bytes:
        began = time.monotonic()
        try:
            try:
                return self.channel.read(timeout_s)
            finally:
                self.silence.passed(time.monotonic() - began, timeout_s)
        except TimeoutError:
            return b""
        except EOFError as error:
            if self.interrupted:
                raise Interrupted("stopped by Ctrl-C") from error
            raise self._lost("it closed the connection") from error
        except OSError as error:
            raise self._lost(str(error)) from error

    def _take(self, content: bytes) -> None:
        """Turn bytes into messages; what came before a bad frame counts, and the bad frame is told after it.

        Where the agent can send again what is missing it is asked to, and nothing is bad.
        """
        while True:
            try:
                for message in map(wire.read, self._reader.feed(content)):
                    self.silence.begin()
                    if isinstance(message, wire.Resend):
                        self._repeat(message.sequence)
                    elif not _is_heartbeat(message):
                        self._ready.append(message)
            except wire.WireError as error:
                if not self._may_resend():
                    self._broken = FrameError(f"{bad_frame(error.kind)} from {self.name}: {error}", hint=FRAME_HINT)
                    self._broken.__cause__ = error
                    return
                self._recover(error)
                content = b""
            else:
                return

    def _recover(self, error: wire.WireError) -> None:
        """Ask for what is missing, once in a while until it has come."""
        if error.kind == "oversized":
            self._reader.drop_unfinished()
        now = time.monotonic()
        again = self._reader.expected == self._asked and now - self._asked_at < AGAIN_S
        if error.kind != "doubled" and not again:
            self._asked, self._asked_at = self._reader.expected, now
            self.say(wire.Resend(self._asked or 0))

    def _repeat(self, sequence: int) -> None:
        """Send again what the agent misses. Answering each of a burst of requests would drown the line."""
        now = time.monotonic()
        if sequence != self._repeated or now - self._repeated_at >= AGAIN_S:
            self._repeated, self._repeated_at = sequence, now
            self._write(self._writer.again(sequence))

    def _nudge(self) -> None:
        """After a silence on a lossy line: what we said, or what was said to us, may have been lost without a trace."""
        if not self._lossy:
            return
        if self._hello is None:
            self.say(wire.Ask())
        elif self._may_resend():
            self.say(wire.Resend(self._reader.expected or 0))

    def _may_resend(self) -> bool:
        return self._lossy and self._hello is not None and "resend" in self.capabilities

    def _beat(self) -> None:
        """Let an agent that ends when its host is gone know that it is not."""
        if self._hello is None or "heartbeat" not in self.capabilities:
            return
        if time.monotonic() - self._beaten > HEARTBEAT_S:
            self._beaten = time.monotonic()
            self.say(wire.Ping(HEARTBEAT))

    def interrupt(self) -> None:
        """End the conversation from another thread: its `run` raises Interrupted, and what came before is kept."""
        self.interrupted = True
        self.channel.cancel()

    def cancel_pass(self, index: int) -> None:
        """Ask the agent to stop; it may be gone already."""
        try:
            self.channel.write(self._writer.frame(wire.Cancel(index + 1)))
        except OSError:
            return

    def _silent(self, what: str, *, lossy: bool) -> LinkError:
        timed_out = time.monotonic() >= self.deadline_s
        if self._hello is None and timed_out:
            return self._unreachable("no hello when the time limit ended", hint="raise --timeout")
        if self._hello is None:
            return self._unreachable(f"no hello in {HELLO_TIMEOUT_S:.0f} s")
        if timed_out:
            return LinkLost(
                f"{self.name} was not done in time: waiting for {what} when the time limit ended",
                hint="raise --timeout, or lower --runs",
            )
        if lossy:
            return LinkLost(
                f"too many bytes are lost on the line to {self.name}: it talks, and {what} does not come through",
                hint="look at the cable and its length, lower the baud rate on both sides, or use another adapter",
            )
        own = self.silence.own_fault()
        return LinkLost(
            f"{self.name} fell silent: {self.silence.words()} while waiting for {what}{'; ' + own if own else ''}",
            hint=f"edgeprof doctor --target {self.name} shows how it is"
            if self.silence.emulated
            else f"is the board still powered and not asleep? edgeprof doctor --target {self.name} shows how it is",
        )

    def _lost(self, reason: str) -> LinkError:
        words = self.channel.last_words()
        if self._hello is None:
            return self._unreachable(reason)
        own = self.silence.own_fault()
        if own:
            reason = f"{own}, and the other side did not wait so long"
        return LinkLost(f"the link to {self.name} was lost: {reason}{': ' + words if words else ''}")

    def _unreachable(self, reason: str, hint: str | None = None) -> LinkError:
        if self._lossy and not self.channel.last_words():
            from edgeprof.links.serial_port import line_trouble

            seen, hint = line_trouble(self._reader.noise)
            return BoardUnreachable(f"no agent answered on {self.name}: {seen}", hint=hint)
        noise = self._reader.noise.decode("utf-8", "replace").strip("\0\r\n ")
        words = self.channel.last_words() or noise[-200:]
        return BoardUnreachable(
            f"no agent answered on {self.name}: {reason}{': ' + words if words else ''}",
            hint=hint or f"edgeprof doctor --target {self.name} shows what is missing",
        )

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Let the agent know that its host is there while this thread is busy with something else."""
        over = Flag()

        def beat() -> None:
            with suppress(LinkError):  # whoever speaks next will find out
                while not over.wait(NUDGE_S):
                    self._beat()

        thread = Thread(target=beat, name=f"alive:{self.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _is_heartbeat(message: wire.Message) -> bool:
    return isinstance(message, wire.Pong) and message.token == HEARTBEAT


def _refusal(name: str, failed: wire.Failed) -> LinkError:
    code = wire.FAILURES[failed.code]
    if code == "version":
        return AgentMismatch(f"the agent on {name} refused this protocol version: {failed.text}")
    kind = FileDamaged if code == "blob-corrupt" else LinkError
    return kind(f"{name} refused ({code}): {failed.text}")
