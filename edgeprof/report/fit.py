"""What fit found, as a table for the terminal, JSON, CSV or Markdown; `fit_html` draws the page."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

import msgspec

from edgeprof.records.inspection import ENERGY, LATENCY, LIFE
from edgeprof.report.columns import Cell, Column, Page, columns, page, printable, wrapped
from edgeprof.report.markdown import escape
from edgeprof.units import format_bytes, format_duration, format_life, format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.inspection import BoardFit, Fit

VERDICT_STYLES = {"READY": "green", "READY WITH WARNINGS": "yellow", "NOT READY": "red", "UNKNOWN": "dim"}
SHORT_VERDICTS = {
    "READY": "READY", "READY WITH WARNINGS": "WARNINGS", "NOT READY": "NOT READY", "UNKNOWN": "UNKNOWN",
}  # fmt: skip
TITLES = {LATENCY: "latency", ENERGY: "energy", LIFE: "life", "cycles_count": "NPU cycles"}
OWN = ("energy an inference", "latency", "supply voltage")
"""Assumptions on a battery that each board has its own of."""

CONFIDENCES = {"known": "", "extrapolated": "~", "unknown": ""}
ABSENT = "—"
REASONS_TOLD = (LATENCY, ENERGY, LIFE, "cycles_count")


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
            from edgeprof.report.fit_html import fit_page  # noqa: PLC0415  only for the page

            return fit_page(fit)
        case _:
            return _table(fit)


# ── figures that all formats share ───────────────────────────────────────────────────────────────────────────────────


def estimated_names(fit: Fit) -> tuple[str, ...]:
    """Return the estimates that were asked for: life only where a battery was."""
    every = (*fit.boards, *fit.left_out)
    names = [LATENCY, ENERGY] + [LIFE] * any(LIFE in board.metrics for board in every)
    return (*names, *["cycles_count"] * any(_known(board, "cycles_count") for board in every))


def figure(board: BoardFit, name: str) -> str:
    """Return a figure with its interval, or a dash; nothing is estimated where the model does not fit."""
    metric = board.metrics.get(name)
    if metric is None or metric.value is None or board.verdict == "NOT READY":
        return ABSENT
    mark = CONFIDENCES[board.confidence] if name != "cycles_count" else ""
    worded = _worded(name, metric.value)
    if metric.low is None or metric.high is None:
        return f"{mark}{worded}"
    number, _, unit = worded.partition(" ")
    scale = float(number.replace(",", "")) / metric.value if metric.value else 1.0
    value, low, high = (f"{_rounded(end * scale)}" for end in (metric.value, metric.low, metric.high))
    return f"{mark}{value} {unit} ({low}–{high})"  # noqa: RUF001  a range's dash


def _rounded(value: float) -> str:
    """Return a number to three digits, which is more than an estimate has."""
    return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):,.0f}"  # noqa: PLR2004  no exponents


def _worded(name: str, value: float) -> str:
    if name == LIFE:
        return format_life(value)
    return format_duration(value) if name == LATENCY else format_value(name, value)


def price(board: BoardFit) -> str:
    """Return the price, or a dash."""
    return ABSENT if board.price_usd is None else f"{board.price_usd:,.0f} USD"


def left(board: BoardFit, metric: str) -> str:
    """Return what is left of a memory, or what is short."""
    finding = next((finding for finding in board.findings if finding.metric == metric), None)
    if finding is None or finding.value is None or finding.threshold is None:
        return ""
    over = finding.threshold - finding.value
    return f"{format_bytes(over)} left" if over >= 0 else f"{format_bytes(-over)} short"


def memory_left(board: BoardFit) -> str:
    """Return what is left of the RAM that a model needs."""
    return left(board, "sram_peak_bytes") or left(board, "memory_peak_bytes")


def why(board: BoardFit) -> str:
    """Return why a board is not simply ready, what to shrink, and which wish it does not keep."""
    told = [] if board.verdict == "READY" else [f"{board.reason}."]
    told += [f"Shrink first: {board.shrink}."] if board.shrink else []
    told += [f"{text}." for text in board.unmet if text not in {"does not fit", "not known whether it fits"}]
    return " ".join(told)


def reasons(fit: Fit) -> list[str]:
    """Return why estimates are not known, each reason once with the boards that it holds for."""
    found: dict[str, list[str]] = {}
    for board in (*fit.boards, *fit.left_out):
        if board.verdict == "NOT READY":
            continue
        for name in REASONS_TOLD:
            metric = board.metrics.get(name)
            inherited = name != LATENCY and not _known(board, LATENCY)
            if metric is None or metric.value is not None or not metric.reason:
                continue
            if name == "cycles_count" or (not inherited and not (name == LIFE and not _known(board, ENERGY))):
                reason, own = _shared(metric.reason.replace(board.name, "the board"))
                said = f"{board.board} ({own})" if own else board.board
                found.setdefault(f"no {TITLES[name]}: {reason}", []).append(said)
    return [f"{reason} — {_listed(names)}" for reason, names in found.items()]


def _shared(reason: str) -> tuple[str, str]:
    """Return a reason without what is a board's own in it, and that."""
    own = _OWN_CLASS.search(reason) or _OWN_CURRENT.search(reason)
    if own is None:
        return reason, ""
    return reason.replace(own[0], own[0].replace(own[1], "").rstrip(" ,").strip() or "…", 1), own[1]


