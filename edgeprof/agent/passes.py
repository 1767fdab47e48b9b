"""The passes: what is measured, each in a process of its own so that none disturbs another.

The child reads its orders as JSON on standard input and answers on a pipe, in packed messages of the wire with a length
in front; the agent frames them. Nothing is written inside a timed region: samples fill a block, a block is sent
between two inferences, and the first sample after that is flagged.
"""

import ctypes
import gc
import itertools
import json
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import zlib
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from edgeprof import wire
from edgeprof.agent import litert_profiler, runtimes

BLOCK_SAMPLES = 2048
BLOCK_SECONDS = 0.25
# Below this an invoke is timed in batches: two readings of the clock cost a few tenths of a microsecond.
BATCH_BELOW_NS = 10000
BATCH_TARGET_NS = 100000
WARMUP_WINDOW_NS = 2000000
WARMUP_LIMIT_NS = 10000000000
WARMUP_KEPT = 1000
STEADY_RATIO = 0.05
OPERATOR_RUNS = 50
MEMORY_RUNS = 10

if hasattr(time, "perf_counter_ns"):
    clock = time.perf_counter_ns  # novm: guarded
else:  # Python 3.6

    def clock() -> int:
        """Return nanoseconds on the monotonic clock."""
        return int(time.perf_counter() * 1e9)


class Rejected(Exception):
    """The runtime refused the model."""


class Block(NamedTuple):
    """Columns of samples, allocated before anything is timed."""

    starts: List[int]
    durations: List[int]
    flags: List[int]


def new_block(size: int = BLOCK_SAMPLES) -> Block:
    """Return a block of zeros."""
    return Block([0] * size, [0] * size, [0] * size)


class Speaker(object):
    """The child's side of the pipe to the agent."""

    def __init__(self, descriptor: int, run: int, max_frame: int) -> None:
        self._file = os.fdopen(descriptor, "wb")
        self.run = run
        self.max_frame = max_frame
        self.samples = 0
        self.crc = 0

    def say(self, message: wire.Message) -> None:
        """Send one message."""
        payload = wire.pack(message)
        self._file.write(struct.pack("<IB", len(payload), wire.LAYOUTS[type(message)].type) + payload)
        self._file.flush()

    def mark(self, kind: str, value: int) -> None:
        """Send one figure."""
        self.say(wire.Mark(self.run, wire.MARKS.index(kind), max(0, int(value))))

    def note(self, code: str, text: str) -> None:
        """Send something that a person should know."""
        self.say(wire.Note(self.run, code, text))

    def send_samples(self, block: Block, count: int, batch: int) -> None:
        """Send the first `count` samples of a block, in as many frames as they need."""
        step = wire.samples_per_frame(self.max_frame)
        for first in range(0, count, step):
            last = min(first + step, count)
            columns = wire.pack_columns(block.starts[first:last], block.durations[first:last], block.flags[first:last])
            self.crc = zlib.crc32(columns, self.crc) & 0xFFFFFFFF
            self.say(wire.Samples(self.run, self.samples, last - first, batch, columns))
            self.samples += last - first


# ── the timed loop ───────────────────────────────────────────────────────────────────────────────────────────────────


def involuntary_switches(threads: int) -> Callable[[], int]:
    """Return a counter of involuntary context switches: of this thread, or of the process when there are several."""
    who = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF) if threads == 1 else resource.RUSAGE_SELF
    usage = resource.getrusage
    return lambda: usage(who).ru_nivcsw


def time_block(
    invoke: Callable[[], Any], switches: Callable[[], int], block: Block, first: int, last: int, deadline_ns: int
) -> int:
    """Time single inferences into the block until it is full or the deadline has passed; return where it ended.

    Only `invoke` is between the two readings of the clock.
    """
    starts, durations, flags = block
    now = clock
    before = switches()
    for index in range(first, last):
        start = now()
        invoke()
        end = now()
        starts[index] = start
        durations[index] = end - start
        after = switches()
        flags[index] = wire.PREEMPTED if after != before else 0
        before = after
        if end >= deadline_ns:
            return index + 1
    return last


