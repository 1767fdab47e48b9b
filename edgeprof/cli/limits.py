"""`edgeprof limits`: what the profiles of limits say, and where it is from."""

from __future__ import annotations

import click

from edgeprof.cli.options import format_option


@click.group(name="limits", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the profiles of limits, show each limit of one with its source."""
    if context.invoked_subcommand is None:
        context.invoke(list_command)


@command.command(name="list")
@format_option("table", "json")
def list_command(format_name: str = "table") -> int:
    """List the profiles that ship with edgeprof."""
    from edgeprof.judging.profiles import list_profiles
    from edgeprof.report.limits import render_profiles

    click.echo(render_profiles(list_profiles(), format_name))
    return 0


@command.command(name="show")
@click.argument("name", metavar="NAME|FILE.toml:NAME")
@format_option("table", "json", "toml")
def show_command(name: str, format_name: str) -> int:
    """Show each limit of a profile with its source; as TOML, a file of limits to start from."""
    from edgeprof.judging.profiles import load_profile
    from edgeprof.report.limits import render_profile

    click.echo(render_profile(load_profile(name), format_name))
    return 0
