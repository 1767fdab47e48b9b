"""The warning of int8 kernels that saturate: which CPUs, runtimes, providers, models and options it is for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from msgspec.structs import replace

from edgeprof.comparing.saved_results import compare_saved
from edgeprof.diagnosis.int8_kernels import CODE, PRECISE, UNFUSED, lacks_vnni, saturation_warnings
from edgeprof.model import read_model
from edgeprof.records.result import Environment, RuntimeUsed
from edgeprof.report import render
from edgeprof.report.comparison import render_comparisons

if TYPE_CHECKING:
    from edgeprof.records.result import Result, Warned

MODELS = Path(__file__).resolve().parents[2] / "examples" / "models"
QDQ, REAL, LITE = MODELS / "kws_qdq_int8.onnx", MODELS / "kws_fp32.onnx", MODELS / "kws_int8.tflite"
HASWELL = ("fma", "sse4_2", "avx", "avx2")
SKYLAKE = (*HASWELL, "avx512f")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def ran(blank: Result, features: tuple[str, ...], *options: str, runtime: str = "onnxruntime", **detail: Any) -> Result:  # noqa: ANN401  what a runtime says
    """Return the result of a run on a CPU with these features."""
    return replace(
        blank,
        runtime=RuntimeUsed(name=runtime, version="1.31.1", detail={"providers": [CPU], **detail}),
        environment=Environment(before={"cpu_features": list(features)}),
        plan=replace(blank.plan, runtime_options=options),
    )


def warned(result: Result, model: Path = QDQ) -> tuple[Warned, ...]:
    return saturation_warnings(result, read_model(model), model)


@pytest.mark.parametrize(
    ("features", "lacks"),
    [
        (HASWELL, True),
        (SKYLAKE, True),
        ((*SKYLAKE, "avx512_vnni"), False),
        ((*HASWELL, "avx_vnni"), False),
        (("sse4_2", "avx"), False),
        (("asimd", "asimddp", "i8mm"), False),
        ((), False),
    ],
)
def test_an_x86_cpu_with_avx2_and_without_vnni_saturates(
    small_result: Result,
    features: tuple[str, ...],
    lacks: bool,  # noqa: FBT001  a column of the table
) -> None:
    assert lacks_vnni(features) is lacks
    assert [one.code for one in warned(ran(small_result, features))] == [CODE] * lacks


def test_the_warning_counts_the_operators_and_names_what_mends_it(small_result: Result) -> None:
    (one,) = warned(ran(small_result, HASWELL))
    assert "AVX2 without VNNI" in one.text
    assert "6 operators of this model run on them: Conv " in one.text  # of nine convolutions four are depthwise
    assert f"--runtime-option {PRECISE}" in one.advice
    assert "reduce_range=True" in one.advice
    assert ".tflite" in one.advice


@pytest.mark.parametrize("option", [PRECISE, UNFUSED])
def test_with_exact_kernels_nothing_is_warned_of(small_result: Result, option: str) -> None:
    assert not warned(ran(small_result, HASWELL, option))


def test_float_models_and_other_runtimes_are_not_meant(small_result: Result) -> None:
    assert not warned(ran(small_result, HASWELL), REAL)
    assert not warned(ran(small_result, HASWELL), LITE)
    assert not warned(ran(small_result, HASWELL, runtime="ai_edge_litert"), LITE)
    assert not warned(replace(small_result, environment=Environment(before={"cpu_features": list(HASWELL)})))


@pytest.mark.parametrize(
    ("left", "meant"),
    [
        ({"count": 0, "names": []}, False),
        ({"count": 2, "names": ["Softmax a", "QuantizeLinear b"]}, False),
        ({"count": 1, "names": ["Conv conv_0"]}, True),
        ({"count": 60, "names": ["Softmax a"]}, True),  # the others are not named
    ],
)
def test_what_another_provider_runs_is_not_meant(
    small_result: Result,
    left: dict[str, Any],
    meant: bool,  # noqa: FBT001  a column of the table
) -> None:
    result = ran(small_result, HASWELL, providers=[CUDA, CPU], on_cpu=left)
    assert bool(warned(result)) is meant


@pytest.mark.parametrize("format_name", ["table", "json", "markdown", "html", "junit"])
def test_the_warning_stands_in_every_report(small_result: Result, format_name: str) -> None:
    result = ran(small_result, HASWELL)
    told = render([replace(result, warnings=warned(result))], format_name)
    assert "without" in told
    assert "x64quantprecision" in told


def test_junit_tells_warnings_below_the_cases_of_a_suite(small_result: Result) -> None:
    result = ran(small_result, HASWELL)
    root = ET.fromstring(render([replace(result, warnings=warned(result)), small_result], "junit"))  # noqa: S314  our own
    outs = [[child.text or "" for child in suite if child.tag == "system-out"] for suite in root]
    assert [len(out) for out in outs] == [1, 0]
    assert outs[0][0].startswith("! the outputs may be wrong")


@pytest.mark.parametrize("format_name", ["table", "json", "markdown", "junit", "report"])
def test_a_comparison_says_once_which_side_was_measured_so(
    small_result: Result, tmp_path: Path, format_name: str
) -> None:
    result = ran(small_result, HASWELL)
    for name, told in (("base", warned(result)), ("new", ())):
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(replace(result, warnings=told)))
    found = compare_saved(tmp_path / "base.json", tmp_path / "new.json")
    assert [one.code for one in found[0].warnings] == [CODE]
    assert " ".join(render_comparisons(found, format_name).split()).count("BASE: the outputs may be wrong") == 1
