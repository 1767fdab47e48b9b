"""What the model is fed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeprof.agent.runtimes import read_inputs
from edgeprof.errors import FileUnreadable, ModelUnsupported, UsageError
from edgeprof.inputs import file_inputs, random_inputs
from edgeprof.model import read_model
from edgeprof.model.graph import Graph, Tensor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def graph(kws: Path) -> Graph:
    return read_model(kws)


def graph_of(graph: Graph, *tensors: Tensor) -> Graph:
    """Return a graph with these inputs and nothing else."""
    import msgspec

    return msgspec.structs.replace(graph, tensors=tensors, inputs=tuple(range(len(tensors))), outputs=(), operators=())


def tensor(name: str, dtype: str, *shape: int | None) -> Tensor:
    return Tensor(name=name, dtype=dtype, shape=shape)


def values_of(blob: bytes) -> dict[str, list[Any]]:
    """Return the values of each tensor, an array an inference, as the agent reads them."""
    read = read_inputs(blob)
    return {
        facts.name: [np.frombuffer(values[at], dtype=facts.dtype).reshape(facts.shape) for values in read.inferences]
        for at, facts in enumerate(read.tensors)
    }


# ── made up ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(graph: Graph) -> None:
    assert random_inputs(graph, 7).blob == random_inputs(graph, 7).blob
    assert random_inputs(graph, 7).blob != random_inputs(graph, 8).blob
    assert "seed 7" in random_inputs(graph, 7).source


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_floats_are_spread_between_minus_one_and_one(graph: Graph, dtype: str) -> None:
    (values,) = values_of(random_inputs(graph_of(graph, tensor("x", dtype, 2, 500)), 0).blob)["x"]
    assert values.shape == (2, 500)
    assert -1 <= values.min() < -0.9
    assert 0.9 < values.max() <= 1
    assert abs(values.mean()) < 0.1


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_small_integers_use_all_of_their_codes(graph: Graph, dtype: str) -> None:
    (values,) = values_of(random_inputs(graph_of(graph, tensor("x", dtype, 5000)), 0).blob)["x"]
    limits = np.iinfo(dtype)
    reach = (limits.max - limits.min) * 0.01
    assert values.min() <= limits.min + reach
    assert values.max() >= limits.max - reach


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
def test_what_is_most_likely_an_index_is_zero(graph: Graph, dtype: str) -> None:
    (values,) = values_of(random_inputs(graph_of(graph, tensor("x", dtype, 3)), 0).blob)["x"]
    assert values.tolist() == [0, 0, 0]


def test_booleans_are_both(graph: Graph) -> None:
    (values,) = values_of(random_inputs(graph_of(graph, tensor("x", "bool", 100)), 0).blob)["x"]
    assert set(values.tolist()) == {True, False}


def test_a_size_that_is_open_is_one_and_the_input_is_named(graph: Graph) -> None:
    given = random_inputs(graph_of(graph, tensor("x", "float32", None, 3), tensor("y", "float32", 2)), 0)
    assert given.shapes == {"x": (1, 3), "y": (2,)}
    assert given.guessed == ("x",)


@pytest.mark.parametrize("dtype", ["string", "int4"])
def test_a_type_that_nobody_can_make_up_is_refused_with_the_way_out(graph: Graph, dtype: str) -> None:
    with pytest.raises(ModelUnsupported, match=dtype) as refused:
        random_inputs(graph_of(graph, tensor("x", dtype, 2)), 0)
    assert "--inputs" in refused.value.hint


def test_an_input_of_terabytes_is_refused_before_it_is_made(graph: Graph) -> None:
    with pytest.raises(ModelUnsupported, match="'x'") as refused:
        random_inputs(graph_of(graph, tensor("x", "float32", 1 << 40)), 0)
    assert "--shape x=" in refused.value.hint


# ── the user's own ───────────────────────────────────────────────────────────────────────────────────────────────────


def saved(path: Path, **arrays: Any) -> Path:  # noqa: ANN401  arrays of any type
    np.savez(path, **arrays)
    return path


def test_a_file_of_inputs_is_taken_inference_by_inference(graph: Graph, tmp_path: Path) -> None:
    two = graph_of(graph, tensor("x", "float32", None, 3), tensor("y", "int8", 2))
    x, y = np.arange(12, dtype=np.float32).reshape(2, 2, 3), np.array([[1, 2], [3, 4]], dtype=np.int8)
    given = file_inputs(two, saved(tmp_path / "in.npz", y=y, x=x))
    values = values_of(given.blob)
    assert [value.tolist() for value in values["x"]] == x.tolist()
    assert [value.tolist() for value in values["y"]] == y.tolist()
    assert given.shapes == {"x": (2, 3), "y": (2,)}
    assert given.source == "in.npz (2 inferences)"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": np.zeros((1, 3), np.float32)}, r"holds \['z'\], the model wants \['x'\]"),
        ({}, r"the model wants \['x'\]"),
        ({"x": np.zeros((1, 3), np.float64)}, "float64, the model wants float32"),
        ({"x": np.zeros((1, 4), np.float32)}, r"shape \[4\] an inference, the model wants \[3\]"),
        ({"x": np.zeros((0, 3), np.float32)}, "first axis"),
        ({"x": np.float32(1)}, "first axis"),
    ],
)
def test_inputs_that_do_not_fit_the_model_are_refused_with_what_was_wanted(
    graph: Graph, tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    path = saved(tmp_path / "in.npz", **arrays)
    with pytest.raises(UsageError, match=message):
        file_inputs(graph_of(graph, tensor("x", "float32", 3)), path)


def test_inputs_that_disagree_about_the_number_of_inferences_are_refused(graph: Graph, tmp_path: Path) -> None:
    two = graph_of(graph, tensor("x", "float32", 3), tensor("y", "float32", 3))
    path = saved(tmp_path / "in.npz", x=np.zeros((1, 3), np.float32), y=np.zeros((2, 3), np.float32))
    with pytest.raises(UsageError, match=r"\[1, 2\]"):
        file_inputs(two, path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_a_file_that_is_no_archive_is_refused(graph: Graph, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "in.npz"
    path.write_bytes(content)
    with pytest.raises(FileUnreadable, match=r"in\.npz"):
        file_inputs(graph, path)


def test_an_archive_that_was_damaged_on_the_way_is_refused(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "in.npz"
    np.savez_compressed(path, x=np.arange(1000, dtype=np.float32))
    content = bytearray(path.read_bytes())
    content[200:210] = bytes(10)
    path.write_bytes(content)
    with pytest.raises(FileUnreadable, match=r"in\.npz"):
        file_inputs(graph, path)


def test_a_single_array_without_a_name_is_refused(graph: Graph, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros(3))
    with pytest.raises(FileUnreadable):
        file_inputs(graph, tmp_path / "in.npy")


def test_pickled_objects_are_never_loaded(graph: Graph, tmp_path: Path) -> None:
    path = saved(tmp_path / "in.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(FileUnreadable):
        file_inputs(graph, path)
