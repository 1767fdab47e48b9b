"""How boards are reached: one file a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from edgeprof.targets import Local, Sim, Ssh

if TYPE_CHECKING:
    from edgeprof.links.framed import FramedSession
    from edgeprof.records.board import Board
    from edgeprof.session import Channel
    from edgeprof.targets import Target


def open_session(target: Target, board: Board | None) -> FramedSession:
    """Return a conversation with the target's agent; it is open until it is left."""
    from edgeprof.links.framed import FramedSession  # noqa: PLC0415  only when a board is asked

    return FramedSession(open_channel(target, board), name=target.name)


def open_channel(target: Target, board: Board | None) -> Channel:
    """Start or reach the agent and return the way to it."""
    match target.place:
        case Local(python=python):
            from edgeprof.links.local import open_local  # noqa: PLC0415  each link pays for itself

            return open_local(python)
        case Sim() as options:
            from edgeprof.boards import load_board  # noqa: PLC0415  the same
            from edgeprof.links.sim import SimChannel  # noqa: PLC0415  the same

            return SimChannel(board or load_board(options.board), options)
        case Ssh() as place:
            from edgeprof.links.ssh import open_ssh  # noqa: PLC0415  the same

            return open_ssh(place)
        case _:
            assert_never(target.place)
