"""The energy pass: windows of back-to-back inferences with the board at rest before, between and after them.

The first sample of each window is flagged; what lies between the last sample of a window and the first of the next is
rest, less what sending the window's block takes at its beginning. Idle is a state with a name: here the process sleeps
in the kernel's timer, and governor and clocks are left as they are.
"""

import time
from typing import Any, Callable, Dict, List, Tuple

from edgeprof import wire
from edgeprof.agent.delegates import BadRequest
from edgeprof.agent.start_up import batch_within, start_up
from edgeprof.agent.timing import Block, Speaker, batch_for, clock, new_block, time_some

SAMPLES_A_WINDOW = 2000
BLOCK = 4096
IDLE_STATE = "sleeping process, governor unchanged"


def energy_pass(orders: Dict[str, Any], speaker: Speaker) -> None:
    """Warm up, rest, then `windows` times: infer for `window_ms`, rest for `idle_ms`."""
    settings = orders["settings"]
    windows, window_ms, idle_ms = (int(settings.get(name, 0)) for name in ("windows", "window_ms", "idle_ms"))
    if windows <= 0 or window_ms <= 0:
        raise BadRequest("an energy pass needs windows and a window_ms above 0")
    ready = start_up(orders, speaker)
    speaker.note("idle-state", IDLE_STATE)
    least = batch_for(ready.typical_ns, orders["batch"])
    batch = batch_within(ready.typical_ns, least, window_ms * 1000000, SAMPLES_A_WINDOW)
    take_windows(ready.invoke, ready.switches, speaker, (windows, window_ms * 1000000, idle_ms / 1e3), batch)


def take_windows(
    invoke: Callable[[], Any],
    switches: Callable[[], int],
    speaker: Speaker,
    plan: Tuple[int, int, float],
    batch: int,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Take windows; `plan` is how many, how long one is in ns, and how long the rest is in s."""
    windows, window_ns, idle_s = plan
    sleep(idle_s)
    for _ in range(windows):
        blocks = _window(invoke, switches, clock() + window_ns, batch)
        blocks[0][0].flags[0] |= wire.WINDOW
        for block, count in blocks:
            speaker.send_samples(block, count, batch)
        sleep(idle_s)


def _window(invoke: Callable[[], Any], switches: Callable[[], int], end_ns: int, batch: int) -> List[Tuple[Block, int]]:
    """Infer until the end; blocks are kept until then, so that nothing is sent inside a window."""
    blocks: List[Tuple[Block, int]] = []
    while not blocks or clock() < end_ns:
        block = new_block(BLOCK)
        blocks.append((block, time_some(invoke, switches, block, 0, BLOCK, end_ns, batch)))
    return blocks
