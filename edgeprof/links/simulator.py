"""An agent that plays a board.

It speaks the same frames, computes real outputs with this machine's runtime, draws its times from a seeded cost model
of the board's facts, and can be told to fail.

Everything that it says is `simulated`. Its clock is virtual, so a run takes no longer than the frames need, unless
`pace` says how much of the simulated time is to pass for real: ten simulated minutes are over in seconds.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeprof import wire
from edgeprof.errors import EdgeprofError, ModelError, UsageError, did_you_mean
from edgeprof.estimate.cost_model import (
    SimulatedCosts,
    at_clock,
    clock_hz,
    graph_loads,
    simulated_costs,
    simulated_engine,
)
from edgeprof.links.simulated_sensors import SENSED, SimulatedSensors, throttle_state
from edgeprof.targets import declared_clock_hz

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeprof.model.graph import Graph
    from edgeprof.records.board import Board
    from edgeprof.targets import Sim

FAULTS = (
    "drop", "double", "corrupt", "oversize", "stall", "throttle", "oom", "disconnect", "wrong-model", "version",
)  # fmt: skip
FRAME_FAULTS = ("drop", "double", "corrupt", "oversize", "stall", "disconnect")
BLOCK_SAMPLES = 50
THROTTLE_FACTOR = 1.8
JITTER = 0.01
PREEMPTED_SHARE = 0.01
PREEMPTION_S = 0.004
WARMUP_FACTORS = (1.6, 1.3, 1.1, 1.02)
SUSTAINED_SAMPLES, WINDOW_SAMPLES = 20_000, 500
"""As many samples as a long run, or a window of an energy pass, is cut into where the batch is left to the agent."""


class Disconnected(Exception):
    """The simulated cable is pulled."""


class SimulatedBoard:
    """The agent's side of one conversation; `send` gets the bytes of frames, `sleep` passes real time."""

    def __init__(
        self,
        board: Board,
        options: Sim,
        send: Callable[[bytes], None],
        sleep: Callable[[float], None],
        hear: Callable[[], bytes],
    ) -> None:
        if options.fault and options.fault not in FAULTS:
            hint = did_you_mean(options.fault, FAULTS) or f"known: {', '.join(FAULTS)}"
            raise UsageError(f"unknown fault {options.fault!r}", hint=hint)
        self._board = at_clock(board, declared_clock_hz(options))
        self._engine = simulated_engine(self._board, options.engine)
        self._options = options
        self._send = send
        self._sleep = sleep
        self._hear = hear
        self._random = random.Random(f"{board.id} {options.seed}")  # noqa: S311  reproducible, not secret
        self._reader = wire.FrameReader()
        self._writer = wire.FrameWriter()
        self._fault = options.fault
        self._now_s = 1.0
        self._blobs: dict[bytes, bytes] = {}
        self._incoming: wire.BlobBegin | None = None
        self._part = bytearray()
        self._chunks = 0
        self._samples = 0
        self._crc = 0
        self._settings: dict[str, Any] = {}
        self._sensors: SimulatedSensors | None = None
        self._throttling = self._has_throttled = False
        self._items = 1.0
        self._costs = SimulatedCosts((), (), "")
        self.open = True

    def receive(self, content: bytes) -> None:
        """Take bytes from the host and answer them."""
        for frame in self._reader.feed(content):
            self._answer(wire.read(frame))

    def _answer(self, message: wire.Message) -> None:
        match message:
            case wire.Ask():
                self._hello(message)
            case wire.BlobBegin():
                self._blob_begin(message)
            case wire.BlobChunk():
                self._blob_chunk(message)
            case wire.Run():
                self._run(message)
            case wire.Ping():
                self._say(wire.Pong(message.token, self._ticks()))
            case wire.Cancel():
                self._fail(message.run, "cancelled", "the host asked for it")
            case wire.Bye():
                self.open = False
            case _:
                self._fail(0, "bad-request", f"a simulated board does not answer {type(message).__name__}")

    # ── speaking ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _say(self, message: wire.Message) -> None:
        frame = self._writer.frame(message)
        if self._fault in FRAME_FAULTS and isinstance(message, wire.Samples) and self._samples >= self._options.after:
            fault, self._fault = self._fault, ""
            self._strike(fault, frame)
            return
        self._send(frame)

    def _strike(self, fault: str, frame: bytes) -> None:
        match fault:
            case "drop":
                return
            case "double":
                self._send(frame + frame)
            case "corrupt":
                at = len(frame) // 2
                self._send(frame[:at] + bytes([frame[at] ^ 0x55 or 1]) + frame[at + 1 :])
            case "oversize":
                self._send(b"\x01" * (2 * wire.LARGEST_FRAME_BYTES))
            case "stall":
                while self.open:
                    self._sleep(0.05)
            case "disconnect":
                raise Disconnected
            case _:
                pass  # the other faults are not those of a frame

    def _fail(self, run: int, code: str, text: str) -> None:
        self._say(wire.Failed(run, wire.FAILURES.index(code), text))

    def _ticks(self) -> int:
        return round(self._now_s * 1e9)

    def _pass_time(self, seconds: float, *, busy: bool = True) -> None:
        self._now_s += seconds
        if self._sensors is not None:
            self._sensors.pass_time(self._now_s, busy=busy, throttled=self._throttling)
        if self._options.pace:
            self._sleep(seconds * self._options.pace)
        if not self.open:
            raise Disconnected

    def refuse(self, error: wire.WireError) -> None:
        """Tell what was wrong with a frame."""
        self._fail(0, "bad-request", f"{error.kind} frame: {error}")

    def _cancelled(self, run: int) -> bool:
        """Hear what the host said in the middle of a pass; tell whether it ends the pass."""
        for frame in self._reader.feed(self._hear()):
            message = wire.read(frame)
            if isinstance(message, wire.Cancel):
                self._fail(run, "cancelled", "the host asked for it")
                return True
            self._answer(message)
        return False

    # ── hello and blobs ──────────────────────────────────────────────────────────────────────────────────────────

    def _hello(self, message: wire.Ask) -> None:
        names = ["latency", "memory", "operators", "outputs", "sustained", "deadline", "energy", "blob-chunks"]
        names += ["state", "cancel", "settings", "sensors"]
        if self._board.kind == "linux":
            names += ["preemption", "threads"]
        self._say(
            wire.Hello(
                major=wire.MAJOR + (self._fault == "version"),
                minor=0 if self._fault == "version" else wire.MINOR,
                max_frame=8192,
                window=16,
                basis=wire.BASES.index("simulated"),
                counter_unit=wire.SECONDS,
                counter_hz=1_000_000_000,
                capabilities=wire.capability_bits(names),
                agent="simulated board",
                board=self._board.name[:60],
                formats="tflite,onnx",
                engine="simulator",
            )
        )
        self._writer.max_frame = min(message.max_frame, 8192)
        self._say(wire.State(0, 0, json.dumps({"simulated": self._board.id})))

    def _blob_begin(self, message: wire.BlobBegin) -> None:
        self._incoming, self._part, self._chunks = message, bytearray(), 0
        present = message.sha256 in self._blobs
        self._say(wire.BlobStatus(message.size if present else 0, wire.BLOB_PRESENT if present else wire.BLOB_ABSENT))

    def _blob_chunk(self, message: wire.BlobChunk) -> None:
        if self._incoming is None:
            self._fail(0, "bad-request", "a chunk without a blob")
            return
        if message.offset == len(self._part):
            self._part += message.content
        self._chunks += 1
        if len(self._part) == self._incoming.size:
            self._keep_blob(self._incoming.sha256)
        elif self._chunks % 16 == 0:
            self._say(wire.BlobStatus(len(self._part), wire.BLOB_PARTIAL))

    def _keep_blob(self, sha256: bytes) -> None:
        content = bytes(self._part)
        if hashlib.sha256(content).digest() != sha256:
            self._fail(0, "blob-corrupt", "the blob arrived with another hash")
            return
        self._blobs[sha256] = content
        self._say(wire.BlobStatus(len(content), wire.BLOB_PRESENT))

    # ── passes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self, message: wire.Run) -> None:
        if message.model not in self._blobs or message.inputs not in self._blobs:
            self._fail(message.run, "unknown-blob", "the model or its inputs are not here")
            return
        if self._fault == "oom" and not self._options.after:
            self._fail(message.run, "out-of-memory", "the simulated board has no memory left")
            return
        if message.kind >= len(wire.PASSES):
            self._fail(message.run, "bad-request", f"there is no pass {message.kind}")
            return
        self._samples, self._crc = 0, 0
        self._settings = json.loads(message.settings or "{}")
        self._sensors, self._throttling = None, False
        self._say(wire.State(message.run, 0, self._state()))
        try:
            ran = self._carry_out(message, wire.PASSES[message.kind])
        except ModelError as error:
            self._fail(message.run, "model-rejected", error.message)
            return
        except UsageError as error:  # a board without a clock
            self._fail(message.run, "bad-request", error.message)
            return
        if ran:
            self._end_sensing(message)
            self._say(wire.State(message.run, 1, self._state()))
            self._say(wire.Done(message.run, self._samples, self._crc))

    def _started(self, message: wire.Run, costs: SimulatedCosts) -> None:
        model = hashlib.sha256(b"another model").digest() if self._fault == "wrong-model" else message.model
        clock = clock_hz(self._board)
        detail: dict[str, Any] = {"engine": self._engine} if self._engine else {}
        detail |= {"cost_model": costs.drawn_from, "clock_hz": clock, "seed": self._options.seed}
        if self._options.clock:
            detail["assumptions"] = [f"a clock of {clock / 1e6:g} MHz, declared in the target"]
        self._say(wire.Started(message.run, model, "simulator", json.dumps(detail)))

    def _state(self) -> str:
        state = {"kernel": "none: a simulated board", "cores": sum(c.count or 1 for c in self._board.cores)}
        if self._board.kind == "linux":
            state["throttle"] = throttle_state(now=self._throttling, since_boot=self._has_throttled)
        return json.dumps(state)

    def _carry_out(self, message: wire.Run, kind: str) -> bool:
        with tempfile.TemporaryDirectory(prefix="edgeprof-") as folder:
            path = Path(folder) / f"model.{message.format}"
            path.write_bytes(self._blobs[message.model])
            graph = self._read(path, message)
            self._costs = simulated_costs(self._board, graph, self._engine, self._blobs[message.model])
            self._started(message, self._costs)
            match kind:
                case "latency" | "sustained":
                    return self._latency(message, graph)
                case "deadline":
                    return self._deadline(message, graph)
                case "energy":
                    return self._energy(message, graph)
                case "memory":
                    return self._memory(message, graph)
                case "operators":
                    return self._operators(message)
                case _:
                    return self._outputs(message, path)

    def _read(self, path: Path, message: wire.Run) -> Graph:
        from edgeprof.model import read_model

        shapes = {name: tuple(shape) for name, shape in json.loads(message.shapes or "{}").items()}
        graph = read_model(path, shapes, digest=False)
        stated = read_model(path, digest=False) if shapes and graph.format == "tflite" else graph
        self._items = 1.0 if stated is graph else _items(stated, graph)
        return graph if self._items == 1 else stated

    # ── timed passes ─────────────────────────────────────────────────────────────────────────────────────────────

    def _latency(self, message: wire.Run, graph: Graph) -> bool:
        typical = self._typical_s()
        duration_s = message.duration_ms / 1000
        most = SUSTAINED_SAMPLES if wire.PASSES[message.kind] == "sustained" else 0
        batch = self._batch(message, typical, duration_s, most)
        self._warm_up(message, graph, typical, batch)
        end_s = self._now_s + duration_s if duration_s else float("inf")
        left = message.runs or 1 << 62
        while left > 0 and self._now_s < end_s:
            if self._stopped(message):
                return False
            left -= self._block(message, [typical * batch] * min(left, BLOCK_SAMPLES), 0, batch, end_s)
        return True

    def _deadline(self, message: wire.Run, graph: Graph) -> bool:
        """Serve releases that are a period apart; a latency counts from the release, as deadline.py of the agent."""
        period_s = self._settings.get("period_ns", 0) / 1e9
        if period_s <= 0:
            self._fail(message.run, "bad-request", "a deadline pass needs a period_ns above 0")
            return False
        typical = self._typical_s()
        self._warm_up(message, graph, typical, 1)
        end_s = self._now_s + message.duration_ms / 1000 if message.duration_ms else float("inf")
        release_s, left = self._now_s + period_s, message.runs or 1 << 62
        rows: list[tuple[int, int, int]] = []
        while left > 0 and max(release_s, self._now_s) < end_s:
            self._pass_time(max(0.0, release_s - self._now_s), busy=False)
            _, _, flag = self._sample(typical, 0)
            released = round(release_s * 1e9)
            rows.append((released, self._ticks() - released, flag))
            release_s, left = release_s + period_s, left - 1
            if len(rows) == BLOCK_SAMPLES:
                self._send_rows(message, rows, 1)
                rows = []
                if self._stopped(message):
                    return False
        self._send_rows(message, rows, 1)
        return True

    def _energy(self, message: wire.Run, graph: Graph) -> bool:
        """Windows of inferences with rest before, between and after them, as power_windows.py of the agent."""
        windows, window_s, idle_s = (self._settings.get(name, 0) for name in ("windows", "window_ms", "idle_ms"))
        window_s, idle_s = window_s / 1e3, idle_s / 1e3
        if windows <= 0 or window_s <= 0:
            self._fail(message.run, "bad-request", "an energy pass needs windows and a window_ms above 0")
            return False
        typical = self._typical_s()
        batch = self._batch(message, typical, window_s, WINDOW_SAMPLES)
        self._warm_up(message, graph, typical, batch)
        self._say(wire.Note(message.run, "idle-state", "simulated rest"))
        self._pass_time(idle_s, busy=False)
        for _ in range(windows):
            end_s, flag = self._now_s + window_s, wire.WINDOW
            while self._now_s < end_s:
                if self._stopped(message):
                    return False
                self._block(message, [typical * batch] * BLOCK_SAMPLES, flag, batch, end_s)
                flag = 0
            self._pass_time(idle_s, busy=False)
        return True

    def _typical_s(self) -> float:
        return self._items * sum(self._costs.seconds)

    def _batch(self, message: wire.Run, typical_s: float, span_s: float, most: int) -> int:
        if message.batch != wire.AUTO:
            return max(1, message.batch)
        return max(1, math.ceil(span_s / (typical_s * most))) if most else 1

    def _warm_up(self, message: wire.Run, graph: Graph, typical: float, batch: int) -> None:
        """Load the model and run it until it is warm; sensors are read from here on."""
        from edgeprof.model.data_files import needed_bytes

        self._begin_sensing(message, typical * batch)
        load_s = needed_bytes(graph) / 50e6 + 0.001
        self._mark(message, "load_ticks", load_s * 1e9)
        self._pass_time(load_s)
        self._mark(message, "first_ticks", typical * WARMUP_FACTORS[0] * 1e9)
        warm = WARMUP_FACTORS if message.warmup == wire.AUTO else (1.0,) * message.warmup
        self._block(message, [typical * factor for factor in warm], wire.WARMUP)
        self._mark(message, "steady", 1)

    def _stopped(self, message: wire.Run) -> bool:
        """Tell whether the pass ends here, by the host's word or by a fault."""
        if self._cancelled(message.run):
            return True
        if self._fault == "oom" and self._samples >= self._options.after:
            self._fail(message.run, "out-of-memory", "the simulated board has no memory left")
            return True
        return False

    def _block(
        self, message: wire.Run, typical: list[float], flag: int, batch: int = 1, end_s: float = float("inf")
    ) -> int:
        """Take a block of samples and send it; a window's flag is its first sample's alone."""
        rows = []
        for seconds in typical:
            rows.append(self._sample(seconds, flag))
            flag &= ~wire.WINDOW
            if self._now_s >= end_s:
                break
        self._send_rows(message, rows, batch)
        return len(rows)

    def _send_rows(self, message: wire.Run, rows: list[tuple[int, int, int]], batch: int) -> None:
        self._send_readings(message)
        if not rows:
            return
        starts, durations, flags = zip(*rows, strict=True)
        columns = wire.pack_columns(starts, durations, flags)
        self._say(wire.Samples(message.run, self._samples, len(rows), batch, columns))
        self._samples += len(rows)
        self._crc = zlib.crc32(columns, self._crc)

    def _sample(self, seconds: float, flag: int) -> tuple[int, int, int]:
        seconds *= self._random.lognormvariate(0, JITTER)
        if self._fault == "throttle" and self._samples >= self._options.after and not flag & wire.WARMUP:
            self._throttling = self._has_throttled = True
            seconds *= THROTTLE_FACTOR
            flag |= wire.THROTTLED
        if self._board.kind == "linux" and self._random.random() < PREEMPTED_SHARE:
            seconds += self._random.expovariate(1 / PREEMPTION_S)
            flag |= wire.PREEMPTED
        start = self._ticks()
        self._pass_time(seconds)
        return start, round(seconds * 1e9), flag

    # ── sensors ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin_sensing(self, message: wire.Run, sample_s: float) -> None:
        interval_ms = self._settings.get("sensors_ms", 0)
        if not interval_ms or wire.PASSES[message.kind] not in SENSED:
            return
        between_s = max(sample_s, self._settings.get("period_ns", 0) / 1e9)
        self._sensors = SimulatedSensors(
            self._board,
            interval_ms / 1000,
            self._now_s,
            throttle_factor=THROTTLE_FACTOR,
            hot_after_s=self._options.after * between_s if self._fault == "throttle" else None,
            chance=random.Random(f"{self._board.id} {self._options.seed} sensors"),  # noqa: S311  reproducible
        )
        self._say(wire.Channels(message.run, 0, self._sensors.described()))

    def _send_readings(self, message: wire.Run) -> None:
        rows = self._sensors.taken() if self._sensors is not None else []
        step = (self._writer.max_frame - wire.FRAME_OVERHEAD_BYTES - 8) // wire.READING_BYTES
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            ticks, channels, values = zip(*part, strict=True)
            self._say(wire.Readings(message.run, len(part), wire.pack_readings(ticks, channels, values)))

    def _end_sensing(self, message: wire.Run) -> None:
        if self._sensors is not None:
            self._send_readings(message)
            self._say(wire.Channels(message.run, 1, self._sensors.described(ended=True)))
            self._sensors = None

    # ── the other passes ─────────────────────────────────────────────────────────────────────────────────────────

    def _memory(self, message: wire.Run, graph: Graph) -> bool:
        from edgeprof.model.arena import greedy_arena_plan
        from edgeprof.model.data_files import needed_bytes
        from edgeprof.model.memory import liveness

        if self._board.kind == "linux":
            alive, size = liveness(graph).lower_bound_bytes, needed_bytes(graph)
            for kind in ("peak_bytes", "average_bytes"):
                self._mark(message, kind, None if alive is None else size + round(self._items * alive))
            self._mark(message, "file_backed_bytes", size)
        else:
            self._mark(message, "arena_bytes", _times(self._items, greedy_arena_plan(graph).planner_bytes))
        return True

    def _operators(self, message: wire.Run) -> bool:
        for index, (load, seconds) in enumerate(zip(self._costs.loads, self._costs.seconds, strict=True)):
            ticks = round(self._items * seconds * 1e9)
            self._say(wire.OperatorTime(message.run, index, 1, ticks, load.name[:200], load.type[:60]))
        return True

    def _outputs(self, message: wire.Run, path: Path) -> bool:
        try:
            for output in self._real_outputs(message, path):
                self._say(output)
        except EdgeprofError as error:
            self._fail(message.run, "no-runtime", f"real outputs need a runtime on this machine: {error.message}")
            return False
        return True

    def _real_outputs(self, message: wire.Run, path: Path) -> Iterator[wire.Output]:
        from edgeprof.diagnosis.int8_kernels import PRECISE
        from edgeprof.links.framed import FramedSession
        from edgeprof.links.local import open_local
        from edgeprof.records.events import OutputReceived, PassEnded
        from edgeprof.records.result import Pass, Plan

        shapes = {name: tuple(shape) for name, shape in json.loads(message.shapes or "{}").items()}
        # The board is another processor: what this one's int8 kernels get wrong without VNNI is none of its outputs.
        exact = (PRECISE,) if message.format == "onnx" else ()
        plan = Plan(passes=(Pass(kind="outputs"),), format=message.format, shapes=shapes, runtime_options=exact)
        blobs = {"model": path.read_bytes(), "inputs": self._blobs[message.inputs]}
        with FramedSession(open_local(), name="this machine") as session:
            for event in session.run(plan, blobs):
                if isinstance(event, OutputReceived):
                    yield from self._parts(message.run, event)
                if isinstance(event, PassEnded) and not event.complete:
                    raise EdgeprofError(event.text)

    def _parts(self, run: int, output: Any) -> Iterator[wire.Output]:  # noqa: ANN401  an OutputReceived, imported late
        step = self._writer.max_frame - 600
        shape = ",".join(str(size) for size in output.shape)
        for offset in range(0, max(1, len(output.content)), step):
            part = output.content[offset : offset + step]
            size = len(output.content)
            yield wire.Output(
                run, output.inference, output.tensor, offset, size, part, output.name[:200], output.dtype, shape
            )

    def _mark(self, message: wire.Run, kind: str, value: float | None) -> None:
        if value is None:
            return
        self._say(wire.Mark(message.run, wire.MARKS.index(kind), round(value)))


def _items(stated: Graph, resized: Graph) -> float:
    """Return how many times the inputs that a file states are asked for, where it tells their work for one size only.

    A TFLite file holds the sizes of what lies between its inputs and its outputs; a runtime works out the others.
    """
    before, after = (
        math.prod(size or 1 for at in graph.inputs for size in graph.tensors[at].shape or ())
        for graph in (stated, resized)
    )
    macs = [sum(load.macs for load in graph_loads(graph)) for graph in (stated, resized)]
    return after / before if before != after and macs[0] == macs[1] else 1.0


def _times(items: float, count: int | None) -> int | None:
    return None if count is None else round(items * count)


def passed_time(open_board: Callable[[], bool]) -> Callable[[float], None]:
    """Return a sleep that ends early when the board is closed."""

    def sleep(seconds: float) -> None:
        until = time.monotonic() + seconds
        while open_board() and time.monotonic() < until:
            time.sleep(min(0.05, max(0.0, until - time.monotonic())))

    return sleep
