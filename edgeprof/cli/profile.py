"""`edgeprof profile`: measure a model."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeprof.cli.options import BASES, SEEDS, Amount, Duration, Shape, Share, WarmUp, format_option, trust_option

if TYPE_CHECKING:
    from types import FrameType

    from edgeprof.errors import EdgeprofError
    from edgeprof.records.result import Result


@click.command(name="profile")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--target",
    "-t",
    "targets",
    multiple=True,
    default=("local",),
    show_default=True,
    help="local, ssh://user@host, sim:BOARD, or a name from edgeprof.toml. May be repeated.",
)
@click.option("--board", help="The board's id, when the target does not tell it.")
@click.option("--runs", type=int, help="Samples to take.  [default: 1000, or as many as fit 10 s]")
@click.option(
    "--launches",
    type=int,
    default=1,
    show_default=True,
    help="Fresh processes; from 5 on the intervals hold across launches.",
)
@click.option("--warmup", type=WarmUp(), default="auto", show_default=True, help="Inferences before the first sample.")
@click.option(
    "--duration",
    "duration_s",
    type=Duration(),
    help="Run this long instead of --runs, such as 10m: with a curve over time, and when the board throttled.",
)
@click.option(
    "--period",
    "period_s",
    type=Duration(),
    help="Deadline mode: release an inference every 33ms, say, and count latency from the release, in a pass of its"
    " own; with --duration that pass alone.",
)
@click.option(
    "--sweep",
    "sweep",
    metavar="threads=N,…|batch=N,…",
    multiple=True,
    help="A result for each of these thread counts, or batch sizes of the model's inputs. Both: every combination.",
)
@click.option("--threads", type=int, default=1, show_default=True, help="Threads of the runtime.")
@click.option("--runtime", default="", metavar="litert|tflite|onnxruntime", help="Runtime.  [default: what works]")
@click.option(
    "--delegate", default="", metavar="xnnpack|none|PATH", help="For .tflite; PATH: of a library there, ?key=value."
)
@click.option("--provider", "providers", multiple=True, metavar="NAME", help="For .onnx: cpu, cuda, … May be repeated.")
@click.option(
    "--require-delegated",
    "require_delegated_ratio",
    type=Share(),
    metavar="95%",
    help="Fail where the provider or delegate takes less than this share of the model's nodes; exit 6 where it is not"
    " known.",
)
@click.option(
    "--runtime-option", "runtime_options", multiple=True, metavar="KEY=VALUE",
    help="Option of ONNX Runtime's session, such as session.x64quantprecision=1. May be repeated.",
)  # fmt: skip
@click.option("--cpus", default="", metavar="LIST", help="CPUs to pin to, such as 0-3,6.")
@click.option("--hook", type=click.Path(path_type=Path), help="Python file with preprocess(raw), postprocess(outputs).")
@click.option(
    "--batch",
    type=int,
    help="Inferences a timed sample; --sweep batch=N is the model's batch size.  [default: 1, more below 10 µs]",
)
@click.option("--per-op", is_flag=True, help="Also time single operators, in a pass of their own.")
@click.option(
    "--check-outputs/--no-check-outputs",
    default=None,
    help="Compare the outputs with those of reference kernels on this machine.  [default: on microcontrollers]",
)
@click.option(
    "--install-runtime",
    is_flag=True,
    help="Put a runtime into edgeprof's own folder on a board where none works; the board needs no internet.",
)
@click.option(
    "--wheels",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Install the runtime from this folder of wheels, not from the package index.",
)
@click.option(
    "--power",
    default="",
    metavar="onboard|METER|FILE",
    help="Energy too, from the board's sensors, an instrument such as ppk2:///dev/ttyACM1?voltage=3300mV, or FILE: the"
    " recording (CSV, NPZ, EEMBC; with a marker) of a program that is started before this one and writes FILE until the"
    " run is over. It is read then; on a terminal it may be exported then.",
)
@click.option(
    "--battery",
    metavar="NAME=VALUE,…",
    help="How long a battery lasts: cell=CR2032,every=10m,sleep-current=2uA,supply=3V,regulator=none.",
)
@click.option("--windows", type=int, default=8, show_default=True, help="Windows that energy is taken over.")
@click.option("--window", "window_s", type=Duration(), help="Length of one.  [default: 1s, on-board sensors 4s]")
@click.option("--idle", "idle_s", type=Duration(), help="Rest around each.  [default: half a window]")
@click.option(
    "--price", "price_usd_per_kwh", type=Amount(min=0), metavar="USD/KWH", help="Price of electricity, for the cost."
)
@click.option(
    "--grid", "grid_g_per_kwh", type=Amount(min=0), metavar="G/KWH", help="Carbon intensity of the grid, gCO2/kWh."
)
@click.option("--sensors", "sensors_s", type=Duration(), help="How often sensors are read; 0s: never.")
@click.option("--tag", help="A word to find this result by in the history.")
@click.option("--no-history", is_flag=True, help="Keep this result out of the history.")
@click.option("--no-memory", is_flag=True, help="Leave the memory pass out.")
@click.option("--shape", "shapes", type=Shape(), multiple=True, help="Size of a dynamic input, NAME=1x3x224x224.")
@click.option("--inputs", type=click.Path(path_type=Path), help="NPZ keyed by tensor name, first axis: inferences.")
@click.option("--outputs", type=click.Path(path_type=Path), help="Write the outputs to this NPZ.")
@click.option("--seed", type=SEEDS, default=0, show_default=True, help="Seed of the random inputs.")
@click.option("--timeout", "timeout_s", type=Duration(), help="Give up after this time, such as 10m.")
@click.option(
    "--limits",
    "profiles",
    metavar="NAME|FILE",
    multiple=True,
    help="Judge by a profile of limits, such as edge, or your own FILE.toml. May be repeated.",
)
@click.option("--limit", "limits", multiple=True, help="A limit such as 'latency_p99_s<0.05'. May be repeated.")
@click.option(
    "--accept-basis",
    "accepted",
    multiple=True,
    type=click.Choice(BASES),
    help="Let limits also judge figures of this basis.",
)
@click.option(
    "--gate",
    type=click.Choice(("target", "hard")),
    default="target",
    show_default=True,
    help="With hard, a missed target is a WARN.",
)
@click.option("--strict", is_flag=True, help="WARN exits 1, INCONCLUSIVE exits 6.")
@trust_option
@format_option("table", "json", "markdown", "csv", "junit", "html", "perfetto")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the JSON result here; a folder when there are several targets.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("-v", "--verbose", is_flag=True, help="Say what happens, on standard error.")
def command(**given: Any) -> int:  # noqa: ANN401  click hands over what the options declare
    """Measure MODEL (.tflite or .onnx): latency, memory and, where asked for, operators and outputs.

    \b
    edgeprof profile model.tflite
    edgeprof profile model.tflite --target sim:nucleo-l4r5zi --limit 'latency_p99_s<50ms' --accept-basis simulated
    """
    from edgeprof.api import exit_code, profile_all
    from edgeprof.battery.spec import parse_battery
    from edgeprof.cli import say_error
    from edgeprof.cli.github import tell_github
    from edgeprof.cli.progress import confirm, progress, somebody_is_there
    from edgeprof.judging.limits import parse_limit
    from edgeprof.power.metrics import Priced
    from edgeprof.profiling.plan import Options
    from edgeprof.profiling.runtime_choice import parse_cpus
    from edgeprof.report import render

    signal.signal(signal.SIGTERM, _interrupt)
    options = Options(
        runs=given["runs"], launches=given["launches"], warmup=given["warmup"], duration_s=given["duration_s"],
        threads=given["threads"], batch=given["batch"], per_op=given["per_op"], memory=not given["no_memory"],
        seed=given["seed"], timeout_s=given["timeout_s"], check_outputs=given["check_outputs"],
        runtime=given["runtime"], delegate=given["delegate"], providers=given["providers"],
        require_delegated_ratio=given["require_delegated_ratio"],
        runtime_options=given["runtime_options"],
        cpus=parse_cpus(given["cpus"]) if given["cpus"] else (), hook=str(given["hook"]) if given["hook"] else None,
        power=given["power"], windows=given["windows"], window_s=given["window_s"], idle_s=given["idle_s"],
        priced=Priced(given["price_usd_per_kwh"], given["grid_g_per_kwh"]),
        sensors_s=given["sensors_s"], period_s=given["period_s"],
        install_runtime=given["install_runtime"] or given["wheels"] is not None,
    )  # fmt: skip
    with progress(given["targets"], quiet=given["quiet"], verbose=given["verbose"]) as on_event:
        results, failures = profile_all(
            given["model"], given["targets"], board=given["board"], options=options, shapes=dict(given["shapes"]),
            inputs=given["inputs"], outputs=given["outputs"],
            limits=(*given["profiles"], *map(parse_limit, given["limits"])),
            accept_basis=given["accepted"], gate=given["gate"],
            output=given["output"], sweep=given["sweep"], on_event=on_event, wheels=given["wheels"],
            battery=parse_battery(given["battery"]) if given["battery"] else None,
            tag=given["tag"], history=not given["no_history"],
            ask=confirm if len(given["targets"]) == 1 and somebody_is_there() else None,
        )  # fmt: skip
    if results:
        click.echo(render(results, given["format_name"]))
        findings = [finding for result in results for finding in result.findings]
        tell_github(str(given["model"]), findings, lambda: render(results, "markdown"))
    for failure in [*failures, *_broken_off(results, given["format_name"])]:
        say_error(failure)
    sys.stdout.flush()
    return exit_code(results, failures, strict=given["strict"])


def _broken_off(results: list[Result], format_name: str) -> list[EdgeprofError]:
    """Return why runs ended early, for formats that have no place for it."""
    from edgeprof.errors import EdgeprofError

    shown = [] if format_name == "table" else results
    return [EdgeprofError(w.text, hint=w.advice) for r in shown for w in r.warnings if w.code == "broken-off"]


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
