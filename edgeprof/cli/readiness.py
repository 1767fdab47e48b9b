"""`edgeprof readiness`: whether a measured model is ready for a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeprof.cli.options import BASES, format_option

if TYPE_CHECKING:
    from edgeprof.records.board import Board


@click.command(name="readiness")
@click.argument("path", metavar="RESULT")
@click.option(
    "--for", "deployments", metavar="NAME", multiple=True, help="mobile, edge, realtime, vehicle, …: may be repeated."
)
@click.option("--board", help="Also judge by the memory of this board.  [default: the result's own]")
@click.option(
    "--accept-basis", "accepted", multiple=True, type=click.Choice(BASES), help="Let figures of this basis count."
)
@click.option("--strict", is_flag=True, help="READY WITH WARNINGS exits 1, UNKNOWN exits 6.")
@format_option("table", "json", "markdown")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the JSON report here.")
def command(**given: Any) -> int:  # noqa: ANN401  click hands over what the options declare
    """Tell whether the model of RESULT (a result file, or `last`) is ready, with the evidence for each box.

    Without --for every deployment gets a line and none decides the exit code.

    \b
    edgeprof readiness last
    edgeprof readiness result.json --for mobile --format markdown
    """  # noqa: D301  click's \b keeps the lines apart
    from edgeprof.api import load_result  # noqa: PLC0415  nothing heavy before the options are right
    from edgeprof.judging.readiness import assess, exit_code  # noqa: PLC0415  the same
    from edgeprof.report.readiness import render_readiness  # noqa: PLC0415  the same
    from edgeprof.store import check_writable, write_atomically  # noqa: PLC0415  the same

    output: Path | None = given["output"]
    if output is not None:
        check_writable(output)
    result = load_result(given["path"])
    board = _board(given["board"] or result.board.id)
    report = assess(result, given["deployments"], board=board, accept_basis=given["accepted"])
    if output is not None:
        write_atomically(output, render_readiness(report, "json").encode() + b"\n")
    click.echo(render_readiness(report, given["format_name"], detailed=bool(given["deployments"])))
    return exit_code(report, strict=given["strict"]) if given["deployments"] else 0


def _board(name: str | None) -> Board | None:
    from edgeprof.boards import load_board  # noqa: PLC0415  only where there is a board
    from edgeprof.targets import board_folders  # noqa: PLC0415  the same

    return load_board(name, board_folders()) if name else None
