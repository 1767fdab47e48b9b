"""The host's side of the wire, over any channel: hello, probe, blobs, and one RUN a pass."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

from msgspec import convert, to_builtins
from msgspec.structs import replace

from edgeprof import wire
from edgeprof.errors import (
    AgentMismatch,
    FileDamaged,
    Interrupted,
    LinkLost,
    RuntimeUnusable,
)
from edgeprof.links.conversation import Conversation
from edgeprof.links.framed_pass import PassReader
from edgeprof.links.providers import refuse_absent
from edgeprof.links.silence import COMPUTING_S
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

IDENTITY_TIMEOUT_S = 30.0
SILENCE_S = 15.0
PROBE_TIMEOUT_S = 120.0
BLOB_TIMEOUT_S = 120.0
INSTALL_TIMEOUT_S = 900.0  # a memory card takes its time for two hundred megabytes
BESIDE = "beside/"
HOOK, SECOND_MODEL, SECOND_INPUTS = "hook", "second/model", "second/inputs"
SECOND_BESIDE = f"second/{BESIDE}"
CYCLES_PER_MAC = 40
"""More than any executor takes for a whole model on a microcontroller: a bound for patience, no estimate."""
UNKNOWN_HZ, EMULATED_HZ = 16e6, 8e6
"""Of a board that does not tell its clock, and of an emulator in a second of its CPU time: the least, again."""
DAMAGE = frozenset({"blob-corrupt", "unknown-blob"})
NOT_IDENTITY = frozenset({"blob_folder", "blob_suffix", "state"})


class FramedSession:
    """A conversation in frames. `silence_s`: how long an agent that says it is alive every 2 s may be silent.

    A `lossy` line (a UART) may lose and change bytes: Ask is said until it is heard, and with an agent that can
    `resend` each side asks for the frames that it misses. `offer` is called where no runtime works. `macs`: of one
    inference, where they are known: a microcontroller may be silent for as long as one takes.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        name: str,
        silence_s: float = SILENCE_S,
        lossy: bool = False,
        offer: Offer | None = None,
        macs: int = 0,
    ) -> None:
        self.name = name
        self.silence_s = silence_s
        self._macs = macs
        self._blobs: Mapping[str, bytes] = {}
        self._offer = offer
        self._installed = False
        self.line = Conversation(channel, name=name, silence_s=silence_s, lossy=lossy)
        self._identity: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.line.close()

    def run(self, plan: Plan, blobs: Mapping[str, bytes]) -> Iterator[Event]:
        """Carry out the plan; `blobs` holds `model`, `inputs` and, as `beside/NAME`, the model's own files."""
        if plan.timeout_s is not None:
            self.line.deadline_s = time.monotonic() + plan.timeout_s
        yield self.identify()
        self._check_settings(plan)
        found = self.probe(plan.format)
        yield found
        yield from (Noted(index=0, code=note.code, text=note.text) for note in self.line.notes)
        for found in self._install_offered(plan, found):  # noqa: B020  each probe's answer replaces the one before
            yield found
        runtime = choose_runtime(found, self.name, plan.runtime, self._hint(plan, found))
        refuse_absent(plan.providers, found, runtime, self.name)
        self._blobs = blobs
        hashes = {name: hashlib.sha256(content).digest() for name, content in blobs.items()}
        yield from self._send_all(0)
        for index, asked in enumerate(plan.passes):
            if asked.kind == "energy" and "energy" not in self.line.capabilities:
                yield from self._run_windows(plan, index, asked, runtime, hashes)
                continue
            if asked.kind not in self.line.capabilities:
                text = f"the agent on {self.name} has no {asked.kind} pass"
                yield PassEnded(index=index, complete=False, failure="unsupported", text=text)
                continue
            yield from self._run_pass(plan, index, asked, runtime, hashes)
        self.line.say(wire.Bye())

    # ── hello and probe ──────────────────────────────────────────────────────────────────────────────────────────

    def identify(self) -> AgentIdentified:
        """Ask who is there; an agent of another major version is refused."""
        hello = self.line.greet()
        if "state" in self.line.capabilities:
            self._identity = json.loads(self.line.wait_for(wire.State, IDENTITY_TIMEOUT_S, "its identity").state)
        known = {name: value for name, value in self._identity.items() if name not in NOT_IDENTITY}
        return AgentIdentified(
            agent=hello.agent,
            protocol=f"{hello.major}.{hello.minor}",
            board=hello.board,
            basis=wire.BASES[hello.basis],
            counter_unit=wire.COUNTER_UNITS[hello.counter_unit],
            counter_hz=hello.counter_hz,
            capabilities=self.line.capabilities,
            formats=tuple(hello.formats.split(",")) if hello.formats else (),
            engine=hello.engine,
            identity=known,
        )

    def _check_settings(self, plan: Plan) -> None:
        """Refuse an agent that would leave out without a word what was asked for."""
        asked = [name for name in ("delegate", "providers", "runtime_options", "cpus", "hook") if getattr(plan, name)]
        if asked and "settings" not in self.line.capabilities:
            raise AgentMismatch(
                f"the agent on {self.name} cannot be told its {asked[0]}",
                hint="put its current agent on the board, or leave that option out",
            )

    def probe(self, format_name: str, *, fresh: bool = False) -> RuntimesFound:
        """Ask which runtimes for a format really work; an agent without a probe has its engine and nothing else."""
        hello = self.line.hello
        if "probe" not in self.line.capabilities:
            formats = hello.formats.split(",")
            only = RuntimeFound(name=hello.engine, works=format_name in formats, reason=f"it executes {hello.formats}")
            return RuntimesFound(format=format_name, runtimes=(only,))
        self.line.say(wire.Probe(format_name, int(fresh)))
        answer = self.line.wait_for(wire.Runtimes, PROBE_TIMEOUT_S, "its runtimes")
        runtimes = convert(json.loads(answer.found), tuple[RuntimeFound, ...])
        found = RuntimesFound(format=format_name, runtimes=runtimes)
        if all(runtime.works for runtime in runtimes):
            return found
        from edgeprof.installing import board_python, explained

        return explained(found, board_python(self._identity))

    def identity(self) -> dict[str, Any]:
        """Return what the agent said of itself with its hello."""
        return dict(self._identity)

    def board_state(self) -> dict[str, Any]:
        """Return what the agent said of the board's state with its hello; empty where it says none."""
        return dict(self._identity.get("state", {}))

    # ── blobs ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _send_all(self, index: int) -> Iterator[Noted]:
        """Bring to the board what of the blobs is not there; say what was there and damaged."""
        for name, content in self._blobs.items():
            self.line.notes.clear()
            self._upload(content)
            for note in self.line.notes:
                text = f"the copy of {_called(name)} on {self.name} was damaged ({note.text}): it was sent again"
                yield Noted(index=index, code=note.code, text=text)

    def _upload(self, content: bytes) -> bytes:
        """Bring a blob to the board where it is not there; one that arrives damaged is sent a second time."""
        sha256 = hashlib.sha256(content)
        try:
            self._send(sha256, content)
        except FileDamaged:
            try:
                self._send(sha256, content)
            except FileDamaged as error:
                raise FileDamaged(f"what is sent to {self.name} arrives damaged, twice: {error.message}") from error
        return sha256.digest()

    def _send(self, sha256: hashlib._Hash, content: bytes) -> None:
        status = self._blob_status(sha256.digest(), len(content))
        if status.state == wire.BLOB_ABSENT and "blob-files" in self.line.capabilities:
            path = f"{self._identity['blob_folder']}/blobs/{sha256.hexdigest()}{self._identity['blob_suffix']}"
            if self.line.channel.put_blob(path, content):
                status = self._blob_status(sha256.digest(), len(content))
        if status.state != wire.BLOB_PRESENT:
            self._send_chunks(content, status.received)

    def _blob_status(self, sha256: bytes, size: int) -> wire.BlobStatus:
        self.line.say(wire.BlobBegin(size, sha256))
        status: wire.BlobStatus = self.line.wait_for(wire.BlobStatus, BLOB_TIMEOUT_S, "the state of a blob")
        return status

    def _send_chunks(self, content: bytes, received: int) -> None:
        hello = self.line.hello
        step = hello.max_frame - wire.FRAME_OVERHEAD_BYTES - 11
        sent = received
        while True:
            # Up to two windows are on their way, so that the line does not stand still while an answer travels.
            while sent < min(len(content), received + 2 * hello.window * step):
                self.line.say(wire.BlobChunk(sent, content[sent : sent + step]))
                sent += step
            status = self.line.wait_for(wire.BlobStatus, self.silence_s, "the state of a blob")
            if status.state == wire.BLOB_PRESENT:
                return
            if status.received <= received:
                raise LinkLost(f"{self.name} takes no more of the model: {received} of {len(content)} bytes are there")
            received = status.received

    def install(self, wheels: Mapping[str, bytes], *, replace: bool = True, again: bool = False) -> tuple[str, ...]:
        """Put wheels, by file name, into the agent's own folder on the board; return the names of all that are there.

        `replace` drops what edgeprof had put there of the same runtime. Raises LinkError when the agent refuses one or
        its disk is full; nothing of it is left there then. A wheel that is damaged there is sent once more (`again`).
        """
        hashes = {name: self._upload(content).hex() for name, content in wheels.items()}
        self.line.say(wire.Install(int(replace), json.dumps(hashes)))
        try:
            answer = self.line.wait_for(wire.Installed, INSTALL_TIMEOUT_S, "the runtime to be installed")
        except FileDamaged:
            if again:
                raise
            return self.install(wheels, replace=replace, again=True)
        return tuple(json.loads(answer.wheels))

    def _install_offered(self, plan: Plan, found: RuntimesFound) -> Iterator[RuntimesFound]:
        """Put what is offered on the board, one after another, until one works; yield what each probe found."""
        while self._offer is not None and "install" in self.line.capabilities and not _working(found, plan.runtime):
            with self.line.kept_alive():
                wheels = self._offer(self._identity, plan.format)
            if wheels is None:
                return
            self.install(wheels)
            self._installed = True
            found = self.probe(plan.format, fresh=True)
            yield found

    def _hint(self, plan: Plan, found: RuntimesFound) -> str:
        """Return what to do where no runtime works."""
        if _working(found, plan.runtime):
            return ""
        if self._installed:
            return f"edgeprof doctor --target {self.name} shows what else would fit there, and why the rest does not"
        from edgeprof.installing import install_hint

        return install_hint(plan.format, self._identity, self.line.capabilities, plan.runtime)

    # ── passes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _run_pass(
        self, plan: Plan, index: int, asked: Pass, runtime: str, hashes: Mapping[str, bytes]
    ) -> Iterator[Event]:
        """Run a pass; where a file on the board turns out to be damaged or gone, send it again and begin anew, once."""
        damage = ""
        for event in self._begin_pass(plan, index, asked, runtime, hashes):
            if isinstance(event, PassEnded) and event.failure in DAMAGE:
                damage = event.text
                break
            yield event
        if not damage:
            return
        said = tuple(self._send_all(index))
        text = f"a file on {self.name} was changed while it was in use ({damage}): it was sent again"
        yield from said or (Noted(index=index, code="blob-replaced", text=text),)
        for event in self._begin_pass(plan, index, asked, runtime, hashes):
            if isinstance(event, PassEnded) and event.failure in DAMAGE:
                raise FileDamaged(
                    f"{self.name} damages what is sent to it, twice in the {asked.kind} pass: {event.text}"
                )
            yield event

    def _begin_pass(
        self, plan: Plan, index: int, asked: Pass, runtime: str, hashes: Mapping[str, bytes]
    ) -> Iterator[Event]:
        hello = self.line.hello
        settings = run_settings(plan, asked, hashes) if "settings" in self.line.capabilities else {}
        yield from self._bracket(index)
        self.line.say(
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
                shapes=json.dumps(plan.shapes) if plan.format in self.line.hello.formats.split(",") else "",
                files=_files(hashes),
                settings=json.dumps(settings) if settings else "",
            )
        )
        own_clock = not self.line.silence.emulated
        self.line.silence_s = self.silence_s + (self._inference_s(asked, hello.counter_hz) if own_clock else 0.0)
        self.line.silence.computing_s = max(COMPUTING_S, self._inference_s(asked, EMULATED_HZ))
        yield from PassReader(self.line, index, asked, hashes["model"]).events()
        yield from self._bracket(index)

    def _inference_s(self, asked: Pass, hz: float) -> float:
        """Return how long one sample may take at the most; an agent on Linux speaks meanwhile."""
        if "heartbeat" in self.line.capabilities:
            return 0.0
        known = hz if self.line.hello.counter_unit != wire.SECONDS else UNKNOWN_HZ
        return self._macs * (asked.batch or 1) * CYCLES_PER_MAC / known

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
            if self.line.interrupted:
                raise Interrupted("stopped by Ctrl-C")

    def _bracket(self, index: int) -> Iterator[Event]:
        before = time.monotonic()
        self.line.say(wire.Ping(index))
        pong = self.line.wait_for(wire.Pong, self.silence_s, "its clock")
        yield ClockBracketed(index=index, host_before_s=before, agent_ticks=pong.ticks, host_after_s=time.monotonic())

    def interrupt(self) -> None:
        """End the conversation from another thread: its `run` raises Interrupted, and what came before is kept."""
        self.line.interrupt()

    def cancel_pass(self, index: int) -> None:
        """Ask the agent to stop; it may be gone already."""
        self.line.cancel_pass(index)


def _called(name: str) -> str:
    """Return what a blob is called for people."""
    known = {"model": "the model", "inputs": "the inputs", HOOK: "the hook", SECOND_MODEL: "the second model",
             SECOND_INPUTS: "the second model's inputs"}  # fmt: skip
    if name.startswith(SECOND_BESIDE):
        return f"the second model's file {name.removeprefix(SECOND_BESIDE)}"
    return known.get(name) or f"the model's file {name.removeprefix(BESIDE)}"


def _files(hashes: Mapping[str, bytes], beside: str = BESIDE) -> str:
    """Return the model's own files of weights by name, as JSON; most models have none."""
    files = {name.removeprefix(beside): sha256.hex() for name, sha256 in hashes.items() if name.startswith(beside)}
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
        "runtime_options": list(plan.runtime_options),
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
        files = _files(hashes, SECOND_BESIDE)
        beside = {"files": files} if files else {}
        sent = {"model": hashes[SECOND_MODEL].hex(), "inputs": hashes[SECOND_INPUTS].hex()}
        wanted["second"] = {**second, **sent, **beside}
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
