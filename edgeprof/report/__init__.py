"""Results to text: each format is a function from results to a string."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from edgeprof.report.drawing import drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeprof.records.result import Result

FORMATS = {
    "table": "edgeprof.report.table",
    "json": "edgeprof.report.json",
    "markdown": "edgeprof.report.markdown",
    "csv": "edgeprof.report.csv",
    "junit": "edgeprof.report.junit",
    "html": "edgeprof.report.html",
    "perfetto": "edgeprof.report.perfetto",
}
"""Each module has `render(results) -> str`; it is imported when its format is asked for."""


@drawn
def render(results: Sequence[Result], format_name: str) -> str:
    """Return one or several results in a format."""
    module = import_module(FORMATS[format_name])
    draw: Callable[[Sequence[Result]], str] = module.render
    return draw(results)
