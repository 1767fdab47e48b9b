"""Limits on a battery's life, and the exit code of a report: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeprof.battery.reckoning import LIFE
from edgeprof.judging.limits import judge
from edgeprof.records.result import Warned
from edgeprof.units import format_life

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeprof.judging.limits import Limit
    from edgeprof.records.battery import BatteryReport
    from edgeprof.records.result import Basis


def with_limits(report: BatteryReport, limits: Sequence[Limit], accepted: Iterable[Basis] = ()) -> BatteryReport:
    """Return the report with a finding for each limit, and a warning where a limit lies inside the life's range."""
    if not limits:
        return report
    findings = judge(report.metrics, limits, accepted)
    life = report.metrics[LIFE]
    inside = [
        Warned(
            code="limit-in-range",
            text=f"the limit {limit.name} lies within the range of {format_life(life.low)} to {format_life(life.high)}",
            advice="the verdict is on the value; narrower tolerances tell",
        )
        for limit in limits
        if limit.metric == LIFE
        and life.low is not None
        and life.high is not None
        and life.low < limit.threshold < life.high
    ]
    return msgspec.structs.replace(report, findings=(*report.findings, *findings), warnings=(*report.warnings, *inside))


def exit_code(report: BatteryReport, *, strict: bool = False) -> int:
    """Return 1 where something fails, 6 where strictly something cannot be told, else 0."""
    verdicts = {finding.verdict for finding in report.findings}
    if "FAIL" in verdicts or report.metrics[LIFE].value is None or (strict and "WARN" in verdicts):
        return 1
    return 6 if strict and "INCONCLUSIVE" in verdicts else 0
