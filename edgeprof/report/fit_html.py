"""The answer of fit as one page without anything from elsewhere: a matrix of boards and what was asked."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from edgeprof.report.fit_words import TITLES, estimated_names, figure, left, memory_left, needs, price, reasons, why
from edgeprof.report.rows import model_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.inspection import BoardFit, Fit

CLASSES = {"READY": "ready", "READY WITH WARNINGS": "tight", "NOT READY": "no", "UNKNOWN": "unknown"}
STYLE = """
:root { color-scheme: light dark; --line: #8884; --ready: #1a7f37; --tight: #9a6700; --no: #cf222e;
  --dim: #777; }
@media (prefers-color-scheme: dark) { :root { --ready: #3fb950; --tight: #d29922; --no: #f85149; --dim: #999; } }
body { font: 15px/1.45 -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", Arial, sans-serif; }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } .answer { font-size: 1.1rem; font-weight: 600; } .wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
th { text-align: left; } td.figure, th.figure { text-align: right; white-space: nowrap; }
td.figure { font-variant-numeric: tabular-nums; } tr.left { opacity: .75; }
small, .why { color: var(--dim); font-weight: 400; }
.ready { color: var(--ready); } .tight { color: var(--tight); } .no { color: var(--no); }
.unknown { color: var(--dim); }
"""


def fit_page(fit: Fit) -> str:
    """Return the page; all that comes from files is escaped."""
    name = escape(fit.model.name)
    count = len(fit.boards) + len(fit.left_out)
    answer = f'<p class="answer">{escape(", ".join(fit.wishes))}: {escape(fit.answer)}.</p>' if fit.answer else ""
    facts = "".join(f"<li>needs {escape(text)}</li>" for text in needs(fit))
    notes = "".join(f"<li>{escape(text)}</li>" for text in (*reasons(fit), *fit.assumptions))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} on {count} boards</title><style>{STYLE}</style></head><body>"
        f"<h1>{name} <small>{model_size(fit.model)}, {count} boards, {escape(fit.engine)}</small></h1>"
        f'{answer}<ul>{facts}</ul><div class="wide">{_matrix(fit)}</div>'
        f"<h2>What is not known, and what was assumed</h2><ul>{notes}</ul>"
        "<p><small>Latency, energy and life are estimated; the range holds 90 %. ~ extrapolated beyond what was"
        " measured.</small></p></body></html>"
    )


def _matrix(fit: Fit) -> str:
    names = estimated_names(fit)
    titles = [*(TITLES[name] for name in names), "price", "flash", "memory"]
    head = "".join(f'<th scope="col" class="figure">{escape(title)}</th>' for title in titles)
    rows = [*_rows(fit.boards, names, ""), *_rows(fit.left_out, names, "left")]
    return (
        '<table><thead><tr><th scope="col">board</th><th scope="col">verdict</th>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _rows(boards: Sequence[BoardFit], names: Sequence[str], kind: str) -> list[str]:
    rows = []
    for board in boards:
        figures = [*(figure(board, name) for name in names), price(board), left(board, "flash_bytes"),
                   memory_left(board)]  # fmt: skip
        cells = "".join(f'<td class="figure">{escape(text)}</td>' for text in figures)
        told = why(board)
        under = f'<div class="why">{escape(told)}</div>' if told else ""
        names_of = f"{escape(board.name)}<br><small>{escape(board.board)}</small>{under}"
        rows.append(
            f'<tr class="{kind}"><th scope="row">{names_of}</th>'
            f'<td class="{CLASSES[board.verdict]}">{escape(board.verdict)}</td>{cells}</tr>'
        )
    return rows
