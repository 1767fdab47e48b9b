"""What fit found, as a table for the terminal, JSON, CSV or Markdown; `fit_html` draws the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeprof.printable import printable
from edgeprof.records.inspection import LATENCY, LIFE
from edgeprof.report.columns import Cell, Column, Page, columns, page, wrapped
from edgeprof.report.drawing import drawn
from edgeprof.report.escaping import csv_text, escape
from edgeprof.report.fit_words import (
    TITLES,
    estimated_names,
    figure,
    known,
    left,
    memory_left,
    needs,
    price,
    reasons,
    why,
)
from edgeprof.report.rows import model_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.inspection import BoardFit, Fit

VERDICT_STYLES = {"READY": "green", "READY WITH WARNINGS": "yellow", "NOT READY": "red", "UNKNOWN": "dim"}
SHORT_VERDICTS = {
    "READY": "READY", "READY WITH WARNINGS": "WARNINGS", "NOT READY": "NOT READY", "UNKNOWN": "UNKNOWN",
}  # fmt: skip
OWN = ("energy an inference", "latency", "supply voltage")
"""Assumptions on a battery that each board has its own of."""


@drawn
def render_fit(fit: Fit, format_name: str) -> str:
    """Return verdicts and estimates in a format."""
    match format_name:
        case "json":
            return msgspec.json.format(msgspec.json.encode(fit), indent=1).decode()
        case "csv":
            return _csv(fit)
        case "markdown":
            return _markdown(fit)
        case "html":
            from edgeprof.report.fit_html import fit_page

            return fit_page(fit)
        case _:
            return _table(fit)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(fit: Fit) -> str:
    """Return a line for each board with what an inference costs there, and under it why where it is not ready."""
    paper = page()
    count = len(fit.boards) + len(fit.left_out)
    title = f"{fit.model.name} ({model_size(fit.model)}) on {count} board{'s' * (count != 1)}"
    on_mcu = any("sram_peak_bytes" in board.metrics for board in (*fit.boards, *fit.left_out))
    lines = [paper.styled(printable(f"{title}{f', {fit.engine}' if on_mcu else ''}"), "bold")]
    lines += [line for text in needs(fit) for line in _hanging(f"· needs {text}", paper.width)]
    if fit.answer:
        asked = ", ".join(fit.wishes)
        lines += ["", *(paper.styled(x, "bold") for x in wrapped(printable(f"{asked}: {fit.answer}."), paper.width))]
    lines += ["", *_rows(paper, fit, fit.boards)]
    if fit.left_out:
        lines += ["", paper.styled("left out, for what was asked is not kept or not known:", "bold")]
        lines += _rows(paper, fit, fit.left_out)
    lines.append("")
    notes = [*reasons(fit), *_notes(fit)]
    return "\n".join([*lines, *(paper.styled(x, "dim") for text in notes for x in _hanging(f"· {text}", paper.width))])


def _rows(paper: Page, fit: Fit, boards: Sequence[BoardFit]) -> list[str]:
    """Return a line a board, its reasons under it."""
    names = estimated_names(fit)
    priced = any(board.price_usd is not None for board in boards)
    head = [
        Column("board"), Column("verdict"), *(Column(TITLES[name], right=True) for name in names),
        Column("flash", right=True, spare=3), Column("memory", right=True, spare=2),
        *([Column("price", right=True, spare=1)] if priced else []),
    ]  # fmt: skip
    rows: list[list[Cell | str]] = [
        [board.board, Cell(SHORT_VERDICTS[board.verdict], VERDICT_STYLES[board.verdict]),
         *(figure(board, name) for name in names), left(board, "flash_bytes"), memory_left(board),
         *([price(board)] if priced else [])]
        for board in boards
    ]  # fmt: skip
    title, rule, *drawn = columns(paper, head, rows)
    lines = [title, rule]
    dropped = priced and "price" not in title
    for board, line in zip(boards, drawn, strict=True):
        cost = f"{price(board)}. " if dropped and board.price_usd is not None else ""
        told = wrapped(printable(cost + why(board)), paper.width - 4)
        lines += [line, *(paper.styled(f"    {text}", "dim") for text in told if text)]
    return lines


def _notes(fit: Fit) -> list[str]:
    every = (*fit.boards, *fit.left_out)
    notes = ["latency and energy are estimated, with 90 % intervals; ~ extrapolated beyond what was measured"]
    if not any(known(board, LATENCY) for board in every):
        notes = []
    lives = [board.metrics[LIFE] for board in every if known(board, LIFE)]
    assumed = dict.fromkeys(text for metric in lives for text in metric.assumptions if not text.startswith(OWN))
    notes += [f"life: {text}" for text in assumed]
    on_mcu = any("sram_peak_bytes" in board.metrics for board in every)
    memory, others = fit.assumptions[:2], fit.assumptions[2:]
    return [*notes, *others, *(f"on microcontrollers: {text}" for text in memory if on_mcu)]


def _hanging(text: str, width: int) -> list[str]:
    """Return a paragraph, the lines after the first set in under its text."""
    first, *rest = wrapped(printable(text), width - 2)
    return [first, *(f"  {line}" for line in rest)]


# ── CSV and Markdown ─────────────────────────────────────────────────────────────────────────────────────────────────


def _csv(fit: Fit) -> str:
    rows: list[Sequence[object]] = [("board", "verdict", "metric", "finding", "needs", "has", "reason")]
    for board in (*fit.boards, *fit.left_out):
        for finding in board.findings:
            value = "" if finding.value is None else finding.value
            has = "" if finding.threshold is None else finding.threshold
            rows.append((board.board, board.verdict, finding.metric, finding.verdict, value, has, finding.reason))
        for name in estimated_names(fit):
            metric = board.metrics.get(name)
            value = "" if metric is None or metric.value is None else metric.value
            reason = "" if metric is None else metric.reason or metric.method
            rows.append((board.board, board.verdict, name, metric.basis if metric else "", value, "", reason))
    return csv_text(rows)


def _markdown(fit: Fit) -> str:
    names = estimated_names(fit)
    head = ["board", "verdict", *(TITLES[name] for name in names), "price", "why"]
    lines = [f"### {escape(fit.model.name)}", ""]
    lines += [f"**{escape(', '.join(fit.wishes))}: {escape(fit.answer)}.**", ""] if fit.answer else []
    rules = ["---", "---", *("---:" for _ in names), "---:", "---"]
    lines += [f"| {' | '.join(head)} |", f"| {' | '.join(rules)} |"]
    for board in (*fit.boards, *fit.left_out):
        told = why(board) or board.reason
        cells = [board.board, board.verdict, *(figure(board, name) for name in names), price(board), told]
        lines.append(f"| {' | '.join(escape(cell) for cell in cells)} |")
    lines += ["", *(f"- {escape(text)}" for text in [*reasons(fit), *_notes(fit)])]
    return "\n".join(lines)
