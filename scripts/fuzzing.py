"""What every fuzzer finds and says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections import Counter


class Finding(NamedTuple):
    """An input that did what none may do."""

    what: str
    input: bytes


class Outcome(NamedTuple):
    """What a run of a fuzzer tried and saw; the slowest input in seconds of CPU, where they were taken."""

    tried: int
    outcomes: Counter[str]
    findings: list[Finding]
    slowest_s: float = 0.0
