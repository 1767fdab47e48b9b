"""The plan against TFLM itself: the tflite-micro wheel records what its own planner makes of a model."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edgeprof.model import read_model
from edgeprof.model.memory import RecordedArena, greedy_arena_plan, recorded_arena_bytes
from scripts.fetch_models import FOLDER
from tests.unit.model.flatbuffer_writer import Table, code, model, operator, subgraph, tensor

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples" / "models").glob("*.tflite"))
SUITE = ("ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8")
PACKAGES = ("alexa", "hey_jarvis", "hey_mycroft", "okay_nabu")
MEAN, RESHAPE = 40, 22


def recorded(path: Path) -> RecordedArena:
    """Return what TFLM allocated, or skip where it cannot be asked."""
    pytest.importorskip("tflite_micro")
    found = recorded_arena_bytes(path)
    assert found.head_bytes is not None, found.reason
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_plan_of_each_example_is_the_head_that_tflm_records(path: Path) -> None:
    assert greedy_arena_plan(read_model(path, digest=False)).planner_bytes == recorded(path).head_bytes


@pytest.mark.models
@pytest.mark.parametrize("name", SUITE)
def test_the_plan_of_each_int8_model_of_the_suite_is_the_head_that_tflm_records(models: Path, name: str) -> None:
    path = models / f"{name}.tflite"
    assert greedy_arena_plan(read_model(path, digest=False)).planner_bytes == recorded(path).head_bytes


@pytest.mark.parametrize("name", PACKAGES)
def test_the_plan_of_each_streaming_model_of_a_package_is_the_head_that_tflm_records(name: str) -> None:
    path = FOLDER / "pymicro_wakeword" / "models" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"{path} is not there; scripts/fetch_models.py installs it")
    assert greedy_arena_plan(read_model(path, digest=False)).planner_bytes == recorded(path).head_bytes


def test_where_a_kernel_takes_scratch_the_note_names_the_operator(tmp_path: Path) -> None:
    tensors = [
        tensor("image", [1, 4, 4, 8], dtype=0),
        tensor("axes", [2], dtype=2, buffer=1),
        tensor("mean", [1, 8], dtype=0),
        tensor("target", [2], dtype=2, buffer=2),
        tensor("flat", [2, 4], dtype=0),
    ]
    nodes = [operator(0, [0, 1], [2], 27, Table({0: ("B", 0)})), operator(1, [2, 3], [4], 17, Table())]
    buffers = [struct.pack("<2i", 1, 2), struct.pack("<2i", 2, 4)]
    path = tmp_path / "mean.tflite"
    path.write_bytes(model([code(MEAN), code(RESHAPE)], [subgraph(tensors, nodes, [0], [4])], buffers))
    plan, head = greedy_arena_plan(read_model(path)), recorded(path).head_bytes
    assert plan.planner_bytes == 4 * 4 * 8 * 4 + 32
    assert head is not None
    assert head > plan.planner_bytes
    assert plan.notes == ("kernels may ask for scratch buffers on top: MEAN",)


def test_without_the_wheel_the_reason_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeprof.model.recorded.find_spec", lambda _name: None)
    found = recorded_arena_bytes(EXAMPLES[0])
    assert (found.head_bytes, found.reason) == (
        None,
        "the tflite-micro wheel is not installed: pip install 'edgeprof[exact]'",
    )
