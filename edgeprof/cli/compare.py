"""`edgeprof compare`: two models run in turns, or two results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgeprof.cli.options import Percent, format_option


@click.command(name="compare")
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--target", default="local", show_default=True, help="Where two models are run.")
@click.option(
    "--max-regression",
    type=Percent(),
    default="3%",
    show_default=True,
    help="How much worse NEW may be: beyond it exit 1.",
)
@click.option("--allow", multiple=True, help="Compare although this differs, such as board or runtime, or all.")
@click.option("--threads", type=int, default=1, show_default=True, help="Threads of the runtime.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random inputs.")
@click.option("--strict", is_flag=True, help="INCONCLUSIVE exits 6.")
@format_option("table", "json", "markdown", "junit")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the JSON comparison here.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(**given: Any) -> int:  # noqa: ANN401  click hands over what the options declare
    """Compare NEW with BASE: two models (run in turns on --target), or two results or folders of them.

    \b
    edgeprof compare old.tflite new.tflite
    edgeprof compare base.json new.json --max-regression 5%
    """  # noqa: D301  click's \b keeps the lines apart
    from edgeprof.api import compare  # noqa: PLC0415  nothing heavy before the options are right
    from edgeprof.cli.progress import progress  # noqa: PLC0415  the same
    from edgeprof.plan import Options  # noqa: PLC0415  the same
    from edgeprof.report.comparison import exit_code, render_comparisons  # noqa: PLC0415  the same
    from edgeprof.store import check_writable, write_atomically  # noqa: PLC0415  the same

    output: Path | None = given["output"]
    if output is not None:
        check_writable(output)
    options = Options(runs=300, threads=given["threads"], seed=given["seed"])
    with progress((given["target"],), quiet=given["quiet"], verbose=False) as on_event:
        found = compare(
            given["base"], *given["new"], target=given["target"], max_regression=given["max_regression"],
            allow=given["allow"], options=options, on_event=lambda plan, event: on_event(given["target"], plan, event),
        )  # fmt: skip
    if output is not None:
        write_atomically(output, render_comparisons(found, "json").encode() + b"\n")
    click.echo(render_comparisons(found, given["format_name"]))
    return exit_code(found, strict=given["strict"])