def time_batches(
    invoke: Callable[[], Any],
    switches: Callable[[], int],
    block: Block,
    first: int,
    last: int,
    deadline_ns: int,
    batch: int,
) -> int:
    """Time batches of inferences: a sample is the duration of a whole batch."""
    starts, durations, flags = block
    now = clock
    before = switches()
    for index in range(first, last):
        rounds = itertools.repeat(None, batch)
        start = now()
        for _ in rounds:
            invoke()
        end = now()
        starts[index] = start
        durations[index] = end - start
        after = switches()
        flags[index] = wire.PREEMPTED if after != before else 0
        before = after
        if end >= deadline_ns:
            return index + 1
    return last


def time_some(
    invoke: Callable[[], Any],
    switches: Callable[[], int],
    block: Block,
    first: int,
    last: int,
    deadline_ns: int,
    batch: int,
) -> int:
    """Time inferences one by one, or in batches when `batch` is more than 1."""
    if batch == 1:
        return time_block(invoke, switches, block, first, last, deadline_ns)
    return time_batches(invoke, switches, block, first, last, deadline_ns, batch)


def median(values: List[int]) -> float:
    """Return the middle value."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return float(ordered[half]) if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2.0


# ── warm-up ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class WarmedUp(NamedTuple):
    """How the warm-up ended: the typical duration of one inference then, and whether it had become steady."""

    typical_ns: float
    steady: int


def warm_up(invoke: Callable[[], Any], switches: Callable[[], int], speaker: Speaker, wanted: int) -> WarmedUp:
    """Run until three windows in a row have medians within 5 % (or 1 us) of each other, or `wanted` times.

    A window is at least 3 inferences and 2 ms. After 10 s it ends all the same and says that it was not steady.
    """
    if wanted != wire.AUTO:
        return _fixed_warm_up(invoke, switches, speaker, wanted)
    begin = clock()
    medians: List[float] = []
    kept = 0
    while True:
        block, count = _window(invoke, switches)
        medians.append(median(block.durations[:count]))
        kept += _keep_warmup(speaker, block, min(count, WARMUP_KEPT - kept))
        recent = medians[-3:]
        if len(recent) == 3 and max(recent) - min(recent) <= max(STEADY_RATIO * min(recent), 1000):
            return WarmedUp(recent[-1], 1)
        if clock() - begin > WARMUP_LIMIT_NS:
            return WarmedUp(recent[-1], 0)


def _fixed_warm_up(invoke: Callable[[], Any], switches: Callable[[], int], speaker: Speaker, wanted: int) -> WarmedUp:
    block = new_block(max(1, wanted))
    count = time_block(invoke, switches, block, 0, wanted, clock() + (1 << 62)) if wanted else 0
    _keep_warmup(speaker, block, min(count, WARMUP_KEPT))
    return WarmedUp(median(block.durations[:count]) if count else float(BATCH_BELOW_NS), 1)


def _window(invoke: Callable[[], Any], switches: Callable[[], int]) -> Tuple[Block, int]:
    block = new_block()
    count = time_block(invoke, switches, block, 0, 3, clock() + (1 << 62))
    missing = WARMUP_WINDOW_NS - sum(block.durations[:count])
    if missing > 0:
        count = time_block(invoke, switches, block, count, BLOCK_SAMPLES, clock() + missing)
    return block, count


def _keep_warmup(speaker: Speaker, block: Block, count: int) -> int:
    if count > 0:
        block.flags[:count] = [flag | wire.WARMUP for flag in block.flags[:count]]
        speaker.send_samples(block, count, 1)
    return max(0, count)


def batch_for(typical_ns: float, wanted: int) -> int:
    """Return how many inferences make a sample: 1 from 10 us on, else enough for 100 us."""
    if wanted != wire.AUTO:
        return max(1, wanted)
    if typical_ns >= BATCH_BELOW_NS:
        return 1
    return int(BATCH_TARGET_NS / max(typical_ns, 50.0)) + 1


# ── the passes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def latency_pass(orders: Dict[str, Any], speaker: Speaker) -> None:
    """Load, first inference, warm-up, then `runs` samples, or `duration_ms` of them."""
    inputs = _read_inputs(orders)
    begin = clock()
    runtimes.import_runtime(orders["runtime"])
    speaker.mark("import_ticks", clock() - begin)
    begin = clock()
    loaded = _load(orders)
    speaker.mark("load_ticks", clock() - begin)
    _say_started(orders, speaker, loaded)
    runtimes.give_inputs(loaded, inputs, 0)
    begin = clock()
    _first_invoke(loaded)
    speaker.mark("first_ticks", clock() - begin)
    switches = involuntary_switches(orders["threads"])
    gc.disable()
    warmed = warm_up(loaded.invoke, switches, speaker, orders["warmup"])
    speaker.mark("steady", warmed.steady)
    batch = batch_for(warmed.typical_ns, orders["batch"])
    _steady_samples(loaded.invoke, switches, speaker, orders, batch)


def _steady_samples(
    invoke: Callable[[], Any], switches: Callable[[], int], speaker: Speaker, orders: Dict[str, Any], batch: int
) -> None:
    block = new_block()
    end_ns = clock() + orders["duration_ms"] * 1000000 if orders["duration_ms"] else 1 << 62
    left = orders["runs"] or 1 << 62
    invoke()  # what sending left in the caches is not the first sample's
    while left > 0 and clock() < end_ns:
        wanted = min(left, BLOCK_SAMPLES)
        deadline = min(end_ns, clock() + int(BLOCK_SECONDS * 1e9))
        count = time_some(invoke, switches, block, 0, wanted, deadline, batch)
        block.flags[0] |= wire.AFTER_SEND
        speaker.send_samples(block, count, batch)
        left -= count


def memory_pass(orders: Dict[str, Any], speaker: Speaker) -> None:
    """Measure the model's own memory: what is above the runtime with an empty model loaded, in kernel accounting."""
    inputs = _read_inputs(orders)
    runtimes.import_runtime(orders["runtime"])
    folder = tempfile.mkdtemp(prefix="edgeprof-")
    try:
        runtimes.probe(orders["runtime"], orders["format"], folder)
    finally:
        _remove(folder)
    gc.collect()
    reset = _reset_peak()
    baseline = _memory()
    speaker.mark("baseline_anonymous_bytes", baseline["RssAnon"])
    speaker.mark("baseline_file_backed_bytes", baseline["RssFile"])
    loaded = _load(orders)
    _say_started(orders, speaker, loaded)
    resident = baseline["VmRSS"]
    speaker.mark("loaded_bytes", _memory()["VmRSS"] - resident)
    runtimes.give_inputs(loaded, inputs, 0)
    readings = []
    for _ in range(MEMORY_RUNS):  # an allocator's arena grows over the first runs
        loaded.invoke()
        readings.append(_memory())
    last = readings[-1]
    speaker.mark("average_bytes", sum(r["VmRSS"] - resident for r in readings) // len(readings))
    speaker.mark("anonymous_bytes", max(r["RssAnon"] for r in readings) - baseline["RssAnon"])
    speaker.mark("file_backed_bytes", last["RssFile"] - baseline["RssFile"])
    if reset or last["VmHWM"] > baseline["VmHWM"]:
        speaker.mark("peak_bytes", last["VmHWM"] - resident)
    else:
        speaker.note("peak-hidden", "the kernel refused to reset the peak, and the runtime's own start-up was higher")


def _reset_peak() -> bool:
    """Reset VmHWM of this process (proc(5), clear_refs 5)."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return False
    return True


def _memory() -> Dict[str, int]:
    found = {}
    with open("/proc/self/status", "rb") as file:
        for line in file:
            words = line.split()
            if words and words[0] in {b"VmHWM:", b"VmRSS:", b"RssAnon:", b"RssFile:"}:
                found[words[0][:-1].decode("ascii")] = int(words[1]) * 1024
    return found


def operators_pass(orders: Dict[str, Any], speaker: Speaker) -> None:
    """Time single operators; the runtime's own profile slows the model down, so nothing else is measured here."""
    inputs = _read_inputs(orders)
    runs = max(1, min(orders["runs"], OPERATOR_RUNS))
    if orders["format"] == "onnx":
        rows = _onnx_operators(orders, speaker, inputs, runs)
    else:
        rows = _tflite_operators(orders, speaker, inputs, runs)
    for index, (name, kind, calls, ticks) in enumerate(rows):
        speaker.say(wire.OperatorTime(speaker.run, index, calls, ticks, name[:200], kind[:60]))


def _onnx_operators(
    orders: Dict[str, Any], speaker: Speaker, inputs: runtimes.Inputs, runs: int
) -> List[Tuple[str, str, int, int]]:
    runtimes.import_runtime(orders["runtime"])
    folder = tempfile.mkdtemp(prefix="edgeprof-")
    try:
        loaded = _load(orders, os.path.join(folder, "profile"))
        _say_started(orders, speaker, loaded)
        runtimes.give_inputs(loaded, inputs, 0)
        for _ in range(runs + 3):
            loaded.invoke()
        with open(loaded.end_profile()) as file:
            events = json.load(file)
    finally:
        _remove(folder)
    speaker.note("operators-method", "ONNX Runtime's own profile, 1 us resolution, mean of {} runs".format(runs))
    return _fold_onnx_profile(events, runs)


def _fold_onnx_profile(events: List[Dict[str, Any]], runs: int) -> List[Tuple[str, str, int, int]]:
    """Sum the kernel time of each node over the last `runs` inferences; the first ones are warm-up."""
    seen: Dict[str, List[Any]] = {}
    for event in events:
        name = event.get("name", "")
        if event.get("cat") != "Node" or not name.endswith("_kernel_time"):
            continue
        entry = seen.setdefault(name[: -len("_kernel_time")], [event.get("args", {}).get("op_name", ""), []])
        entry[1].append(int(event.get("dur", 0)))
    return [(name, kind, len(times[-runs:]), sum(times[-runs:]) * 1000) for name, (kind, times) in seen.items()]


def _tflite_operators(
    orders: Dict[str, Any], speaker: Speaker, inputs: runtimes.Inputs, runs: int
) -> List[Tuple[str, str, int, int]]:
    speaker.say(wire.Started(speaker.run, bytes(bytearray.fromhex(orders["sha256"])), orders["runtime"]))
    if orders["runtime"] != "ai_edge_litert":
        speaker.note("operators-unavailable", "{} has no per-operator profile".format(orders["runtime"]))
        return []
    try:
        rows, method = litert_profiler.operator_times(orders["path"], inputs.inferences[0], runs, orders["threads"])
    except litert_profiler.ProfilerUnavailable as error:
        speaker.note("operators-unavailable", str(error))
        return []
    speaker.note("operators-method", method)
    return [(row.name, row.type, row.calls, row.ticks_ns) for row in rows]


def outputs_pass(orders: Dict[str, Any], speaker: Speaker) -> None:
    """Run every inference of the input blob and send what comes out."""
    inputs = _read_inputs(orders)
    runtimes.import_runtime(orders["runtime"])
    loaded = _load(orders)
    _say_started(orders, speaker, loaded)
    step = speaker.max_frame - 400
    for index in range(len(inputs.inferences)):
        runtimes.give_inputs(loaded, inputs, index)
        loaded.invoke()
        for tensor, (facts, content) in enumerate(loaded.outputs()):
            shape = ",".join(str(size) for size in facts.shape)
            for offset in range(0, max(1, len(content)), step):
                part = content[offset : offset + step]
                speaker.say(wire.Output(speaker.run, index, tensor, offset, len(content), part, facts.name[:200],
                                        facts.dtype, shape))  # fmt: skip


PASSES: Dict[str, Callable[[Dict[str, Any], Speaker], None]] = {
    "latency": latency_pass,
    "sustained": latency_pass,
    "memory": memory_pass,
    "operators": operators_pass,
    "outputs": outputs_pass,
}


def _read_inputs(orders: Dict[str, Any]) -> runtimes.Inputs:
    with open(orders["inputs"], "rb") as file:
        return runtimes.read_inputs(file.read())


def _load(orders: Dict[str, Any], profile_prefix: str = "") -> runtimes.Loaded:
    try:
        return runtimes.load(orders["runtime"], orders["path"], orders["threads"], orders["shapes"], profile_prefix)
    except MemoryError:
        raise
    except Exception as error:  # what a runtime raises for a model that it does not take has no common class
        raise Rejected(str(error) or type(error).__name__) from error


def _first_invoke(loaded: runtimes.Loaded) -> None:
    """Run once; what fails here is the model with these inputs, such as shapes that its operators refuse."""
    try:
        loaded.invoke()
    except MemoryError:
        raise
    except Exception as error:  # the same
        raise Rejected(str(error) or type(error).__name__) from error


def _say_started(orders: Dict[str, Any], speaker: Speaker, loaded: runtimes.Loaded) -> None:
    detail = json.dumps(loaded.detail, sort_keys=True)
    sha256 = bytes(bytearray.fromhex(orders["sha256"]))
    speaker.say(wire.Started(speaker.run, sha256, orders["runtime"], detail))


def _remove(folder: str) -> None:
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)


