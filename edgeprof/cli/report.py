"""`edgeprof report`: draw a result again."""

from __future__ import annotations

from pathlib import Path

import click

from edgeprof.cli.options import format_option, trust_option


@click.command(name="report")
@click.argument("result", type=click.Path(path_type=Path))
@trust_option
@format_option("table", "json", "markdown", "csv", "junit", "html", "perfetto")
def command(result: Path, format_name: str) -> int:
    """Draw RESULT (a result file, or `last`) again; needs no board.

    \b
    edgeprof report last
    edgeprof report result.json --format markdown
    """
    from edgeprof.api import exit_code, load_result
    from edgeprof.report import render

    shown = load_result(result)
    click.echo(render([shown], format_name))
    return exit_code([shown])
