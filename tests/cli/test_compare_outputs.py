"""What `compare` makes of outputs in another order, or that disagree: a finding of their own, and the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgeprof as library
from edgeprof.profiling.plan import Options
from edgeprof.report.comparison import exit_code, render_comparisons

if TYPE_CHECKING:
    from edgeprof.records.comparison import Comparison
    from edgeprof.records.result import Finding
    from tests.conftest import Cli

CASE = Path(__file__).parents[1] / "fixtures" / "compare-outputs"
SIM, BRIEF = "sim:raspberry-pi-5", Options(runs=20, memory=False)


def layer(path: Path, matrix: np.ndarray, *, softmax: bool = False) -> Path:
    """Write a model of x (1x4) times a matrix, perhaps through a softmax."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h" if softmax else "y"])]
    nodes += [helper.make_node("Softmax", ["h"], ["y"])] if softmax else []
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    weights = [numpy_helper.from_array(matrix.astype(np.float32), "w")]
    graph = helper.make_graph(nodes, "g", shapes[:1], shapes[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    return layer(tmp_path / "unit.onnx", np.eye(4))


def outputs_of(found: Comparison) -> Finding:
    [finding] = [finding for finding in found.findings if finding.limit == "compare/outputs"]
    return finding


def test_the_same_outputs_in_another_order_have_no_error() -> None:
    [found] = library.compare(CASE / "same_a.onnx", CASE / "same_b.onnx", target=SIM, options=BRIEF)
    assert found.quality is not None
    assert found.quality.distance is not None
    assert (found.quality.distance.max_abs_error, outputs_of(found).verdict) == (0, "PASS")
    assert "outputs by name: 'scores', 'boxes'" in render_comparisons([found], "table").replace("\n", " ")


def test_outputs_that_disagree_fail_in_every_format_and_on_github(edgeprof: Cli, unit: Path, tmp_path: Path) -> None:
    other = layer(tmp_path / "other.onnx", -np.eye(4))
    done = edgeprof(
        "compare", unit, other, "-t", SIM, "--format", "junit",
        GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"),
    )  # fmt: skip
    assert done.returncode == 1
    assert "::error title=FAIL compare/outputs" in done.stderr
    [failed] = [case for case in ET.fromstring(done.stdout).iter("testcase") if case.find("failure") is not None]  # noqa: S314  our own
    assert failed.get("name") == "compare/outputs"
    assert "**FAIL** Outputs: 'y': no cosine above 0" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(
    ("kind", "given", "asked", "verdict", "code"),
    [
        ("turned", False, None, "WARN", 0),
        ("turned", True, None, "FAIL", 1),
        ("turned", True, 0.6, "PASS", 0),
        ("opposite", False, None, "FAIL", 1),
        ("other classes", True, None, "FAIL", 1),
    ],
)
def test_the_lines_are_those_of_the_inputs_unless_they_are_set(
    unit: Path, tmp_path: Path, kind: str, asked: float | None, verdict: str, code: int, *, given: bool
) -> None:
    """Turned: every cosine with the base's outputs is 0.8."""
    turn = 0.8 * np.eye(4) + 0.6 * np.kron(np.eye(2), np.array([[0, 1], [-1, 0]]))
    classes = kind.endswith("classes")
    matrix = {"turned": turn, "opposite": -np.eye(4), "other classes": np.eye(4)[::-1]}[kind]
    other = layer(tmp_path / "other.onnx", matrix, softmax=classes)
    base = layer(tmp_path / "base.onnx", np.eye(4), softmax=True) if classes else unit
    values = tmp_path / "in.npz"
    np.savez(values, x=np.random.default_rng(0).standard_normal((20, 1, 4)).astype(np.float32))
    [found] = library.compare(
        base, other, target=SIM, inputs=values if given else None, min_agreement=asked, max_regression=10.0,
        options=BRIEF,
    )  # fmt: skip
    assert outputs_of(found).verdict == verdict, outputs_of(found).reason
    assert exit_code([found]) == code
    assert exit_code([found], strict=True) == (1 if verdict != "PASS" else 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--min-agreement", "99"), "'99' has no sign: a share is written as 99%"),
        (("--min-agreement", "0.99"), "'0.99' has no sign"),
        (("--min-agreement", "101%"), "101% is not between 0 and 100 %"),
        (("--min-agreement", "-1%"), "is not between 0 and 1"),
        (("--min-agreement", "nan%"), "is not between 0 and 1"),
        (("--min-agreement", "most"), "'most' has no sign"),
        (("--min-agreement", "90%", "--no-quality"), "outputs would not be compared"),
    ],
)
def test_an_agreement_that_means_nothing_is_refused(
    edgeprof: Cli, unit: Path, given: tuple[str, ...], said: str
) -> None:
    done = edgeprof("compare", unit, unit, *given)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
