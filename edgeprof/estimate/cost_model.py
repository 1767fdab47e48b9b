"""A coarse cost model of a board, for the simulator: cycles a MAC by kind of core. It predicts nothing.

The rates are round figures inside what MLPerf Tiny submissions show for each class of core (results v0.5 to v1.3):
TFLM with CMSIS-NN on Cortex-M4 takes 6.8 to 9.6 cycles a MAC, the best vendor runtime 1.4; M7 0.9 and M33 1.3 at best;
four Cortex-A72 0.13 together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edgeprof.records.board import Board

DEFAULT_CLOCK_HZ = 100_000_000
CYCLES_PER_MAC = {
    "cortex-m0": 20.0,
    "cortex-m3": 10.0,
    "cortex-m4": 5.0,
    "cortex-m7": 3.0,
    "cortex-m33": 4.0,
    "cortex-m55": 0.6,
    "cortex-m85": 0.5,
    "cortex-a53": 0.6,
    "cortex-a57": 0.4,
    "cortex-a72": 0.35,
    "cortex-a76": 0.12,
    "cortex-a78": 0.1,
}
OTHER_LINUX, OTHER_MCU = 0.3, 6.0
FLOAT_FACTOR = 3.0
DEPTHWISE_FACTOR = 4.0
ELEMENT_CYCLES = {"linux": 0.25, "mcu": 4.0, "emulated": 4.0}
CALL_CYCLES = {"linux": 4000.0, "mcu": 2500.0, "emulated": 2500.0}


class OperatorLoad(NamedTuple):
    """What one operator has to do: multiply-accumulates, elements written, and of which kind."""

    name: str
    type: str
    macs: int
    elements: int
    depthwise: bool
    floating: bool


def clock_hz(board: Board) -> int:
    """Return the clock of the core that runs the model, 100 MHz where the board's facts do not say."""
    clocks = [core.max_clock_hz for core in board.cores if core.max_clock_hz]
    return clocks[0] if clocks else DEFAULT_CLOCK_HZ


def operator_seconds(board: Board, load: OperatorLoad) -> float:
    """Return a plausible time of one operator on one core."""
    core = board.cores[0].model if board.cores else ""
    matched = max((name for name in CYCLES_PER_MAC if core.startswith(name)), key=len, default="")
    other = OTHER_LINUX if board.kind == "linux" else OTHER_MCU
    rate = CYCLES_PER_MAC.get(matched, other)
    rate *= (FLOAT_FACTOR if load.floating else 1.0) * (DEPTHWISE_FACTOR if load.depthwise else 1.0)
    cycles = load.macs * rate + load.elements * ELEMENT_CYCLES[board.kind] + CALL_CYCLES[board.kind]
    return cycles / clock_hz(board)
