"""`edgeprof compare`: models run in turns, or results."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edgeprof.cli.options import SEEDS, Amount, Percent, format_option, output_option, show, trust_option

if TYPE_CHECKING:
    from types import FrameType

    from edgeprof.profiling.plan import Options
    from edgeprof.records.comparison import Price

RUN_OPTIONS = {
    "targets": "--target", "threads": "--threads", "runtime": "--runtime", "delegate": "--delegate",
    "providers": "--provider", "runtime_options": "--runtime-option", "cpus": "--cpus", "seed": "--seed",
    "new_runtime": "--new-runtime", "new_delegate": "--new-delegate", "new_providers": "--new-provider",
    "new_runtime_options": "--new-runtime-option",
}  # fmt: skip
"""Parameter to option: how models are run."""


class Regression(Percent):
    """`3%`, or 0.03. A bare number from 1 on is refused: who types 5 means 5 %, and 500 % would gate nothing."""

    name = "percent"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the ratio."""
        ratio = super().convert(value, param, ctx)
        text = str(value).strip()
        if not isinstance(value, float) and not text.endswith("%") and ratio >= 1:
            self.fail(f"{text} without a sign would be {ratio * 100:g} %; {text} % is written {text}%", param, ctx)
        return ratio


class Agreement(Percent):
    """`99%`. A bare number is refused: 99 and 0.99 are both typed for it, and one of them would gate nothing."""

    name = "percent"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the ratio."""
        text = str(value).strip()
        if not isinstance(value, float) and not text.endswith("%"):
            self.fail(f"{text!r} has no sign: a share is written as 99%", param, ctx)
        ratio = super().convert(value, param, ctx)
        if not 0 <= ratio <= 1:
            self.fail(f"{text} is not between 0 and 100 %", param, ctx)
        return ratio


@click.command(name="compare")
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path), nargs=-1)
@click.option(
    "--target",
    "-t",
    "targets",
    multiple=True,
    default=("local",),
    show_default=True,
    help="Where models are run; given twice, BASE on the first and NEW, or BASE again, on the second.",
)
@click.option(
    "--max-regression",
    type=Regression(),
    default="3%",
    show_default=True,
    help="How much worse NEW may be: beyond it exit 1.",
)
@click.option(
    "--min-agreement",
    type=Agreement(),
    help="How far outputs have to agree: below it exit 1.  [default: 99% with --inputs, 50% on random ones]",
)
@click.option("--allow", multiple=True, help="Compare although this differs, such as board or runtime, or all.")
@click.option("--threads", type=int, default=1, show_default=True, help="Threads of the runtime.")
@click.option("--runtime", default="", metavar="litert|tflite|onnxruntime", help="Runtime.  [default: what works]")
@click.option("--delegate", default="", metavar="xnnpack|none|PATH", help="For .tflite, on both sides.")
@click.option("--provider", "providers", multiple=True, metavar="NAME", help="For .onnx: cpu, cuda, … May be repeated.")
@click.option(
    "--runtime-option", "runtime_options", multiple=True, metavar="KEY=VALUE", help="For .onnx, as in profile."
)
@click.option("--cpus", default="", metavar="LIST", help="CPUs to pin to, such as 0-3,6.")
@click.option("--new-runtime", default="", metavar="NAME", help="Runtime of NEW where it is another one.")
@click.option("--new-delegate", default="", metavar="xnnpack|none|PATH", help="Delegate of NEW, the same.")
@click.option("--new-provider", "new_providers", multiple=True, metavar="NAME", help="Provider of NEW, the same.")
@click.option(
    "--new-runtime-option", "new_runtime_options", multiple=True, metavar="KEY=VALUE", help="Of NEW, the same."
)
@click.option(
    "--quality/--no-quality",
    default=None,
    help="Compare the outputs for the same inputs.  [default: where the models have as many outputs]",
)
@click.option("--inputs", type=click.Path(path_type=Path), help="NPZ of BASE's inputs, first axis: inferences.")
@click.option("--labels", type=click.Path(path_type=Path), help="Classes for --inputs, NPZ or CSV: accuracy, F1, AUC.")
@click.option(
    "--guard",
    type=click.Choice(("conservative", "balanced", "aggressive")),
    help="Accuracy that may be lost: 0.5 points, 1.5 points, any.  [default: balanced, with --labels]",
)
@click.option("--requests-per-day", type=Amount(min=0, min_open=True), help="For the cost in the report.")
@click.option("--price-per-hour", type=Amount(min=0), help="Price of the machine in $ an hour, the same.")
@click.option("--seed", type=SEEDS, default=0, show_default=True, help="Seed of the random inputs.")
@click.option("--all", "show_all", is_flag=True, help="Also show what is the same and what cannot be told.")
@click.option("--strict", is_flag=True, help="WARN exits 1, INCONCLUSIVE exits 6.")
@trust_option
@format_option("table", "json", "markdown", "junit", "report")
@output_option
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(**given: Any) -> int:  # noqa: ANN401  click hands over what the options declare
    """Compare each NEW with BASE: models (run in turns on --target), or results or folders of them.

    With several --target each model is run on its own.

    \b
    edgeprof compare old.tflite new.tflite
    edgeprof compare fp32.tflite int8.tflite --format report
    edgeprof compare base.json new.json --max-regression 5%
    edgeprof compare model.tflite --target ssh://pi@pi4 --target ssh://pi@pi5
    """
    from edgeprof.api import compare
    from edgeprof.cli.github import tell_github
    from edgeprof.cli.progress import progress
    from edgeprof.report.comparison import exit_code, render_comparisons

    _refuse_run_options(given)
    signal.signal(signal.SIGTERM, _interrupt)
    where = " and ".join(dict.fromkeys(given["targets"]))
    with progress((where,), quiet=given["quiet"], verbose=False) as on_event:
        found = compare(
            given["base"], *given["new"], target=given["targets"], max_regression=given["max_regression"],
            min_agreement=given["min_agreement"], allow=given["allow"], options=_options(given),
            new_options=_new_options(given), quality=given["quality"], inputs=given["inputs"], labels=given["labels"],
            guard=given["guard"], price=_price(given), on_event=lambda plan, event: on_event(where, plan, event),
        )  # fmt: skip
    show(partial(render_comparisons, found, whole=given["show_all"]), given["format_name"], given["output"])
    findings = [finding for one in found for finding in one.findings]
    tell_github(f"against {given['base']}", findings, lambda: render_comparisons(found, "markdown"))
    return exit_code(found, strict=given["strict"])


def _refuse_run_options(given: dict[str, Any]) -> None:
    """Raise UsageError where results are to be run in some way, which they are not."""
    from edgeprof.comparing.request import is_model
    from edgeprof.errors import UsageError

    context = click.get_current_context()
    typed = [
        option
        for name, option in RUN_OPTIONS.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if typed and not any(is_model(path) for path in (given["base"], *given["new"])):
        raise UsageError(
            f"{', '.join(typed)} with results, which are not run again",
            hint="leave it out, or compare the models themselves",
        )


def _options(given: dict[str, Any]) -> Options:
    from edgeprof.profiling.plan import Options
    from edgeprof.profiling.runtime_choice import parse_cpus

    return Options(
        runs=300, threads=given["threads"], seed=given["seed"], runtime=given["runtime"], delegate=given["delegate"],
        providers=given["providers"], runtime_options=given["runtime_options"],
        cpus=parse_cpus(given["cpus"]) if given["cpus"] else (),
    )  # fmt: skip


def _new_options(given: dict[str, Any]) -> Options | None:
    """Return how NEW is run where that was asked for; what is left out is the runtime's own choice."""
    wishes = (given[name] for name in ("new_runtime", "new_delegate", "new_providers", "new_runtime_options"))
    if not any(wishes):
        return None
    return _options(given)._replace(
        runtime=given["new_runtime"],
        delegate=given["new_delegate"],
        providers=given["new_providers"],
        runtime_options=given["new_runtime_options"],
    )


def _price(given: dict[str, Any]) -> Price | None:
    from edgeprof.records.comparison import Price

    requests, price = given["requests_per_day"], given["price_per_hour"]
    if requests is None and price is not None:
        raise click.UsageError("--price-per-hour tells nothing without --requests-per-day")
    return None if requests is None else Price(requests_per_day=requests, price_per_hour_usd=price)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
