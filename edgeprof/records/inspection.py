"""What `inspect` and `fit` find: a model without a board, and a model against boards."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from edgeprof.records.result import Finding, Metric, ModelFacts

FitVerdict = Literal["READY", "READY WITH WARNINGS", "NOT READY", "UNKNOWN"]
Bound = Literal["memory", "compute"]

LATENCY, ENERGY, LIFE = "latency_p50_s", "energy_per_inference_j", "battery_life_s"
"""The metrics of what an inference costs on a board."""


class Roofline(Struct, frozen=True, kw_only=True):
    """The lower bound of one operator's time on a board, and which side of the ridge it is on."""

    intensity: float
    ridge: float
    bound_s: float
    bound: Bound


class InspectedOperator(Struct, frozen=True, kw_only=True):
    """One operator of the main graph, in execution order. Sizes that are not known are null."""

    name: str
    type: str
    input_shapes: tuple[tuple[int | None, ...] | None, ...]
    output_shapes: tuple[tuple[int | None, ...] | None, ...]
    dtype: str
    parameters_count: int
    macs_count: int | None
    weights_bytes: int
    input_bytes: int | None
    output_bytes: int | None
    live_bytes: int | None
    folded: bool = False
    reason: str = ""
    roofline: Roofline | None = None


class Arena(Struct, frozen=True, kw_only=True):
    """Three figures that must not be mixed up, and where the peak is. What is null has its reason."""

    planner_bytes: int | None
    liveness_lower_bound_bytes: int | None
    recorded_bytes: int | None
    peak_operator: str | None
    variables_bytes: int = 0
    planner_reason: str = ""
    recorded_reason: str = ""
    notes: tuple[str, ...] = ()


class Peak(Struct, frozen=True, kw_only=True):
    """What bounds a board: operations a second, bytes a second, and on which unit; null has its reason."""

    board: str
    unit: str
    ops_per_s: float | None
    bytes_per_s: float | None
    reason: str = ""


class Inspection(Struct, frozen=True, kw_only=True):
    """A model without a board."""

    model: ModelFacts
    metrics: dict[str, Metric]
    operators: tuple[InspectedOperator, ...]
    arena: Arena
    quantisation: dict[str, int]
    intensity: float | None
    peak: Peak | None = None
    bound_s: float | None = None
    warnings: tuple[str, ...] = ()


class BoardFit(Struct, frozen=True, kw_only=True):
    """A model against one board. `metrics` holds estimates too; one that is not known is null with its reason.

    `engine` executes the model there; `confidence` says how the question stands to the data behind the latency.
    `file` describes the board where that is none of those that ship.
    `does_it` is false where a wish is not met, null where what was wished for is not known; `unmet` says which and why.
    """

    board: str
    name: str
    verdict: FitVerdict
    reason: str
    metrics: dict[str, Metric]
    findings: tuple[Finding, ...]
    shrink: str = ""
    engine: str = ""
    confidence: Literal["known", "extrapolated", "unknown"] = "unknown"
    price_usd: float | None = None
    does_it: bool | None = None
    unmet: tuple[str, ...] = ()
    file: str | None = None


class Fit(Struct, frozen=True, kw_only=True):
    """A model against boards, in the order asked for. `left_out` boards do not do what was wished for, or may not.

    `cheapest` is the id of the board with the lowest known price that does it; `answer` says so in words.
    """

    model: ModelFacts
    engine: str
    assumptions: tuple[str, ...]
    boards: tuple[BoardFit, ...]
    wishes: tuple[str, ...] = ()
    left_out: tuple[BoardFit, ...] = ()
    cheapest: str | None = None
    answer: str = ""
