"""`edgeprof fit`: on which boards a model fits, how fast it is there, and how long a battery lasts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeprof.cli.options import Amount, Duration, Shape, format_option, output_option, show, trust_option
from edgeprof.errors import EdgeprofError

if TYPE_CHECKING:
    from edgeprof.fitting.wishes import Wishes

DOES_NOT_FIT = 4
LIFE_OPTIONS = ("every", "cell", "capacity", "sleep_current", "regulator", "supply")
SORTED_BY = ("name", "price", "latency", "energy", "life")
YEARS = {"y": 365.25 * 86400, "mo": 730.5 * 3600, "w": 7 * 86400.0}


class Life(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """`1y`, `6mo`, `2w`, `90d`, or what a duration is."""

    name = "life"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        text = str(value).strip()
        for unit, seconds in YEARS.items():
            number = text.removesuffix(unit).strip()
            if number != text and number.replace(".", "", 1).isdigit():
                return float(number) * seconds
        return Duration().convert(value, param, ctx)


class Energy(click.ParamType):  # type: ignore[type-arg]  # the same
    """`2mJ`, or joules."""

    name = "energy"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return joules."""
        from edgeprof.units import parse_energy

        try:
            return parse_energy(str(value))
        except EdgeprofError as error:
            self.fail(error.message, param, ctx)


@click.command(name="fit")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", "boards", multiple=True, help="Only this board; may be repeated.  [default: all]")
@click.option("--core", help="A board without a file, by its core, such as cortex-m4.")
@click.option("--clock", help="Its clock, such as 150MHz.")
@click.option("--target", help="A Linux board that edgeprof calibrate has measured.")
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Threads on that target.")
@click.option("--engine", help="What executes the model on a microcontroller.  [default: tflm, with cmsis-nn on Arm]")
@click.option("--npu", help="An Ethos-U configuration, such as ethos-u55-128, where a board's file does not say it.")
@click.option("--shape", "shapes", type=Shape(), multiple=True, help="Size of a dynamic input, NAME=1x3x224x224.")
@click.option("--every", help="Battery life at one inference every so often, such as 1s.")
@click.option("--cell", help="The cell, such as cr2032; edgeprof battery --help says more.")
@click.option("--capacity", help="Its capacity where it is none that is known, such as 1000mAh.")
@click.option("--sleep-current", help="What the device takes between inferences, such as 5uA.")
@click.option("--regulator", help="Between cell and board: buck, boost, ldo or none.  [default: ldo where needed]")
@click.option("--supply", help="The board's voltage, where its file does not say it.")
@click.option("--max-latency", type=Duration(), help="Only boards that are surely as quick as this, such as 50ms.")
@click.option("--max-energy", type=Energy(), help="Only boards that surely take no more an inference, such as 2mJ.")
@click.option("--min-life", type=Life(), help="Only boards whose battery surely lasts as long as this, such as 1y.")
@click.option("--max-price", type=Amount(min=0), help="Only boards known to cost no more US dollars.")
@click.option("--sort", type=click.Choice(SORTED_BY), help="Order of the boards.  [default: what was asked for]")
@click.option("--calibrate-with", type=click.Path(path_type=Path), multiple=True, help="A result measured on a board.")
@click.option("--use-history", is_flag=True, help="Also use the kept results of these boards.")
@trust_option
@format_option("table", "json", "markdown", "html", "csv")
@output_option
def command(**given: Any) -> int:  # noqa: ANN401  click hands over what the options declare
    """Tell on which boards MODEL fits, its latency, energy and battery life there, and what to shrink first.

    Exits 4 when every board that you named is NOT READY: the model does not fit it, or the cell cannot drive it.

    \b
    edgeprof fit model.tflite --board nucleo-l4r5zi
    edgeprof fit model.tflite --every 1s --cell cr2032 --sleep-current 5uA --min-life 1y
    """
    from edgeprof.api import fit
    from edgeprof.report.fit import render_fit

    battery = {name: given[name] for name in LIFE_OPTIONS if given[name] is not None}
    found = fit(
        given["model"], boards=given["boards"], core=given["core"], clock=given["clock"], engine=given["engine"],
        shapes=dict(given["shapes"]), target=given["target"], threads=given["threads"], npu=given["npu"],
        calibrate_with=given["calibrate_with"], use_history=given["use_history"], wishes=_wishes(given), **battery,
    )  # fmt: skip
    show(partial(render_fit, found), given["format_name"], given["output"])
    named = bool(given["boards"] or given["core"] or given["target"])
    every = (*found.boards, *found.left_out)
    return DOES_NOT_FIT if named and all(board.verdict == "NOT READY" for board in every) else 0


def _wishes(given: dict[str, Any]) -> Wishes:
    from edgeprof.fitting.wishes import Wishes

    return Wishes(
        max_latency_s=given["max_latency"], max_energy_j=given["max_energy"], min_life_s=given["min_life"],
        max_price_usd=given["max_price"], sort=given["sort"],
    )  # fmt: skip
