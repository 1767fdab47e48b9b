"""Comparisons as Markdown: a pull request comment whose first screen says it all, the rest folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.comparing.shown import ratio_text, value_text
from edgeprof.metrics import metric_kind
from edgeprof.report.comparison_table import finding_title
from edgeprof.report.comparison_words import (
    have_one_base,
    heading,
    heading_of_all,
    how_sure,
    new_name,
    quality_line,
    scores_line,
    sentence,
    shown_change,
    shown_changes,
    sign_of,
    titles,
    worst,
)
from edgeprof.report.escaping import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.comparison import Change, Comparison


def render(found: Sequence[Comparison], *, whole: bool) -> str:
    """Return the comparisons one after the other, or several NEW beside one BASE."""
    if have_one_base(found):
        return "\n".join(_side_by_side(found, whole=whole))
    return "\n\n".join("\n".join(_lines(one, whole=whole)) for one in found)


def _lines(one: Comparison, *, whole: bool) -> Iterator[str]:
    yield f"### {worst(one)}: {escape(heading(one))}"
    yield ""
    yield from ("| | base | new | change | verdict |", "| --- | ---: | ---: | ---: | --- |")
    for change in shown_changes(one, whole=whole).rows:
        shown = shown_change(change)
        bold = "**" if change.verdict == "worse" and not change.allowed else ""
        yield (
            f"| {metric_kind(change.metric).title} | {shown.base} | {shown.new} | {shown.ratio}"
            f" | {bold}{shown.verdict}{bold} |"
        )
    yield from _below(one, whole=whole)


def _side_by_side(found: Sequence[Comparison], *, whole: bool) -> Iterator[str]:
    base = found[0].base
    yield f"### {escape(heading_of_all(found))}"
    yield ""
    yield f"| | {escape(base.name)} | {' | '.join(escape(new_name(one)) for one in found)} |"
    yield f"| --- | ---: |{' ---: |' * len(found)}"
    yield f"| gate | | {' | '.join(worst(one) for one in found)} |"
    names = dict.fromkeys(c.metric for one in found for c in shown_changes(one, whole=whole).rows)
    for name in names:
        of_each = [next((c for c in one.changes if c.metric == name), None) for one in found]
        first = next((change.base for change in of_each if change is not None and change.base is not None), None)
        yield f"| {metric_kind(name).title} | {value_text(name, first)} | {' | '.join(map(_cell, of_each))} |"
    for one in found:
        yield f"\n#### {escape(new_name(one))}"
        yield from _below(one, whole=whole)


def _cell(change: Change | None) -> str:
    if change is None:
        return "—"
    return f"{value_text(change.metric, change.new)} {ratio_text(change.change_ratio)} {sign_of(change)}"


def _below(one: Comparison, *, whole: bool) -> Iterator[str]:
    shown = shown_changes(one, whole=whole)
    bad = [finding for finding in one.findings if finding.verdict != "PASS"]
    if bad:
        yield ""
        for finding in bad:
            yield f"- **{finding.verdict}** {finding_title(finding.limit, finding.metric)}: {escape(finding.reason)}"
    for difference in one.differences:
        yield f"\n> **{difference.what} differs**: {escape(difference.base)} against {escape(difference.new)}"
    for warned in one.warnings:
        yield f"\n> **{escape(warned.text)}** {escape(warned.advice)}"
    for line in (quality_line(one.quality), scores_line(one.quality)) if one.quality is not None else ():
        if line:
            yield f"\n{escape(sentence(line))}"
    yield f"\n{escape(sentence(how_sure(one)))}"
    if shown.same or shown.open:
        same, open_ = titles(shown.same) or "nothing", titles(shown.open) or "nothing"
        yield f"\n<details><summary>More figures</summary>\n\nThe same: {same}.\n\nNot told: {open_}.\n\n</details>"
