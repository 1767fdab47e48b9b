"""A run that fell back is judged as one: what was named and took nothing is a FAIL, and no limit holds for it. Pure.

Whoever names a provider or a delegate asks for its figures. Where the CPU ran the model instead, every figure of the
run is of something else: a limit that it keeps is not kept, and one that it misses is not missed, by what was named.
Nodes that ran beside it are part of what users get, so the limits stand and the nodes are named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgeprof.judging.limits import Limit
from edgeprof.metrics import OF_THE_FILE
from edgeprof.records.result import Finding
from edgeprof.summary.delegation import CPU, METRIC
from edgeprof.units import format_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeprof.records.result import Result, Verdict

FALLBACK, REQUIRED = "run/fallback", "run/delegated"
VERDICTS: dict[str, Verdict] = {
    "cpu-fallback": "FAIL",
    "provider-missing": "FAIL",
    "provider-unused": "FAIL",
    "delegation-unknown": "INCONCLUSIVE",
    "partial-delegation": "WARN",
}
"""What a run comes to by its warnings of who ran the model, the worst first."""


def required(ratio: float | None) -> tuple[Limit, ...]:
    """Return the limit that --require-delegated sets."""
    if ratio is None:
        return ()
    source = "--require-delegated: a share of the nodes of the graph, as the runtime counts them"
    return (Limit(name=REQUIRED, metric=METRIC, comparison=">=", threshold=ratio, source=source),)


def is_unproven(findings: Iterable[Finding]) -> bool:
    """Tell whether a share of the nodes was required that nobody can tell: that is no success."""
    return any(finding.limit == REQUIRED and finding.verdict == "INCONCLUSIVE" for finding in findings)


def fallback_findings(result: Result) -> tuple[Finding, ...]:
    """Return the finding on what was named and did not run all of the model; nothing where it did."""
    told = [warned for warned in result.warnings if warned.code in VERDICTS]
    if not told:
        return ()
    worst = min((warned.code for warned in told), key=list(VERDICTS).index)
    shared = VERDICTS[worst] == "WARN" and CPU in result.plan.providers  # the CPU was named for the rest
    metric = result.metrics.get(METRIC)
    return (
        Finding(
            limit=FALLBACK,
            metric=METRIC,
            verdict="SKIP" if shared else VERDICTS[worst],
            tier="info" if shared else "hard",
            value=metric.value if metric else None,
            threshold=None,
            unit="ratio",
            basis=metric.basis if metric else None,
            source="--delegate" if result.plan.delegate else "--provider",
            reason="; ".join(warned.text for warned in told)
            + _macs(result)
            + ("; the CPU was named for the rest" if shared else ""),
        ),
    )


def fell_back(result: Result) -> bool:
    """Tell whether the figures of a run are of something else than what was named."""
    return any(VERDICTS.get(warned.code) == "FAIL" for warned in result.warnings)


def of_another(finding: Finding, who: str = "this run") -> Finding:
    """Return what is left of a finding on a run that fell back: what a model's file tells stands, the rest is open."""
    if finding.verdict == "SKIP" or finding.metric in OF_THE_FILE or finding.metric == METRIC:
        return finding
    verdict: Verdict = "SKIP" if finding.tier == "info" else "INCONCLUSIVE"
    return replace(finding, verdict=verdict, reason=f"{who} fell back ({FALLBACK}); what ran instead: {finding.reason}")


def _macs(result: Result) -> str:
    """Return the share of the MACs beside that of the nodes, where it is known."""
    share = (result.breakdowns.get("delegation") or {}).get("macs_ratio")
    return "" if share is None else f"; it took {format_value('macs_ratio', share)} of the MACs"
