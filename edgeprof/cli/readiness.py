"""`edgeprof readiness`: whether a measured model is ready for a deployment."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from edgeprof.cli.options import BASES, format_option, output_option, show, trust_option


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
@trust_option
@format_option("table", "json", "markdown")
@output_option
def command(**given: Any) -> int:  # noqa: ANN401  click hands over what the options declare
    """Tell whether the model of RESULT (a result file, or `last`) is ready, with the evidence for each box.

    Without --for every deployment gets a line and none decides the exit code.

    \b
    edgeprof readiness last
    edgeprof readiness result.json --for mobile --format markdown
    """
    from edgeprof.answers import readiness
    from edgeprof.judging.readiness import exit_code
    from edgeprof.report.readiness import render_readiness

    named = given["deployments"]
    report = readiness(given["path"], named, board=given["board"], accept_basis=given["accepted"])
    show(partial(render_readiness, report, detailed=bool(named)), given["format_name"], given["output"])
    return exit_code(report, strict=given["strict"]) if named else 0
