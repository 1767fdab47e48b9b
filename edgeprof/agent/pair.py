"""Two models in one process, run in turns: what is compared sees the same machine in the same millisecond.

Statistics of separate processes do not compare: two launches of the same model differ by 11 to 18 %. So both models are
loaded here, in random order (the order of creation is worth 0.7 %), and their single inferences alternate, in random
order within each pair. The host takes the median of a launch's ratios and repeats over fresh launches.

The two may want different runtimes: both are imported, in this one process, and share its CPU and its moment. With
several threads a runtime's workers spin for a while after an inference, in wait for the next, on the CPUs that the
other model needs now. So each turn then begins with inferences that are not timed, until that is over and the model is
as warm as one that runs alone.
"""

import gc
import json
import os
import random
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from edgeprof import wire
from edgeprof.agent import runtimes
from edgeprof.agent.digests import model_sha256
from edgeprof.agent.loading import first_invoke, load, read_inputs
from edgeprof.agent.timing import Block, Speaker, batch_for, clock, involuntary_switches, new_block, warm_up

PAIRS_IN_A_BLOCK = 256
SETTLE_NS = 3000000
"""How long a turn runs untimed with several threads."""


class Side(NamedTuple):
    """One of the two: its way to run once, and what its runtime says of itself."""

    invoke: Callable[[], Any]
    detail: Dict[str, Any]


Load = Callable[[Dict[str, Any]], runtimes.Loaded]


def pair_pass(orders: Dict[str, Any], speaker: Speaker, load_model: Load = load) -> None:
    """Load both models, warm both up, then time `runs` pairs of inferences (of batches when they are short)."""
    second = orders["settings"]["second"]
    of_second = dict(
        orders, path=second["model"], inputs=second["inputs"], inputs_sha256=second.get("inputs_sha256", ""),
        format=second["format"],
        runtime=second.get("runtime") or orders["runtime"], shapes=second.get("shapes", {}),
        settings={
            "delegate": second.get("delegate", ""), "providers": second.get("providers", []),
            "runtime_options": second.get("runtime_options", []),
            "cpus": orders["settings"].get("cpus", []),
        },
    )  # fmt: skip
    first, other = _both(orders, of_second, load_model)
    settle_ns = SETTLE_NS if orders["threads"] > 1 else 0
    used = {
        "base": first.detail, "new": other.detail, "base_runtime": orders["runtime"],
        "new_runtime": of_second["runtime"], "settle_ns": settle_ns,
    }  # fmt: skip
    if orders["settings"].get("cpus"):
        used["cpus"] = sorted(os.sched_getaffinity(0))
    detail = json.dumps(used, sort_keys=True)
    speaker.say(wire.Started(speaker.run, model_sha256(orders), orders["runtime"], detail))
    switches = involuntary_switches(orders["threads"])
    gc.disable()
    typical = [warm_up(side.invoke, switches, speaker, orders["warmup"]) for side in (first, other)]
    speaker.mark("steady", min(warmed.steady for warmed in typical))
    batch = batch_for(min(warmed.typical_ns for warmed in typical), orders["batch"])
    take_pairs(first.invoke, other.invoke, switches, speaker, pairs=orders["runs"], batch=batch, settle_ns=settle_ns)


def _both(orders: Dict[str, Any], of_second: Dict[str, Any], load_model: Load) -> List[Side]:
    """Load the two in random order; return base first."""
    sides: Dict[int, Side] = {}
    for index in random.SystemRandom().sample((0, 1), 2):
        wanted = (orders, of_second)[index]
        runtimes.import_runtime(wanted["runtime"])
        loaded = load_model(wanted)
        runtimes.give_inputs(loaded, read_inputs(wanted), 0)
        first_invoke(loaded)
        sides[index] = Side(loaded.invoke, loaded.detail)
    return [sides[0], sides[1]]


def take_pairs(
    base: Callable[[], Any],
    new: Callable[[], Any],
    switches: Callable[[], int],
    speaker: Speaker,
    pairs: int,
    batch: int,
    settle_ns: int = 0,
    chance: Optional[random.Random] = None,
) -> None:
    """Time pairs, each in random order, and send them between two pairs; a pair is two samples, base unflagged."""
    chance = chance or random.SystemRandom()
    block = new_block(2 * PAIRS_IN_A_BLOCK)
    left = pairs
    while left > 0:
        count = min(left, PAIRS_IN_A_BLOCK)
        order = [chance.getrandbits(1) for _ in range(count)]
        base()  # what sending left in the caches is not the first pair's
        new()
        time_pairs(base, new, switches, block, order, batch, settle_ns)
        block.flags[0] |= wire.AFTER_SEND
        block.flags[1] |= wire.AFTER_SEND
        speaker.send_samples(block, 2 * count, batch)
        left -= count


def time_pairs(
    base: Callable[[], Any],
    new: Callable[[], Any],
    switches: Callable[[], int],
    block: Block,
    order: List[int],
    batch: int,
    settle_ns: int = 0,
) -> None:
    """Fill the block with the pairs of this order; `order` says which of the two comes first."""
    starts, durations, flags = block
    now = clock
    repeats = range(batch - 1)
    at = 0
    before = switches()
    for new_first in order:
        for turn in (new_first, 1 - new_first):
            invoke = new if turn else base
            if settle_ns:
                settled = now() + settle_ns
                while now() < settled:
                    invoke()
                before = switches()
            start = now()
            invoke()
            for _ in repeats:
                invoke()
            end = now()
            starts[at] = start
            durations[at] = end - start
            after = switches()
            flags[at] = (wire.SECOND if turn else 0) | (wire.PREEMPTED if after != before else 0)
            before = after
            at += 1
