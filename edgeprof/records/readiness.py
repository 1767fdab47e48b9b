"""Whether a measured model is ready for a deployment: a verdict, the limits behind it, a checklist with evidence."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from edgeprof.records.inspection import FitVerdict
from edgeprof.records.result import Finding

BoxState = Literal["ticked", "failed", "not measured", "open"]


class Box(Struct, frozen=True, kw_only=True):
    """One box of a checklist.

    `ticked` and `failed` have evidence: the figure, its value and basis. `not measured` could be proven and says how;
    `open` is not something that edgeprof can prove, and says why.
    """

    name: str
    text: str
    state: BoxState
    evidence: str
    source: str


class Readiness(Struct, frozen=True, kw_only=True):
    """The verdict for one deployment. `reasons` are what it rests on, the worst first; empty where nothing is wrong."""

    deployment: str
    title: str
    verdict: FitVerdict
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    boxes: tuple[Box, ...]
    source: str = ""
    quote: str = ""


class ReadinessReport(Struct, frozen=True, kw_only=True):
    """One result against deployments."""

    schema: Literal["edgeprof.readiness/1"]
    result: str
    model: str
    target: str
    board: str
    status: Literal["complete", "partial"]
    deployments: tuple[Readiness, ...]
