from __future__ import annotations

from pathlib import Path

import pytest

from edgeprof.estimate.features import Features, Work, features, total
from edgeprof.model import read_model
from edgeprof.model.cost import model_cost
from edgeprof.model.graph import Graph, Operator, Tensor

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "models"


def of(name: str, *, content: bool = False) -> Features:
    path = EXAMPLES / name
    return features(read_model(path, digest=False), path.read_bytes() if content else None)


def convolution(weights: bytes, in_channels: int, *more: Operator, tensors: tuple[Tensor, ...] = ()) -> Graph:
    """Return a 1x1 convolution of a 4x4 image to two channels, whose weights start at byte 0 of the file."""
    return Graph(
        format="tflite", name="made up", bytes=len(weights), sha256="",
        tensors=(
            Tensor(name="in", shape=(1, 4, 4, in_channels), dtype="int8"),
            Tensor(name="weights", shape=(2, 1, 1, in_channels), dtype="int8", constant_bytes=2 * in_channels,
                   constant_offset=0),
            Tensor(name="out", shape=(1, 4, 4, 2), dtype="int8"),
            *tensors,
        ),
        operators=(Operator(name="conv", type="CONV_2D", inputs=(0, 1), outputs=(2,)), *more),
        inputs=(0,), outputs=(2,),
    )  # fmt: skip


def test_every_mac_of_a_model_is_in_one_kind_of_work() -> None:
    for name in ("ad_int8.tflite", "kws_int8.tflite", "resnet8_int8.tflite", "vww_int8.tflite"):
        work = total([operator.dense for operator in of(name).operators])
        assert sum(work[:3]) == model_cost(read_model(EXAMPLES / name, digest=False)).macs_count


def test_the_work_of_the_first_layer_of_keyword_spotting_is_what_a_hand_counts() -> None:
    first = of("kws_int8.tflite").operators[0]
    values = 25 * 5 * 64
    assert first.dense == Work(matmul_macs=values * 10 * 4, outputs=values, patches=25 * 5 * 10 * 4, operators=1)


def test_a_pointwise_convolution_gathers_no_patches() -> None:
    graph = convolution(b"\1" * 6, 3)
    assert features(graph).operators[0].dense == Work(matmul_macs=96, outputs=32, operators=1)


def test_a_channel_of_zero_weights_is_dead() -> None:
    graph = convolution(b"\0\0\0\1\1\1", 3)
    only = features(graph, b"\0\0\0\1\1\1").operators[0]
    assert (only.dense.matmul_macs, only.reduced.matmul_macs, only.reduced.outputs) == (96, 48, 16)


def test_what_a_dead_channel_feeds_is_dead_through_an_addition_with_itself() -> None:
    more = Tensor(name="sum", shape=(1, 4, 4, 2), dtype="int8")
    matrix = Tensor(name="w2", shape=(2, 1, 1, 2), dtype="int8", constant_bytes=4, constant_offset=6)
    out = Tensor(name="last", shape=(1, 4, 4, 2), dtype="int8")
    content = b"\0\0\0\1\1\1" + b"\1\0\1\1"
    graph = convolution(
        content, 3,
        Operator(name="add", type="ADD", inputs=(2, 2), outputs=(3,)),
        Operator(name="conv2", type="CONV_2D", inputs=(3, 4), outputs=(5,)),
        tensors=(more, matrix, out),
    )  # fmt: skip
    # Of the second weights [[1, 0], [1, 1]] the first column meets a dead channel, so the first row is dead as well.
    assert features(graph, content).operators[2].reduced.matmul_macs == 64 / 4


def test_without_the_file_nothing_is_known_of_dead_channels() -> None:
    found = of("vww_int8.tflite")
    assert not found.dead_channels_known
    assert all(operator.reduced == operator.dense for operator in found.operators)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "SVDF"}, "no measured model has SVDF"),
        ({"custom": True}, "no measured model has CONV_2D"),
    ],
)
def test_an_operator_outside_the_data_is_named(change: dict[str, object], said: str) -> None:
    graph = convolution(b"\1" * 6, 3)
    operator = Operator(**{"name": "", "type": "CONV_2D", "inputs": (0, 1), "outputs": (2,), **change})  # type: ignore[arg-type]  # fields by name
    found = features(Graph(**{**_fields(graph), "operators": (operator,)}))  # type: ignore[arg-type]  # the same
    assert found.outside == (said,)


def test_float_and_onnx_models_are_outside_the_data() -> None:
    graph = convolution(b"\1" * 6, 3)
    tensors = tuple(Tensor(name=tensor.name, shape=tensor.shape, dtype="float32") for tensor in graph.tensors)
    floating = Graph(**{**_fields(graph), "tensors": tensors})  # type: ignore[arg-type]  # fields by name
    assert features(floating).outside == ("the data has int8 models only, this one has CONV_2D in float32",)
    assert of("kws_qdq_int8.onnx").outside == ("the data has int8 .tflite models only, this is an .onnx file",)


def test_a_convolution_in_groups_is_outside_the_data() -> None:
    graph = convolution(b"\1" * 6, 3)
    narrow = Tensor(name="in", shape=(1, 4, 4, 6), dtype="int8")
    grouped = Graph(**{**_fields(graph), "tensors": (narrow, *graph.tensors[1:])})  # type: ignore[arg-type]  # fields by name
    assert features(grouped).outside == ("no measured model has a CONV_2D in groups",)


def _fields(graph: Graph) -> dict[str, object]:
    return {name: getattr(graph, name) for name in graph.__struct_fields__}
