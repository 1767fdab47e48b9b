"""Records that several threads decode, made known to msgspec by one of them.

msgspec reads the annotations of a record when it first decodes one, and crashes the process where two threads do that
at once.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import msgspec

from edgeprof.records.battery import BatteryReport, CellFile
from edgeprof.records.board import Board
from edgeprof.records.calibration import Calibration
from edgeprof.records.events import Event
from edgeprof.records.result import Result

_ONE_AT_A_TIME = Lock()


def make_known(*kinds: Any) -> None:  # noqa: ANN401  types and unions of them
    """Let msgspec read the annotations of the records that runs decode, and of these, before it is asked to decode."""
    with _ONE_AT_A_TIME:
        for kind in (BatteryReport, Board, Calibration, CellFile, Event, Result, *kinds):
            msgspec.json.Decoder(kind)
