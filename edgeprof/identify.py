"""Which board answered: by the user's word, by its device tree, and in which power mode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgeprof.boards import board_file, load_board, recognise, replaced
from edgeprof.records.result import BoardUsed, Warned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeprof.records.board import Board
    from edgeprof.records.result import Measurement

_NVPMODEL = re.compile(r"pmode:(\d+)")


def board_used(board: Board | None, measurement: Measurement, target: str, folders: Sequence[Path] = ()) -> BoardUsed:
    """Return the named board, else the one that the device tree tells, else what the machine calls itself."""
    seen = recognised(measurement, folders)
    known = board or (load_board(seen, folders) if seen else None)
    identity = measurement.identity
    if known is None:
        name = str(measurement.board or identity.get("cpu") or identity.get("machine") or target)
        kind = "linux" if "machine" in identity or not measurement.agent else "mcu"
        return BoardUsed(id=None, name=name, kind=kind, identity=identity)
    mode = power_mode(known, measurement)
    return BoardUsed(id=known.id, name=known.name, kind=known.kind, power_mode=mode, identity=identity,
                     file=board_file(known.id, folders))  # fmt: skip


def other_file(board: BoardUsed, folders: Sequence[Path] = ()) -> tuple[Warned, ...]:
    """Warn where the facts of a board are not those that ship under its name."""
    file = replaced(board.id, folders) if board.id else None
    if file is None:
        return ()
    text = f"{file} takes the place of the board {board.id} that ships with edgeprof"
    return (Warned(code="board-file", text=text, advice="give it a name of its own where it is another board"),)


def recognised(measurement: Measurement, folders: Sequence[Path] = ()) -> str | None:
    """Return the id of the board whose device-tree strings the agent read."""
    identity = measurement.identity
    strings = [str(word) for word in identity.get("compatible", [])]
    model = str(identity.get("device_tree_model", ""))
    return recognise([*strings, model.replace(" (simulated)", "")], folders=folders) if strings or model else None


def power_mode(board: Board, measurement: Measurement) -> str | None:
    """Return the name of the power mode that was set before the run; a Jetson's belongs to its identity."""
    said = (str(measured.state_before.get("power_mode", {}).get("nvpmodel", "")) for measured in measurement.passes)
    found = next((matched for matched in map(_NVPMODEL.search, said) if matched), None)
    if found is None:
        return None
    number = int(found[1])
    named = next((mode.name for mode in board.power_modes if mode.id == number), "")
    return f"{number} {named}".strip()


def mismatch(board: Board | None, measurement: Measurement, folders: Sequence[Path] = ()) -> tuple[Warned, ...]:
    """Warn where the board that answered is not the one that was named."""
    seen = recognised(measurement, folders)
    if board is None or seen is None or seen == board.id:
        return ()
    return (
        Warned(
            code="other-board",
            text=f"the board says that it is {seen}, {board.id} was named",
            advice="leave --board out, or name the board that is there",
        ),
    )
