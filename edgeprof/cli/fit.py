"""`edgeprof fit`: on which boards a model fits."""

from __future__ import annotations

from pathlib import Path

import click

from edgeprof.cli.options import Shape, format_option

DOES_NOT_FIT = 4


@click.command(name="fit")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", "boards", multiple=True, help="Only this board; may be repeated.  [default: all]")
@click.option("--core", help="A board without a file, by its core, such as cortex-m4.")
@click.option("--clock", help="Its clock, such as 150MHz.")
@click.option("--engine", default="tflm", show_default=True, help="What executes the model on a microcontroller.")
@click.option("--shape", "shapes", type=Shape(), multiple=True, help="Size of a dynamic input, NAME=1x3x224x224.")
@format_option("table", "json", "markdown", "csv")
def command(
    model: Path,
    *,
    boards: tuple[str, ...],
    core: str | None,
    clock: str | None,
    engine: str,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    format_name: str,
) -> int:
    """Tell on which boards MODEL fits: flash, memory and operators, in bytes, and what to shrink first.

    Exits 4 when every board that you named is NOT READY.
    """
    from edgeprof.api import fit  # noqa: PLC0415  nothing heavy before the options are right
    from edgeprof.report.inspection import render_fit  # noqa: PLC0415  the same

    found = fit(model, boards=boards, core=core, clock=clock, engine=engine, shapes=dict(shapes))
    click.echo(render_fit(found, format_name))
    named = bool(boards or core)
    return DOES_NOT_FIT if named and all(board.verdict == "NOT READY" for board in found.boards) else 0
