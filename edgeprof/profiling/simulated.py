"""What a simulated board refuses before it runs: what `fit` calls NOT READY there, and times that nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.errors import ModelDoesNotFit, ModelUnsupported, UsageError

if TYPE_CHECKING:
    from edgeprof.model.graph import Graph
    from edgeprof.records.board import Board
    from edgeprof.targets import Sim, Target


def declared(board: Board, place: Sim) -> Board:
    """Return a simulated board as its target declares it, with a clock and an engine that are known."""
    from edgeprof.estimate.cost_model import at_clock, clock_hz, simulated_engine
    from edgeprof.targets import declared_clock_hz

    board = at_clock(board, declared_clock_hz(place))
    clock_hz(board)
    simulated_engine(board, place.engine)
    return board


def check_named(board: Board, target: Target, place: Sim) -> None:
    """Refuse --board X beside sim:Y: the figures would be X's under the name of Y."""
    from edgeprof.boards import load_board
    from edgeprof.targets import board_folders

    simulated = load_board(place.board, board_folders())
    if simulated.id != board.id:
        raise UsageError(
            f"{target.name} simulates {simulated.name}, and {board.name} is named as its board",
            hint=f"--target sim:{board.id}",
        )


def check_simulated(graph: Graph, board: Board, target: Target, engine: str) -> None:
    """Refuse a model that `fit` calls NOT READY for the board, in its words."""
    from edgeprof.fitting.fit import Question, fit_board

    found = fit_board(graph, board, asked=Question(engine=engine or None))
    if found.verdict != "NOT READY":
        return
    failed = [finding for finding in found.findings if finding.verdict == "FAIL"]
    kind = ModelUnsupported if any(finding.threshold is None for finding in failed) else ModelDoesNotFit
    raise kind(
        f"{graph.name} is NOT READY for {target.name} ({board.name}): {found.reason}",
        hint=f"edgeprof fit {graph.name} lists the boards that take it",
    )
