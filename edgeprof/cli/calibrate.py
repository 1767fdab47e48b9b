"""`edgeprof calibrate`: micro models on a Linux board, and what they say of other models."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from edgeprof.cli.options import Shape, format_option
from edgeprof.errors import UsageError


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
@format_option("table", "json", "markdown")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the JSON here too.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(**given: Any) -> None:  # noqa: ANN401  click hands over what the options declare
    """Measure micro models on a Linux board, so that other models can be predicted for it.

    \b
    edgeprof calibrate --target ssh://pi@raspberrypi.local
    edgeprof calibrate --target ssh://pi@raspberrypi.local --predict model.tflite
    """  # noqa: D301  click's \b keeps the lines apart
    from edgeprof.report.calibration import render_calibrations, render_predictions  # noqa: PLC0415  only when asked
    from edgeprof.store import check_writable, write_atomically  # noqa: PLC0415  the same

    output: Path | None = given["output"]
    if output is not None:
        check_writable(output)
    if given["models"]:
        predictions = _predicted(given)
        drawn, whole = (render_predictions(predictions, name) for name in (given["format_name"], "json"))
    else:
        calibrations = _measured(given)
        drawn, whole = (render_calibrations(calibrations, name) for name in (given["format_name"], "json"))
    if output is not None:
        write_atomically(output, whole.encode() + b"\n")
    click.echo(drawn)


def _measured(given: dict[str, Any]) -> Any:  # noqa: ANN401  records are imported when they are needed
    from edgeprof.calibration.keeping import store_calibration  # noqa: PLC0415  the same
    from edgeprof.calibration.measuring import calibrate  # noqa: PLC0415  nothing heavy before the options

    def heard(name: str, number: int, count: int) -> None:
        if not given["quiet"]:
            click.echo(f"\r\x1b[K{number + 1}/{count} {name}", nl=False, err=True)

    with TemporaryDirectory(prefix="edgeprof-micro-") as folder:
        found = calibrate(
            given["target"], threads=given["threads"], formats=given["formats"] or ("tflite", "onnx"),
            runtime=given["runtime"], folder=Path(folder), heard=heard if _terminal() else None,
        )  # fmt: skip
    for each in found:
        path = store_calibration(each)
        if not given["quiet"]:
            click.echo(f"{chr(13) * _terminal()}kept in {path}", err=True)
    return found


def _predicted(given: dict[str, Any]) -> Any:  # noqa: ANN401  the same
    from edgeprof.calibration.keeping import needed_calibrations  # noqa: PLC0415  the same
    from edgeprof.calibration.predicting import predict  # noqa: PLC0415  nothing heavy before the options are right
    from edgeprof.model import read_model  # noqa: PLC0415  the same

    if given["runtime"] or given["formats"]:
        option = "--runtime" if given["runtime"] else "--model-format"
        raise UsageError(f"{option} chooses what is measured; --predict measures nothing", hint="leave one of them out")
    kept = needed_calibrations(given["target"], given["threads"])
    return [predict(read_model(path, dict(given["shapes"]), batch=1), kept) for path in given["models"]]


def _terminal() -> bool:
    return sys.stderr.isatty()
