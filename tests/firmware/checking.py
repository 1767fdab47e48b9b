"""A model in the natively built agent against TFLM, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgeprof.errors import EdgeprofError
from edgeprof.links.framed import FramedSession
from edgeprof.model import read_model
from edgeprof.program import pack_program
from edgeprof.records.result import Pass
from tests.firmware.boards import HostChannel, outputs_of, run_passes
from tests.firmware.oracle import with_oracle

if TYPE_CHECKING:
    from pathlib import Path

INFERENCES = 3


def check(content: bytes, agent: Path, folder: Path, seed: int = 0) -> None:
    """Run a model in the natively built agent and in TFLM; every output of every inference is to be the same bytes."""
    path = folder / "model.tflite"
    path.write_bytes(content)
    graph = read_model(path)
    program = pack_program(graph, path)
    example = with_oracle(graph, content, INFERENCES, seed)
    channel = HostChannel(agent)
    with FramedSession(channel, name="native") as session:
        try:
            events = run_passes(session, program.content, example.blob, [Pass(kind="outputs")])
        except (AssertionError, EdgeprofError) as error:
            pytest.fail(f"{error}\n{channel.last_words()}")
    for index, (seen, wanted) in enumerate(zip(outputs_of(events), example.outputs, strict=True)):
        assert seen.hex() == wanted.hex(), f"output {index}"
