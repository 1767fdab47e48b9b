"""`edgeprof boards`: what is known of boards."""

from __future__ import annotations

from pathlib import Path

import click

from edgeprof.cli.guarded import say
from edgeprof.cli.options import format_option, trust_option


@click.group(name="boards", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the known boards, show what is known of one, check a board file."""
    if context.invoked_subcommand is None:
        context.invoke(list_command)


@command.command(name="list")
@trust_option
@format_option("table", "json")
def list_command(format_name: str = "table") -> int:
    """List the known boards."""
    from edgeprof.report.boards import render_list
    from edgeprof.targets import board_folders

    click.echo(render_list(board_folders(), format_name))
    return 0


@command.command(name="show")
@click.argument("board")
@trust_option
@format_option("table", "json")
def show_command(board: str, format_name: str) -> int:
    """Show each figure of BOARD with its source."""
    from edgeprof.boards import board_file, load_board
    from edgeprof.report.boards import render_board
    from edgeprof.targets import board_folders

    folders = board_folders()
    found = load_board(board, folders)
    click.echo(render_board(found, format_name, board_file(found.id, folders)))
    return 0


@command.command(name="validate")
@trust_option
@click.argument("files", type=click.Path(path_type=Path), nargs=-1)
def validate_command(files: tuple[Path, ...]) -> int:
    """Check FILES, or every known board, against the rules that boards must keep."""
    from edgeprof.boards import board_files, validate_file
    from edgeprof.targets import board_folders

    checked = files or tuple(board_files(board_folders()).values())
    wrong = [f"{path}: {message}" for path in checked for message in validate_file(path)]
    for line in wrong:
        say(line)
    files_checked = "1 board file" if len(checked) == 1 else f"{len(checked)} board files"
    click.echo(f"{files_checked} checked, {len(wrong)} {'finding' if len(wrong) == 1 else 'findings'}")
    return 2 if wrong else 0
