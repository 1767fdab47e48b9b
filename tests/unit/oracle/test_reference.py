"""The oracle: tflite-micro and LiteRT's reference kernels, each in a process of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof.inputs import random_inputs
from edgeprof.links.emu import open_emu
from edgeprof.links.framed import FramedSession
from edgeprof.model import read_model
from edgeprof.oracle.agreement import compare_outputs, output_kinds
from edgeprof.oracle.reference import check_outputs, oracle_outputs, seeded_inferences
from edgeprof.program import pack_program
from edgeprof.records.result import Measurement, Pass, PassMeasurement, Plan
from edgeprof.summary.fold import fold
from edgeprof.wire import pack_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

needs_tflm = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None, reason="tflite-micro is not installed"
)
needs_litert = pytest.mark.skipif(importlib.util.find_spec("ai_edge_litert") is None, reason="LiteRT is not installed")
needs_unicorn = pytest.mark.skipif(importlib.util.find_spec("unicorn") is None, reason="unicorn is not installed")
MODELS = ("ad_int8", "kws_int8", "resnet8_int8", "vww_int8")


def several(path: Path, inferences: int) -> bytes:
    """Return random inferences for a model with one input."""
    seeds = [random_inputs(read_model(path), seed).blob for seed in range(inferences)]
    graph = read_model(path)
    (tensor,) = (graph.tensors[index] for index in graph.inputs)
    shape = tuple(size or 1 for size in tensor.shape or ())
    values = [blob[8 + int.from_bytes(blob[4:8], "little") :] for blob in seeds]
    return pack_inputs([(tensor.name, tensor.dtype, shape, values)])


# ── who answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


@needs_tflm
def test_tflite_micro_answers_for_each_inference_byte_for_byte(kws: Path) -> None:
    found = oracle_outputs(kws, several(kws, 3))
    assert found.name.startswith("tflite-micro 0.")
    assert (found.tolerance_steps, found.reason) == (0, "")
    assert [(o.inference, o.name, o.dtype, o.shape, len(o.content)) for o in found.outputs] == [
        (inference, "softmax_12", "int8", (1, 12), 12) for inference in range(3)
    ]
    assert len({output.content for output in found.outputs}) == 3


@needs_tflm
@needs_litert
@pytest.mark.parametrize("name", MODELS)
def test_litert_agrees_with_tflite_micro_to_two_steps(kws: Path, name: str) -> None:
    path = kws.with_name(f"{name}.tflite")
    blob = several(path, 5)
    exact, near = oracle_outputs(path, blob), oracle_outputs(path, blob, engines=("litert",))
    assert (near.tolerance_steps, near.name.split(" ")[0]) == (2, "LiteRT's")
    assert compare_outputs(exact.outputs, near, output_kinds(read_model(path))).within_tolerance


@pytest.fixture
def without_tflm(tmp_path: Path) -> str:
    """Return a Python that has LiteRT and no tflite-micro."""
    return python_with(tmp_path, ("ai_edge_litert", "numpy", "flatbuffers", "tqdm", "typing_extensions", "backports"))


def python_with(folder: Path, packages: tuple[str, ...]) -> str:
    """Make a virtual environment with links to packages of this one."""
    here = Path(sysconfig.get_path("purelib"))
    site = folder / "venv" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    site.mkdir(parents=True)
    for package in packages:
        for found in (*here.glob(f"{package}"), *here.glob(f"{package}[-.]*")):
            (site / found.name).symlink_to(found)
    home = Path(sys.base_prefix) / "bin"
    (folder / "venv" / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    (folder / "venv" / "bin").mkdir()
    python = folder / "venv" / "bin" / "python"
    python.symlink_to(Path(sys.executable).resolve())
    return str(python)


@needs_litert
def test_without_tflite_micro_litert_answers_and_says_why(kws: Path, without_tflm: str) -> None:
    found = oracle_outputs(kws, several(kws, 2), python=without_tflm)
    assert (found.name.split(" ")[0], found.tolerance_steps, len(found.outputs)) == ("LiteRT's", 2, 2)
    assert found.reason == "tflite-micro is not installed: pip install 'edgeprof[exact]'"


def test_with_neither_there_is_no_oracle_and_both_are_named(kws: Path, tmp_path: Path) -> None:
    found = oracle_outputs(kws, several(kws, 1), python=python_with(tmp_path, ()))
    assert (found.outputs, found.name) == ((), "")
    assert "tflite-micro is not installed" in found.reason
    assert "litert is not installed: pip install ai-edge-litert" in found.reason


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def python_that(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that makes an interpreter which runs a line of shell instead."""

    def make(line: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("echo no such kernel >&2; kill -ABRT $$", "it ended by SIGABRT: no such kernel"),
        ("kill -SEGV $$", "it ended by SIGSEGV: it said nothing"),
        ("echo bad model >&2; exit 1", "tflite-micro cannot run the model: bad model"),
        ("exec sleep 30", "tflite-micro did not answer within 0.5 s"),
        ("echo nonsense", "tflite-micro gave no answer that can be read"),
        ("", "tflite-micro gave no answer that can be read"),
        (
            """echo '{"version": "1", "outputs": [{"inference": 0, "dtype": "int8", "shape": [1], "bytes": 9}]}'""",
            "no answer",
        ),
    ],
)
def test_a_child_that_crashes_hangs_or_babbles_is_an_oracle_that_is_absent(
    kws: Path, python_that: Callable[[str], str], line: str, reason: str
) -> None:
    found = oracle_outputs(kws, several(kws, 1), engines=("tflite-micro",), python=python_that(line), timeout_s=0.5)
    assert found.outputs == ()
    assert reason in found.reason


