"""The whole path: the user's own preprocessing and postprocessing around the inference, each timed on the board.

A hook is a Python file that defines any of `inputs() -> iterable of raw items`, `preprocess(raw) -> arrays` and
`postprocess(outputs) -> anything`. Arrays are a list in the model's order, a dict by tensor name, or one array where
the model has one input; `outputs` is a list in the model's order. Without `inputs` the raw items are the arrays that
the run feeds the model with, without `preprocess` a raw item is what the model is fed with.

Neighbouring stages share a reading of the clock, so that they add up to the whole without a gap. Setting the inputs
and reading the outputs belong to the inference. The garbage collector stays on, as in the program that the hook is for.
"""

import itertools
import sys
import traceback
import types
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from edgeprof import wire
from edgeprof.agent import runtimes
from edgeprof.agent.delegates import BadRequest
from edgeprof.agent.digests import Damaged, read_whole
from edgeprof.agent.loading import Rejected, load, read_inputs, say_started, settings_of
from edgeprof.agent.timing import BLOCK_SECONDS, Block, Speaker, clock, involuntary_switches, new_block, warm_up

MOST_RAW_ITEMS = 1000
BLOCK_ITERATIONS = 512


class Hook(NamedTuple):
    """What the user's file defines; None is a stage that it leaves out."""

    name: str
    inputs: Optional[Callable[[], Any]]
    preprocess: Optional[Callable[[Any], Any]]
    postprocess: Optional[Callable[[List[Any]], Any]]


class Path(NamedTuple):
    """The way of one item: the stages with the flag of their samples, each fed with what the one before it gave."""

    stages: Tuple[Tuple[int, Callable[[Any], Any]], ...]
    items: List[Any]


def stages_pass(orders: Dict[str, Any], speaker: Speaker) -> None:
    """Warm the whole path up, then time its stages for `runs` items, or `duration_ms` of them."""
    given = read_inputs(orders)
    path, name = settings_of(orders).get("hook", ""), settings_of(orders).get("hook_name", "hook.py")
    if not path:
        raise BadRequest("a stages pass needs a hook")
    runtimes.import_runtime(orders["runtime"])
    source = read_whole(path, settings_of(orders).get("hook_sha256", ""), "hook")
    hook = _guarded(name, lambda: read_hook(source, name))
    loaded = load(orders)
    say_started(orders, speaker, loaded)
    whole = _guarded(name, lambda: _path(hook, loaded, given))
    switches = involuntary_switches(orders["threads"])

    def run() -> None:
        turns = itertools.cycle(whole.items)
        warmed = warm_up(lambda: once(whole, next(turns)), switches, speaker, orders["warmup"])
        speaker.mark("steady", warmed.steady)
        time_path(whole, switches, speaker, orders["runs"], orders["duration_ms"])

    _guarded(name, run)


# ── the hook ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_hook(source: bytes, name: str) -> Hook:
    """Execute the user's file; `name` is what it is called in messages."""
    module = types.ModuleType("edgeprof_hook")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102  the user's own file, on the user's own board
    inputs, preprocess, postprocess = (
        getattr(module, stage, None) for stage in ("inputs", "preprocess", "postprocess")
    )
    hook = Hook(name, inputs, preprocess, postprocess)
    if hook.preprocess is None and hook.postprocess is None:
        raise BadRequest("{} defines neither preprocess nor postprocess", name)
    return hook


def _guarded(name: str, action: Callable[[], Any]) -> Any:  # noqa: ANN401  what the action gives
    """Do it; what the hook raises becomes one line with its place, what the runtime raises is Rejected."""
    try:
        return action()
    except (BadRequest, Damaged, MemoryError):
        raise
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        line = _line_in(name, error)
        if line is not None:
            words = " ".join(str(getattr(error, "msg", error)).split())[:500]
            raise BadRequest("{}:{}: {}: {}", name, line, type(error).__name__, words) from error
        if isinstance(error, OSError):
            raise  # the disk, or the pipe to the host
        raise Rejected(" ".join(str(error).split()) or type(error).__name__) from error


def _line_in(name: str, error: BaseException) -> Optional[int]:
    """Return the line of the hook where it happened, None when it was elsewhere."""
    if isinstance(error, SyntaxError) and error.filename == name:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    return lines[-1] if lines else None


