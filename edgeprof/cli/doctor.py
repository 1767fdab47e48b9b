"""`edgeprof doctor`: what is missing or noisy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from edgeprof.cli.options import format_option, output_option, show, trust_option

if TYPE_CHECKING:
    from pathlib import Path

MISSING = 3


@click.command(name="doctor")
@click.option("--target", "-t", default="local", show_default=True, help="local, ssh://user@host, or a named target.")
@trust_option
@format_option("table", "json")
@output_option
def command(target: str, format_name: str, output: Path | None) -> int:
    """Show what is missing or noisy on a target, what mends it, and what ignoring it costs.

    Exits 3 when something that is needed is missing.
    """
    from edgeprof.api import doctor
    from edgeprof.report.checks import render_diagnosis

    diagnosis = doctor(target)
    show(partial(render_diagnosis, diagnosis), format_name, output)
    return MISSING if diagnosis.missing else 0
