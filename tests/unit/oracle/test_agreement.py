"""Outputs against an oracle's: answers known by hand."""

from __future__ import annotations

import struct
from math import inf, nan
from typing import TYPE_CHECKING

import pytest

from edgeprof.model import read_model
from edgeprof.oracle.agreement import (
    Agreement,
    OracleOutputs,
    OutputKind,
    agreement_finding,
    agreement_metrics,
    compare_outputs,
    output_kinds,
    skipped_finding,
)
from edgeprof.records.result import OutputTensor

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = OutputKind(name="softmax", step=0.25, quantised=True, classes=True)
VALUES = OutputKind(name="dense", step=0.5, quantised=True)
FLOATS = OutputKind(name="logits")
CODES = {"int8": "b", "uint8": "B", "int32": "i", "int64": "q", "float32": "f", "float64": "d", "bool": "?"}


def output(
    *values: float, dtype: str = "int8", inference: int = 0, shape: tuple[int, ...] | None = None
) -> OutputTensor:
    content = struct.pack(f"<{len(values)}{CODES[dtype]}", *values)
    return OutputTensor(inference=inference, name="o", dtype=dtype, shape=shape or (1, len(values)), content=content)


def oracle(*outputs: OutputTensor, tolerance: int = 0, reason: str = "") -> OracleOutputs:
    return OracleOutputs(name="the oracle 1.0", tolerance_steps=tolerance, outputs=outputs, reason=reason)


def judged(agreement: Agreement | None, asked: OracleOutputs, kind: OutputKind = VALUES) -> tuple[str, str]:
    finding = agreement_finding(agreement, asked, "emulated", [kind])
    return finding.verdict, finding.reason


# ── equal ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_equal_bytes_pass_and_name_the_oracle() -> None:
    asked = oracle(output(1, 2, 3), output(4, 5, 6, inference=1))
    found = compare_outputs(asked.outputs, asked, [VALUES])
    assert found == Agreement(
        equal_bytes=True, within_tolerance=True, inferences=2, max_abs_error=0.0, max_steps=0.0, agreement_ratio=1.0
    )
    assert judged(found, asked) == ("PASS", "2 inferences equal to the oracle 1.0 byte for byte")


def test_bytes_are_compared_where_nothing_is_known_of_their_type() -> None:
    strange = OutputTensor(inference=0, name="o", dtype="bfloat16", shape=(2,), content=b"\x80\x3f\x80\x3f")
    other = OutputTensor(inference=0, name="o", dtype="bfloat16", shape=(2,), content=b"\x80\x3f\x80\x40")
    assert compare_outputs([strange], oracle(strange)).equal_bytes
    found = compare_outputs([other], oracle(strange))
    assert (found.within_tolerance, found.max_abs_error) == (False, None)
    assert judged(found, oracle(strange))[0] == "FAIL"


# ── apart ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_error_is_in_real_units_and_in_steps_and_the_first_element_is_named() -> None:
    asked = oracle(output(1, 2, 3, 4), output(1, 2, 3, 4, inference=1))
    found = compare_outputs([asked.outputs[0], output(1, 2, 5, 1, inference=1)], asked, [VALUES])
    assert (found.max_abs_error, found.max_steps, found.agreement_ratio) == (1.5, 3.0, 6 / 8)
    assert found.first == found.outside
    assert judged(found, asked) == (
        "FAIL",
        (
            "dense[0, 2] of inference 1 is 5 on the board, 3 by the oracle 1.0, 2 steps apart; at most 3 steps;"
            " 75 % of elements agree"
        ),
    )


def test_the_place_of_an_element_is_told_in_the_outputs_own_dimensions() -> None:
    asked = oracle(output(0, 0, 0, 0, 0, 0, shape=(1, 2, 3)))
    found = compare_outputs([output(0, 0, 0, 0, 0, 9, shape=(1, 2, 3))], asked, [VALUES])
    assert found.first.startswith("dense[0, 1, 2] of inference 0 is 9")


