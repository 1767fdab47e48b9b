"""`edgeprof export`: a result into MLflow or TensorBoard."""

from __future__ import annotations

from pathlib import Path

import click

from edgeprof.printable import printable


@click.command(name="export")
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--to", "tracker", type=click.Choice(("mlflow", "tensorboard")), required=True, help="Which tracker.")
@click.option("--at", "place", required=True, help="A folder; for MLflow also a tracking URI.")
@click.option("--experiment", default="edgeprof", show_default=True, help="The experiment's name.")
def command(result: Path, tracker: str, place: str, experiment: str) -> None:
    """Write RESULT (a result file, or `last`) into MLflow or TensorBoard.

    \b
    edgeprof export last --to mlflow --at mlruns
    edgeprof export result.json --to tensorboard --at logs
    """
    from edgeprof.answers import export

    click.echo(printable(export(result, tracker, place, experiment)))
