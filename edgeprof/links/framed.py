"""The host's side of the wire, over any channel: hello, probe, blobs, and one RUN a pass."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import contextmanager, suppress
from pathlib import PurePath
from threading import Event as Flag
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from msgspec import to_builtins
from msgspec.structs import replace

from edgeprof import wire
from edgeprof.errors import (
    AgentMismatch,
    BoardUnreachable,
    FrameError,
    Interrupted,
    LinkError,
    LinkLost,
    RuntimeUnusable,
)
from edgeprof.links.framed_pass import FRAME_HINT, PassReader, bad_frame
from edgeprof.records.events import (
    AgentIdentified,
    ClockBracketed,
    Noted,
    PassEnded,
    PassStarted,
    RuntimeFound,
    RuntimesFound,
    SamplesReceived,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from edgeprof.installing.offering import Offer
    from edgeprof.records.events import Event
    from edgeprof.records.result import Pass, Plan
    from edgeprof.session import Channel

HELLO_TIMEOUT_S = 30.0
SILENCE_S = 15.0
PROBE_TIMEOUT_S = 120.0
BLOB_TIMEOUT_S = 120.0
INSTALL_TIMEOUT_S = 900.0  # a memory card takes its time for two hundred megabytes
HEARTBEAT_S = 10.0
HEARTBEAT = 0xFFFFFFFF
NUDGE_S = 1.0
AGAIN_S = 0.25
BESIDE = "beside/"
HOOK, SECOND_MODEL, SECOND_INPUTS = "hook", "second/model", "second/inputs"
NOT_IDENTITY = frozenset({"blob_folder", "blob_suffix", "state"})


class FramedSession:
    """A conversation in frames. `silence_s`: how long an agent that says it is alive every 2 s may be silent.

    A `lossy` line (a UART) may lose and change bytes: Ask is said until it is heard, and with an agent that can
    `resend` each side asks for the frames that it misses. `offer` is called where no runtime works.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        name: str,
        silence_s: float = SILENCE_S,
        lossy: bool = False,
        offer: Offer | None = None,
    ) -> None:
        self.name = name
        self._offer = offer
        self._installed = False
        self._lossy = lossy
        self._asked: int | None = None
        self._asked_at = 0.0
        self._repeated: int | None = None
        self._repeated_at = 0.0
        self._channel = channel
        self.silence_s = silence_s
        self._reader = wire.FrameReader()
        self._writer = wire.FrameWriter()
        self._ready: list[Any] = []
        self._broken: FrameError | None = None
        self._hello: wire.Hello | None = None
        self._identity: dict[str, Any] = {}
        self._deadline = float("inf")
        self._beaten = time.monotonic()
        self._interrupted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def run(self, plan: Plan, blobs: Mapping[str, bytes]) -> Iterator[Event]:
        """Carry out the plan; `blobs` holds `model`, `inputs` and, as `beside/NAME`, the model's own files."""
        if plan.timeout_s is not None:
            self._deadline = time.monotonic() + plan.timeout_s
        yield self.identify()
        self._check_settings(plan)
        found = self.probe(plan.format)
        yield found
        for found in self._install_offered(plan, found):  # noqa: B020  each probe's answer replaces the one before
            yield found
        runtime = choose_runtime(found, self.name, plan.runtime, self._hint(plan, found))
        hashes = {name: self._upload(content) for name, content in blobs.items()}
        for index, asked in enumerate(plan.passes):
            if asked.kind == "energy" and "energy" not in self._capabilities():
                yield from self._run_windows(plan, index, asked, runtime, hashes)
                continue
            if asked.kind not in self._capabilities():
                text = f"the agent on {self.name} has no {asked.kind} pass"
                yield PassEnded(index=index, complete=False, failure="unsupported", text=text)
                continue
            yield from self._run_pass(plan, index, asked, runtime, hashes)
        self._say(wire.Bye())

    # ── hello and probe ──────────────────────────────────────────────────────────────────────────────────────────

    def identify(self) -> AgentIdentified:
        """Ask who is there; an agent of another major version is refused."""
        self._say(wire.Ask())
        hello = self._await(wire.Hello, HELLO_TIMEOUT_S, "hello")
        if hello.major != wire.MAJOR:
            raise AgentMismatch(
                f"the agent on {self.name} speaks protocol {hello.major}.{hello.minor},"
                f" this edgeprof speaks {wire.MAJOR}.{wire.MINOR}",
                hint="use the edgeprof that the agent came with, or put its current agent on the board",
            )
        self._hello = hello
        self._reader.max_frame = wire.LARGEST_FRAME_BYTES
        self._writer.max_frame = hello.max_frame
        if "state" in self._capabilities():
            self._identity = json.loads(self._await(wire.State, HELLO_TIMEOUT_S, "its identity").state)
        known = {name: value for name, value in self._identity.items() if name not in NOT_IDENTITY}
        return AgentIdentified(
            agent=hello.agent,
            protocol=f"{hello.major}.{hello.minor}",
            board=hello.board,
            basis=wire.BASES[hello.basis],
            counter_unit=wire.COUNTER_UNITS[hello.counter_unit],
            counter_hz=hello.counter_hz,
            capabilities=self._capabilities(),
            formats=tuple(hello.formats.split(",")) if hello.formats else (),
            engine=hello.engine,
            identity=known,
        )

    def _check_settings(self, plan: Plan) -> None:
        """Refuse an agent that would leave out without a word what was asked for."""
        asked = [name for name in ("delegate", "providers", "cpus", "hook") if getattr(plan, name)]
        if asked and "settings" not in self._capabilities():
            raise AgentMismatch(
                f"the agent on {self.name} cannot be told its {asked[0]}",
                hint="put its current agent on the board, or leave that option out",
            )

    def probe(self, format_name: str, *, fresh: bool = False) -> RuntimesFound:
        """Ask which runtimes for a format really work; an agent without a probe has its engine and nothing else."""
        hello = self._known_hello()
        if "probe" not in self._capabilities():
            formats = hello.formats.split(",")
            only = RuntimeFound(name=hello.engine, works=format_name in formats, reason=f"it executes {hello.formats}")
            return RuntimesFound(format=format_name, runtimes=(only,))
        self._say(wire.Probe(format_name, int(fresh)))
        answer = self._await(wire.Runtimes, PROBE_TIMEOUT_S, "its runtimes")
        runtimes = tuple(RuntimeFound(**entry) for entry in json.loads(answer.found))
        found = RuntimesFound(format=format_name, runtimes=runtimes)
        if all(runtime.works for runtime in runtimes):
            return found
        from edgeprof.installing import board_python, explained  # noqa: PLC0415  only where one does not work

        return explained(found, board_python(self._identity))

    def identity(self) -> dict[str, Any]:
        """Return what the agent said of itself with its hello."""
        return dict(self._identity)

    def board_state(self) -> dict[str, Any]:
        """Return what the agent said of the board's state with its hello; empty where it says none."""
        return dict(self._identity.get("state", {}))

    def _capabilities(self) -> tuple[str, ...]:
        return wire.capability_names(self._known_hello().capabilities)

    def _known_hello(self) -> wire.Hello:
        if self._hello is None:
            message = "the session has not said hello yet"
            raise RuntimeError(message)
        return self._hello

    # ── blobs ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _upload(self, content: bytes) -> bytes:
        sha256 = hashlib.sha256(content)
        status = self._blob_status(sha256.digest(), len(content))
        if status.state == wire.BLOB_ABSENT and "blob-files" in self._capabilities():
            path = f"{self._identity['blob_folder']}/blobs/{sha256.hexdigest()}{self._identity['blob_suffix']}"
            if self._channel.put_blob(path, content):
                status = self._blob_status(sha256.digest(), len(content))
        if status.state != wire.BLOB_PRESENT:
            self._send_chunks(content, status.received)
        return sha256.digest()

    def _blob_status(self, sha256: bytes, size: int) -> wire.BlobStatus:
        self._say(wire.BlobBegin(size, sha256))
        status: wire.BlobStatus = self._await(wire.BlobStatus, BLOB_TIMEOUT_S, "the state of a blob")
        return status

    def _send_chunks(self, content: bytes, received: int) -> None:
        hello = self._known_hello()
        step = hello.max_frame - wire.FRAME_OVERHEAD_BYTES - 11
        sent = received
        while True:
            # Up to two windows are on their way, so that the line does not stand still while an answer travels.
            while sent < min(len(content), received + 2 * hello.window * step):
                self._say(wire.BlobChunk(sent, content[sent : sent + step]))
                sent += step
            status = self._await(wire.BlobStatus, self.silence_s, "the state of a blob")
            if status.state == wire.BLOB_PRESENT:
                return
            if status.received <= received:
                raise LinkLost(f"{self.name} takes no more of the model: {received} of {len(content)} bytes are there")
            received = status.received

    def install(self, wheels: Mapping[str, bytes], *, replace: bool = True) -> tuple[str, ...]:
        """Put wheels, by file name, into the agent's own folder on the board; return the names of all that are there.

        `replace` drops what edgeprof had put there of the same runtime. Raises LinkError when the agent refuses one or
        its disk is full; nothing of it is left there then.
        """
        hashes = {name: self._upload(content).hex() for name, content in wheels.items()}
        self._say(wire.Install(int(replace), json.dumps(hashes)))
        answer = self._await(wire.Installed, INSTALL_TIMEOUT_S, "the runtime to be installed")
        return tuple(json.loads(answer.wheels))

    def _install_offered(self, plan: Plan, found: RuntimesFound) -> Iterator[RuntimesFound]:
        """Put what is offered on the board, one after another, until one works; yield what each probe found."""
        while self._offer is not None and "install" in self._capabilities() and not _working(found, plan.runtime):
            with self._kept_alive():
                wheels = self._offer(self._identity, plan.format)
            if wheels is None:
                return
            self.install(wheels)
            self._installed = True
            found = self.probe(plan.format, fresh=True)
            yield found

    @contextmanager
    def _kept_alive(self) -> Iterator[None]:
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

    def _hint(self, plan: Plan, found: RuntimesFound) -> str:
        """Return what to do where no runtime works."""
        if _working(found, plan.runtime):
            return ""
        if self._installed:
            return f"edgeprof doctor --target {self.name} shows what else would fit there, and why the rest does not"
        from edgeprof.installing import install_hint  # noqa: PLC0415  only where none works

        return install_hint(plan.format, self._identity, self._capabilities(), plan.runtime)

    # ── passes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _run_pass(
        self, plan: Plan, index: int, asked: Pass, runtime: str, hashes: Mapping[str, bytes]
    ) -> Iterator[Event]:
        settings = run_settings(plan, asked, hashes) if "settings" in self._capabilities() else {}
        yield from self._bracket(index)
        self._say(
            wire.Run(
                run=index + 1,
                kind=wire.PASSES.index(asked.kind),
                runs=asked.runs,
                warmup=wire.AUTO if asked.warmup is None else asked.warmup,
                batch=wire.AUTO if asked.batch is None else asked.batch,
                threads=asked.threads,
                duration_ms=round(asked.duration_s * 1000),
                model=hashes["model"],
                inputs=hashes["inputs"],
                format=plan.format,
                runtime=runtime,
                shapes=json.dumps(plan.shapes) if plan.format in self._known_hello().formats.split(",") else "",
                files=_files(hashes),
                settings=json.dumps(settings) if settings else "",
            )
        )
        yield from PassReader(self, index, asked, hashes["model"]).events()
        yield from self._bracket(index)

    def _run_windows(
        self, plan: Plan, index: int, asked: Pass, runtime: str, hashes: Mapping[str, bytes]
    ) -> Iterator[Event]:
        """Make an energy pass of single timed passes, for an agent that has none: the host rests between them."""
        one = replace(asked, kind="sustained", duration_s=asked.window_s, windows=0)
        self._rest(asked.idle_s)
        for number in range(asked.windows):
            first = True
            asked_now = replace(one, warmup=0) if number else one
            for event in self._run_pass(plan, index, asked_now, runtime, hashes):
                match event:
                    case PassEnded(complete=True):
                        continue
                    case PassEnded():
                        yield event
                        return
                    case PassStarted() if number:
                        continue
                    case PassStarted():
                        yield replace(event, kind="energy")
                    case SamplesReceived() if first and not all(flags & wire.WARMUP for flags in event.flags):
                        first = False
                        yield _as_window(event)
                    case _:
                        yield event
            self._rest(asked.idle_s)
        yield Noted(index=index, code="idle-state", text="the agent waits for the host's next word")
        yield PassEnded(index=index, complete=True)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(min(0.1, max(0.0, until - time.monotonic())))
            if self._interrupted:
                raise Interrupted("stopped by Ctrl-C")

    def _bracket(self, index: int) -> Iterator[Event]:
        before = time.monotonic()
        self._say(wire.Ping(index))
        pong = self._await(wire.Pong, self.silence_s, "its clock")
        yield ClockBracketed(index=index, host_before_s=before, agent_ticks=pong.ticks, host_after_s=time.monotonic())

    # ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _say(self, message: wire.Message) -> None:
        try:
            frame = self._writer.frame(message)
        except wire.WireError as error:
            raise FrameError(f"{type(message).__name__} cannot be sent to {self.name}: {error}") from error
        self._write(frame)

    def _write(self, content: bytes) -> None:
        try:
            self._channel.write(content)
        except OSError as error:
            raise self._lost(str(error)) from error

    def _await(self, wanted: type[Any], timeout_s: float, what: str) -> Any:  # noqa: ANN401  the type asked for
        until = time.monotonic() + timeout_s
        while True:
            message = self.next_message(until - time.monotonic(), what)
            if isinstance(message, wanted):
                return message
            if isinstance(message, wire.Failed):
                raise _refusal(self.name, message)

    def next_message(self, timeout_s: float, what: str) -> Any:  # noqa: ANN401  any message of the wire
        """Return the next message; `what` is waited for, and named when it does not come."""
        until = min(time.monotonic() + timeout_s, self._deadline)
        while not self._ready:
            if self._broken is not None:
                raise self._broken
            self._beat()
            left = until - time.monotonic()
            if left <= 0:
                raise self._silent(what)
            content = self._received(min(left, NUDGE_S if self._lossy else HEARTBEAT_S))
            if content:
                self._take(content)
            else:
                self._nudge()
        return self._ready.pop(0)

    def _received(self, timeout_s: float) -> bytes:
        try:
            return self._channel.read(timeout_s)
        except TimeoutError:
            return b""
        except EOFError as error:
            if self._interrupted:
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
            self._say(wire.Resend(self._asked or 0))

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
            self._say(wire.Ask())
        elif self._may_resend():
            self._say(wire.Resend(self._reader.expected or 0))

    def _may_resend(self) -> bool:
        return self._lossy and self._hello is not None and "resend" in self._capabilities()

    def _beat(self) -> None:
        """Let an agent that ends when its host is gone know that it is not."""
        if self._hello is None or "heartbeat" not in self._capabilities():
            return
        if time.monotonic() - self._beaten > HEARTBEAT_S:
            self._beaten = time.monotonic()
            self._say(wire.Ping(HEARTBEAT))

    def interrupt(self) -> None:
        """End the conversation from another thread: its `run` raises Interrupted, and what came before is kept."""
        self._interrupted = True
        self._channel.cancel()

    def cancel_pass(self, index: int) -> None:
        """Ask the agent to stop; it may be gone already."""
        try:
            self._channel.write(self._writer.frame(wire.Cancel(index + 1)))
        except OSError:
            return

    def _silent(self, what: str) -> LinkError:
        timed_out = time.monotonic() >= self._deadline
        if self._hello is None and timed_out:
            return self._unreachable("no hello when the time limit ended", hint="raise --timeout")
        if self._hello is None:
            return self._unreachable(f"no hello in {HELLO_TIMEOUT_S:.0f} s")
        if timed_out:
            return LinkLost(
                f"{self.name} was not done in time: waiting for {what} when the time limit ended",
                hint="raise --timeout, or lower --runs",
            )
        return LinkLost(
            f"{self.name} fell silent: no word for {self.silence_s:.0f} s while waiting for {what}",
            hint=f"is the board still powered and not asleep? edgeprof doctor --target {self.name} shows how it is",
        )

    def _lost(self, reason: str) -> LinkError:
        words = self._channel.last_words()
        if self._hello is None:
            return self._unreachable(reason)
        return LinkLost(f"the link to {self.name} was lost: {reason}{': ' + words if words else ''}")

    def _unreachable(self, reason: str, hint: str | None = None) -> LinkError:
        if self._lossy and not self._channel.last_words():
            from edgeprof.links.serial_port import line_trouble  # noqa: PLC0415  only for a serial line

            seen, hint = line_trouble(self._reader.noise)
            return BoardUnreachable(f"no agent answered on {self.name}: {seen}", hint=hint)
        noise = self._reader.noise.decode("utf-8", "replace").strip("\0\r\n ")
        words = self._channel.last_words() or noise[-200:]
        return BoardUnreachable(
            f"no agent answered on {self.name}: {reason}{': ' + words if words else ''}",
            hint=hint or f"edgeprof doctor --target {self.name} shows what is missing",
        )


