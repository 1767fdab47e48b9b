"""`edgeprof check`: judge a model, an app bundle or a result."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from edgeprof.cli.options import BASES, format_option, output_option, show, trust_option


@click.command(name="check")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--limits", "profiles", metavar="NAME|FILE", multiple=True, help="Profile, or your own FILE.toml. May be repeated."
)
@click.option("--limit", "terms", multiple=True, help="A limit such as 'model_bytes<10MB'. May be repeated.")
@click.option("--board", help="Also judge by the memory of this board.")
@click.option(
    "--accept-basis", "accepted", multiple=True, type=click.Choice(BASES), help="Let figures of this basis count."
)
@click.option("--strict", is_flag=True, help="WARN exits 1, INCONCLUSIVE exits 6.")
@click.option(
    "--gate",
    type=click.Choice(("target", "hard")),
    default="target",
    show_default=True,
    help="With hard, a missed target is a WARN.",
)
@trust_option
@format_option("table", "json", "markdown", "junit")
@output_option
def command(**given: Any) -> int:  # noqa: ANN401  click hands over what the options declare
    """Judge PATH: a model, an app bundle (.apk .aab .ipa .aar .whl .zip .tar.gz, a folder) or a result.

    \b
    edgeprof check app.apk --limits mobile
    edgeprof check model.tflite --limits edge --board raspberry-pi-5 --format junit > limits.xml
    """
    from edgeprof.cli.github import tell_github
    from edgeprof.judging.checking import check, exit_code
    from edgeprof.judging.limits import parse_limit
    from edgeprof.report.findings import render_check

    if not (given["profiles"] or given["terms"] or given["board"]):
        raise click.UsageError(f"--limits is missing; profiles: {', '.join(_profiles())}\nHint: --limits mobile")
    limits = (*given["profiles"], *map(parse_limit, given["terms"]))
    report = check(given["path"], limits, board=given["board"], accept_basis=given["accepted"], gate=given["gate"])
    show(partial(render_check, report), given["format_name"], given["output"])
    tell_github(report.path, report.findings, lambda: render_check(report, "markdown"))
    return exit_code(report, strict=given["strict"])


def _profiles() -> tuple[str, ...]:
    from edgeprof.judging.profiles import shipped_profiles

    return tuple(shipped_profiles())
