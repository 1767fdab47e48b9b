"""What a timed pass begins with: import, load, first inference, warm-up, each told apart."""

import gc
from typing import Any, Callable, Dict, NamedTuple

from edgeprof.agent import runtimes
from edgeprof.agent.loading import first_invoke, load, read_inputs, say_started
from edgeprof.agent.timing import Speaker, clock, involuntary_switches, warm_up

Load = Callable[[Dict[str, Any]], runtimes.Loaded]


class Ready(NamedTuple):
    """A model that is warm: run it once, count involuntary context switches, and how long one inference takes."""

    invoke: Callable[[], Any]
    switches: Callable[[], int]
    typical_ns: float


def start_up(orders: Dict[str, Any], speaker: Speaker, load_model: Load = load) -> Ready:
    """Import the runtime, load the model, run it once, warm it up; say how long each took."""
    inputs = read_inputs(orders)
    begin = clock()
    runtimes.import_runtime(orders["runtime"])
    speaker.mark("import_ticks", clock() - begin)
    begin = clock()
    loaded = load_model(orders)
    speaker.mark("load_ticks", clock() - begin)
    say_started(orders, speaker, loaded)
    runtimes.give_inputs(loaded, inputs, 0)
    begin = clock()
    first_invoke(loaded)
    speaker.mark("first_ticks", clock() - begin)
    switches = involuntary_switches(orders["threads"])
    gc.disable()
    warmed = warm_up(loaded.invoke, switches, speaker, orders["warmup"])
    speaker.mark("steady", warmed.steady)
    return Ready(loaded.invoke, switches, warmed.typical_ns)


def batch_within(typical_ns: float, least: int, span_ns: int, most: int) -> int:
    """Return how many inferences make a sample so that at most `most` samples fill the span; at least `least`."""
    return max(least, -int(-span_ns // max(1, int(typical_ns * most))))
