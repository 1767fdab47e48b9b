"""`mlperf-tiny://`: firmware that speaks the MLPerf Tiny protocol, profiled as it is, with the model that is in it.

A sample is a window, as the suite's rules have it: an infer command of at least 10 s and 10 inferences between two
readings of the firmware's own clock, five of them. The sample's batch is the number of inferences in it.
"""

from __future__ import annotations

import math
import sys
import time
from array import array
from typing import TYPE_CHECKING, NamedTuple, Self

from edgeprof.errors import AgentMismatch
from edgeprof.links.mlperf_firmware import DEFAULT_PATIENCE, Firmware, Refusal
from edgeprof.links.mlperf_inputs import inputs_of
from edgeprof.records.events import (
    AgentIdentified,
    ClockBracketed,
    Noted,
    OutputReceived,
    PassEnded,
    PassStarted,
    SamplesReceived,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from edgeprof.links.mlperf_firmware import Identity, Patience, Timed
    from edgeprof.links.serial_port import Dtr
    from edgeprof.records.events import Event
    from edgeprof.records.result import Pass, Plan
    from edgeprof.session import Channel

AGENT = "mlperf-tiny"
RUNTIME = "firmware"
COUNTER_HZ = 1_000_000
CAPABILITIES = ("latency", "outputs", "sustained")

WINDOWS = 5
WINDOW_S = 10.0
AIMED_S = 10.5
FEWEST_ITERATIONS = 10
WARMUP = 10
WARMUP_S = 2.5
SHARE_OF_LIMIT = 0.93
"""What of the 30 s of an infer command is planned with; the rest is for inferences slower than the first ones."""

FIRST_LOOK_S = 0.6
MOST_ITERATIONS = 1_000_000_000
TRIES = 3
CLOCK_SHARE = 0.05


class Size(NamedTuple):
    """How many inferences a window has, and how many come before it."""

    iterations: int
    warmup: int


def open_mlperf_tiny(port: str, baud: int, *, dtr: Dtr, name: str) -> MlperfTinySession:
    """Open the port of a board with such firmware; it is open until the session is left."""
    from edgeprof.links.serial_port import open_serial

    return MlperfTinySession(open_serial(port, baud, dtr=dtr), name=name)


class MlperfTinySession:
    """A conversation with such firmware. `watch_clock`: hold its clock against the host's."""

    def __init__(
        self, channel: Channel, *, name: str, patience: Patience = DEFAULT_PATIENCE, watch_clock: bool = True
    ) -> None:
        self.name = name
        self._firmware = Firmware(channel, name=name, patience=patience)
        self._watch_clock = watch_clock
        self._loaded: bytes | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._firmware.close()

    def interrupt(self) -> None:
        """End the conversation from another thread: its `run` raises Interrupted, and what came before is kept."""
        self._firmware.interrupt()

    def identify(self) -> AgentIdentified:
        """Ask who is there."""
        return _identified(self._firmware.identify())

    def run(self, plan: Plan, blobs: Mapping[str, bytes]) -> Iterator[Event]:
        """Carry out the plan; `blobs` holds the inputs, and no model: it is on the board."""
        if plan.timeout_s is not None:
            self._firmware.deadline = time.monotonic() + plan.timeout_s
        identified = self.identify()
        yield identified
        inputs = inputs_of(blobs["inputs"], str(identified.identity["model"]))
        for index, asked in enumerate(plan.passes):
            reason = _unsupported(asked)
            if reason:
                yield PassEnded(index=index, complete=False, failure="unsupported", text=reason)
                continue
            yield self._started(index, asked, identified)
            try:
                if asked.kind == "outputs":
                    yield from self._outputs(index, inputs)
                else:
                    with_outputs = all(other.kind != "outputs" for other in plan.passes)
                    yield from _Windows(self, index, asked, inputs, with_outputs=with_outputs).events()
            except Refusal as refused:
                text = f"the firmware refused: {refused}"
                yield PassEnded(index=index, complete=False, failure="bad-request", text=text)
            else:
                yield PassEnded(index=index, complete=True)

    def _started(self, index: int, asked: Pass, identified: AgentIdentified) -> PassStarted:
        return PassStarted(
            index=index,
            kind=asked.kind,
            launch=asked.launch,
            model_sha256="",
            runtime=RUNTIME,
            detail=dict(identified.identity),
        )

    def _outputs(self, index: int, inputs: list[bytes]) -> Iterator[Event]:
        for at, content in enumerate(inputs or [b""]):
            self.load(content)
            yield from output_of(index, at, self._firmware.infer(1, 0).window.results)

    # ── what the passes share ────────────────────────────────────────────────────────────────────────────────────

    def load(self, content: bytes) -> None:
        """Put an input on the board, where it is not there already; an empty one leaves what is there."""
        if content and content != self._loaded:
            self._loaded = None
            self._firmware.load(content)
            self._loaded = content

    def bracket(self, index: int) -> ClockBracketed:
        """Read both clocks; firmware of the energy build has a pin in place of a clock."""
        read = self._firmware.read_clock()
        if read is None:
            raise AgentMismatch(
                f"the firmware on {self.name} tells no time: it is built for energy, with a pin in place of a clock",
                hint="put its performance build on the board",
            )
        before, ticks, after = read
        return ClockBracketed(index=index, host_before_s=before, agent_ticks=ticks, host_after_s=after)

    def infer(self, size: Size) -> Timed:
        """Run one infer command."""
        return self._firmware.infer(size.iterations, size.warmup)

    def first_look_s(self) -> float:
        """Return about how long an inference takes, from runs that grow until the clock has something to show."""
        iterations = 1
        while iterations <= MOST_ITERATIONS:
            taken = self.infer(Size(iterations, 0)).window.duration_us / COUNTER_HZ
            if taken >= FIRST_LOOK_S:
                return taken / iterations
            grown = iterations * 10 if taken == 0 else math.ceil(iterations * FIRST_LOOK_S / taken * 1.05)
            iterations = max(grown, iterations + 1)
        raise AgentMismatch(f"the clock of the firmware on {self.name} stands still")

    def size_for(self, each_s: float, asked: Pass) -> Size:
        """Return a window of at least 10 s and 10 inferences, as far as the limit of an infer command lets it."""
        limit_s = self._firmware.patience.infer_s * SHARE_OF_LIMIT
        most = max(1, math.floor(limit_s / each_s))
        wanted = asked.batch or max(FEWEST_ITERATIONS, math.ceil(AIMED_S / each_s))
        usual = min(WARMUP, max(1, math.floor(WARMUP_S / each_s)))
        warmup = min(usual if asked.warmup is None else asked.warmup, max(0, most - wanted))
        return Size(min(wanted, most - warmup), warmup)

    def is_absurd(self, timed: Timed) -> bool:
        """Tell whether the window is longer than its command can have been, or no time at all: the clock jumped."""
        return not 0 < timed.window.duration_us <= 2 * self._firmware.patience.infer_s * COUNTER_HZ

    def disagreement(self, timed: Timed) -> str:
        """Return by how much the two clocks disagree on a window; empty where they agree or are not compared."""
        firmware_s = timed.window.duration_us / COUNTER_HZ
        if not self._watch_clock or abs(timed.host_s - firmware_s) <= CLOCK_SHARE * firmware_s:
            return ""
        return f"its clock says {firmware_s:.3f} s for a window that took {timed.host_s:.3f} s here"


class _Windows:
    """One latency pass: windows as they come."""

    def __init__(
        self, session: MlperfTinySession, index: int, asked: Pass, inputs: list[bytes], *, with_outputs: bool
    ) -> None:
        self._session = session
        self._index = index
        self._asked = asked
        self._inputs = inputs or [b""]
        self._with_outputs = with_outputs
        self._results: dict[int, bytes] = {}
        self._noted: set[str] = set()

    def events(self) -> Iterator[Event]:
        """Yield the windows, the clock before and after them, and what one should know of them."""
        yield self._session.bracket(self._index)
        if self._inputs == [b""]:
            yield from self._note("input-unknown", "it is not known what this model takes: its buffer is left as it is")
        self._session.load(self._inputs[0])
        each_s = self._session.first_look_s()
        size = self._session.size_for(each_s, self._asked)
        yield from self._note(
            "window-mean",
            f"a sample is the mean of one window of {size.iterations} inferences on the firmware's own clock,"
            f" after {size.warmup} to warm up; single inferences are not seen",
        )
        yield from self._windows(size)
        yield self._session.bracket(self._index)

    def _windows(self, size: Size) -> Iterator[Event]:
        done, passed_s, tries = 0, 0.0, 0
        while not self._is_enough(done, passed_s):
            at = done % len(self._inputs)
            self._session.load(self._inputs[at])
            timed = self._session.infer(size)
            better = self._instead(timed, size)
            if better is not None and tries < TRIES:
                tries += 1
                seconds = timed.window.duration_us / COUNTER_HZ
                yield from self._note("window-repeated", f"a window of {seconds:.3f} s was left out and run again")
                size = better
                continue
            yield from self._counted(done, at, timed, size)
            done, passed_s, tries = done + 1, passed_s + timed.window.duration_us / COUNTER_HZ, 0
        if done < WINDOWS:
            yield from self._note("few-windows", f"{done} of the {WINDOWS} windows that the suite's rules ask for")

    def _is_enough(self, done: int, passed_s: float) -> bool:
        """Tell whether the pass is done: as many windows as asked for, or five and as long as asked for."""
        runs, duration_s = self._asked.runs, self._asked.duration_s
        if runs and done >= runs:
            return True
        return done >= WINDOWS and passed_s >= duration_s and bool(duration_s or not runs)

    def _instead(self, timed: Timed, size: Size) -> Size | None:
        """Return what to run instead of a window that cannot count; None where it does, or nothing is better."""
        window = timed.window
        if self._session.is_absurd(timed) or window.iterations not in {None, size.iterations}:
            return size
        if self._asked.batch is None and window.duration_us < WINDOW_S * COUNTER_HZ:
            each_s = window.duration_us / COUNTER_HZ / size.iterations
            better = self._session.size_for(each_s, self._asked)
            return better if better.iterations * each_s >= WINDOW_S else None
        return None

    def _counted(self, done: int, at: int, timed: Timed, size: Size) -> Iterator[Event]:
        window = timed.window
        iterations = window.iterations or size.iterations
        if self._session.is_absurd(timed):
            raise AgentMismatch(
                f"the clock of the firmware on {self._session.name} says {window.duration_us} µs for"
                f" {iterations} inferences: it jumps, or wraps at other than 32 bits of microseconds"
            )
        yield SamplesReceived(
            index=self._index,
            first=done,
            batch=iterations,
            start_ticks=(window.start_us,),
            duration_ticks=(window.duration_us,),
            flags=(0,),
        )
        yield from self._result(at, window.results)
        if iterations < FEWEST_ITERATIONS or window.duration_us < WINDOW_S * COUNTER_HZ:
            seconds = window.duration_us / COUNTER_HZ
            text = f"{iterations} inferences in {seconds:.3f} s: the suite's rules ask for 10 of them and for 10 s"
            yield from self._note("window-short", text)
        disagreement = self._session.disagreement(timed)
        if disagreement:
            yield from self._note("firmware-clock", disagreement)

    def _result(self, at: int, results: tuple[float, ...] | None) -> Iterator[Event]:
        """Yield the output of each input once; the same input must give the same again."""
        if results is None:
            yield from self._note("outputs-unavailable", "the firmware gave no results that can be read")
        elif at not in self._results:
            self._results[at] = packed(results)
            if self._with_outputs:
                yield from output_of(self._index, at, results)
        elif self._results[at] != packed(results):
            yield from self._note("outputs-differ", f"input {at} gave other results in another window")

    def _note(self, code: str, text: str) -> Iterator[Event]:
        """Note a thing once a pass."""
        if code not in self._noted:
            self._noted.add(code)
            yield Noted(index=self._index, code=code, text=text)


def output_of(index: int, inference: int, results: tuple[float, ...] | None) -> Iterator[Event]:
    """Yield the result list as a tensor, where the firmware gave one."""
    if results is not None:
        yield OutputReceived(
            index=index,
            inference=inference,
            tensor=0,
            name="results",
            dtype="float32",
            shape=(len(results),),
            content=packed(results),
        )


def packed(results: tuple[float, ...]) -> bytes:
    """Return the values as little-endian float32; what is too large for one is infinite."""
    values = array("f", results)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _identified(identity: Identity) -> AgentIdentified:
    return AgentIdentified(
        agent=AGENT,
        protocol=identity.profile,
        board=identity.vendor,
        basis="measured",
        counter_unit="seconds",
        counter_hz=COUNTER_HZ,
        capabilities=CAPABILITIES,
        formats=(),
        identity=identity._asdict(),
    )


def _unsupported(asked: Pass) -> str:
    if asked.kind not in CAPABILITIES:
        return f"such firmware has no {asked.kind} pass"
    if asked.launch:
        return "such firmware cannot be started afresh from here: one launch is all there is"
    return ""