# ── the path ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _path(hook: Hook, loaded: runtimes.Loaded, given: runtimes.Inputs) -> Path:
    """Return the stages and the items, after one item went through them and was looked at on its way."""
    items = _items(hook, given)
    names = [facts.name for facts in loaded.inputs]
    if hook.preprocess is None:
        items = [in_order(hook.name, names, item) for item in items]
    prepared = items[0] if hook.preprocess is None else hook.preprocess(items[0])
    check_arrays(hook, loaded.inputs, in_order(hook.name, names, prepared))

    def infer(given_arrays: Any) -> List[Any]:  # noqa: ANN401  whatever a hook gives that stands for arrays
        loaded.feed(in_order(hook.name, names, given_arrays))
        loaded.invoke()
        return loaded.fetch()

    try:
        infer(prepared)
    except BadRequest:
        raise
    except Exception as error:  # what a runtime raises for arrays that it does not take has no common class
        words = " ".join(str(error).split()) or type(error).__name__
        raise BadRequest("{}: the model does not take what {} gave: {}", hook.name, _maker(hook), words) from error
    stages = ((wire.PREPROCESSING, hook.preprocess), (0, infer), (wire.POSTPROCESSING, hook.postprocess))
    return Path(tuple((flag, stage) for flag, stage in stages if stage is not None), items)


def _items(hook: Hook, given: runtimes.Inputs) -> List[Any]:
    if hook.inputs is None:
        return [_arrays(given.tensors, values) for values in given.inferences]
    items = list(itertools.islice(hook.inputs(), MOST_RAW_ITEMS))
    if not items:
        raise BadRequest("{}: inputs() gave no item", hook.name)
    return items


def _arrays(tensors: Tuple[runtimes.TensorFacts, ...], values: List[bytes]) -> Any:  # noqa: ANN401  arrays, or the only one
    import numpy as np

    found = {
        facts.name: np.frombuffer(value, dtype=facts.dtype).reshape(facts.shape)
        for facts, value in zip(tensors, values)
    }
    return next(iter(found.values())) if len(found) == 1 else found


def in_order(name: str, names: List[str], prepared: Any) -> List[Any]:  # noqa: ANN401  the hook's own
    """Return arrays in the model's order, from a list, a dict by tensor name or the only one."""
    if isinstance(prepared, dict):
        missing = [wanted for wanted in names if wanted not in prepared]
        if missing:
            text = "{}: no array for the input {!r}; the model's inputs are {}"
            raise BadRequest(text, name, missing[0], ", ".join(names))
        return [prepared[wanted] for wanted in names]
    arrays = list(prepared) if isinstance(prepared, (list, tuple)) else [prepared]
    if len(arrays) != len(names):
        raise BadRequest("{}: {} arrays for the {} inputs of the model", name, len(arrays), len(names))
    return arrays


def check_arrays(hook: Hook, inputs: Tuple[runtimes.TensorFacts, ...], arrays: List[Any]) -> None:
    """Refuse what is no array of the input's type; sizes are the runtime's to judge, since some are open."""
    for facts, array in zip(inputs, arrays):
        seen = getattr(array, "dtype", None)
        if str(seen) != facts.dtype:
            found = type(array).__name__ if seen is None else "{} {}".format(seen, list(array.shape))
            text = "{}: {} gave {} for the input {!r}, which takes {} {}"
            raise BadRequest(text, hook.name, _maker(hook), found, facts.name, facts.dtype, list(facts.shape))


def _maker(hook: Hook) -> str:
    return "preprocess" if hook.preprocess is not None else "inputs"


# ── timing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def once(path: Path, item: Any) -> None:  # noqa: ANN401  the user's own
    """Take one item through all stages."""
    value = item
    for _, stage in path.stages:
        value = stage(value)


def time_path(path: Path, switches: Callable[[], int], speaker: Speaker, runs: int, duration_ms: int) -> None:
    """Take samples until there are enough or the time is over; send them between two items."""
    width = len(path.stages)
    block = new_block(BLOCK_ITERATIONS * width)
    end_ns = clock() + duration_ms * 1000000 if duration_ms else 1 << 62
    left = runs or 1 << 62
    turns = itertools.cycle(path.items)
    once(path, next(turns))  # what sending left in the caches is not the first sample's
    while left > 0 and clock() < end_ns:
        deadline_ns = min(end_ns, clock() + int(BLOCK_SECONDS * 1e9))
        count = time_items(path, turns, switches, block, min(left, BLOCK_ITERATIONS), deadline_ns)
        for index in range(width):
            block.flags[index] |= wire.AFTER_SEND
        speaker.send_samples(block, count * width, 1)
        left -= count


def time_items(
    path: Path, turns: "itertools.cycle[Any]", switches: Callable[[], int], block: Block, wanted: int, deadline_ns: int
) -> int:
    """Time items into the block until there are enough or the deadline has passed; return how many.

    An item has a sample for each stage, all of them flagged where the kernel took the CPU away during any.
    """
    starts, durations, flags = block
    stages = path.stages
    now = clock
    at = 0
    before = switches()
    for count in range(1, wanted + 1):
        value = next(turns)
        first = at
        edge = now()
        for flag, stage in stages:
            value = stage(value)
            end = now()
            starts[at] = edge
            durations[at] = end - edge
            flags[at] = flag
            edge = end
            at += 1
        after = switches()
        if after != before:
            for index in range(first, at):
                flags[index] |= wire.PREEMPTED
        before = after
        if edge >= deadline_ns:
            return count
    return wanted
