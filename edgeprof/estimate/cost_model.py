"""What the simulator draws its times from: the estimator where it knows the core, round figures elsewhere.

The round figures predict nothing. They lie inside what MLPerf Tiny submissions show for each class of core (results
v0.5 to v1.3): four Cortex-A72 take 0.13 cycles a MAC together, a Cortex-M without SIMD instructions 8 to 16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.estimate.coefficients import shipped_coefficients
from edgeprof.estimate.confidence import core_class
from edgeprof.estimate.features import Work, features
from edgeprof.estimate.model import cycle_rates, own_multiplier, work_cycles
from edgeprof.model.cost import model_cost
from edgeprof.model.graph import elements_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.model.graph import Graph
    from edgeprof.records.board import Board

DEFAULT_CLOCK_HZ = 100_000_000
SIMULATED_ENGINE = "tflm+cmsis-nn"
"""What a simulated microcontroller runs; where no such runtime was measured, the first one that was."""

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
    """What one operator has to do: multiply-accumulates, elements written, and of which kind.

    `work` is the same as the estimator counts it, None for an operator that it knows nothing of.
    """

    name: str
    type: str
    macs: int
    elements: int
    depthwise: bool
    floating: bool
    work: Work | None = None


def graph_loads(graph: Graph) -> Iterator[OperatorLoad]:
    """Yield what each operator of the main graph has to do."""
    for operator, cost, known in zip(
        graph.operators, model_cost(graph).operators, features(graph).operators, strict=True
    ):
        outputs = [graph.tensors[index] for index in operator.outputs if index >= 0]
        yield OperatorLoad(
            name=known.name,
            type=operator.type,
            macs=cost.macs_count or 0,
            elements=sum(elements_count(tensor.shape) or 0 for tensor in outputs),
            depthwise="DEPTHWISE" in operator.type or int(str(operator.attributes.get("group", 1))) > 1,
            floating=any(tensor.dtype.startswith("float") for tensor in outputs),
            work=None if known.outside else known.dense,
        )


def clock_hz(board: Board) -> int:
    """Return the clock of the core that runs the model, 100 MHz where the board's facts do not say."""
    clocks = [core.max_clock_hz for core in board.cores if core.max_clock_hz]
    return clocks[0] if clocks else DEFAULT_CLOCK_HZ


def simulated_engine(board: Board) -> str | None:
    """Return the engine whose measured rates a simulated board has, None where its core class is not in the data."""
    fitted = shipped_coefficients()
    found = fitted.cores.get(core_class(board.cores[0].model)) if board.kind == "mcu" and board.cores else None
    if found is None:
        return None
    return SIMULATED_ENGINE if SIMULATED_ENGINE in found.engines else found.engines[0]


def operator_seconds(board: Board, load: OperatorLoad) -> float:
    """Return the time of one operator on one core, to be called simulated wherever it is shown."""
    engine = simulated_engine(board)
    if engine is None or load.floating or (load.work is None and load.macs):
        return _rough_cycles(board, load) / clock_hz(board)
    rates = cycle_rates(shipped_coefficients(), board.cores[0].model, engine)
    work = load.work or Work(outputs=load.elements, operators=1)
    own = own_multiplier(shipped_coefficients(), board.cores[0].model, clock_hz(board), engine)
    return own * work_cycles(rates, work) / clock_hz(board)


def _rough_cycles(board: Board, load: OperatorLoad) -> float:
    core = board.cores[0].model if board.cores else ""
    matched = max((name for name in CYCLES_PER_MAC if core.startswith(name)), key=len, default="")
    other = OTHER_LINUX if board.kind == "linux" else OTHER_MCU
    rate = CYCLES_PER_MAC.get(matched, other)
    rate *= (FLOAT_FACTOR if load.floating else 1.0) * (DEPTHWISE_FACTOR if load.depthwise else 1.0)
    return load.macs * rate + load.elements * ELEMENT_CYCLES[board.kind] + CALL_CYCLES[board.kind]
