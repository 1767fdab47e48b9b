"""What holds a model back on a board and what would help: each with its effect, computed for that model."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

AdviceKind = Literal[
    "bound",
    "operators",
    "int8",
    "fp16",
    "depthwise",
    "threads",
    "delegate",
    "batch",
    "cold-start",
    "preempted",
    "clock",
    "memory",
]
BoundBy = Literal["memory", "compute", "overhead", "kernels", "unknown"]


class Ceilings(Struct, frozen=True, kw_only=True):
    """The most that what ran the model can do: operations and bytes a second; null has its reason.

    Two operations are one multiply-accumulate. `source` says where the figures are from: a board's facts, or a
    calibration there.
    """

    ops_per_s: float | None = None
    bytes_per_s: float | None = None
    unit: str = ""
    source: str = ""
    reason: str = ""


class Effect(Struct, frozen=True, kw_only=True):
    """What following the advice does to one metric: from `now` to somewhere in `low` to `high`.

    Null bounds nothing on that side. A `low` alone is an "at best": no promise that anything is gained.
    """

    metric: str
    now: int | float
    low: int | float | None = None
    high: int | float | None = None


class Advice(Struct, frozen=True, kw_only=True):
    """One sentence about this model on this board, with its figures.

    `basis` is `computed` where it follows from the file alone, `estimated` where measured times went into it.
    `rule` names the law that it rests on; `evidence` the figures that went in. `bound_by`: of the kind `bound`.
    """

    kind: AdviceKind
    text: str
    basis: Literal["computed", "estimated"]
    rule: str
    effects: tuple[Effect, ...] = ()
    evidence: tuple[str, ...] = ()
    bound_by: BoundBy | None = None
