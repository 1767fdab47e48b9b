from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof.calibration.fitted import combined_log, family, family_shares
from edgeprof.calibration.measuring import Side, disturbed
from edgeprof.calibration.micro import Layer, Micro
from edgeprof.calibration.work import Machine, graph_dtype, model_work
from edgeprof.model import read_model
from edgeprof.records.result import Measurement

if TYPE_CHECKING:
    from edgeprof.calibration.micro import Dtype

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "models"


def test_the_same_network_is_the_same_products_in_every_format() -> None:
    works = [
        model_work(read_model(EXAMPLES / name)) for name in ("kws_int8.tflite", "kws_fp32.onnx", "kws_qdq_int8.onnx")
    ]
    assert [work.dtype for work in works] == ["int8", "float32", "int8"]
    for kind in ("conv_macs", "pointwise_macs", "depthwise_macs", "dense_macs", "conv_outputs", "depthwise_outputs"):
        assert len({work.amounts[kind] for work in works}) == 1
    assert works[0].macs == works[1].macs == works[2].macs == 2_656_768


def test_what_a_runtime_merges_is_no_call_of_its_own() -> None:
    graph = read_model(EXAMPLES / "kws_qdq_int8.onnx")
    assert len(graph.operators) > 40
    assert model_work(graph).amounts["operators"] == 13


def test_whole_tiles_of_channels_are_counted() -> None:
    graph = read_model(EXAMPLES / "resnet8_int8.tflite")
    exact, padded = (model_work(graph, Machine(tile)).amounts for tile in (1, 32))
    assert padded["dense_macs"] == exact["dense_macs"] * 32 / 10
    assert padded["conv_outputs"] == exact["conv_outputs"]


def test_what_does_not_fit_the_cache_is_far() -> None:
    graph = read_model(EXAMPLES / "vww_int8.tflite")
    large, small = (model_work(graph, Machine(1, cache)).amounts for cache in (1 << 24, 1 << 12))
    assert "far_value_bytes" not in large
    assert "far_weight_bytes" not in large
    assert small["far_weight_bytes"] == small["weight_bytes"] == large["weight_bytes"]
    assert small["far_value_bytes"] > 100_000


def test_sparse_weights_are_outside() -> None:
    graph = read_model(EXAMPLES / "kws_int8.tflite")
    sparse = tuple(replace(x, sparse=x.constant_bytes is not None and len(x.shape or ()) == 4) for x in graph.tensors)
    assert "CONV_2D with sparse weights" in model_work(replace(graph, tensors=sparse)).outside


def test_the_type_of_a_model_is_that_of_its_products() -> None:
    graph = read_model(EXAMPLES / "kws_int8.tflite")
    ends = set(graph.outputs)
    mixed = [replace(x, dtype="float32") if place in ends else x for place, x in enumerate(graph.tensors)]
    assert graph_dtype(replace(graph, tensors=tuple(mixed))) == "int8"


def test_families_err_apart_and_operators_of_one_together() -> None:
    assert [family(kind) for kind in ("conv_macs", "patches", "mean_pool_elements", "edge_elements", "invoke")] == [
        "conv", "conv", "mean_pool", "common", "common",
    ]  # fmt: skip
    shares = family_shares({"conv_macs": 10, "conv_outputs": 10, "add_elements": 20}, dict.fromkeys(
        ("conv_macs", "conv_outputs", "add_elements"), 1.0))  # fmt: skip
    assert shares == {"conv": 0.5, "add": 0.5}
    spreads = {"conv": 0.4, "add": 0.4}
    assert combined_log({"conv": 1.0}, spreads) > combined_log(shares, spreads) > 0.5 * 0.4


@pytest.mark.parametrize(("slowed", "again"), [(1.2, 0), (1.5, 3)])
def test_launches_in_which_the_kernel_was_slowed_are_run_again(slowed: float, again: int) -> None:
    dtype: Dtype = "int8"
    sides = {
        (dtype, Micro(f"model {place}", (1,), (Layer("relu"),))): Side(
            0.0, 1e-3 * (slowed if place < 3 else 1.0), 1e-3, 10, Measurement(), failure="lost" if place == 11 else ""
        )
        for place in range(24)
    }
    found = disturbed(sides)
    assert len(found) == again
    assert {micro.name for _, micro in found} <= {"model 0", "model 1", "model 2"}
