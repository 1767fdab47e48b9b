"""Boards as text: the list, and one board with the source of each figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.boards import board_file, flash_bytes, largest_contiguous_sram_bytes, list_boards, load_board
from edgeprof.printable import shown
from edgeprof.report.console import captured, text_console
from edgeprof.report.drawing import drawn
from edgeprof.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeprof.records.board import Board


@drawn
def render_list(folders: Sequence[Path], format_name: str) -> str:
    """Return one line a board."""
    boards = [load_board(name, folders) for name in list_boards(folders)]
    if format_name == "json":
        records = [_with_file(board, board_file(board.id, folders)) for board in boards]
        return msgspec.json.format(msgspec.json.encode(records), indent=1).decode()
    boards = shown(boards)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("id", "name", "kind", "cores", "memory"):
        table.add_column(title, no_wrap=title in {"id", "kind"})
    for board in boards:
        cores = ", ".join(f"{core.count or '?'} x {core.model}" for core in board.cores)
        file = shown(board_file(board.id, folders))
        table.add_row(board.id, Text(board.name), board.kind, cores, _memory(board))
        if file:
            table.add_row("", Text(f"from {file}", style="dim"))
    console = text_console()
    console.print(table)
    return captured(console)


def _with_file(board: Board, file: str | None) -> dict[str, object]:
    """Return a board as data, with the file that describes it; null where it is one of those that ship."""
    return {"file": file, **msgspec.to_builtins(board)}


def _memory(board: Board) -> str:
    if board.kind == "linux":
        sizes = board.ram_options_bytes or tuple(region.bytes for region in board.memory if region.kind == "ram")
        return "RAM " + " | ".join(format_bytes(size) for size in sizes) if sizes else ""
    flash, sram = flash_bytes(board), largest_contiguous_sram_bytes(board)
    parts = [f"flash {format_bytes(flash)}" if flash else "", f"SRAM block {format_bytes(sram[0])}" if sram else ""]
    return ", ".join(part for part in parts if part)


@drawn
def render_board(board: Board, format_name: str, file: str | None = None) -> str:
    """Return everything that is known of a board, each figure with its source and grade, and its file if not ours."""
    if format_name == "json":
        return msgspec.json.format(msgspec.json.encode(_with_file(board, file)), indent=1).decode()
    console = text_console()
    console.print(Text(f"{board.name} ({board.id})", style="bold"))
    console.print(Text(f"{board.vendor}, {board.soc}, {board.kind}"))
    if file:
        console.print(Text(f"from {file}"))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("figure", "value", "grade", "source"):
        table.add_column(title, overflow="fold")
    for source in board.sources:
        table.add_row(Text(source.field), Text(source.value), source.grade, Text(source.source, style="dim"))
    console.print(table)
    for title, lines in (("Disagreements", board.disagreements), ("Notes", board.notes)):
        if lines:
            console.print(Text(title, style="bold"))
        for line in lines:
            console.print(Text(f"  {line}"))
    return captured(console)
