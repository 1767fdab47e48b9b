"""Distances between outputs, scores against labels, guards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgeprof.comparing.quality import (
    accuracy_drop,
    auc,
    checked_labels,
    distance,
    f1_macro,
    guarded,
    real_values,
    scores,
    stored_values,
    top_classes,
)
from edgeprof.errors import UsageError
from edgeprof.records.result import InputTensor

REALS = st.floats(-1e6, 1e6, allow_subnormal=False)
OUTPUTS = arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 8)), elements=REALS)


@given(OUTPUTS, st.booleans())
def test_identical_outputs_have_no_error_and_agree_in_all(values: np.ndarray, classes: bool) -> None:  # noqa: FBT001  hypothesis gives them by position
    found = distance([values], [values.copy()], classes=classes)
    assert (found.max_abs_error, found.mean_abs_error, found.agreement_ratio) == (0.0, 0.0, 1.0)
    assert found.cosine == pytest.approx(1.0)


@given(OUTPUTS, st.randoms(use_true_random=False))
def test_the_order_of_inferences_does_not_matter(values: np.ndarray, chance: object) -> None:
    other = values[::-1] * 1.5 + 1
    order = list(range(len(values)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    one = distance([values], [other], classes=True)
    again = distance([values[order]], [other[order]], classes=True)
    assert one.max_abs_error == again.max_abs_error
    assert one.agreement_ratio == again.agreement_ratio
    assert one.cosine == pytest.approx(again.cosine) if one.cosine is not None else again.cosine is None


def test_a_value_that_is_not_finite_on_one_side_has_no_error_and_is_not_hidden() -> None:
    found = distance([np.array([[1.0, 2.0]])], [np.array([[1.0, np.nan]])], classes=False)
    assert found.max_abs_error is None
    assert found.cosine is None
    assert found.agreement_ratio == 0.5


def test_an_opposite_output_has_a_cosine_of_minus_one() -> None:
    assert distance([np.array([[1.0, 2.0]])], [np.array([[-1.0, -2.0]])], classes=False).cosine == pytest.approx(-1)


@given(arrays.arrays(np.float64, st.integers(2, 30), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])), st.data())
def test_auc_is_the_share_of_pairs_in_the_right_order(score: np.ndarray, data: st.DataObject) -> None:
    positive = np.array(data.draw(st.lists(st.booleans(), min_size=len(score), max_size=len(score))))
    pairs = [(p, n) for p in score[positive] for n in score[~positive]]
    if not pairs:
        assert auc(score, positive) is None
        return
    counted = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)
    assert auc(score, positive) == pytest.approx(counted)


def test_macro_f1_weighs_a_rare_class_as_much_as_a_common_one() -> None:
    labels, found = np.array([0] * 9 + [1]), np.array([0] * 10)
    assert f1_macro(found, labels) == pytest.approx((18 / 19 + 0) / 2)


def test_one_score_an_inference_is_the_probability_of_class_one() -> None:
    outputs, labels = np.array([[0.9], [0.2], [0.5]]), np.array([1, 0, 0])
    assert top_classes(outputs).tolist() == [1, 0, 1]
    found = scores(outputs, labels)
    assert found.accuracy_ratio == pytest.approx(2 / 3)
    assert found.auc == 1.0


def test_a_drop_that_many_labels_show_fails_the_guard() -> None:
    base = np.ones(10_000, bool)
    new = base.copy()
    new[:300] = False
    drop = accuracy_drop(base, new)
    assert drop.drop_ratio == pytest.approx(0.03)
    assert guarded(drop, "balanced", 10_000).verdict == "FAIL"
    assert guarded(drop, "aggressive", 10_000).verdict == "PASS"


def test_the_same_answers_pass_where_there_are_labels_enough_and_tell_nothing_with_a_few() -> None:
    assert guarded(accuracy_drop(np.ones(5000, bool), np.ones(5000, bool)), "conservative", 5000).verdict == "PASS"
    few = guarded(accuracy_drop(np.ones(20, bool), np.ones(20, bool)), "conservative", 20)
    assert few.verdict == "INCONCLUSIVE"
    assert "more would" in few.reason


def test_the_interval_of_the_drop_covers_the_truth_as_often_as_it_says() -> None:
    chance = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        draws = chance.random(300)
        drop = accuracy_drop(draws >= 0.03, (draws < 0.03) | (draws >= 0.08))  # lost 5 %, won 3 %
        held += drop.low <= 0.02 <= drop.high
    assert held / 400 >= 0.92


INT8 = InputTensor(name="x", shape=(1, 4), dtype="int8", scale=0.5, zero_point=3)


@given(arrays.arrays(np.int8, 20))
def test_stored_values_survive_the_way_to_real_ones_and_back(codes: np.ndarray) -> None:
    assert (stored_values(real_values(codes, 0.5, 3), INT8) == codes).all()


def test_real_values_out_of_reach_are_clipped() -> None:
    assert stored_values(np.array([1e9, -1e9]), INT8).tolist() == [127, -128]


@pytest.mark.parametrize("labels", [np.array([0.5]), np.array([[1]]), np.array([7]), np.array([-1]), np.array([0, 1])])
def test_labels_that_do_not_fit_the_outputs_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(UsageError):
        checked_labels(labels, 1, 3, "labels.csv")
