"""Real networks on the agent: natively under the sanitizers, and on boards in QEMU, equal to TFLM byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgeprof.links.framed import FramedSession
from edgeprof.model import read_model
from edgeprof.program import pack_program
from edgeprof.records.events import SamplesReceived
from edgeprof.records.result import Pass
from tests.firmware.boards import HostChannel, SocketChannel, outputs_of, preloaded, run_passes
from tests.firmware.oracle import with_oracle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scripts.fetch_firmware_tools import FirmwareTools

pytestmark = [pytest.mark.usefixtures("_oracle"), pytest.mark.timeout(300)]


def test_a_network_gives_the_bytes_of_tflm_natively_on_20_inputs(model: Path, native_agent: Path) -> None:
    graph = read_model(model)
    example = with_oracle(graph, model.read_bytes(), 20, 1)
    with FramedSession(HostChannel(native_agent), name="native") as session:
        events = run_passes(session, pack_program(graph, model).content, example.blob, [Pass(kind="outputs")])
    assert outputs_of(events) == example.outputs


@pytest.mark.parametrize("machine", ["mps2-an385", "mps2-an386", "mps2-an500"])
def test_a_network_gives_the_bytes_of_tflm_on_a_board_within_its_instructions(
    model: Path, machine: str, agents: Callable[[str], Path], tools: FirmwareTools, tmp_path: Path
) -> None:
    graph = read_model(model)
    example = with_oracle(graph, model.read_bytes(), 2, 2)
    program = pack_program(graph, model).content
    extra = preloaded(machine, [program, example.blob], tmp_path / "blobs.bin")
    passes = [Pass(kind="outputs"), Pass(kind="latency", runs=1, warmup=0, batch=1)]
    with FramedSession(SocketChannel.qemu(tools, machine, agents(machine), extra), name=machine) as session:
        events = run_passes(session, program, example.blob, passes)
    assert outputs_of(events) == example.outputs
    (samples,) = [event for event in events if isinstance(event, SamplesReceived)]
    assert samples.duration_ticks[0] < most_instructions(model.stem, machine)


MOST = {"ad": (0.95e6, 0.53e6), "kws": (14.0e6, 10.7e6), "resnet": (46.5e6, 28.9e6), "vww": (41.0e6, 29.9e6)}
"""On Cortex-M3, and with the DSP instructions of M4 and M7: a third of what plain loops take, and 5 % more than now."""


def most_instructions(name: str, machine: str) -> float:
    key = next(key for key in MOST if key in name.lower())
    return MOST[key][machine != "mps2-an385"]
