"""What one run is to do, and what is refused before a board is touched."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edgeprof.boards import load_board
from edgeprof.errors import ModelDoesNotFit, UsageError
from edgeprof.inputs import random_inputs
from edgeprof.model import read_model
from edgeprof.profiling.plan import DEFAULT_DURATION_S, DEFAULT_RUNS, Options, make_plan
from edgeprof.records.board import Board, MemoryRegion

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.model.graph import Graph
    from edgeprof.records.result import Plan


@pytest.fixture
def graph(kws: Path) -> Graph:
    return read_model(kws)


def planned(graph: Graph, board: Board | None = None, **options: Any) -> Plan:  # noqa: ANN401  of different types
    return make_plan(graph, random_inputs(graph, 0), Options(**options), board)


def kinds(plan: Plan) -> list[tuple[str, int]]:
    return [(asked.kind, asked.launch) for asked in plan.passes]


def test_without_options_there_is_latency_and_memory_for_1000_samples_or_10_seconds(graph: Graph) -> None:
    plan = planned(graph)
    assert kinds(plan) == [("latency", 0), ("memory", 0)]
    assert (plan.passes[0].runs, plan.passes[0].duration_s) == (DEFAULT_RUNS, DEFAULT_DURATION_S)
    assert (plan.passes[0].warmup, plan.passes[0].batch) == (None, None)


def test_a_number_of_runs_has_no_limit_of_time(graph: Graph) -> None:
    assert (planned(graph, runs=7).passes[0].runs, planned(graph, runs=7).passes[0].duration_s) == (7, 0)


def test_a_duration_makes_the_pass_a_sustained_one_without_a_number_of_runs(graph: Graph) -> None:
    (first, *_) = planned(graph, duration_s=60.0).passes
    assert (first.kind, first.runs, first.duration_s) == ("sustained", 0, 60)


def test_each_launch_is_a_pass_of_its_own_and_nothing_else_is_repeated(graph: Graph) -> None:
    plan = planned(graph, launches=3, per_op=True, outputs=True)
    assert kinds(plan) == [
        ("latency", 0), ("latency", 1), ("latency", 2), ("memory", 0), ("operators", 0), ("outputs", 0),
    ]  # fmt: skip


def test_memory_can_be_left_out(graph: Graph) -> None:
    assert kinds(planned(graph, memory=False)) == [("latency", 0)]


def test_threads_are_the_same_in_every_pass(graph: Graph) -> None:
    assert {asked.threads for asked in planned(graph, threads=4, per_op=True, outputs=True).passes} == {4}


def test_the_plan_names_its_inputs_by_hash_and_seed(graph: Graph) -> None:
    given = random_inputs(graph, 5)
    plan = make_plan(graph, given, Options(seed=5))
    assert plan.inputs_sha256 == hashlib.sha256(given.blob).hexdigest()
    assert (plan.seed, plan.format, plan.shapes) == (5, "tflite", given.shapes)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"runs": 0}, "--runs 0"),
        ({"runs": -5}, "--runs -5"),
        ({"runs": 10**9}, "--runs"),
        ({"launches": 0}, "--launches 0"),
        ({"launches": 101}, "--launches"),
        ({"warmup": -1}, "--warmup"),
        ({"threads": 0}, "--threads 0"),
        ({"batch": 0}, "--batch 0"),
        ({"duration_s": 0.0}, "--duration"),
        ({"timeout_s": -1.0}, "--timeout"),
        ({"duration_s": float("nan")}, "--duration"),
    ],
)
def test_a_number_that_cannot_be_done_is_refused_by_its_options_name(
    graph: Graph, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        planned(graph, **options)


def test_the_ends_of_each_range_can_be_done(graph: Graph) -> None:
    assert planned(graph, runs=1, launches=100, warmup=0, threads=1, batch=1, duration_s=0.001, timeout_s=0.001)


# ── fit ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def board_with(flash: int, sram: int) -> Board:
    regions = (
        MemoryRegion(name="flash", kind="flash", bytes=flash),
        MemoryRegion(name="sram", kind="sram", bytes=sram),
    )
    return Board(id="a-board", name="A Board", vendor="a vendor", kind="mcu", memory=regions)


def test_a_model_that_fits_flash_and_sram_to_the_byte_is_let_through(graph: Graph) -> None:
    assert planned(graph, board_with(graph.bytes, 1 << 20))


def test_a_model_that_is_a_byte_too_large_for_flash_is_refused(graph: Graph) -> None:
    with pytest.raises(ModelDoesNotFit, match="flash has") as refused:
        planned(graph, board_with(graph.bytes - 1, 1 << 20))
    assert refused.value.exit_code == 4
    assert "edgeprof fit" in refused.value.hint


def test_a_model_whose_tensors_do_not_fit_the_sram_is_refused(graph: Graph) -> None:
    with pytest.raises(ModelDoesNotFit, match="largest contiguous SRAM"):
        planned(graph, board_with(1 << 20, 15 * 1024))


def test_a_linux_board_has_memory_that_a_lower_bound_cannot_judge(graph: Graph) -> None:
    tiny = msgspec.structs.replace(board_with(1, 1), kind="linux")
    assert planned(graph, tiny)


def test_every_example_board_of_the_documentation_takes_the_keyword_model(graph: Graph) -> None:
    for name in ("raspberry-pi-5", "jetson-orin-nano", "nucleo-l4r5zi", "nrf52840-dk", "cortex-m4"):
        assert planned(graph, load_board(name))
