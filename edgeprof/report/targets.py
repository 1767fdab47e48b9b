"""Targets as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.report.console import captured, text_console
from edgeprof.report.drawing import drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.examining.reachable import Reachable


@drawn
def render_targets(targets: Sequence[Reachable], format_name: str) -> str:
    """Return one line a target."""
    if format_name == "json":
        return msgspec.json.format(msgspec.json.encode(list(targets)), indent=1).decode()
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("target", "kind", "board", "what"):
        table.add_column(title, no_wrap=title != "what")
    for target in targets:
        table.add_row(Text(target.name), target.kind, Text(target.board or ""), Text(target.description))
    console = text_console()
    console.print(table)
    return captured(console)
