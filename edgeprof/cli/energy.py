"""`edgeprof energy`: what a recorded power trace says, without any board."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import click

from edgeprof.cli.options import Amount, Duration, format_option, output_option, show
from edgeprof.power.options import ALIGNMENTS, LEVELS, SIDES, EnergyOptions


class Quantity(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """A number with one of some units, such as `3300mV` or `1%`."""

    def __init__(self, name: str, units: dict[str, float]) -> None:
        self.name, self.units = name, units

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return it in the base unit."""
        if isinstance(value, float):
            return value
        matched = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([a-zA-Z%]*)\s*", str(value))
        if matched is None or matched[2] not in self.units:
            units = ", ".join(unit for unit in self.units if unit)
            self.fail(f"{value!r} is not a number with one of {units}", param, ctx)
        return float(matched[1]) * self.units[matched[2]]


class Chosen(click.ParamType):  # type: ignore[type-arg]  # the same
    """`ROLE=HEADER[:UNIT]`."""

    name = "role=header"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the role and the header."""
        if isinstance(value, tuple):
            return value
        role, found, header = str(value).partition("=")
        if not found or not header:
            self.fail(f"{value!r} is not ROLE=HEADER, such as current=I(mA)", param, ctx)
        return role.strip(), header.strip()


VOLTS = Quantity("voltage", {"": 1.0, "V": 1.0, "mV": 1e-3})
RATIO = Quantity("ratio", {"%": 0.01})
JOULES = Quantity("energy", {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6})


@click.command(name="energy")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option(
    "--markers",
    type=click.Path(path_type=Path),
    help="When windows begin and end: JSON or CSV, in s or its header's unit.",
)
@click.option("--inferences", type=click.IntRange(min=1), help="How many inferences each window holds.")
@click.option("--voltage", "voltage_v", type=VOLTS, help="The supply, where only current was recorded: 3.3 or 3300mV.")
@click.option("--column", "columns", type=Chosen(), multiple=True, metavar="ROLE=HEADER[:UNIT]",
              help="What a column is and in which unit, if its header leaves it open: 'time=t:ms'.")  # fmt: skip
@click.option("--marker-bit", type=click.IntRange(0, 7), help="Which logic input marks windows.  [default: what moves]")
@click.option("--level", type=click.Choice(LEVELS), default="auto", show_default=True, help="What the marker means.")
@click.option("--guard", "guard_s", type=Duration(), default=0.0, help="Leave so much out at both ends of each window.")
@click.option("--align", type=click.Choice(ALIGNMENTS), default="none", show_default=True,
              help="burst: look for the windows' pattern, where their clock is another one.")  # fmt: skip
@click.option("--idle", "idle_state", help="What the board does between windows: sleep, WFI, busy-wait.")
@click.option("--idle-span", "idle_span_s", type=Duration(), help="Take all of so much as idle.  [default: what lasts]")
@click.option("--idle-side", type=click.Choice(SIDES), default="both", show_default=True, help="Where to take it.")
@click.option("--accuracy", "accuracy_ratio", type=RATIO, help="Of the instrument, as declared by its maker: 1%.")
@click.option("--counter-range", "counter_range_j", type=JOULES, help="Where an energy counter starts again: 262144J.")
@click.option("--price", "price_usd_per_kwh", type=Amount(min=0), help="Of electricity, in USD/kWh.")
@click.option("--grid", "grid_g_per_kwh", type=Amount(min=0), help="Carbon intensity, in gCO2/kWh.")
@output_option
@format_option("table", "json", "markdown", "html")
def command(
    trace: Path, *, markers: Path | None, output: Path | None, format_name: str, **asked: Any  # noqa: ANN401  options
) -> int:  # fmt: skip
    """Integrate TRACE (CSV, NPZ or an EEMBC energy trace) between its marks: energy an inference, power, cost.

    \b
    edgeprof energy ppk2.csv --voltage 3.3 --inferences 100
    edgeprof energy trace1-energy.bin --inferences 100 --price 0.30 --grid 400
    """
    from edgeprof.answers import energy
    from edgeprof.report.energy import render_energy

    given = {name: value for name, value in asked.items() if value is not None}
    report = energy(trace, markers, EnergyOptions(**given))
    show(partial(render_energy, report), format_name, output)
    return 0
