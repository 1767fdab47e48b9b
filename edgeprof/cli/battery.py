"""`edgeprof battery`: how long a battery lasts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeprof.battery.options import LEAKS, REGULATORS, BatteryOptions
from edgeprof.battery.spec import (
    parse_burst,
    parse_celsius,
    parse_self_discharge,
    parse_share,
    parse_shares,
    parse_tolerance,
)
from edgeprof.cli.options import BASES, Duration, format_option, output_option, show, trust_option
from edgeprof.errors import EdgeprofError
from edgeprof.units import parse_charge, parse_current, parse_energy, parse_voltage

if TYPE_CHECKING:
    from collections.abc import Callable


class Read(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """A value that one of our own readers reads."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name, self.read = name, read

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  what it reads
        """Return what the reader makes of it."""
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except EdgeprofError as error:
            self.fail(error.message + (f"\nHint: {error.hint}" if error.hint != error.usual_hint else ""), param, ctx)


CURRENT, VOLTAGE = Read("current", parse_current), Read("voltage", parse_voltage)
CHARGE, ENERGY, SHARE = Read("charge", parse_charge), Read("energy", parse_energy), Read("share", parse_share)


@click.command(name="battery")
@click.argument("result", required=False, type=click.Path(path_type=Path))
@click.option("--cell", metavar="NAME", help="A cell of the library, such as CR2032; --list-cells shows all.")
@click.option("--list-cells", is_flag=True, help="List the library of cells with their figures, and end.")
@click.option("--capacity", "capacity_c", type=CHARGE, help="Rated capacity, such as 1000mAh, of one cell.")
@click.option("--cell-voltage", "cell_v", type=VOLTAGE, help="Nominal voltage of one cell.")
@click.option("--series", type=click.IntRange(min=1), default=1, show_default=True, help="Cells in series.")
@click.option("--parallel", type=click.IntRange(min=1), default=1, show_default=True, help="Cells in parallel.")
@click.option("--max-continuous", "max_continuous_a", type=CURRENT, help="What a cell gives continuously at most.")
@click.option("--max-pulse", "max_pulse_a", type=CURRENT, help="What a cell gives in pulses at most.")
@click.option("--every", "period_s", type=Duration(), help="The period: how often the device wakes and infers.")
@click.option("--inferences", type=float, default=1.0, show_default=True, help="Inferences in each period.")
@click.option("--sleep-current", "sleep_a", type=CURRENT, help="What the device takes the rest of the time: 5uA.")
@click.option("--wake-energy", "wake_j", type=ENERGY, default="0J", help="To wake or boot, once a period.")
@click.option("--wake-time", "wake_s", type=Duration(), default=0.0, help="How long waking takes.")
@click.option("--burst", "bursts", type=Read("name=current*time", parse_burst), multiple=True,
              help="What else draws once a period, such as radio=20mA*50ms. May be repeated.")  # fmt: skip
@click.option("--energy", "energy_j", type=ENERGY, help="Gross energy an inference, where no result has it.")
@click.option("--latency", "latency_s", type=Duration(), help="Time of an inference, where no result has it.")
@click.option(
    "--supply", "supply_v", type=VOLTAGE, help="Where the energy was measured.  [default: as the board's file says]"
)
@click.option("--regulator", type=click.Choice(REGULATORS), help="Between the cell and the device.")
@click.option(
    "--efficiency", type=Read("share", parse_shares), help="Of a buck or boost: 90% or 80%..95%.  [default: 80%..95%]"
)
@click.option("--quiescent-current", "quiescent_a", type=CURRENT, help="What the regulator takes itself.")
@click.option("--usable", type=SHARE, help="Of the capacity, until the cut-off.  [default: 85%, range 80% to 90%]")
@click.option("--health", type=SHARE, default="100%", show_default=True, help="What age has left of the capacity.")
@click.option("--reserve", type=SHARE, default="0%", show_default=True, help="Of the capacity, not to be used.")
@click.option("--cold-capacity", "cold", type=SHARE, help="What the temperature leaves of the capacity.")
@click.option(
    "--temperature", "temperature_celsius", type=Read("celsius", parse_celsius), help="Of the cell.  [default: 25C]"
)
@click.option("--self-discharge", "self_discharge_ratio", type=Read("share/time", parse_self_discharge),
              help="Such as 2%/month or 1%/year, at 25 °C.  [default: the cell's]")  # fmt: skip
@click.option("--leak", type=click.Choice(LEAKS), default="usable", show_default=True,
              help="What discharges itself: the usable charge, or the whole with what is never used.")  # fmt: skip
@click.option(
    "--cell-profile", "profile", type=click.Path(path_type=Path), help="CSV of SoC, Voc, Rint (and T) of a cell."
)
@click.option(
    "--cutoff-voltage", "cutoff_v", type=VOLTAGE, help="The least that the device, or its regulator, runs on."
)
@click.option("--tolerance", "tolerances", type=Read("name=share", parse_tolerance), multiple=True,
              help="Such as capacity=10%, sleep=50%, energy=, latency=, temperature=5C. May be repeated.")  # fmt: skip
@click.option("--limit", "limits", multiple=True, help="A limit such as 'battery_life_s>180d'. May be repeated.")
@click.option(
    "--accept-basis", "accepted", multiple=True, type=click.Choice(BASES), help="Let figures of this basis count."
)
@click.option("--strict", is_flag=True, help="WARN exits 1, INCONCLUSIVE exits 6.")
@trust_option
@format_option("table", "json", "markdown", "html")
@output_option
def command(
    result: Path | None, *, limits: tuple[str, ...], accepted: tuple[Any, ...], output: Path | None, **given: Any  # noqa: ANN401  options
) -> int:  # fmt: skip
    """Tell how long a battery lasts, from the energy of RESULT (a file, or `last`) or from --energy and --latency.

    \b
    edgeprof battery last --cell CR2032 --every 10m --sleep-current 2uA --supply 3V --regulator none
    edgeprof battery --energy 7.37mJ --latency 180ms --capacity 1000mAh --every 10s --sleep-current 5uA \\
        --supply 3V --regulator none --burst radio=20mA*50ms
    """
    from edgeprof.answers import battery_life
    from edgeprof.battery.judging import exit_code, with_limits
    from edgeprof.judging.limits import parse_limit
    from edgeprof.report.battery import render_battery, render_cells

    strict, format_name = given.pop("strict"), given.pop("format_name")
    if given.pop("list_cells"):
        click.echo(render_cells(format_name))
        return 0
    rules = [parse_limit(text) for text in limits]
    report = with_limits(battery_life(BatteryOptions(**given), result), rules, accepted)
    show(partial(render_battery, report), format_name, output)
    return exit_code(report, strict=strict)