# ── the child process ────────────────────────────────────────────────────────────────────────────────────────────────


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the agent dies (prctl(2), PR_SET_PDEATHSIG)."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGKILL), 0, 0, 0)
    except (OSError, AttributeError):
        pass  # not Linux: the broken pipe ends the child at its next word


def main(descriptor: int) -> int:
    """Carry out the orders that stand on standard input; answer on the descriptor."""
    die_with_parent()
    orders = json.loads(sys.stdin.read())
    speaker = Speaker(descriptor, orders["run"], orders["max_frame"])
    try:
        if orders["pass"] == "probe":  # noqa: S105  a pass of measuring, no password
            _probe(orders, speaker)
        else:
            PASSES[orders["pass"]](orders, speaker)
            speaker.say(wire.Done(speaker.run, speaker.samples, speaker.crc))
    except Rejected as error:
        _say_failed(speaker, "model-rejected", str(error))
    except MemoryError:
        _say_failed(speaker, "out-of-memory", "the runtime ran out of memory")
    except OSError as error:
        _say_failed(speaker, "disk-full" if error.errno == 28 else "internal", str(error))
    except Exception as error:  # noqa: BLE001  the agent's last resort: the host shows it with its kind
        _say_failed(speaker, "internal", "{}: {}".format(type(error).__name__, error))
    return 0


def _probe(orders: Dict[str, Any], speaker: Speaker) -> None:
    folder = tempfile.mkdtemp(prefix="edgeprof-")
    try:
        found = runtimes.probe(orders["runtime"], orders["format"], folder)
    except ImportError as error:
        found = {"name": orders["runtime"], "works": False, "reason": str(error)}
    except Exception as error:  # noqa: BLE001  whatever it is, the runtime does not work, and this is why
        reason = "{}: {}".format(type(error).__name__, error)
        found = {"name": orders["runtime"], "works": False, "reason": reason}
    finally:
        _remove(folder)
    speaker.say(wire.Runtimes(1, json.dumps([found])))


def _say_failed(speaker: Speaker, code: str, text: str) -> None:
    speaker.say(wire.Failed(speaker.run, wire.FAILURES.index(code), text[:2000]))