def test_of_a_classifier_the_same_largest_class_counts_and_still_every_byte_is_judged() -> None:
    asked = oracle(output(1, 9, 3), output(1, 9, 3, inference=1))
    found = compare_outputs([output(1, 8, 3), output(9, 1, 3, inference=1)], asked, [CLASSES])
    assert (found.agreement_ratio, found.compared) == (0.5, "top-1")
    assert judged(found, asked, CLASSES)[0] == "FAIL"


def test_of_equal_classes_the_first_is_the_largest() -> None:
    assert compare_outputs([output(7, 7, 1)], oracle(output(7, 6, 1)), [CLASSES]).agreement_ratio == 1.0


@pytest.mark.parametrize(("apart", "verdict"), [(0, "PASS"), (1, "PASS"), (2, "PASS"), (3, "FAIL")])
def test_two_steps_may_lie_between_a_build_and_an_oracle_that_rounds_differently(apart: int, verdict: str) -> None:
    asked = oracle(output(1, 2, 3), tolerance=2, reason="tflite-micro is not installed")
    told, reason = judged(compare_outputs([output(1, 2, 3 + apart)], asked, [VALUES]), asked)
    assert told == verdict
    assert reason.endswith("; tflite-micro is not installed")


def test_whole_numbers_without_a_scale_have_no_tolerance() -> None:
    asked = oracle(output(3, dtype="int32"), tolerance=2)
    found = compare_outputs([output(4, dtype="int32")], asked, [OutputKind(name="index")])
    assert (found.within_tolerance, found.max_abs_error, found.max_steps) == (False, 1.0, 1.0)


def test_large_whole_numbers_are_not_rounded_before_they_are_compared() -> None:
    asked = oracle(output(2**60, dtype="int64"), tolerance=2)
    assert not compare_outputs([output(2**60 + 1, dtype="int64")], asked, [OutputKind(name="index")]).within_tolerance


# ── floats ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_floats_that_were_dequantised_are_judged_by_the_steps_behind_them() -> None:
    kind = OutputKind(name="real", step=0.5)
    asked = oracle(output(1.0, 2.0, dtype="float32"), tolerance=2)
    near = compare_outputs([output(1.0, 3.0, dtype="float32")], asked, [kind])
    far = compare_outputs([output(1.0, 3.5, dtype="float32")], asked, [kind])
    assert (near.within_tolerance, near.max_abs_error, near.max_steps) == (True, 1.0, 2.0)
    assert (far.within_tolerance, far.max_abs_error, far.max_steps) == (False, 1.5, 3.0)


def test_floats_without_steps_may_differ_by_a_thousandth_of_the_largest() -> None:
    asked = oracle(output(10.0, 0.0, dtype="float32"), tolerance=2)
    near = compare_outputs([output(10.0, 0.009, dtype="float32")], asked, [FLOATS])
    far = compare_outputs([output(10.0, 0.02, dtype="float32")], asked, [FLOATS])
    assert (near.within_tolerance, far.within_tolerance, near.max_steps) == (True, False, None)
    assert judged(near, asked, FLOATS)[1].endswith("to within 0.1 % of its largest value")


def test_both_zeros_are_equal_in_value() -> None:
    asked = oracle(output(0.0, dtype="float32"))
    found = compare_outputs([output(-0.0, dtype="float32")], asked, [FLOATS])
    assert judged(found, asked, FLOATS) == ("PASS", "1 inference equal to the oracle 1.0 in value")
    assert not found.equal_bytes


