"""A comparison of which a side fell back: what was named did not run it, so no change can be told of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgeprof.judging.fallback import FALLBACK, fallback_findings, fell_back, of_another

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.result import Finding, Result, Verdict

WORST_FIRST: tuple[Verdict, ...] = ("FAIL", "INCONCLUSIVE", "WARN", "SKIP")


def fallback_of_sides(base: Result, new: Result, gated: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the gate's findings after one on the sides that fell back, with what that leaves of them."""
    sides = (("BASE", base), ("NEW", new))
    fallen = " and ".join(side for side, result in sides if fell_back(result))
    said = [
        replace(finding, reason=f"{side}: {finding.reason}")
        for side, result in sides
        for finding in fallback_findings(result)
    ]
    return (*_one(said), *((of_another(finding, fallen) for finding in gated) if fallen else gated))


def _one(said: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return one finding of both sides: a limit has one verdict, the worst of what it says."""
    if not said:
        return ()
    worst = min(said, key=lambda finding: WORST_FIRST.index(finding.verdict))
    return (replace(worst, limit=FALLBACK, reason="; ".join(finding.reason for finding in said)),)
