"""Outputs against outputs: which belong together, by which rule each is judged, and what the gate makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from edgeprof.comparing.output_agreement import Side, compared_output, lines_for, outputs_finding
from edgeprof.comparing.output_pairs import gives_classes, paired_outputs, pairing_note
from edgeprof.comparing.output_quality import Heard, judge_quality
from edgeprof.comparing.quality_inputs import Matched
from edgeprof.comparing.request import Wanted, are_models
from edgeprof.errors import UsageError
from edgeprof.model.onnx import read_onnx
from edgeprof.records.events import OutputReceived

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.comparing.output_quality import Judged
    from edgeprof.model.graph import Graph
    from edgeprof.records.result import Finding

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def graph(path: Path, *names: str, kind: str = "Identity", last: str = "") -> Graph:
    """Return a model that gives x under each name, through an operator and perhaps a last one."""
    nodes = [helper.make_node(kind, ["x"], [f"{name}.inner" if last else name]) for name in names]
    nodes += [helper.make_node(last, [f"{name}.inner"], [name]) for name in names if last]
    given = helper.make_tensor_value_info("x", FLOAT, [1, 4])
    made = [helper.make_tensor_value_info(name, FLOAT, [1, 4]) for name in names]
    model: ModelProto = helper.make_model(helper.make_graph(nodes, "g", [given], made))
    return read_onnx(model.SerializeToString(), path)


# ── pairs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("base", "new", "places", "note"),
    [
        (("scores", "boxes"), ("boxes", "scores"), ((0, 1), (1, 0)), "outputs by name: 'scores', 'boxes'"),
        (("a", "b"), ("a", "b"), ((0, 0), (1, 1)), "outputs by name: 'a', 'b'"),
        (("y",), ("y",), ((0, 0),), ""),
        (("y",), ("z",), ((0, 0),), "outputs by position, their names differ: 'y' with 'z'"),
        (
            ("a", "b"),
            ("b", "c"),
            ((0, 0), (1, 1)),
            "outputs by position, their names differ: 'a' with 'b', 'b' with 'c'",
        ),
        (("a", "b", "c"), ("c", "a"), ((0, 1), (2, 0)), "outputs by name: 'a', 'c'"),
        (("a", "b"), ("c",), (), "outputs by name: "),
    ],
)
def test_outputs_are_paired_by_name_where_both_have_the_same_names_and_else_by_position(
    tmp_path: Path, base: tuple[str, ...], new: tuple[str, ...], places: tuple[tuple[int, int], ...], note: str
) -> None:
    one, other = graph(tmp_path, *base), graph(tmp_path, *new)
    assert paired_outputs(one, other).places == places
    if places:
        assert pairing_note(one, other) == note


def test_outputs_that_are_alone_are_named(tmp_path: Path) -> None:
    found = paired_outputs(graph(tmp_path, "a", "b"), graph(tmp_path, "b", "c", "d"))
    assert found.alone == ("BASE's 'a'", "NEW's 'c'", "NEW's 'd'")


def test_only_some_of_many_pairs_are_listed(tmp_path: Path) -> None:
    names = [f"n{at}" for at in range(40)]
    assert pairing_note(graph(tmp_path, *names), graph(tmp_path, *names[::-1])).endswith("'n5' and 34 more")


@pytest.mark.parametrize(
    ("kind", "last", "shape", "classes"),
    [
        ("Softmax", "", (1, 4), True),
        ("LogSoftmax", "", (1, 4), True),
        ("Softmax", "Identity", (4,), True),
        ("Softmax", "Relu", (1, 4), False),
        ("Sigmoid", "", (1, 4), False),
        ("Softmax", "", (7, 4), False),
        ("Softmax", "", (1, 1), False),
    ],
)
def test_classes_are_a_vector_out_of_a_softmax(
    tmp_path: Path, kind: str, last: str, shape: tuple[int, ...], *, classes: bool
) -> None:
    assert gives_classes(graph(tmp_path, "y", kind=kind, last=last), 0, shape) is classes


# ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def agreement(base: Any, new: Any, *, classes: bool = False, whole: tuple[bool, bool] = (False, False)) -> Any:  # noqa: ANN401  lists of numbers
    one, other = (np.asarray(side, np.float64) for side in (base, new))
    return compared_output(Side("y", one, whole[0]), Side("y", other, whole[1]), classes=classes)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("base", "new", "rule", "wanted"),
    [
        ([[1, 2, 3]], [[1, 2, 3]], "cosine", 1.0),
        ([[1, 2, 3]], [[-1, -2, -3]], "cosine", 0.0),
        ([[0, 0, 0]], [[0, 0, 0]], "cosine", 1.0),
        ([[0, 0, 0]], [[1, 2, 3]], "cosine", 0.0),
        ([[1, 2, 3]], [[0, 0, 0]], "cosine", 0.0),
        ([[NAN, 2, 3]], [[NAN, 2, 3]], "cosine", 1.0),
        ([[NAN, NAN]], [[NAN, NAN]], "cosine", 1.0),
        ([[1, 2, 3]], [[NAN, 2, 3]], "cosine", 0.0),
        ([[INF, 2, 3]], [[INF, 2, 3]], "cosine", 1.0),
        ([[INF, 2, 3]], [[-INF, 2, 3]], "cosine", 0.0),
        ([[5, 5, 5]], [[5, 5, 5]], "cosine", 1.0),
        ([[100, 0], [1e-6, 0]], [[100, 0], [0, 1e-6]], "cosine", 1.0),  # the rest is noise beside the first
        ([[1e300, 1e300]], [[1e300, 1e300]], "cosine", 1.0),
        ([[0.9], [0.1]], [[0.9], [0.1]], "close", 1.0),
        ([[0.9], [0.1]], [[0.9], [0.2]], "close", 0.5),  # their cosine is 1
        ([[]], [[]], "close", 1.0),
    ],
)
def test_an_output_is_judged_by_what_it_holds(base: Any, new: Any, rule: str, wanted: float) -> None:  # noqa: ANN401  lists of numbers
    found = agreement(base, new)
    assert (found.rule, found.agreement_ratio) == (rule, pytest.approx(wanted))


def test_whole_numbers_without_a_scale_are_equal_or_not() -> None:
    found = agreement([[1, 2, 3, 4]], [[1, 2, 3, 5]], whole=(True, True))
    assert (found.rule, found.agreement_ratio) == ("equal", 0.75)
    assert agreement([[1, 2, 3, 4]], [[1, 2, 3, 5]], whole=(True, False)).rule == "cosine"


def test_classes_agree_by_their_largest_score_alone() -> None:
    base, new = [[0.1, 0.9], [0.6, 0.4]], [[0.4, 0.6], [0.4, 0.6]]
    found = agreement(base, new, classes=True)
    assert (found.rule, found.agreement_ratio) == ("top-1", 0.5)


# ── the finding ──────────────────────────────────────────────────────────────────────────────────────────────────────


def finding(value: float, *, random: bool, asked: float | None = None) -> Finding:
    rows = [[1.0, 0.0]] * 100
    other = [[1.0, 0.0] if at < round(value * 100) else [0.0, 1.0] for at in range(100)]
    found = agreement(rows, other, classes=True)
    return outputs_finding([found], (), lines_for(asked, random=random), "measured")


@pytest.mark.parametrize(
    ("value", "random", "asked", "verdict"),
    [
        (1.0, False, None, "PASS"),
        (0.99, False, None, "PASS"),
        (0.98, False, None, "FAIL"),
        (0.99, True, None, "PASS"),
        (0.98, True, None, "WARN"),
        (0.5, True, None, "WARN"),
        (0.49, True, None, "FAIL"),
        (0.0, True, None, "FAIL"),
        (0.9, False, 0.9, "PASS"),
        (0.89, False, 0.9, "FAIL"),
        (0.9, True, 0.9, "WARN"),
        (0.89, True, 0.9, "FAIL"),
        (0.99, True, 1.0, "FAIL"),
        (1.0, False, 1.0, "PASS"),
        (0.0, False, 0.0, "PASS"),
    ],
)
def test_the_lines_are_those_of_given_or_of_random_inputs_unless_one_is_set(
    value: float, asked: float | None, verdict: str, *, random: bool
) -> None:
    found = finding(value, random=random, asked=asked)
    assert (found.limit, found.verdict) == ("compare/outputs", verdict)
    assert found.value == pytest.approx(value)
    assert ("--inputs FILE.npz" in found.reason) == (random and verdict != "PASS")


def test_an_output_of_the_same_direction_and_twice_the_size_is_a_warning() -> None:
    found = outputs_finding([agreement([[1, 2]], [[2, 4]])], (), lines_for(None, random=False), "measured")
    assert found.verdict == "WARN"
    assert "values 2 times as large" in found.reason
    same = outputs_finding([agreement([[1, 2]], [[1.1, 2.2]])], (), lines_for(None, random=False), "measured")
    assert same.verdict == "PASS"


def test_values_that_are_not_finite_are_told() -> None:
    lines = lines_for(None, random=False)
    one_side = outputs_finding([agreement([[1, 2]], [[1, NAN]])], (), lines, "measured")
    assert one_side.verdict == "FAIL"
    assert "a value is not finite on one side alone" in one_side.reason
    nowhere = outputs_finding([agreement([[NAN, INF]], [[NAN, INF]])], (), lines, "measured")
    assert nowhere.verdict == "WARN"
    assert "no value is finite on either side" in nowhere.reason
    some = outputs_finding([agreement([[NAN, 1]], [[NAN, 1]])], (), lines, "measured")
    assert some.verdict == "PASS"


# ── from what two runs sent ──────────────────────────────────────────────────────────────────────────────────────────


def heard(*outputs: np.ndarray) -> Heard:
    """Return outputs of two inferences, the second of which repeats the first."""
    return Heard({
        (at, tensor): OutputReceived(
            index=0, inference=at, tensor=tensor, name="", dtype=array.dtype.name, shape=array.shape,
            content=array.tobytes(),
        )
        for at in range(2) for tensor, array in enumerate(outputs)
    })  # fmt: skip


def judged(base: Graph, new: Graph, ours: Heard, theirs: Heard, *, random: bool = False) -> Judged:
    matched = Matched(({"x": np.zeros((2, 1, 4))}, {"x": np.zeros((2, 1, 4))}), "in.npz", (), random=random)
    return judge_quality((base, new), (ours, theirs), matched, "measured")


A, B = np.array([[1, 2, 3, 4]], np.float32), np.array([[4, -3, 2, -1]], np.float32)


def test_outputs_in_another_order_are_the_same_by_name(tmp_path: Path) -> None:
    found = judged(graph(tmp_path, "a", "b"), graph(tmp_path, "b", "a"), heard(A, B), heard(B, A))
    assert found.findings[0].verdict == "PASS"
    assert found.quality.distance is not None
    assert found.quality.distance.max_abs_error == 0
    assert found.quality.paired_by == "name"


def test_outputs_of_other_names_in_another_order_fail_and_the_pairs_are_named(tmp_path: Path) -> None:
    found = judged(graph(tmp_path, "a", "b"), graph(tmp_path, "c", "d"), heard(A, B), heard(B, A))
    assert found.findings[0].verdict == "FAIL"
    assert "'a' with 'c'" in found.findings[0].reason
    assert found.quality.paired_by == "position"


def test_an_output_of_another_shape_or_none_on_the_other_side_leaves_it_open_unless_another_fails(
    tmp_path: Path,
) -> None:
    base = graph(tmp_path, "a", "b")
    short = judged(base, base, heard(A, B), heard(A, B[:, :3]))
    assert short.findings[0].verdict == "INCONCLUSIVE"
    assert "'b': it is [1, 4] of BASE and [1, 3] of NEW" in short.findings[0].reason
    assert short.quality.distance is not None
    alone = judged(base, graph(tmp_path, "b"), heard(A, B), heard(B))
    assert alone.findings[0].verdict == "INCONCLUSIVE"
    assert "BASE's 'a' has none on the other side" in alone.findings[0].reason
    wrong = judged(base, base, heard(A, B), heard(-A, B[:, :3]))
    assert wrong.findings[0].verdict == "FAIL"


def test_outputs_of_which_none_can_be_compared_are_said_to_be_so(tmp_path: Path) -> None:
    base = graph(tmp_path, "a")
    found = judged(base, base, heard(A), heard(A[:, :3]))
    assert (found.findings[0].limit, found.findings[0].verdict) == ("compare/outputs", "INCONCLUSIVE")
    assert found.quality.distance is None
    assert "[1, 3] of NEW" in found.quality.reason


@pytest.mark.parametrize("ratio", [-0.1, 1.1, 99.0, NAN])
def test_an_agreement_that_is_no_share_is_refused(tmp_path: Path, ratio: float) -> None:
    with pytest.raises(UsageError, match=r"is no share"):
        are_models([tmp_path / "a.onnx", tmp_path / "b.onnx"], Wanted(min_agreement=ratio))


def test_an_agreement_of_what_is_not_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"outputs would not be compared"):
        are_models([tmp_path / "a.onnx", tmp_path / "b.onnx"], Wanted(min_agreement=0.9, quality=False))
    with pytest.raises(UsageError, match=r"results hold no outputs"):
        are_models([tmp_path / "a.json", tmp_path / "b.json"], Wanted(min_agreement=0.9))
