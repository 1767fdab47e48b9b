"""`edgeprof firmware`: the microcontroller agent, listed, built and flashed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from edgeprof.cli.guarded import say
from edgeprof.cli.options import Duration, format_option, trust_option

sources_option = click.option(
    "--sources", type=click.Path(path_type=Path), help="The folder firmware_stubs, where this is no clone."
)
compiler_option = click.option(
    "--compiler",
    default="",
    metavar="gcc|zig|PATH",
    help="arm-none-eabi-gcc, zig from the ziglang package, or another.  [default: the first that is there]",
)


@click.group(name="firmware", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List, build and flash the agent for microcontrollers: once for each board, then any int8 model runs."""
    if context.invoked_subcommand is None:
        context.invoke(list_command)


@command.command(name="list")
@sources_option
@format_option("table", "json")
def list_command(format_name: str = "table", sources: Path | None = None) -> int:
    """List the agents that ship and the ports that can be built, each with whether it was run."""
    from edgeprof.firmware import list_firmware
    from edgeprof.report.firmware import render_listing

    click.echo(render_listing(list_firmware(sources), format_name))
    return 0


@command.command(name="build")
@click.argument("port")
@compiler_option
@sources_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path(), help="Folder for PORT.elf.  [default: .]"
)
@format_option("table", "json")
def build_command(port: str, compiler: str, sources: Path | None, output: Path, format_name: str) -> int:
    """Build the agent for PORT, and show its size by section."""
    from edgeprof.firmware import build
    from edgeprof.report.firmware import render_built

    click.echo(render_built(build(port, output, compiler=compiler, sources=sources), format_name))
    return 0


@command.command(name="flash")
@click.argument("what", metavar="PORT|FILE")
@click.option("--port", "-p", default="", help="Serial port on which its hello is awaited, such as /dev/ttyACM0.")
@click.option("--tool", default="", help="pyocd, openocd, esptool, uf2 or custom.  [default: the port's first]")
@click.option("--command", "own", default="", help="Your own tool, with {image} {port} {uid} {target} where they go.")
@click.option("--uid", default="", help="Which probe or board, where several are plugged in.")
@click.option("--chip", default="", help="What the tool calls the chip or the board: {target}.")
@click.option(
    "--drive", type=click.Path(path_type=Path), help="The UF2 bootloader's drive.  [default: it is looked for]"
)
@click.option("--timeout", "timeout_s", type=Duration(), default="3m", show_default=True, help="Time for the tool.")
@click.option("--wait", "wait_s", type=Duration(), default="20s", show_default=True, help="Time for its hello.")
@click.option("--dry-run", is_flag=True, help="Print the call and do nothing.")
@trust_option
@compiler_option
@sources_option
@format_option("table", "json")
def flash_command(**given: Any) -> int:  # noqa: ANN401  click hands over what the options declare
    """Flash the agent for PORT, which is built first, or a FILE; then wait for its hello.

    \b
    edgeprof firmware flash nucleo-l4r5zi --port /dev/ttyACM0
    edgeprof firmware flash agent.elf --command 'west flash --elf-file {image}' --port /dev/ttyACM0
    """
    from edgeprof.firmware import FlashAsked, await_hello, build, plan_flash, run_flash
    from edgeprof.firmware.flashing import runnable
    from edgeprof.report.firmware import Flashed, render_flashed, render_plan

    options = {name: given[name] for name in ("tool", "port", "uid", "chip", "drive", "sources")}
    plan = plan_flash(given["what"], FlashAsked(command=given["own"], dry_run=given["dry_run"], **options))
    if given["dry_run"]:
        if plan.file:
            say(f"as {plan.file} says")
        click.echo(render_plan(plan, given["format_name"]))
        return 0
    runnable(plan)
    if plan.build:
        say(f"building the agent for {plan.build}")
        build(plan.build, Path(plan.image).parent, compiler=given["compiler"], sources=given["sources"])
    whose = f", as {plan.file} says" if plan.file else ""
    say(f"flashing {plan.image} with {plan.tool}{whose}")
    began = time.monotonic()
    run_flash(plan, given["timeout_s"])
    took_s = time.monotonic() - began
    if plan.serial:
        say(f"flashed; waiting for its hello on {plan.serial.url}")
    answered = await_hello(plan.serial, given["wait_s"]) if plan.serial else None
    click.echo(render_flashed(Flashed(plan=plan, took_s=took_s, agent=answered), given["format_name"]))
    return 0