_OWN_CLASS = re.compile(r"^core class (\S+)")
_OWN_CURRENT = re.compile(r"a mean of ([\d.]+ \S?A)(?=,)")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")  # noqa: PLR2004  a line's worth


def _known(board: BoardFit, name: str) -> bool:
    metric = board.metrics.get(name)
    return metric is not None and metric.value is not None


def needs(fit: Fit) -> list[str]:
    """Return what the model needs of each kind of memory, which is the same on all boards of a kind."""
    names = {"flash_bytes": "flash", "sram_peak_bytes": "SRAM in one block", "memory_peak_bytes": "RAM under Linux"}
    found: dict[str, str] = {}
    for board in (*fit.boards, *fit.left_out):
        for name, metric in board.metrics.items():
            if name in names and metric.value is not None and name not in found:
                more = metric.high is not None and metric.high > metric.value and name == "sram_peak_bytes"
                most = f" to {format_bytes(metric.high or 0)}" if more else ""
                found[name] = f"{format_bytes(metric.value)}{most} of {names[name]} ({metric.method})"
    return list(found.values())


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(fit: Fit) -> str:
    """Return a line for each board with what an inference costs there, and under it why where it is not ready."""
    paper = page()
    count = len(fit.boards) + len(fit.left_out)
    title = f"{fit.model.name} ({format_bytes(fit.model.bytes or 0)}) on {count} board{'s' * (count != 1)}"
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
        Column("flash", right=True, spare=2), Column("memory", right=True, spare=1),
        *([Column("price", right=True, spare=3)] if priced else []),
    ]  # fmt: skip
    rows: list[list[Cell | str]] = [
        [board.board, Cell(SHORT_VERDICTS[board.verdict], VERDICT_STYLES[board.verdict]),
         *(figure(board, name) for name in names), left(board, "flash_bytes"), memory_left(board),
         *([price(board)] if priced else [])]
        for board in boards
    ]  # fmt: skip
    title, rule, *drawn = columns(paper, head, rows)
    lines = [title, rule]
    for board, line in zip(boards, drawn, strict=True):
        told = wrapped(printable(why(board)), paper.width - 4)
        lines += [line, *(paper.styled(f"    {text}", "dim") for text in told if text)]
    return lines


def _notes(fit: Fit) -> list[str]:
    every = (*fit.boards, *fit.left_out)
    notes = ["latency and energy are estimated, with 90 % intervals; ~ extrapolated beyond what was measured"]
    if not any(_known(board, LATENCY) for board in every):
        notes = []
    lives = [board.metrics[LIFE] for board in every if _known(board, LIFE)]
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
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("board", "verdict", "metric", "finding", "needs", "has", "reason"))
    for board in (*fit.boards, *fit.left_out):
        for finding in board.findings:
            value = "" if finding.value is None else finding.value
            has = "" if finding.threshold is None else finding.threshold
            writer.writerow((board.board, board.verdict, finding.metric, finding.verdict, value, has, finding.reason))
        for name in estimated_names(fit):
            metric = board.metrics.get(name)
            value = "" if metric is None or metric.value is None else metric.value
            reason = "" if metric is None else metric.reason or metric.method
            writer.writerow((board.board, board.verdict, name, metric.basis if metric else "", value, "", reason))
    return out.getvalue().rstrip("\n")


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
