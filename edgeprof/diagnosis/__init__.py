"""What holds a model back on a board, and what would help: sentences with figures of this model, never a list.

Two remedies that are often listed are not here. Checkpointing of activations serves training: an inference keeps none.
Fusing operators saves traffic, so it helps what is bound by memory, not what is bound by arithmetic.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgeprof.diagnosis.bound import board_ceilings, bound_advice
from edgeprof.diagnosis.quantising import fp16_advice, int8_advice
from edgeprof.diagnosis.remedies import (
    batch_advice,
    delegate_advice,
    depthwise_advice,
    memory_advice,
    operators_advice,
    threads_advice,
)
from edgeprof.diagnosis.running import clock_advice, cold_start_advice, preempted_advice
from edgeprof.diagnosis.work import case_of

if TYPE_CHECKING:
    from edgeprof.model.graph import Graph
    from edgeprof.records.board import Board
    from edgeprof.records.diagnosis import Advice, Ceilings
    from edgeprof.records.result import Result

__all__ = ["advise", "board_ceilings"]

RULES = (
    operators_advice,
    int8_advice,
    depthwise_advice,
    threads_advice,
    batch_advice,
    delegate_advice,
    clock_advice,
    preempted_advice,
    cold_start_advice,
    fp16_advice,
    memory_advice,
)
"""In the order of the report; what a rule has no figure for it says nothing about."""


def advise(
    result: Result, graph: Graph, board: Board | None = None, *, ceilings: Ceilings | None = None
) -> tuple[Advice, ...]:
    """Return what binds the model there, then what would help; pure.

    `graph` is the model that `result` is of. The roofline takes `ceilings`, a calibration there, before the facts of
    `board`. Nothing is said of a run that measured nothing.
    """
    if not result.samples.duration_s and not result.operators:
        return ()
    known = ceilings or board_ceilings(board, result, _computes_in(graph))
    case = case_of(result, graph, known)
    return (bound_advice(case), *(advice for rule in RULES for advice in rule(case)))


def _computes_in(graph: Graph) -> str:
    """Return the type that most activations have."""
    types = Counter(tensor.dtype for tensor in graph.tensors if tensor.constant_bytes is None)
    return types.most_common(1)[0][0] if types else ""
