from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest

from edgeprof.calibration.measuring import beside, micro_blob
from edgeprof.calibration.micro import Dtype, Layer, LayerKind, Micro, micro_models, next_shape, reference
from edgeprof.calibration.micro_files import write_micro
from edgeprof.calibration.onnx_writer import micro_onnx
from edgeprof.calibration.tflite_writer import micro_tflite
from edgeprof.calibration.work import model_work
from edgeprof.links import open_session
from edgeprof.links.framed import FramedSession
from edgeprof.model import read_model
from edgeprof.targets import resolve_target

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.records.calibration import ModelFormat

EVERY_KIND = (
    Micro("all with sides", (8, 8, 4), (
        Layer("conv", 8, 3), Layer("depthwise", 8, 3, 2), Layer("add"), Layer("relu"), Layer("prelu"), Layer("pad"),
        Layer("concat"), Layer("max-pool"), Layer("mean-pool"), Layer("flatten"), Layer("dense", 5),
        Layer("logistic"), Layer("softmax"),
    )),
)  # fmt: skip


def last_shape(micro: Micro) -> tuple[int, ...]:
    shape = micro.shape
    for layer in micro.layers:
        shape = next_shape(layer, shape)
    return shape


def test_the_models_of_these_tests_have_every_kind_of_layer() -> None:
    assert {layer.kind for micro in EVERY_KIND for layer in micro.layers} == set(get_args(LayerKind))
    assert {layer.kind for micro in micro_models() for layer in micro.layers} == set(get_args(LayerKind))


def test_no_two_micro_models_have_the_same_name() -> None:
    names = [micro.name for micro in micro_models()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_litert_runs_what_is_written(dtype: Dtype) -> None:
    interpreter_of = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    for micro in (*EVERY_KIND, reference()):
        interpreter = interpreter_of(model_content=micro_tflite(micro, dtype), num_threads=1)
        interpreter.allocate_tensors()
        interpreter.invoke()
        [output] = interpreter.get_output_details()
        assert tuple(output["shape"]) == (1, *last_shape(micro))
        assert output["dtype"] == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_onnx_runtime_runs_what_is_written_and_the_checker_takes_it(dtype: Dtype) -> None:
    runtime: Any = pytest.importorskip("onnxruntime")
    onnx: Any = pytest.importorskip("onnx")
    for micro in (*EVERY_KIND, reference()):
        content = micro_onnx(micro, dtype)
        onnx.checker.check_model(content, full_check=True)
        session = runtime.InferenceSession(content)
        [given] = session.get_inputs()
        [output] = session.run(None, {given.name: np.zeros(given.shape, np.float32)})
        shape = last_shape(micro)
        assert output.shape == (1, shape[-1], *shape[:-1])


@pytest.mark.parametrize("format_name", ["tflite", "onnx"])
def test_both_formats_of_a_micro_model_are_the_same_work(format_name: ModelFormat, tmp_path: Path) -> None:
    work = model_work(read_model(write_micro(reference(), format_name, "float32", tmp_path)))
    assert work.macs == 32 * 32 * 32 * 9 * 64
    assert work.amounts["conv_outputs"] == 32 * 32 * 32
    assert work.amounts["patches"] == 32 * 32 * 9 * 64
    assert work.amounts["operators"] == 1  # the ReLU behind it is part of it
    assert work.outside == work.unseen == ()


def test_every_micro_model_is_inside_what_the_work_knows(tmp_path: Path) -> None:
    for micro in micro_models():
        for format_name in ("tflite", "onnx"):
            work = model_work(read_model(write_micro(micro, format_name, "int8", tmp_path)))
            assert (work.outside, work.unseen, work.dtype) == ((), (), "int8")


@pytest.mark.timeout(120)
def test_a_session_stays_open_for_one_model_after_the_other(tmp_path: Path) -> None:
    kernel = micro_blob(reference(), "tflite", "float32", tmp_path)
    half = Micro("half", (32, 32, 64), (Layer("conv", 8, 3),))
    with open_session(resolve_target("local"), None) as session:
        assert isinstance(session, FramedSession)
        for micro in (reference(), half):
            side = beside(session, kernel, micro_blob(micro, "tflite", "int8", tmp_path), threads=1, kernel_s=0.01)
            assert side.failure == ""
            assert side.pairs > 0
            assert side.model_s > 0
        lost = beside(session, kernel, kernel._replace(content=b"no model"), threads=1)
        assert lost.failure
