"""`edgeprof calibrate`: micro models on a Linux board, and what they say of other models."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from edgeprof.cli.options import Shape, format_option, output_option, show, trust_option
from edgeprof.errors import UsageError
from edgeprof.printable import printable

CLEARED = "\r\x1b[K"
"""The terminal's line, empty again."""


@click.command(name="calibrate")
@click.option("--target", default="local", show_default=True, help="The Linux board: local, ssh://user@board.")
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Threads of the runtime.")
@click.option(
    "--model-format", "formats", type=click.Choice(["tflite", "onnx"]), multiple=True,
    help="Only runtimes of this format; may be repeated.  [default: both]",
)  # fmt: skip
@click.option("--runtime", default="", help="Only this runtime, by its name.")
@click.option(
    "--predict", "models", type=click.Path(path_type=Path), multiple=True,
    help="Measure nothing; predict this model from the calibration that is kept. May be repeated.",
)  # fmt: skip
@click.option("--shape", "shapes", type=Shape(), multiple=True, help="Size of a dynamic input, NAME=1x3x224x224.")
@trust_option
@format_option("table", "json", "markdown")
@output_option
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(**given: Any) -> None:  # noqa: ANN401  click hands over what the options declare
    """Measure micro models on a Linux board, so that other models can be predicted for it.

    \b
    edgeprof calibrate --target ssh://pi@raspberrypi.local
    edgeprof calibrate --target ssh://pi@raspberrypi.local --predict model.tflite
    """
    from edgeprof.report.calibration import render_calibrations, render_predictions

    if given["models"]:
        draw = partial(render_predictions, _predicted(given))
    else:
        draw = partial(render_calibrations, _measured(given))
    show(draw, given["format_name"], given["output"])


def _measured(given: dict[str, Any]) -> Any:  # noqa: ANN401  records are imported when they are needed
    from edgeprof.answers import calibrate
    from edgeprof.calibration.keeping import store_calibration

    def heard(name: str, number: int, count: int) -> None:
        if not given["quiet"]:
            click.echo(f"{CLEARED}{number + 1}/{count} {name}", nl=False, err=True)

    found = calibrate(
        given["target"], threads=given["threads"], formats=given["formats"] or ("tflite", "onnx"),
        runtime=given["runtime"], keep=False, heard=heard if _terminal() else None,
    )  # fmt: skip
    for each in found:
        path = store_calibration(each)
        if not given["quiet"]:
            click.echo(f"{CLEARED * _terminal()}kept in {printable(str(path))}", err=True)
    return found


def _predicted(given: dict[str, Any]) -> Any:  # noqa: ANN401  the same
    from edgeprof.answers import predict

    if given["runtime"] or given["formats"]:
        option = "--runtime" if given["runtime"] else "--model-format"
        raise UsageError(f"{option} chooses what is measured; --predict measures nothing", hint="leave one of them out")
    shapes = dict(given["shapes"])
    return [predict(path, given["target"], threads=given["threads"], shapes=shapes) for path in given["models"]]


def _terminal() -> bool:
    return sys.stderr.isatty()
