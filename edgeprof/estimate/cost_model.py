"""What the simulator draws its times from: the estimator where it knows core and engine, round figures elsewhere.

The round figures predict nothing. They lie inside what MLPerf Tiny submissions show for each class of core (results
v0.5 to v1.3): four Cortex-A72 take 0.13 cycles a MAC together, a Cortex-M without SIMD instructions 8 to 16.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from edgeprof.errors import UsageError
from edgeprof.estimate.coefficients import shipped_coefficients
from edgeprof.estimate.confidence import core_class, pair_reason
from edgeprof.estimate.energy import estimate_power
from edgeprof.estimate.engines import board_engine, known_engine
from edgeprof.estimate.features import Work, features
from edgeprof.estimate.model import cycle_rates, estimate_latency, operator_cycles, own_multiplier, work_cycles
from edgeprof.model.cost import model_cost
from edgeprof.model.graph import elements_count
from edgeprof.records.board import Core

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.estimate.features import Features
    from edgeprof.model.graph import Graph
    from edgeprof.records.board import Board

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
NOT_TOLD = "unnamed"
"""The core of a board whose file names none."""


class OperatorLoad(NamedTuple):
    """What one operator has to do: multiply-accumulates, elements written, and of which kind.

    `work` is the same as the estimator counts it, None for an operator that it knows nothing of. `counted` is False
    where nobody knows its multiply-accumulates: they count as none then.
    """

    name: str
    type: str
    macs: int
    elements: int
    depthwise: bool
    floating: bool
    work: Work | None = None
    counted: bool = True


class SimulatedCosts(NamedTuple):
    """What each operator takes on a simulated board, and in words what the times were drawn from."""

    loads: tuple[OperatorLoad, ...]
    seconds: tuple[float, ...]
    drawn_from: str


def graph_loads(graph: Graph, read: Features | None = None) -> Iterator[OperatorLoad]:
    """Yield what each operator of the main graph has to do."""
    known_work = (read or features(graph)).operators
    for operator, cost, known in zip(graph.operators, model_cost(graph).operators, known_work, strict=True):
        outputs = [graph.tensors[index] for index in operator.outputs if index >= 0]
        yield OperatorLoad(
            name=known.name,
            type=operator.type,
            macs=cost.macs_count or 0,
            elements=sum(elements_count(tensor.shape) or 0 for tensor in outputs),
            depthwise="DEPTHWISE" in operator.type or int(str(operator.attributes.get("group", 1))) > 1,
            floating=any(tensor.dtype.startswith("float") for tensor in outputs),
            work=None if known.outside else known.dense,
            counted=cost.macs_count is not None,
        )


def clock_hz(board: Board) -> int:
    """Return the clock of the core that runs the model; a board whose facts do not say it is refused."""
    clock = board.cores[0].max_clock_hz if board.cores else None
    if clock is None:
        raise UsageError(
            f"no source says the clock of {board.name}, so no time can be simulated there",
            hint=f"declare it: --target 'sim:{board.id}?clock=150MHz', with the clock that yours runs at",
        )
    return clock


def at_clock(board: Board, clock: float | None) -> Board:
    """Return the board with its model's core at a declared clock; None leaves it as its file has it.

    The core's peak goes with its clock. A power that was measured at another clock is not that of this board.
    """
    if clock is None:
        return board
    core, *others = board.cores or (Core(name="cpu", model=NOT_TOLD),)
    peak = core.peak_int8_dense_ops_per_s
    if peak is not None:
        peak = peak * clock / core.max_clock_hz if core.max_clock_hz else None
    still = estimate_power(board, clock).power_w is not None
    return replace(
        board,
        cores=(replace(core, max_clock_hz=round(clock), peak_int8_dense_ops_per_s=peak), *others),
        power=board.power if still else replace(board.power, inference_w=None),
    )


def simulated_engine(board: Board, named: str = "") -> str | None:
    """Return the engine of a simulated board, as `fit` takes it; None for a Linux board, which has no such rates.

    A name is refused where the estimator knows nothing of that engine on the board's core.
    """
    if not named:
        return None if board.kind == "linux" else board_engine(board)
    reason = _outside(board, known_engine(named))
    if reason:
        raise UsageError(f"engine={named} cannot be simulated on {board.name}: {reason}", hint=_engines_of(board))
    return named


def simulated_costs(board: Board, graph: Graph, engine: str | None, content: bytes | None = None) -> SimulatedCosts:
    """Return the times of a model's operators, to be called simulated wherever they are shown.

    Where the estimator answers for the whole model, they add up to its answer. `content` is the model file.
    """
    read = features(graph, content if graph.format == "tflite" else None)
    loads, clock = tuple(graph_loads(graph, read)), clock_hz(board)
    core = board.cores[0].model
    reason = _outside(board, engine)
    if engine is None or reason:
        seconds = tuple(_rough_cycles(board, load) / clock for load in loads)
        return SimulatedCosts(loads, seconds, f"{_rate(board)[1]}{f': {reason}' if engine else ''}{_left_out(loads)}")
    whole = estimate_latency(read, core, clock, engine)
    if whole.latency_s is not None:
        parts = operator_cycles(shipped_coefficients(), read, core, engine, drops=False)
        seconds = tuple(whole.latency_s * part / sum(parts) for part in parts)
        return SimulatedCosts(loads, seconds, f"{engine} as estimated for {core_class(core)}")
    seconds = tuple(_operator_seconds(board, load, engine) for load in loads)
    drawn = f"{engine} as estimated for {core_class(core)} where it is, {_rate(board)[1]}: {whole.reason}"
    return SimulatedCosts(loads, seconds, drawn + _left_out(loads))


def _outside(board: Board, engine: str | None) -> str:
    """Return why the estimator has no rates of an engine on a board, empty where it has."""
    if board.kind == "linux":
        return "no engine was measured on Linux boards, which are estimated once edgeprof calibrate has run there"
    if board.kind == "emulated":
        return "an emulated machine has no latency of its own"
    return pair_reason(shipped_coefficients(), board.cores[0].model if board.cores else "", engine or "")


def _engines_of(board: Board) -> str:
    fitted = shipped_coefficients()
    fits = [name for name in fitted.engines if not _outside(board, name)]
    return f"known for its core: {', '.join(fits)}" if fits else "leave engine= out"


def _operator_seconds(board: Board, load: OperatorLoad, engine: str) -> float:
    clock, core = clock_hz(board), board.cores[0].model
    if load.floating or (load.work is None and load.macs):
        return _rough_cycles(board, load) / clock
    work = load.work or Work(outputs=load.elements, operators=1)
    fitted = shipped_coefficients()
    own = own_multiplier(fitted, core, clock, engine)
    return own * work_cycles(cycle_rates(fitted, core, engine), work) / clock


def _rough_cycles(board: Board, load: OperatorLoad) -> float:
    rate = _rate(board)[0] * (FLOAT_FACTOR if load.floating else 1.0) * (DEPTHWISE_FACTOR if load.depthwise else 1.0)
    return load.macs * rate + load.elements * ELEMENT_CYCLES[board.kind] + CALL_CYCLES[board.kind]


def _rate(board: Board) -> tuple[float, str]:
    """Return round cycles a MAC, and in words whose they are."""
    core = board.cores[0].model if board.cores else NOT_TOLD
    name = next((name for name in CYCLES_PER_MAC if re.fullmatch(rf"{name}(?!\d).*", core_class(core))), None)
    if name is not None:
        return CYCLES_PER_MAC[name], f"round cycles a MAC for {core}"
    other = OTHER_LINUX if board.kind == "linux" else OTHER_MCU
    kind = "Linux board" if board.kind == "linux" else "microcontroller"
    return other, f"round cycles a MAC of any {kind}, for {core} is not known"


def _left_out(loads: tuple[OperatorLoad, ...]) -> str:
    unknown = sum(not load.counted for load in loads)
    what = "1 operator" if unknown == 1 else f"{unknown} operators"
    return f"; the arithmetic of {what} is not known and left out" if unknown else ""
