"""A terminal that Rich draws on in memory, and the colours of verdicts."""

from __future__ import annotations

import io
import os
import shutil
import sys

from rich.console import Console

VERDICT_STYLES = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red", "SKIP": "dim", "INCONCLUSIVE": "yellow"}


def text_console() -> Console:
    """Return a console that writes into memory, as wide and as colourful as standard output."""
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 110
    return Console(
        file=io.StringIO(),
        force_terminal=colour,
        no_color=not colour,
        width=max(width, 72),
        highlight=False,
        emoji=False,
        markup=False,
    )


def captured(console: Console) -> str:
    """Return what was drawn, without blanks at the ends of lines."""
    file = console.file
    drawn = file.getvalue() if isinstance(file, io.StringIO) else ""
    return "\n".join(line.rstrip() for line in drawn.splitlines())
