"""`edgeprof doctor`: what is missing or noisy."""

from __future__ import annotations

import click

from edgeprof.cli.options import format_option

MISSING = 3


@click.command(name="doctor")
@click.option("--target", "-t", default="local", show_default=True, help="local, ssh://user@host, or a named target.")
@format_option("table", "json")
def command(target: str, format_name: str) -> int:
    """Show what is missing or noisy on a target, what mends it, and what ignoring it costs.

    Exits 3 when something that is needed is missing.
    """
    from edgeprof.api import doctor  # noqa: PLC0415  nothing heavy before the options are right
    from edgeprof.report.checks import render_diagnosis  # noqa: PLC0415  the same

    diagnosis = doctor(target)
    click.echo(render_diagnosis(diagnosis, format_name))
    return MISSING if diagnosis.missing else 0