def test_a_python_that_is_not_there_is_told(kws: Path) -> None:
    assert "could not be started" in oracle_outputs(kws, several(kws, 1), python="/nowhere/python").reason


@needs_litert
def test_a_model_that_aborts_tflite_micro_is_asked_of_litert(kws: Path, python_that: Callable[[str], str]) -> None:
    line = f'[ "$3" = tflite-micro ] && kill -ABRT $$; exec {sys.executable} "$@"'
    found = oracle_outputs(kws, several(kws, 2), python=python_that(line))
    assert (found.tolerance_steps, len(found.outputs)) == (2, 2)
    assert found.reason == "tflite-micro cannot run the model: it ended by SIGABRT: it said nothing"


def test_a_damaged_model_is_told_and_no_child_started(kws: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.tflite"
    path.write_bytes(kws.read_bytes()[:2000])
    found = oracle_outputs(path, several(kws, 1), python="/nowhere/python")
    assert (found.outputs, found.name) == ((), "")
    assert found.reason.startswith("no oracle for half.tflite: ")


def test_onnx_models_and_other_blobs_have_no_oracle(kws: Path) -> None:
    assert (
        oracle_outputs(kws.with_name("kws_fp32.onnx"), several(kws, 1)).reason == "there is no oracle for onnx models"
    )
    assert "not an input blob" in oracle_outputs(kws, b"nonsense").reason


@needs_tflm
def test_inputs_of_another_size_are_refused_by_the_child_alone(kws: Path) -> None:
    blob = pack_inputs([("input", "int8", (1, 4), [b"1234"])])
    found = oracle_outputs(kws, blob, engines=("tflite-micro",))
    assert found.outputs == ()
    assert "cannot run the model" in found.reason


def test_runtimes_stay_out_of_this_process() -> None:
    heavy = "{'numpy', 'tflite_micro', 'ai_edge_litert'}"
    text = f"import sys, edgeprof.oracle.reference; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ── a run against it ─────────────────────────────────────────────────────────────────────────────────────────────────


def run(model: Path, program: bytes, blob: bytes) -> Measurement:
    """Return what an emulated Cortex-M4 says of a program's instructions and outputs."""
    plan = Plan(passes=(Pass(kind="latency", runs=1, warmup=0), Pass(kind="outputs")), format="program")
    blobs = {"model": program, "inputs": blob}
    with FramedSession(open_emu("cortex-m4", list(blobs.values())), name=model.name) as session:
        return fold(session.run(plan, blobs), plan)


@pytest.mark.slow
@needs_tflm
@needs_unicorn
@pytest.mark.parametrize("name", ["kws_int8", "vww_int8"])
def test_an_emulated_board_gives_the_bytes_of_tflite_micro(kws: Path, name: str) -> None:
    path = kws.with_name(f"{name}.tflite")
    graph, blob = read_model(path), several(path, 2)
    measurement = run(path, pack_program(graph, path).content, blob)
    metrics, (finding,) = check_outputs(path, graph, blob, measurement, program=True)
    assert (finding.verdict, finding.basis) == ("PASS", "emulated")
    assert "2 inferences equal to tflite-micro" in finding.reason
    assert {name: (m.value, m.basis, m.count) for name, m in metrics.items()} == {
        "output_max_abs_error": (0.0, "emulated", 2),
        "output_agreement_ratio": (1.0, "emulated", 2),
    }


def test_what_cannot_be_compared_is_told(kws: Path) -> None:
    graph, blob = read_model(kws), several(kws, 1)
    lost = PassMeasurement(kind="outputs", launch=0, complete=False, failure="lost")
    measurement = Measurement(basis="emulated", passes=(lost,))
    for failure, reason in (
        ("lost", "the run ended before the outputs came"),
        ("unsupported", "the agent cannot send"),
    ):
        told = replace(measurement, passes=(replace(lost, failure=failure),))
        metrics, (finding,) = check_outputs(kws, graph, blob, told, program=True)
        assert finding.verdict == "INCONCLUSIVE"
        assert finding.reason.startswith(reason)
        assert {m.value for m in metrics.values()} == {None}
    onnx = read_model(kws.with_name("kws_fp32.onnx"))
    for model, what in ((None, "models that are in the firmware"), (onnx, "ONNX models")):
        metrics, (finding,) = check_outputs(kws, model, blob, measurement, program=False)
        assert (metrics, finding.verdict) == ({}, "SKIP")
        assert finding.reason == f"there is no oracle for {what}"


def test_as_many_inputs_are_checked_as_go_over_a_serial_line_quickly(kws: Path) -> None:
    vww = kws.with_name("vww_int8.tflite")
    counts = [
        seeded_inferences(read_model(path), emulated=emulated) for path in (kws, vww) for emulated in (True, False)
    ]
    assert counts == [3, 3, 3, 1]
