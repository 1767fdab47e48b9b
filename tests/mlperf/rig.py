"""What the tests of MLPerf Tiny firmware share: a session with a simulated board, and the real transcripts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from edgeprof.errors import EdgeprofError
from edgeprof.links.mlperf_firmware import Patience
from edgeprof.links.mlperf_inputs import benchmark_inputs
from edgeprof.links.mlperf_tiny import MlperfTinySession
from edgeprof.links.serial_port import open_serial
from edgeprof.records.result import Pass, Plan
from tests.mlperf.simulator import Board, OnPty

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.records.events import Event

QUICK = Patience(hello_s=8.0, retry_s=2.0, line_s=2.0, infer_s=30.0, quiet_s=0.03)
HASTY = QUICK._replace(hello_s=0.6, retry_s=0.2)
FIVE_WINDOWS = Plan(passes=(Pass(kind="latency", runs=5),), format="tflite")
TRANSCRIPTS = Path(
    os.environ.get("EDGEPROF_MODELS", Path(__file__).resolve().parents[3] / "shared" / "models")
).joinpath("mlperf_tiny", "transcripts")

_BY_RUNNER = re.compile(r"^\d+\.\d+ (?:io: \[dut\]|dut): ")


class Heard(NamedTuple):
    """What a run yielded, and how it ended."""

    events: list[Event]
    error: EdgeprofError | None

    def of(self, *kinds: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kinds)]


def run_on(
    board: Board,
    plan: Plan = FIVE_WINDOWS,
    *,
    inputs: bytes | None = None,
    patience: Patience = QUICK,
    watch_clock: bool = False,
    on_event: Callable[[Event], None] = lambda _event: None,
) -> Heard:
    """Run a plan on a simulated board; a crash of its firmware fails the test."""
    events: list[Event] = []
    error = None
    with OnPty(board) as simulated:
        session = MlperfTinySession(
            open_serial(simulated.url, board.baud), name="board", patience=patience, watch_clock=watch_clock
        )
        try:
            with session:
                for event in session.run(plan, {"inputs": benchmark_inputs(0) if inputs is None else inputs}):
                    events.append(event)
                    on_event(event)
        except EdgeprofError as caught:
            error = caught
    assert not board.crashed, f"the firmware crashed: {board.crashed}"
    return Heard(events, error)


def transcript(name: str) -> str:
    """Return a real log; without the folder of models the test is skipped."""
    path = TRANSCRIPTS / name
    if not path.is_file():
        pytest.skip(f"no transcripts in {TRANSCRIPTS}")
    return path.read_text(encoding="utf-8")


def spoken(log: str) -> list[str]:
    """Return the lines that the firmware itself printed, as the first runner logged them."""
    return [_BY_RUNNER.sub("", line) for line in log.splitlines() if _BY_RUNNER.match(line)]
