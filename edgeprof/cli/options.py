"""Options that several commands share, and their values."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeprof.errors import EdgeprofError
from edgeprof.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS = click.IntRange(0, 2**32 - 1)
BASES = ("emulated", "simulated", "estimated", "declared")
_SHAPE = re.compile(r"(.+)=(\d+(?:[x,]\d+)*|scalar)")


class Amount(click.FloatRange):
    """A number in a range that is a number: click's own range takes NaN for inside, as nothing compares with it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  click's own signature
        """Return the number."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return found


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """`60s`, `10m`, `250ms`, or seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except EdgeprofError as error:
            self.fail(error.message, param, ctx)


class Shape(click.ParamType):  # type: ignore[type-arg]  # the same
    """`NAME=1x3x224x224`."""

    name = "name=shape"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int, ...]]:
        """Return the input's name and its shape."""
        matched = _SHAPE.fullmatch(str(value))
        if matched is None:
            self.fail(f"{value!r} is not NAME=1x3x224x224", param, ctx)
        sizes = () if matched[2] == "scalar" else tuple(int(size) for size in re.split("[x,]", matched[2]))
        return matched[1], sizes


class WarmUp(click.ParamType):  # type: ignore[type-arg]  # the same
    """`auto` or a count."""

    name = "auto|n"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Return None for auto."""
        if value is None or value == "auto":
            return None
        if not str(value).isdigit():
            self.fail(f"{value!r} is neither auto nor a count", param, ctx)
        return int(str(value))


class Percent(click.ParamType):  # type: ignore[type-arg]  # the same
    """`3%`, or a ratio such as 0.03."""

    name = "percent"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the ratio."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            ratio = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{value!r} is no percentage such as 3%", param, ctx)
        if not 0 <= ratio <= 10:  # noqa: PLR2004  ten times
            self.fail(f"{value!r} is not between 0 and 1000 %", param, ctx)
        return ratio


class Share(Percent):
    """`95%`, or 0.95: at most the whole."""

    name = "percent"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the ratio."""
        text = str(value).strip()
        if not isinstance(value, float) and re.fullmatch(r"\d+(\.\d+)?", text) and float(text) > 1:
            self.fail(f"{text} is more than the whole; {text} % is written {text}%", param, ctx)
        ratio = super().convert(value, param, ctx)
        if ratio > 1:
            self.fail(f"{text} is more than the whole", param, ctx)
        return ratio


def format_option(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the --format option of a command."""
    return click.option(
        "--format", "format_name", type=click.Choice(formats), default=formats[0], show_default=True,
        help="What is printed on standard output.",
    )  # fmt: skip


def trust_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --trust-config to a command that reads targets, boards or flash commands from `edgeprof.toml`."""
    return click.option(
        "--trust-config", is_flag=True, expose_value=False, callback=_trust,
        help="Let an edgeprof.toml of a repository, or above this folder, start programs and name boards.",
    )(function)  # fmt: skip


def _trust(context: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001  click's signature
    if value:
        from edgeprof.cli.guarded import say
        from edgeprof.configuration import Person, answered_by

        context.with_resource(answered_by(Person(lambda _question: True, lambda text: say(f"edgeprof: {text}"))))


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the -o option of a command: a path, refused before anything is done where it cannot be written."""
    return click.option(
        "-o", "--output", type=click.Path(path_type=Path), callback=_writable, help="Write the JSON here too."
    )(function)


def _writable(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    if value is not None:
        from edgeprof.store import check_writable

        check_writable(value)
    return value


def show(draw: Callable[[str], str], format_name: str, output: Path | None) -> None:
    """Print what `draw` gives for a format, and write its JSON where that was asked for."""
    if output is not None:
        from edgeprof.store import write_atomically

        write_atomically(output, draw("json").encode() + b"\n")
    click.echo(draw(format_name))
