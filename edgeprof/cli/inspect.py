"""`edgeprof inspect`: what a model needs, from its file alone."""

from __future__ import annotations

from pathlib import Path

import click

from edgeprof.cli.options import Shape, format_option, output_option, show, trust_option


@click.command(name="inspect")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--shape", "shapes", type=Shape(), multiple=True, help="Size of a dynamic input, NAME=1x3x224x224.")
@click.option("--board", help="Also the roofline bound on this board.")
@click.option(
    "--sort", type=click.Choice(("order", "macs", "parameters", "weights", "live", "output")), default="order",
    show_default=True, help="Order of the operators.",
)  # fmt: skip
@click.option("--top", type=click.IntRange(min=1), default=40, show_default=True, help="Show so many operators.")
@click.option(
    "--exact/--no-exact", default=None,
    help="Ask TFLM itself for the arena that it records; takes the exact extra.  [default: only for JSON]",
)  # fmt: skip
@trust_option
@format_option("table", "json", "markdown", "csv")
@output_option
def command(
    model: Path,
    *,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    board: str | None,
    sort: str,
    top: int,
    exact: bool | None,
    format_name: str,
    output: Path | None,
) -> int:
    """Show what MODEL needs: operators with MACs, parameters and bytes, memory over operators, the tensor arena.

    \b
    edgeprof inspect model.tflite
    edgeprof inspect model.onnx --shape input=1x3x224x224 --sort macs --top 10 --board raspberry-pi-5
    """
    # Not by way of edgeprof.api, whose imports would take as long as the rest of this command.
    from edgeprof.inspecting import inspect_model
    from edgeprof.report.inspection import render_inspection

    asked = format_name == "json" or output is not None if exact is None else exact
    found = inspect_model(model, shapes=dict(shapes), board=board, exact=asked)
    show(lambda name: render_inspection(found, name, sort=sort, top=top), format_name, output)
    return 0
