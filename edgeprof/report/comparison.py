"""Comparisons as text, in each format, and as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeprof.report.comparison_words import heading
from edgeprof.report.drawing import drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeprof.records.comparison import Comparison


@drawn
def render_comparisons(found: Sequence[Comparison], format_name: str, *, whole: bool = False) -> str:
    """Return the comparisons in a format; `whole` also draws what is the same and what cannot be told."""
    return FORMATS[format_name](found, whole)


def exit_code(found: Sequence[Comparison], *, strict: bool = False) -> int:
    """Return 5 where one broke off, 1 where the gate failed, 6 where it could not tell under --strict, else 0."""
    verdicts = {finding.verdict for one in found for finding in one.findings}
    if any(warned.code == "broken-off" for one in found for warned in one.warnings):
        return 5
    if "FAIL" in verdicts or (strict and "WARN" in verdicts):
        return 1
    return 6 if strict and "INCONCLUSIVE" in verdicts else 0


# ── formats ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _json(found: Sequence[Comparison], _whole: bool) -> str:  # noqa: FBT001  the formats' signature
    whole = msgspec.json.encode(found[0] if len(found) == 1 else found)
    return msgspec.json.format(whole, indent=1).decode()


def _junit(found: Sequence[Comparison], _whole: bool) -> str:  # noqa: FBT001  the same
    from edgeprof.report.junit import render_suites

    suites = ((heading(one), one.findings) for one in found)
    return render_suites(suites, (one.warnings for one in found))


def _table(found: Sequence[Comparison], whole: bool) -> str:  # noqa: FBT001  the same
    from edgeprof.report.comparison_table import render

    return render(found, whole=whole)


def _markdown(found: Sequence[Comparison], whole: bool) -> str:  # noqa: FBT001  the same
    from edgeprof.report.comparison_markdown import render

    return render(found, whole=whole)


def _report(found: Sequence[Comparison], _whole: bool) -> str:  # noqa: FBT001  the same
    from edgeprof.report.optimisation import render

    return render(found)


FORMATS: dict[str, Callable[[Sequence[Comparison], bool], str]] = {
    "table": _table, "json": _json, "markdown": _markdown, "junit": _junit, "report": _report,
}  # fmt: skip