def _files(hashes: Mapping[str, bytes]) -> str:
    """Return the model's own files of weights by name, as JSON; most models have none."""
    files = {name.removeprefix(BESIDE): sha256.hex() for name, sha256 in hashes.items() if name.startswith(BESIDE)}
    return json.dumps(files) if files else ""


def _as_window(event: SamplesReceived) -> SamplesReceived:
    """Mark the first sample after warm-up as a window's first."""
    at = next(place for place, flags in enumerate(event.flags) if not flags & wire.WARMUP)
    flags = (*event.flags[:at], event.flags[at] | wire.WINDOW, *event.flags[at + 1 :])
    return replace(event, flags=flags)


def run_settings(plan: Plan, asked: Pass, hashes: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what wire.SETTINGS names, as far as the plan asks for it."""
    wanted = {
        "delegate": plan.delegate,
        "providers": list(plan.providers),
        "cpus": list(plan.cpus),
        "period_ns": round(asked.period_s * 1e9),
        "windows": asked.windows,
        "window_ms": round(asked.window_s * 1000),
        "idle_ms": round(asked.idle_s * 1000),
        "hook": hashes[HOOK].hex() if HOOK in hashes else "",
        "hook_name": PurePath(plan.hook).name if HOOK in hashes else "",
        "sensors_ms": round(asked.sensors_s * 1000),
    }
    if plan.second is not None:
        second = to_builtins(plan.second)
        wanted["second"] = {**second, "model": hashes[SECOND_MODEL].hex(), "inputs": hashes[SECOND_INPUTS].hex()}
    return {name: value for name, value in wanted.items() if value}


def choose_runtime(found: RuntimesFound, name: str, wanted: str = "", hint: str = "") -> str:
    """Return the first runtime that works; `hint` says what to do where none does."""
    for runtime in _working(found, wanted):
        return runtime
    working = _working(found)
    if working:
        reason = next((runtime.reason for runtime in found.runtimes if runtime.name == wanted), "it is not known there")
        raise RuntimeUnusable(
            f"{wanted} was asked for and does not work on {name} ({reason}); {', '.join(working)} does",
            hint=hint or f"leave --runtime out to use {working[0]}, or install what is missing there",
        )
    reasons = "; ".join(f"{runtime.name}: {runtime.reason}" for runtime in found.runtimes) or "none is known for it"
    raise RuntimeUnusable(
        f"no runtime on {name} can run a .{found.format} model ({reasons})",
        hint=hint,
    )


def _working(found: RuntimesFound, wanted: str = "") -> tuple[str, ...]:
    return tuple(runtime.name for runtime in found.runtimes if runtime.works and wanted in {"", runtime.name})


def _is_heartbeat(message: wire.Message) -> bool:
    return isinstance(message, wire.Pong) and message.token == HEARTBEAT


def _refusal(name: str, failed: wire.Failed) -> LinkError:
    code = wire.FAILURES[failed.code]
    if code == "version":
        return AgentMismatch(f"the agent on {name} refused this protocol version: {failed.text}")
    return LinkError(f"{name} refused ({code}): {failed.text}")
