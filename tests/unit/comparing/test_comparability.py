"""What makes two results incomparable, axis by axis: each alone forbids, and each alone can be allowed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof.comparing.request import ALLOWED, Wanted
from edgeprof.comparing.results import differences
from edgeprof.comparing.saved_results import refuse
from edgeprof.comparing.sides import OF_ANOTHER_TARGET, Side, meant, refuse_unlike
from edgeprof.errors import UsageError
from edgeprof.model import read_model
from edgeprof.profiling.plan import Options
from edgeprof.records.result import Environment, InputTensor, RuntimeUsed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeprof.comparing.output_quality import Heard
    from edgeprof.records.result import Result

RUNTIME = RuntimeUsed(name="litert", version="2.3", threads=1, detail={"delegate": "xnnpack"})


def whole(result: Result) -> Result:
    """Return a result that has something on every axis."""
    inputs = (InputTensor(name="x", shape=(1, 4), dtype="int8"),)
    return replace(
        result,
        runtime=RUNTIME,
        model=replace(result.model, inputs=inputs),
        board=replace(result.board, id="pi", power_mode="15W"),
        environment=Environment(before={"governor": {"0": "performance"}}),
    )


def with_runtime(result: Result, **more: object) -> Result:
    return replace(result, runtime=replace(RUNTIME, **more))


def with_basis(result: Result) -> Result:
    metrics = {name: replace(metric, basis="simulated") for name, metric in result.metrics.items()}
    return replace(result, metrics=metrics)


FORBID: dict[str, tuple[Callable[[Result], Result], str]] = {
    "inputs": (
        lambda r: replace(r, model=replace(r.model, inputs=(InputTensor(name="x", shape=(1, 5), dtype="int8"),))),
        "inputs: [1, 4] against [1, 5]",
    ),
    "board": (lambda r: replace(r, board=replace(r.board, id="jetson")), "board: pi against jetson"),
    "basis": (with_basis, "basis: measured against simulated"),
    "runtime": (
        lambda r: with_runtime(r, name="onnxruntime"),
        "runtime: litert (xnnpack) against onnxruntime (xnnpack)",
    ),
    "threads": (lambda r: with_runtime(r, threads=4), "threads: 1 against 4"),
    "CPUs": (lambda r: replace(r, plan=replace(r.plan, cpus=(0, 1))), "CPUs: any against 0,1"),
    "power mode": (lambda r: replace(r, board=replace(r.board, power_mode="MAXN")), "power mode: 15W against MAXN"),
    "governor": (
        lambda r: replace(r, environment=Environment(before={"governor": {"0": "powersave"}})),
        "governor: performance against powersave",
    ),
}
ALLOW: dict[str, Callable[[Result], Result]] = {
    "runtime version": lambda r: with_runtime(r, version="2.4"),
    "target": lambda r: replace(r, target=replace(r.target, name="ssh://pi@other")),
    "edgeprof": lambda r: replace(r, tool=replace(r.tool, version="1")),
}


@pytest.mark.parametrize("axis", FORBID)
def test_each_axis_alone_forbids_a_comparison_and_is_what_allows_it(small_result: Result, axis: str) -> None:
    base, (change, said) = whole(small_result), FORBID[axis]
    for one, other in ((base, change(base)), (change(base), base)):
        assert [(found.what, found.forbids) for found in differences(one, other)] == [(axis, True)]
        refuse(one, other, (axis,))
        refuse(one, other, ("all",))
        with pytest.raises(UsageError, match=r"not comparable"):
            refuse(one, other, tuple(name for name in ALLOWED if name not in {axis, "all"}))
    with pytest.raises(UsageError, match=re.escape(said)) as refused:
        refuse(base, change(base), ())
    option = f"'{axis}'" if " " in axis else axis
    assert refused.value.hint == f"--allow {option} compares them all the same"


@pytest.mark.parametrize("detail", [{"delegate": "gpu"}, {"providers": ["CUDAExecutionProvider"]}, {}])
def test_another_delegate_or_provider_is_another_runtime(small_result: Result, detail: dict[str, object]) -> None:
    base = whole(small_result)
    with pytest.raises(UsageError, match=r"runtime: litert"):
        refuse(base, with_runtime(base, detail=detail), ())


@pytest.mark.parametrize("axis", ALLOW)
def test_what_is_told_and_forbids_nothing(small_result: Result, axis: str) -> None:
    base = whole(small_result)
    assert [(found.what, found.forbids) for found in differences(base, ALLOW[axis](base))] == [(axis, False)]
    refuse(base, ALLOW[axis](base), ())


def test_every_axis_that_forbids_can_be_allowed_and_nothing_else() -> None:
    assert set(ALLOWED) == {*FORBID, "all"}
    assert {*FORBID} - {"inputs"} == OF_ANOTHER_TARGET


def test_results_that_are_alike_are_comparable(small_result: Result) -> None:
    assert differences(whole(small_result), whole(small_result)) == ()


# ── what was asked for may differ ────────────────────────────────────────────────────────────────────────────────────


def side(path: Path, target: str, result: Result, heard: Heard) -> Side:
    return Side(path, target, path.name, read_model(path), Options(), result, heard, None)


def test_what_was_asked_for_may_differ_and_nothing_besides(kws: Path, small_result: Result) -> None:
    from edgeprof.comparing.output_quality import Heard

    here, there = (side(kws, target, small_result, Heard({})) for target in ("local", "ssh://pi@board"))
    assert meant(here, here, Wanted()) == set()
    assert meant(here, here, Wanted(new_options=Options())) == {"runtime", "threads", "CPUs"}
    assert meant(here, there, Wanted()) == OF_ANOTHER_TARGET


def test_two_formats_are_two_runtimes_unless_that_was_asked_for(kws: Path) -> None:
    graphs = [read_model(kws), read_model(kws.with_name("kws_fp32.onnx"))]
    options = [Options(), Options()]
    with pytest.raises(UsageError, match=r"runtime: ai_edge_litert against onnxruntime"):
        refuse_unlike(graphs, ["local", "local"], options, Wanted())
    for wanted in (Wanted(allow=("runtime",)), Wanted(new_options=Options())):
        refuse_unlike(graphs, ["local", "local"], options, wanted)
    refuse_unlike(graphs, ["local", "ssh://pi@board"], options, Wanted())
