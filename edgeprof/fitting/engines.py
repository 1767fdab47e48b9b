"""What executes a model on a microcontroller: what it adds to flash and SRAM, and which operators it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.estimate.engines import ENGINE_NAMES
from edgeprof.estimate.features import MEASURED
from edgeprof.estimate.model import measured_engines
from edgeprof.records.result import Finding

if TYPE_CHECKING:
    from edgeprof.model.graph import Graph
    from edgeprof.records.result import Verdict

KIB = 1024


class Engine(NamedTuple):
    """What an engine adds to a model on a microcontroller. All of it is declared, none measured.

    The sizes are TFLM's. `listed` is False for an engine of another family: its own sizes are not known then, nor is a
    list of its operators.
    """

    name: str
    formats: tuple[str, ...]
    code_bytes: int
    stack_bytes: int
    tail_bytes_per_operator: int
    source: str
    listed: bool = True

    @property
    def borrowed(self) -> str:
        """Say that the sizes are those of another engine, where they are."""
        return "" if self.listed else f" taken for {self.name}'s, which is not known"


TFLM = Engine(
    name="tflm",
    formats=("tflite",),
    code_bytes=64 * KIB,
    stack_bytes=4 * KIB,
    tail_bytes_per_operator=966,
    source="declared: 64 KiB of TFLM with its kernels, 4 KiB of stack, up to 966 B of persistent buffers an operator"
    " (the most that TFLM records for the MLPerf Tiny models, on a 64-bit host)",
)
ENGINES = {name: TFLM._replace(name=name, listed=name.partition("+")[0] == TFLM.name) for name in ENGINE_NAMES}
"""Only TFLM was looked at, with whatever kernels: the code, stack and arena of others are taken to be like its."""

TFLM_OPERATORS = frozenset(
    word
    for line in (
        "ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS",
        "BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTH_TO_SPACE DEPTHWISE_CONV_2D",
        "DEQUANTIZE DIV ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED",
        "GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL",
        "LOG LOG_SOFTMAX LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAX_POOL_2D MAXIMUM MEAN MINIMUM MIRROR_PAD MUL",
        "NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_MAX RELU RELU6 RESHAPE RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT",
        "SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV",
        "UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE",
    )
    for word in line.split()
)
"""The builtin operators that MicroMutableOpResolver of tflite-micro can register."""


def judge_operators(graph: Graph, engine: Engine) -> Finding:
    """Return whether an engine has the operators of a model, as far as a list or published results say."""
    unknown = sorted({operator.type for operator in graph.operators if operator.type not in TFLM_OPERATORS})
    if graph.format not in engine.formats:
        verdict: Verdict = "FAIL"
        reason = f"{engine.name} runs no .{graph.format} models: convert it to an int8 .tflite first"
    elif not engine.listed:
        verdict, reason = _as_published(graph, engine)
    elif unknown:
        verdict = "WARN" if any(operator.custom for operator in graph.operators) else "FAIL"
        reason = f"{engine.name} has no {', '.join(unknown)}"
    else:
        verdict, reason = "PASS", f"{engine.name} has every operator"
    return Finding(
        limit=f"operators of {engine.name}",
        metric="macs_count",
        verdict=verdict,
        tier="hard",
        value=None,
        threshold=None,
        unit="",
        basis="computed",
        source="the registered operators of TFLM" if engine.listed else "the published results of MLPerf Tiny",
        reason=reason,
    )


def _as_published(graph: Graph, engine: Engine) -> tuple[Verdict, str]:
    """Judge operators of an engine without a list of them by those of the models that it was published with."""
    ran = MEASURED if engine.name in measured_engines() else frozenset[str]()
    others = sorted({operator.type for operator in graph.operators} - ran)
    if others:
        return "INCONCLUSIVE", f"whether {engine.name} has {', '.join(others)} is not known"
    return "SKIP", f"which operators {engine.name} has is not known; it was published with models of these same ones"
