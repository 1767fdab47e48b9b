"""CSV: a row a metric, raw values in the unit that the name ends in."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.result import Result

COLUMNS = ("model", "target", "board", "metric", "value", "low", "high", "basis", "count", "reason")


def render(results: Sequence[Result]) -> str:
    """Return all metrics of all results; what was not measured has an empty value and a reason."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in results:
        for name, metric in result.metrics.items():
            where = (result.model.name, result.target.name, result.board.id or result.board.name)
            figures = (metric.value, metric.low, metric.high, metric.basis, metric.count, metric.reason)
            writer.writerow([*where, name, *["" if value is None else value for value in figures]])
    return out.getvalue().rstrip("\n")
