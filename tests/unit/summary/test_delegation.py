"""The share of the nodes that a provider or a delegate took, from what each pass tells."""

from __future__ import annotations

from typing import Any

import pytest

from edgeprof.inspecting import inspect_model
from edgeprof.records.result import Measurement, Pass, PassKind, PassMeasurement, Plan
from edgeprof.summary.delegation import accelerators, delegated_macs, delegation_metrics, delegation_warnings
from tests.conftest import REPOSITORY

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
NOTE = ("cpu-fallback", f"{CUDA} took none of the 22 nodes; all ran without it")
PLAN = Plan(passes=(Pass(kind="latency"),), providers=(CUDA, CPU))


def told(asked: dict[str, Any] | None, kind: PassKind = "latency", *notes: tuple[str, str]) -> PassMeasurement:
    detail = {} if asked is None else {"asked": {"names": [CUDA], **asked}}
    return PassMeasurement(kind=kind, launch=0, complete=True, runtime="onnxruntime", detail=detail, notes=notes)


def share(*passes: PassMeasurement) -> tuple[float | None, int | None]:
    (metric,) = delegation_metrics(Measurement(passes=passes), PLAN).values()
    return metric.value, metric.count


def test_the_share_is_of_the_pass_in_which_least_was_taken() -> None:
    assert share(told({"taken": 22, "nodes": 22}), told({"taken": 11, "nodes": 22})) == (0.5, 22)


def test_passes_that_need_not_tell_do_not_count() -> None:
    assert share(told({"taken": 22, "nodes": 22}), told(None, "memory"), told(None, "operators")) == (1, 22)


def test_a_provider_that_could_not_be_used_took_nothing_of_however_many_nodes() -> None:
    assert share(told({"taken": 0})) == (0, None)


@pytest.mark.parametrize("asked", [None, {}, {"taken": 3}, {"taken": 3, "nodes": 0}])
def test_a_share_that_one_pass_does_not_tell_is_not_known(asked: dict[str, Any] | None) -> None:
    metrics = delegation_metrics(Measurement(passes=(told({"taken": 1, "nodes": 1}), told(asked))), PLAN)
    assert metrics["delegated_ratio"].value is None
    assert metrics["delegated_ratio"].reason == "the runtime does not tell how many of the nodes ran where"


@pytest.mark.parametrize("plan", [Plan(passes=()), Plan(passes=(), providers=(CPU,)), Plan(passes=(), delegate="none")])
def test_nothing_is_delegated_where_nobody_but_the_cpu_is_named(plan: Plan) -> None:
    assert delegation_metrics(Measurement(passes=(told(None),)), plan) == {}


def test_a_run_that_told_nothing_has_no_share() -> None:
    assert delegation_metrics(Measurement(passes=()), PLAN) == {}


def test_who_was_named_is_everybody_but_the_cpu_and_the_runtimes_own_kernels() -> None:
    assert accelerators("", (CUDA, CPU)) == (CUDA,)
    assert accelerators("xnnpack", ()) == ("xnnpack",)
    assert accelerators("none", ()) == accelerators("", (CPU,)) == ()


def test_a_fallback_of_one_launch_of_three_is_said_once_and_with_its_share() -> None:
    passes = (told(None), told(None, "latency", NOTE), told(None), told(None, "memory"))
    (warned,) = delegation_warnings(Measurement(passes=passes))
    assert warned.text == f"{NOTE[1]} (in 1 of 3 passes)"


def test_a_fallback_of_every_launch_is_said_as_it_is() -> None:
    passes = (told(None, "latency", NOTE), told(None, "latency", NOTE))
    assert [warned.text for warned in delegation_warnings(Measurement(passes=passes))] == [NOTE[1]]


def test_the_macs_beside_the_nodes_are_those_of_the_nodes_that_are_not_left() -> None:
    operators = inspect_model(REPOSITORY / "examples" / "models" / "kws_fp32.onnx").operators
    whole = sum(row.macs_count or 0 for row in operators)
    dense = next(row for row in operators if row.type == "Gemm")
    left = [f"{dense.type} {dense.name}"]
    found = delegated_macs(operators, {"asked": {"taken": 21, "left": {"count": 1, "names": left}}})
    assert found["delegation"]["macs_ratio"] == 1 - (dense.macs_count or 0) / whole < 1


@pytest.mark.parametrize(
    "left",
    [
        {"count": 0, "names": []},
        {"count": 60, "names": ["Gemm dense_11"]},
        {"count": 1, "names": ["Gemm of a fused graph"]},
    ],
)
def test_the_macs_are_not_told_where_a_node_that_is_left_is_not_known(left: dict[str, Any]) -> None:
    operators = inspect_model(REPOSITORY / "examples" / "models" / "kws_fp32.onnx").operators
    assert delegated_macs(operators, {"asked": {"taken": 3, "left": left}}) == {}
