"""The command line: a thin shell around `edgeprof.api`. Each command is a file, imported when it is called."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import NoReturn

import click

from edgeprof.__main__ import INTERRUPTED
from edgeprof.cli.guarded import guarded, say
from edgeprof.configuration import Person, answered_by
from edgeprof.errors import EdgeprofError, UsageError, did_you_mean
from edgeprof.printable import printable
from edgeprof.version import __version__

COMMANDS = {
    "profile": "Measure a model on this machine, on a board or on a simulated one.",
    "inspect": "Show what a model needs: operators, MACs, parameters, memory. No board needed.",
    "fit": "Tell on which boards a model fits, how fast, on what energy and for how long on a cell.",
    "calibrate": "Measure micro models on a Linux board, so that other models can be predicted for it.",
    "check": "Judge a model, an app bundle or a result by limits.",
    "readiness": "Tell whether a measured model is ready for a phone, an edge device, a vehicle, …, with evidence.",
    "compare": "Tell what changed between two models or two results, and what of that is noise.",
    "history": "Show the results kept so far: list, the best, the trend of one figure.",
    "export": "Write a result into MLflow or TensorBoard.",
    "energy": "Integrate a recorded power trace between its marks: energy an inference, power, cost.",
    "battery": "Tell how long a battery lasts, with every assumption listed.",
    "report": "Draw a result again; needs no board.",
    "doctor": "Show what is missing or noisy on a target, and what mends it.",
    "targets": "List what can be reached from here; trust the key of an SSH host.",
    "firmware": "List, build and flash the agent for microcontrollers.",
    "limits": "List the profiles of limits, show one with the source of each limit.",
    "boards": "List the known boards, show what is known of one, check a board file.",
}
"""Name and help of each command; the module of the same name holds it as `command`."""

BUG = 70


class LazyGroup(click.Group):
    """Lists the commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names in the order that people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"edgeprof.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which command was meant when the name is not one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS) or "edgeprof --help lists the commands"
            raise click.UsageError(f"no such command {args[0]!r}\nHint: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  the same
        """Write the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "EDGEPROF",
        "max_content_width": 100,
    },
    epilog="Exit codes: 0 good, 1 a limit failed, 2 usage, 3 board or link, 4 model, 5 interrupted or partial,"
    " 6 inconclusive under --strict, 70 our bug.",
)
@click.version_option(__version__, message="edgeprof %(version)s")
def group() -> None:
    """Tell whether a model will run on a board, how fast, in how much memory, and for how long on the battery.

    \b
    edgeprof profile model.tflite
    edgeprof profile model.onnx --target sim:raspberry-pi-5 -o result.json
    """


def main() -> NoReturn:
    """Run the command line and end with the documented exit code; never a traceback."""
    with guarded(), answered_by(Person(_ask, lambda text: say(f"edgeprof: {text}"), remembers=True)):
        _run()


def _ask(question: str) -> bool:
    from edgeprof.cli.progress import confirm, somebody_is_there

    return somebody_is_there() and confirm(question)


def _run() -> NoReturn:
    try:
        code = group.main(standalone_mode=False, prog_name="edgeprof")
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except SystemExit:  # only for a closed standard output; click's 1 for it would read as a failed limit
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.message = _one_line(error.message)  # type: ignore[misc]  # what was typed is in it, as it was typed
        error.show()
        sys.exit(2)
    except EdgeprofError as error:
        say_error(error)
        sys.exit(error.exit_code)
    except UnicodeEncodeError as error:  # bytes of the command line that are no UTF-8, where text is wanted
        say_error(UsageError(f"{error.object!r} is no text in UTF-8", hint="write it in this terminal's own encoding"))
        sys.exit(UsageError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("edgeprof: stopped by Ctrl-C", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001  the last resort: our bug, told as one
        _say_bug(error)
        sys.exit(BUG)
    sys.exit(code if isinstance(code, int) else 0)


def _one_line(message: str) -> str:
    """Return click's message, which repeats what was typed, with no line of its own but a hint."""
    text, found, hint = message.partition("\nHint: ")
    return printable(text) + (f"{found}{printable(hint)}" if found else "")


def say_error(error: EdgeprofError) -> None:
    """Write an error and its hint to standard error."""
    click.echo(f"edgeprof: {error.message}", err=True)
    if error.hint:
        click.echo(f"Hint: {error.hint}", err=True)


def _say_bug(error: Exception) -> None:
    if os.environ.get("EDGEPROF_DEBUG"):
        import traceback

        traceback.print_exc()
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" ({place.tb_frame.f_code.co_filename}:{place.tb_lineno})" if place else ""
    click.echo(printable(f"edgeprof: a bug of ours: {type(error).__name__}: {error}{where}"), err=True)
    click.echo("Hint: please report it with the command; EDGEPROF_DEBUG=1 shows the whole trace", err=True)
