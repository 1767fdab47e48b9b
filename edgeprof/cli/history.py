"""`edgeprof history`: the results kept so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgeprof.cli.options import format_option

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN = ("latency_p50_s", "instructions_count", "memory_peak_bytes", "energy_per_inference_j")


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose results."""
    for name, said in (
        ("tag", "Only results with this word in their tag."),
        ("board", "Only boards with this word in their name."),
        ("target", "Only targets with this word in their name."),
        ("model", "Only models with this word in their name."),
    ):
        command = click.option(f"--{name}", default="", help=said)(command)
    return click.option("--last", "limit", type=click.IntRange(1, 10000), default=20, show_default=True,
                        help="At most so many.")(command)  # fmt: skip


def _chosen(given: dict[str, Any]) -> bool:
    return any(given[name] for name in ("tag", "board", "target", "model"))


@click.group(name="history", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show the results kept so far: list, show, best, trend.

    They are kept in the user's data folder, or where EDGEPROF_DB points; EDGEPROF_DB=off keeps none.

    \b
    edgeprof history list --model kws
    edgeprof history trend latency_p50_s --model kws.tflite
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command, model="", target="", board="", tag="", limit=20, format_name="table")


@command.command(name="list")
@filters
@format_option("table", "json")
def list_command(format_name: str, **chosen: Any) -> None:  # noqa: ANN401  the filters' options
    """List kept results, the newest first."""
    from edgeprof.history.keeping import Filter, entries
    from edgeprof.report.history import render_entries

    click.echo(render_entries(entries(Filter(**chosen), SHOWN), SHOWN, format_name, chosen=_chosen(chosen)))


@command.command(name="show")
@click.argument("result_id", metavar="ID")
@format_option("table", "json", "markdown")
def show_command(result_id: str, format_name: str) -> None:
    """Draw one kept result again; ID may be the beginning of its id."""
    from edgeprof.history.keeping import kept
    from edgeprof.report import render

    click.echo(render([kept(result_id)], format_name))


@command.command(name="best")
@click.argument("metric", default="latency_p50_s")
@filters
@format_option("table", "json")
def best_command(metric: str, format_name: str, **chosen: Any) -> None:  # noqa: ANN401  the filters' options
    """List kept results by METRIC, the best first."""
    from edgeprof.history.keeping import Filter, best
    from edgeprof.report.history import render_entries

    found = best(metric, Filter(**chosen))
    click.echo(render_entries([entry for entry, _ in found], (metric,), format_name))


@command.command(name="trend")
@click.argument("metric", default="latency_p50_s")
@filters
@format_option("table", "json")
def trend_command(metric: str, format_name: str, **chosen: Any) -> None:  # noqa: ANN401  the filters' options
    """Draw METRIC over time for the newest result that the options choose and those comparable with it.

    With --tag only results of that tag are drawn.
    """
    from edgeprof.errors import FileUnreadable
    from edgeprof.history.change_points import steps
    from edgeprof.history.keeping import Filter, entries, trend
    from edgeprof.report.history import render_trend

    newest = entries(Filter(**{**chosen, "limit": 1}))
    if not newest:
        raise FileUnreadable("no kept result is like that", hint="edgeprof history list shows what there is")
    points = trend(metric, newest[0].series, chosen["tag"])[-chosen["limit"] :]
    click.echo(render_trend(metric, points, steps([point.value for point in points]), format_name))
