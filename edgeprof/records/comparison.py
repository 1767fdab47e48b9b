"""Two results, or two models run side by side: what changed, how sure that is, and what is not the same besides."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from edgeprof.records.quality import Quality
from edgeprof.records.result import (
    Basis,
    Finding,
    Metric,
    ModelFacts,
    Warned,
)

COMPARISON_SCHEMA: Literal["edgeprof.comparison/1"] = "edgeprof.comparison/1"

ChangeVerdict: TypeAlias = Literal["better", "worse", "same", "cannot tell"]
Way: TypeAlias = Literal["interleaved", "saved", "exact"]
"""How a change was got: both run in turns, two results of two runs, or figures without noise."""


class ComparedSide(Struct, frozen=True, kw_only=True):
    """One side: which model ran where, with which runtime, and its metrics."""

    id: str
    created: str
    name: str
    model: ModelFacts
    target: str
    board: str
    runtime: str
    threads: int
    metrics: dict[str, Metric]


class Difference(Struct, frozen=True, kw_only=True):
    """Something besides the model that is not the same. `forbids`: the sides are not comparable for it."""

    what: str
    base: str
    new: str
    forbids: bool


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One metric on both sides; `change_ratio` is new / base - 1, and `low` and `high` bound that.

    An exact figure is better or worse by the least difference; `allowed`: by no more than the gate allows.
    """

    metric: str
    base: float | None
    new: float | None
    basis: Basis
    way: Way
    change_ratio: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    verdict: ChangeVerdict = "cannot tell"
    method: str = ""
    reason: str = ""
    allowed: bool = False


class Price(Struct, frozen=True, kw_only=True):
    """What a comparison is to be priced by, as the user gave it: nothing of it is measured."""

    requests_per_day: float
    price_per_hour_usd: float | None = None


class LaunchRatio(Struct, frozen=True, kw_only=True):
    """One launch with both models in one process: the median of log(new / base) over its pairs of inferences."""

    log_ratio: float
    base_p50_s: float
    new_p50_s: float
    pairs: int


class Comparison(Struct, frozen=True, kw_only=True):
    """BASE against NEW."""

    schema: Literal["edgeprof.comparison/1"] = COMPARISON_SCHEMA
    created: str
    base: ComparedSide
    new: ComparedSide
    differences: tuple[Difference, ...]
    changes: tuple[Change, ...]
    launches: tuple[LaunchRatio, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[Warned, ...]
    techniques: tuple[str, ...] = ()
    quality: Quality | None = None
    price: Price | None = None
