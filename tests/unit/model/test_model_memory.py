from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgeprof.model.graph import Graph, Operator, Tensor
from edgeprof.model.memory import GreedyPlan, greedy_arena_plan, liveness, recorded_arena_bytes


def chain(*sizes: int) -> Graph:
    """Return a model whose tensors of these bytes are made one from the other."""
    return Graph(
        format="tflite",
        name="chain",
        bytes=0,
        sha256="",
        tensors=tuple(Tensor(name=f"t{index}", shape=(size,), dtype="int8") for index, size in enumerate(sizes)),
        operators=tuple(
            Operator(name=f"o{index}", type="ADD", inputs=(index,), outputs=(index + 1,))
            for index in range(len(sizes) - 1)
        ),
        inputs=(0,),
        outputs=(len(sizes) - 1,),
    )


def random_graph(seed: int) -> Graph:
    chance = random.Random(seed)  # noqa: S311 (a reproducible graph, not a secret)
    count = chance.randrange(2, 40)
    tensors = [Tensor(name="x", shape=(chance.randrange(1, 500),), dtype="int8")]
    operators = []
    for index in range(count):
        tensors.append(
            Tensor(name=f"t{index}", shape=(chance.choice((16, 64, 64, chance.randrange(1, 500))),), dtype="int8")
        )
        inputs = tuple(chance.randrange(index + 1) for _ in range(chance.randrange(1, 3)))
        operators.append(Operator(name=f"o{index}", type="ADD", inputs=inputs, outputs=(index + 1,)))
    return Graph(
        format="tflite", name="random", bytes=0, sha256="", tensors=tuple(tensors), operators=tuple(operators),
        inputs=(0,), outputs=(count,),
    )  # fmt: skip


def clashes(plan: GreedyPlan) -> list[tuple[str, str]]:
    return [
        (one.name, other.name)
        for index, one in enumerate(plan.tensors)
        for other in plan.tensors[index + 1 :]
        if one.first_step <= other.last_step
        and other.first_step <= one.last_step
        and one.offset_bytes < other.offset_bytes + other.size_bytes
        and other.offset_bytes < one.offset_bytes + one.size_bytes
    ]


def test_in_a_chain_the_bound_is_the_largest_pair_of_neighbours() -> None:
    curve = liveness(chain(10, 100, 30, 80))
    assert curve.live_bytes == (110, 130, 110)
    assert (curve.lower_bound_bytes, curve.peak_operator) == (130, 1)


def test_a_skip_connection_keeps_its_tensor_alive() -> None:
    graph = chain(10, 100, 30, 80)
    last = Operator(name="o2", type="ADD", inputs=(2, 0), outputs=(3,))
    operators = (*graph.operators[:2], last)
    assert liveness(replace(graph, operators=operators)).live_bytes == (110, 140, 120)


def test_inputs_that_nothing_uses_live_at_the_start_and_outputs_to_the_end() -> None:
    graph = replace(chain(10, 20, 30), outputs=(1, 2))
    assert liveness(graph).live_bytes == (30, 50)


def test_of_equal_sizes_the_later_tensor_is_placed_first() -> None:
    plan = greedy_arena_plan(chain(64, 64, 64))
    assert [item.offset_bytes for item in plan.tensors] == [0, 64, 0]
    assert plan.planner_bytes == 128


def test_sizes_are_rounded_up_to_sixteen_bytes() -> None:
    plan = greedy_arena_plan(chain(1, 17))
    assert [item.size_bytes for item in plan.tensors] == [16, 32]
    assert plan.planner_bytes == 48


@pytest.mark.parametrize("seed", range(40))
def test_no_two_tensors_of_a_plan_share_bytes_while_both_live(seed: int) -> None:
    graph = random_graph(seed)
    plan, bound = greedy_arena_plan(graph), liveness(graph).lower_bound_bytes
    assert clashes(plan) == []
    assert plan.planner_bytes is not None
    assert bound is not None
    assert plan.planner_bytes >= bound


@pytest.mark.parametrize("seed", range(40))
def test_a_plan_is_that_of_a_planner_written_the_long_way(seed: int) -> None:
    plan = greedy_arena_plan(random_graph(seed))
    order = sorted(range(len(plan.tensors)), key=lambda index: (-plan.tensors[index].size_bytes, -index))
    offsets: dict[int, int] = {}
    for index in order:
        item = plan.tensors[index]
        placed = sorted(
            (offsets[other], plan.tensors[other].size_bytes)
            for other in offsets
            if plan.tensors[other].first_step <= item.last_step and item.first_step <= plan.tensors[other].last_step
        )
        at = 0
        for offset, size in placed:
            if offset - at >= item.size_bytes:
                break
            at = max(at, offset + size)
        offsets[index] = at
    assert [item.offset_bytes for item in plan.tensors] == [offsets[index] for index in range(len(plan.tensors))]


def test_a_plan_that_would_take_too_long_is_refused_with_the_reason() -> None:
    size = 3000
    tensors = tuple(Tensor(name=f"t{index}", shape=(16,), dtype="int8") for index in range(size + 1))
    operators = tuple(Operator(name=f"o{index}", type="ADD", inputs=(), outputs=(index,)) for index in range(size))
    graph = Graph(
        format="tflite", name="wide", bytes=0, sha256="", tensors=tensors, operators=operators, inputs=(),
        outputs=tuple(range(size)),
    )  # fmt: skip
    assert greedy_arena_plan(graph).reason.startswith("the graph is too large")


def test_without_the_wheel_there_is_no_recorded_arena_but_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"nothing")
    recorded = recorded_arena_bytes(path, python=sys.executable)
    assert recorded.total_bytes is None
    assert "tflite-micro" in recorded.reason


def test_an_interpreter_that_is_not_there_gives_a_reason() -> None:
    assert "could not be started" in recorded_arena_bytes(Path("x"), python="/nowhere/python").reason
