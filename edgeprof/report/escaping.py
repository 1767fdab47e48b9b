"""Text that means nothing to the format it stands in."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from edgeprof.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_mention = re.compile(r"(?<!\w)@(?=\w)")
_formula = re.compile(r"\s*[=+\-@＝＋－＠]")  # noqa: RUF001  a spreadsheet takes the wide ones as well
_number = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


def escape(text: str) -> str:
    """Return text that means nothing to Markdown or HTML, and calls nobody by an @name."""
    text = printable(text)
    for character in "\\`*_[]<>|#&":
        text = text.replace(character, f"\\{character}")
    return _mention.sub("@&#8203;", text)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV. A text that a spreadsheet would take for a formula gets a ' before it; a number stays one."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([_csv_cell(cell) for cell in row] for row in rows)
    return out.getvalue().rstrip("\n")


def _csv_cell(cell: object) -> object:
    """Take an apostrophe, as OWASP's "CSV Injection" says: = + - @, a tab and a line break begin a formula."""
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return f"'{text}" if _formula.match(text) and not _number.fullmatch(text) else text
