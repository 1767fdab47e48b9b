"""`edgeprof targets`: what can be reached, and trusting a host."""

from __future__ import annotations

import sys

import click

from edgeprof.cli.guarded import say
from edgeprof.cli.options import format_option, trust_option
from edgeprof.printable import printable


@click.group(name="targets", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List what can be reached from here; trust the key of an SSH host."""
    if context.invoked_subcommand is None:
        context.invoke(list_command)


@command.command(name="list")
@format_option("table", "json")
def list_command(format_name: str = "table") -> int:
    """List named targets, serial ports that are plugged in, and what is always there."""
    from edgeprof.api import list_targets
    from edgeprof.report.targets import render_targets

    click.echo(render_targets(list_targets(), format_name))
    return 0


@command.command(name="trust")
@click.argument("host")
@trust_option
@click.option("--yes", is_flag=True, help="Trust without asking; look at the fingerprint all the same.")
def trust_command(host: str, *, yes: bool) -> int:
    """Show the SSH key of HOST and, when you say so, add it to known_hosts.

    HOST is a name or ssh://[user@]host[:port]. Compare the fingerprint with what the board shows:
    ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
    """
    from edgeprof.api import offered_key

    offered = offered_key(host)
    click.echo(printable(f"{offered.host} shows {offered.algorithm} {offered.fingerprint}"))
    if offered.known:
        click.echo(f"it is known already ({offered.file})")
        return 0
    if offered.changed:
        click.echo("THIS IS NOT THE KEY THAT IS KNOWN FOR IT: someone may be listening in.", err=True)
        say(f"Hint: {offered.forget}")
        return 3
    if not yes and not sys.stdin.isatty():
        click.echo("edgeprof: not trusted: nobody is there to confirm it", err=True)
        click.echo("Hint: run it on a terminal, or with --yes once you have compared the fingerprint", err=True)
        return 2
    if yes or click.confirm("Trust it?"):
        offered.trust()
        click.echo(f"added to {offered.file}")
        return 0
    return 5
