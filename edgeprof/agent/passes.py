"""The passes: what is measured, each in a process of its own so that none disturbs another.

The child reads its orders as JSON on standard input and answers on a pipe, in packed messages of the wire with a length
in front; the agent frames them.
"""

import ctypes
import gc
import json
import os
import signal
import sys
import tempfile
from typing import Any, Callable, Dict, List, Set, Tuple

from edgeprof import wire
from edgeprof.agent import litert_profiler, runtimes
from edgeprof.agent.deadline import deadline_pass
from edgeprof.agent.delegates import BadRequest
from edgeprof.agent.digests import Damaged, check_files, model_sha256
from edgeprof.agent.loading import Rejected, choice_of, load, pin, read_inputs, say_started
from edgeprof.agent.pair import pair_pass
from edgeprof.agent.power_windows import energy_pass
from edgeprof.agent.stages import stages_pass
from edgeprof.agent.start_up import batch_within, start_up
from edgeprof.agent.timing import BLOCK_SAMPLES, BLOCK_SECONDS, Speaker, batch_for, clock, new_block, time_some
from edgeprof.agent.turns import turn

OPERATOR_RUNS = 50
MEMORY_RUNS = 10
# Ten minutes of a model of 50 us are 12 million inferences; more samples than this go into batches.
SUSTAINED_SAMPLES = 200000

# ── the passes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def latency_pass(orders: Dict[str, Any], speaker: Speaker) -> None:
    """Load, first inference, warm-up, then `runs` samples, or `duration_ms` of them."""
    ready = start_up(orders, speaker)
    batch = batch_for(ready.typical_ns, orders["batch"])
    if orders["batch"] == wire.AUTO and not orders["runs"]:
        batch = batch_within(ready.typical_ns, batch, orders["duration_ms"] * 1000000, SUSTAINED_SAMPLES)
    steady_samples(ready.invoke, ready.switches, speaker, orders, batch)


def steady_samples(
    invoke: Callable[[], Any], switches: Callable[[], int], speaker: Speaker, orders: Dict[str, Any], batch: int
) -> None:
    """Take samples until there are enough or the time is over; send them between two inferences."""
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
    inputs = read_inputs(orders)
    runtimes.import_runtime(orders["runtime"])
    folder = tempfile.mkdtemp(prefix="edgeprof-")
    try:
        runtimes.probe(orders["runtime"], orders["format"], folder, choice_of(orders))
    finally:
        _remove(folder)
    gc.collect()
    reset = _reset_peak()
    baseline = _memory()
    speaker.mark("baseline_anonymous_bytes", baseline["RssAnon"])
    speaker.mark("baseline_file_backed_bytes", baseline["RssFile"])
    loaded = load(orders)
    say_started(orders, speaker, loaded)
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
    peak = max(r["VmHWM"] for r in readings)
    if reset or peak > baseline["VmHWM"]:
        speaker.mark("peak_bytes", peak - resident)
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
    """Return what is resident, by walking the pages where the kernel does that (smaps_rollup, from 4.14 on).

    The counters in status are "inaccurate" (proc(5)), kept in batches. For a small model that is all of it: under
    Debian's Linux 6.1 for arm64 they do not move at all while a model of 42 KiB is loaded and run.
    """
    found = _numbers("/proc/self/status", {b"VmHWM:", b"VmRSS:", b"RssAnon:", b"RssFile:"})
    try:
        pages = _numbers("/proc/self/smaps_rollup", {b"Rss:", b"Anonymous:"})
        found["VmRSS"], found["RssAnon"] = pages["Rss"], pages["Anonymous"]
        found["RssFile"] = pages["Rss"] - pages["Anonymous"]
    except (OSError, LookupError):
        pass
    found["VmHWM"] = max(found["VmHWM"], found["VmRSS"])
    return found


def _numbers(path: str, names: Set[bytes]) -> Dict[str, int]:
    found = {}
    with open(path, "rb") as file:
        for line in file:
            words = line.split()
            if words and words[0] in names:
                found[words[0][:-1].decode("ascii")] = int(words[1]) * 1024
    return found


def operators_pass(orders: Dict[str, Any], speaker: Speaker) -> None:
    """Time single operators; the runtime's own profile slows the model down, so nothing else is measured here."""
    inputs = read_inputs(orders)
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
        loaded = load(orders, os.path.join(folder, "profile"))
        say_started(orders, speaker, loaded)
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
    check_files(orders)
    speaker.say(wire.Started(speaker.run, model_sha256(orders), orders["runtime"]))
    if orders["runtime"] != "ai_edge_litert":
        speaker.note("operators-unavailable", "{} has no per-operator profile".format(orders["runtime"]))
        return []
    delegate = choice_of(orders).delegate
    if delegate not in {"", "xnnpack"}:
        text = "LiteRT's profiler runs the model with XNNPACK, and the delegate {} was asked for"
        speaker.note("operators-unavailable", text.format(delegate))
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
    inputs = read_inputs(orders)
    runtimes.import_runtime(orders["runtime"])
    loaded = load(orders)
    say_started(orders, speaker, loaded)
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
    "pair": pair_pass,
    "deadline": deadline_pass,
    "energy": energy_pass,
    "stages": stages_pass,
}


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
        pin(orders)
        if orders["pass"] == "probe":  # noqa: S105  a pass of measuring, no password
            _probe(orders, speaker)
        else:
            with turn(orders["pass"], orders.get("folder", ""), speaker):
                PASSES[orders["pass"]](orders, speaker)
            speaker.say(wire.Done(speaker.run, speaker.samples, speaker.crc))
    except Rejected as error:
        _say_failed(speaker, "model-rejected", str(error))
    except BadRequest as error:
        _say_failed(speaker, "bad-request", str(error))
    except Damaged as error:
        _say_failed(speaker, "blob-corrupt", str(error))
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
