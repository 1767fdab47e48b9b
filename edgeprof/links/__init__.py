"""How boards are reached: one file a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from edgeprof.errors import UsageError
from edgeprof.targets import Emu, Local, MlperfTiny, Qemu, Serial, Sim, Ssh

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeprof.installing.offering import Offer
    from edgeprof.links.framed import FramedSession
    from edgeprof.links.mlperf_tiny import MlperfTinySession
    from edgeprof.records.board import Board
    from edgeprof.session import Channel
    from edgeprof.targets import Target


def open_session(
    target: Target,
    board: Board | None,
    blobs: Mapping[str, bytes] | None = None,
    offer: Offer | None = None,
    macs: int = 0,
) -> FramedSession | MlperfTinySession:
    """Return a conversation with the target's agent, open until it is left.

    An emulator can be started with the blobs in its memory, which saves their way over an emulated serial line. `offer`
    is asked for a runtime where none works; `macs` of one inference tell how long a small board may be silent.
    """
    if isinstance(target.place, MlperfTiny):
        from edgeprof.links.mlperf_tiny import open_mlperf_tiny

        return open_mlperf_tiny(target.place.url, target.place.baud, dtr=target.place.dtr, name=target.name)
    from edgeprof.links.framed import FramedSession

    lossy = isinstance(target.place, Serial)
    channel = open_channel(target, board, blobs or {})
    return FramedSession(channel, name=target.name, lossy=lossy, offer=offer, macs=macs)


def open_channel(target: Target, board: Board | None, blobs: Mapping[str, bytes]) -> Channel:
    """Start or reach the agent and return the way to it."""
    match target.place:
        case Local(python=python):
            from edgeprof.links.local import open_local

            return open_local(python)
        case Sim() as options:
            from edgeprof.boards import load_board
            from edgeprof.links.sim import SimChannel

            return SimChannel(board or load_board(options.board), options)
        case Ssh() as place:
            from edgeprof.links.ssh import open_ssh

            return open_ssh(place)
        case Serial() as place:
            from edgeprof.links.serial_port import open_serial

            return open_serial(place.url, place.baud, dtr=place.dtr)
        case Qemu() as place:
            from edgeprof.links.qemu import open_qemu

            return open_qemu(place.board, tuple(blobs.values()))
        case Emu() as place:
            from edgeprof.links.emu import open_emu

            return open_emu(place.core, tuple(blobs.values()))
        case MlperfTiny():
            raise UsageError("firmware that speaks the MLPerf Tiny protocol has no frames")
        case _:
            assert_never(target.place)
