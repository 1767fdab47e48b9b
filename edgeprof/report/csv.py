"""CSV: a row a metric, raw values in the unit that the name ends in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.report.escaping import csv_text
from edgeprof.report.overhead import overhead_reason, overhead_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.result import Result

COLUMNS = ("model", "target", "board", "metric", "value", "low", "high", "basis", "count", "reason")
BASIS = "measured"
"""Of the agent's own work: its clocks tell it."""


def render(results: Sequence[Result]) -> str:
    """Return all metrics of all results, then what reading sensors took, by names that begin with `sensors_`.

    What is not known has an empty value and a reason.
    """
    return csv_text([COLUMNS, *(row for result in results for row in _rows(result))])


def _rows(result: Result) -> Iterator[Sequence[object]]:
    where = (result.model.name, result.target.name, result.board.id or result.board.name)
    for name, metric in result.metrics.items():
        figures = (metric.value, metric.low, metric.high, metric.basis, metric.count, metric.reason)
        yield [*where, name, *["" if value is None else value for value in figures]]
    for name, taken in overhead_rows(result).items():
        told = ("", "", "", "", "", overhead_reason(result, name)) if taken is None else (taken, "", "", BASIS, "", "")
        yield [*where, name, *told]
