"""How good a model's outputs are against another's, or against labels."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from edgeprof.records.result import Basis

Guard: TypeAlias = Literal["conservative", "balanced", "aggressive"]


class OutputDistance(Struct, frozen=True, kw_only=True):
    """How far NEW's outputs are from BASE's on the same inputs, in real units.

    `max_abs_error` and `cosine` are null where a value is not finite on one side alone. `cosine` is the least of all
    inferences: 1 where both sides are nothing beside the output's largest value, 0 where one is all zeros.
    `agreement_ratio` is the share of inferences with the same top-1 class; of
    outputs that are no classes, the share of elements within 1 % of the output's largest value.
    """

    inferences: int
    elements: int
    max_abs_error: float | None
    mean_abs_error: float | None
    largest_value: float
    cosine: float | None
    agreement_ratio: float
    compared: Literal["top-1", "elements"]


OutputRule: TypeAlias = Literal["top-1", "equal", "close", "cosine"]
"""What an output is judged by: classes, whole numbers, one value an inference, anything else."""


class ComparedOutput(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One output of BASE against one of NEW, by their names.

    `agreement_ratio` is a share, or the least cosine (0 if negative); null with the `reason` where the two could not
    be compared. A `reason` beside it tells of values that are not finite. `size_ratio`: how many times as large NEW's
    values are, where a cosine does not see it.
    """

    base: str
    new: str
    rule: OutputRule | None = None
    agreement_ratio: float | None = None
    size_ratio: float | None = None
    reason: str = ""


class Scores(Struct, frozen=True, kw_only=True):
    """A classifier against labels. `auc` only where there are two classes and both occur."""

    labels: int
    accuracy_ratio: float
    f1_macro: float
    auc: float | None = None


class AccuracyDrop(Struct, frozen=True, kw_only=True):
    """Accuracy of BASE less that of NEW on the same labels, with its 95 % interval; ratios, not percents.

    `lost` labels only BASE had right, `won` only NEW.
    """

    drop_ratio: float
    low: float
    high: float
    lost: int
    won: int


class Quality(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a comparison says of outputs. Without `distance` or `base` there is a `reason`.

    `consistent`: the same input gave the same bytes again, on base and new; null where it was not tried.
    """

    inputs: str
    basis: Basis
    distance: OutputDistance | None = None
    paired_by: Literal["name", "position"] | None = None
    outputs: tuple[ComparedOutput, ...] = ()
    base: Scores | None = None
    new: Scores | None = None
    drop: AccuracyDrop | None = None
    guard: Guard | None = None
    base_consistent: bool | None = None
    new_consistent: bool | None = None
    base_repeat_error: float | None = None
    new_repeat_error: float | None = None
    notes: tuple[str, ...] = ()
    reason: str = ""
