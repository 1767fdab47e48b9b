"""What doctor found, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.text import Text

from edgeprof.report.console import captured, text_console
from edgeprof.report.drawing import drawn

if TYPE_CHECKING:
    from edgeprof.records.checks import Diagnosis

STYLES = {"OK": "green", "WARN": "yellow", "MISSING": "bold red"}


@drawn
def render_diagnosis(diagnosis: Diagnosis, format_name: str) -> str:
    """Return one line a finding, with its remedy and cost below where there is something to do."""
    if format_name == "json":
        return msgspec.json.format(msgspec.json.encode(diagnosis), indent=1).decode()
    console = text_console()
    board = f" ({diagnosis.board})" if diagnosis.board else ""
    console.print(Text(f"{diagnosis.target}{board}", style="bold"))
    for check in diagnosis.checks:
        line = Text(f"{check.verdict:<8}", style=STYLES[check.verdict])
        line.append(f"{check.name:<16}", style="bold")
        line.append(check.seen)
        console.print(line)
        if check.remedy:
            console.print(Text(f"{'':<24}→ {check.remedy}"))
        if check.cost:
            console.print(Text(f"{'':<24}  left as it is: {check.cost}", style="dim"))
    return captured(console)
