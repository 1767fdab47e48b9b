"""`qemu:` and `emu:` as they are shipped: real networks equal to TFLM byte for byte, and counts that never differ."""

from __future__ import annotations

import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from edgeprof.links import open_session
from edgeprof.links.framed import FramedSession
from edgeprof.model import read_model
from edgeprof.program import pack_program
from edgeprof.records.events import AgentIdentified, SamplesReceived
from edgeprof.records.result import Pass
from edgeprof.targets import resolve_target
from tests.firmware.boards import outputs_of, run_passes
from tests.firmware.oracle import Example, with_oracle
from tests.provided import qemu_found

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edgeprof.records.events import Event

SLOW = os.environ.get("EDGEPROF_SLOW") == "1"
"""Whether the large networks also run on all inputs in unicorn, which executes some 10 M instructions a second."""
INFERENCES, INFERENCES_OF_LARGE = 20, 2
LARGE = ("resnet", "vww")
QEMU, EMU = "qemu:mps2-an386", "emu:cortex-m4"
COUNTED = Pass(kind="latency", runs=1, warmup=0, batch=1)

pytestmark = pytest.mark.timeout(900 if SLOW else 180)


@pytest.fixture
def _qemu() -> Iterator[None]:
    """Let `qemu:` find the one that was fetched, where none is installed."""
    with qemu_found():
        yield


@pytest.fixture
def _unicorn() -> None:
    if importlib.util.find_spec("unicorn") is None:
        pytest.skip("unicorn is not installed")


def run_on(target: str, model: Path, inputs: bytes, passes: Sequence[Pass]) -> list[Event]:
    """Start the target with the program and the inputs in its memory, as the command line does."""
    program = pack_program(read_model(model), model).content
    with open_session(resolve_target(target), None, {"model": program, "inputs": inputs}) as session:
        assert isinstance(session, FramedSession)
        return run_passes(session, program, inputs, passes)


def counts(events: Sequence[Event]) -> list[int]:
    """Return the instructions of each sample."""
    (identified,) = (event for event in events if isinstance(event, AgentIdentified))
    assert (identified.counter_unit, identified.basis) == ("instructions", "emulated")
    return [ticks for event in events if isinstance(event, SamplesReceived) for ticks in event.duration_ticks]


def examples(model: Path, inferences: int, parts: int = 1) -> list[Example]:
    """Return random inputs with TFLM's outputs, in so many parts."""
    graph, content = read_model(model), model.read_bytes()
    return [with_oracle(graph, content, inferences // parts, 100 + part) for part in range(parts)]


@pytest.mark.usefixtures("_oracle", "_qemu")
def test_a_network_gives_the_bytes_of_tflm_in_qemu_on_20_inputs(model: Path) -> None:
    (example,) = examples(model, INFERENCES)
    events = run_on(QEMU, model, example.blob, [Pass(kind="outputs")])
    assert len(example.outputs) == INFERENCES
    assert outputs_of(events) == example.outputs


@pytest.mark.usefixtures("_oracle", "_unicorn")
def test_a_network_gives_the_bytes_of_tflm_in_unicorn(model: Path) -> None:
    few = not SLOW and any(name in model.stem.lower() for name in LARGE)
    # A process each pays where the inferences take longer than the SHA-256 of the program, which the agent computes.
    shared = 2 if "kws" in model.stem or SLOW else 1
    parts = examples(model, INFERENCES_OF_LARGE if few else INFERENCES, shared)
    with ThreadPoolExecutor(shared) as pool:
        ran = list(pool.map(lambda part: run_on(EMU, model, part.blob, [Pass(kind="outputs")]), parts))
    assert [outputs_of(events) for events in ran] == [part.outputs for part in parts]


@pytest.mark.usefixtures("_oracle", "_qemu", "_unicorn")
def test_instructions_are_the_same_in_five_fresh_starts_and_in_unicorn(kws: Path) -> None:
    (example,) = examples(kws, 1)
    starts = [counts(run_on(QEMU, kws, example.blob, [COUNTED])) for _ in range(5)]
    (count,) = starts[0]
    assert starts == [[count]] * 5
    (of_unicorn,) = counts(run_on(EMU, kws, example.blob, [COUNTED]))
    assert of_unicorn == pytest.approx(count, rel=1e-4)


@pytest.mark.usefixtures("_oracle", "_qemu", "_unicorn")
@pytest.mark.parametrize(("board", "core"), [("mps2-an385", "cortex-m3"), ("mps2-an500", "cortex-m7")])
def test_both_emulators_count_the_same_on_the_other_cores(kws: Path, board: str, core: str) -> None:
    (example,) = examples(kws, 1)
    (of_qemu,) = counts(run_on(f"qemu:{board}", kws, example.blob, [COUNTED]))
    (of_unicorn,) = counts(run_on(f"emu:{core}", kws, example.blob, [COUNTED]))
    assert of_unicorn == pytest.approx(of_qemu, rel=1e-4)