@pytest.mark.parametrize("tolerance", [0, 2])
@pytest.mark.parametrize(("seen", "right"), [(nan, 1.0), (1.0, nan), (inf, 1.0), (inf, -inf), (nan, inf)])
def test_a_nan_or_an_infinity_agrees_with_nothing_else(seen: float, right: float, tolerance: int) -> None:
    asked = oracle(output(0.0, right, dtype="float32"), tolerance=tolerance)
    found = compare_outputs([output(0.0, seen, dtype="float32")], asked, [FLOATS])
    assert (found.max_abs_error, found.agreement_ratio) == (inf, 0.5)
    assert judged(found, asked, FLOATS)[0] == "FAIL"
    metric = agreement_metrics(found, asked, "measured")["output_max_abs_error"]
    assert metric.value is None
    assert str(metric.reason).startswith("no finite difference: logits[0, 1]")
    assert agreement_finding(found, asked, "measured", [FLOATS]).value is None


@pytest.mark.parametrize("value", [nan, inf])
def test_two_nans_and_two_infinities_agree(value: float) -> None:
    asked = oracle(output(value, 0.0, dtype="float32"))
    found = compare_outputs([output(value, -0.0, dtype="float32")], asked, [FLOATS])
    assert (found.within_tolerance, found.max_abs_error) == (True, 0.0)


def test_a_classifier_that_gives_nan_has_no_class() -> None:
    kind = OutputKind(name="softmax", classes=True)
    asked = oracle(output(nan, 1.0, dtype="float32"))
    assert compare_outputs([output(2.0, 1.0, dtype="float32")], asked, [kind]).agreement_ratio == 0.0


# ── what does not come, and what ought not to ────────────────────────────────────────────────────────────────────────


def test_outputs_that_did_not_come_leave_the_verdict_open() -> None:
    asked = oracle(output(1), output(2, inference=1))
    found = compare_outputs([output(1)], asked, [VALUES])
    assert (found.missing, found.equal_bytes) == (1, False)
    finding = agreement_finding(found, asked, "emulated", [VALUES], why="the cable was pulled")
    assert (finding.verdict, finding.reason) == (
        "INCONCLUSIVE",
        "1 output of 2 did not come: the cable was pulled",
    )


def test_a_wrong_output_fails_although_others_did_not_come() -> None:
    asked = oracle(output(1), output(2, inference=1))
    assert judged(compare_outputs([output(5)], asked, [VALUES]), asked)[0] == "FAIL"


@pytest.mark.parametrize("given", [output(1, 2, 3), output(1, 2, dtype="uint8")])
def test_another_size_or_type_fails(given: OutputTensor) -> None:
    asked = oracle(output(1, 2))
    found = compare_outputs([given], asked, [CLASSES])
    verdict, reason = judged(found, asked, CLASSES)
    assert verdict == "FAIL"
    assert f"{given.dtype} of {len(given.content)} bytes" in reason
    assert agreement_metrics(found, asked, "emulated")["output_max_abs_error"].value is None


def test_more_outputs_than_the_model_has_fail() -> None:
    asked = oracle(output(1))
    assert judged(compare_outputs([output(1), output(1)], asked, [VALUES]), asked) == (
        "FAIL",
        "the board gave 2 outputs in inference 0, there are 1; 100 % of elements agree",
    )


def test_several_outputs_are_compared_in_their_order() -> None:
    asked = oracle(output(1), output(2, 3), output(4, inference=1), output(5, 6, inference=1))
    given = [output(1), output(2, 3), output(4, inference=1), output(5, 7, inference=1)]
    found = compare_outputs(given, asked, [OutputKind(name="a"), OutputKind(name="b", step=2.0, quantised=True)])
    assert (found.max_abs_error, found.agreement_ratio) == (2.0, 5 / 6)
    assert found.first.startswith("b[0, 1] of inference 1")


# ── figures and findings ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_figures_carry_the_basis_of_the_run_and_name_the_oracle() -> None:
    asked = oracle(output(1, 9), output(1, 9, inference=1))
    metrics = agreement_metrics(compare_outputs(asked.outputs, asked, [CLASSES]), asked, "emulated")
    assert {name: (m.value, m.basis, m.count, m.method) for name, m in metrics.items()} == {
        "output_max_abs_error": (
            0.0,
            "emulated",
            2,
            "largest difference of dequantised outputs against the oracle 1.0 on this machine, 2 inferences",
        ),
        "output_agreement_ratio": (
            1.0,
            "emulated",
            2,
            "share of inferences with the same top-1 class against the oracle 1.0 on this machine, 2 inferences",
        ),
    }


def test_without_an_oracle_the_figures_are_absent_and_the_verdict_is_open_with_the_reason() -> None:
    nothing = OracleOutputs(reason="tflite-micro is not installed")
    metrics = agreement_metrics(None, nothing, "measured")
    assert {(m.value, m.reason) for m in metrics.values()} == {(None, "tflite-micro is not installed")}
    finding = agreement_finding(None, nothing, "measured")
    assert (finding.verdict, finding.reason, finding.basis) == ("INCONCLUSIVE", "tflite-micro is not installed", None)


def test_the_finding_is_a_hard_limit_on_the_error() -> None:
    asked = oracle(output(1), tolerance=2)
    finding = agreement_finding(compare_outputs([output(2)], asked, [VALUES]), asked, "emulated", [VALUES])
    assert (finding.limit, finding.metric, finding.tier) == ("outputs", "output_max_abs_error", "hard")
    assert (finding.value, finding.threshold, finding.unit) == (0.5, 1.0, "error")
    assert (finding.basis, finding.source) == ("emulated", "the oracle 1.0")


@pytest.mark.parametrize(("given", "verdict"), [((1, 90, 3), "PASS"), ((1, 50, 3), "WARN"), ((90, 1, 3), "FAIL")])
def test_a_runtime_with_kernels_of_its_own_fails_only_with_another_class(given: tuple[int, ...], verdict: str) -> None:
    asked = oracle(output(1, 91, 3), tolerance=2)
    found = compare_outputs([output(*given)], asked, [CLASSES])
    assert agreement_finding(found, asked, "measured", [CLASSES], own_kernels=True).verdict == verdict


def test_an_oracle_that_rounds_differently_cannot_condemn_what_is_close_to_it() -> None:
    rough, exact = oracle(output(1, 91, 3), tolerance=2), oracle(output(1, 91, 3))
    given = [output(1, 80, 3)]
    verdict, reason = judged(compare_outputs(given, rough, [CLASSES]), rough, CLASSES)
    assert verdict == "INCONCLUSIVE"
    assert reason.endswith("; a byte for byte verdict needs tflite-micro")
    assert judged(compare_outputs(given, exact, [CLASSES]), exact, CLASSES)[0] == "FAIL"
    other = compare_outputs([output(92, 91, 3)], rough, [CLASSES])
    assert judged(other, rough, CLASSES)[0] == "FAIL"


@pytest.mark.parametrize(("wrong", "verdict"), [(1, "INCONCLUSIVE"), (2, "FAIL")])
def test_of_values_one_in_a_hundred_may_be_outside_the_tolerance_of_such_an_oracle(wrong: int, verdict: str) -> None:
    asked = oracle(output(*[0] * 100), tolerance=2)
    given = output(*[9] * wrong, *[0] * (100 - wrong))
    assert judged(compare_outputs([given], asked, [VALUES]), asked)[0] == verdict


def test_what_has_no_oracle_is_skipped() -> None:
    assert (skipped_finding("for a reason").verdict, skipped_finding("for a reason").reason) == ("SKIP", "for a reason")


def test_the_model_tells_scales_and_whether_there_are_classes(kws: Path) -> None:
    (kind,) = output_kinds(read_model(kws))
    assert (kind.step, kind.quantised, kind.classes) == (1 / 256, True, True)
    (kind,) = output_kinds(read_model(kws.with_name("ad_int8.tflite")))
    assert (kind.quantised, kind.classes) == (True, False)
    assert output_kinds(read_model(kws.with_name("kws_fp32.onnx")))[0].step is None
