from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper

from edgeprof import Options, profile
from edgeprof.boards import load_board
from edgeprof.diagnosis import advise
from edgeprof.model import read_model
from edgeprof.model.cost import model_cost
from edgeprof.records.diagnosis import Ceilings
from edgeprof.records.result import Environment, Metric, OperatorTime, Result, RuntimeUsed, Samples
from edgeprof.summary.static import model_metrics

if TYPE_CHECKING:
    from edgeprof.model.graph import Graph
    from edgeprof.records.diagnosis import Advice

MODELS = Path(__file__).resolve().parents[2] / "examples" / "models"
LATENCY_S = 100e-6


@pytest.fixture
def conv() -> Graph:
    """Return a float DS-CNN in ONNX."""
    return read_model(MODELS / "kws_fp32.onnx")


@pytest.fixture
def dense(tmp_path: Path) -> Graph:
    """Return one float layer of 1,000 by 1,000: 2 operations for each weight of 4 bytes."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1000, 1000], bytes(4_000_000), raw=True)
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1000]) for name in ("x", "y")]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    path = tmp_path / "dense.onnx"
    path.write_bytes(
        helper.make_model(helper.make_graph([node], "g", shapes[:1], shapes[1:], [weights])).SerializeToString()
    )
    return read_model(path)


def measured(blank: Result, graph: Graph, took: dict[int, float] | None = None, latency_s: float = LATENCY_S) -> Result:
    """Return a result of this latency, with a row an operator that took so long."""
    rows = tuple(
        OperatorTime(
            name=f"{place}", type=graph.operators[place].type, time_s=time_s, share_ratio=time_s / latency_s, calls=1
        )
        for place, time_s in (took or {}).items()
    )
    figures = {
        "latency_p50_s": latency_s,
        "latency_load_s": 0.01,
        "latency_first_s": 0.002,
        "latency_p99_s": 0.004,
        "latency_unpreempted_p99_s": 0.001,
        "preempted_ratio": 0.1,
    }
    timed = {name: Metric(value=value, basis="measured", count=100, method="") for name, value in figures.items()}
    return replace(
        blank,
        metrics={**model_metrics(graph), **timed},
        samples=Samples(launch=(0,), start_s=(0.0,), duration_s=(latency_s,), batch=(1,), flags=(0,)),
        runtime=RuntimeUsed(name="onnxruntime", version="1"),
        environment=Environment(before={"cores": 4}),
        operators=rows,
    )


def of_kind(advice: tuple[Advice, ...], kind: str) -> Advice:
    """Return the one advice of a kind."""
    found = [one for one in advice if one.kind == kind]
    assert len(found) == 1, [one.kind for one in advice]
    return found[0]


# ── what binds ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_below_the_ridge_it_is_memory_bound_and_above_it_compute_bound(small_result: Result, dense: Graph) -> None:
    result = measured(small_result, dense, latency_s=1e-3)
    slow_memory = Ceilings(ops_per_s=1e12, bytes_per_s=5e9, source="test")  # ridge 200, the model has 0.5
    slow_cores = Ceilings(ops_per_s=2.2e9, bytes_per_s=1e11, source="test")  # ridge 0.02
    assert of_kind(advise(result, dense, ceilings=slow_memory), "bound").bound_by == "memory"
    assert of_kind(advise(result, dense, ceilings=slow_cores), "bound").bound_by == "compute"


def test_traffic_that_the_memory_cannot_give_comes_from_a_cache_and_does_not_bind(
    small_result: Result, dense: Graph
) -> None:
    advice = of_kind(
        advise(measured(small_result, dense), dense, ceilings=Ceilings(ops_per_s=1e12, bytes_per_s=5e9)), "bound"
    )
    assert advice.bound_by == "unknown"
    assert "stay in a cache" in advice.text


def test_many_short_operators_that_neither_compute_nor_move_much_are_overhead(
    small_result: Result, conv: Graph
) -> None:
    took = dict.fromkeys(range(len(conv.operators)), LATENCY_S / len(conv.operators))
    fast = Ceilings(ops_per_s=1e14, bytes_per_s=1e13)
    assert of_kind(advise(measured(small_result, conv, took), conv, ceilings=fast), "bound").bound_by == "overhead"
    long = dict.fromkeys(took, 1e-3)
    slow = measured(small_result, conv, long, latency_s=len(long) * 1e-3)
    assert of_kind(advise(slow, conv, ceilings=fast), "bound").bound_by == "kernels"


def test_without_figures_of_the_board_the_bound_cannot_be_told_and_it_says_why(
    small_result: Result, conv: Graph
) -> None:
    advice = of_kind(advise(measured(small_result, conv), conv), "bound")
    assert advice.bound_by == "unknown"
    assert "none that edgeprof has facts of" in advice.text
    pi = of_kind(advise(measured(small_result, conv), conv, load_board("raspberry-pi-4b")), "bound")
    assert "no source gives a peak of the cores for float32 or a memory bandwidth of Raspberry Pi 4" in pi.text


def test_with_the_bandwidth_alone_it_can_still_be_memory_bound(small_result: Result, dense: Graph) -> None:
    advice = of_kind(
        advise(measured(small_result, dense, latency_s=300e-6), dense, load_board("raspberry-pi-5")), "bound"
    )
    assert advice.bound_by == "memory"
    slow = of_kind(advise(measured(small_result, dense, latency_s=0.1), dense, load_board("raspberry-pi-5")), "bound")
    assert slow.bound_by == "unknown"
    assert "not memory-bound" in slow.text


def test_the_peak_of_a_gpu_bounds_no_run_on_the_cores(small_result: Result, dense: Graph) -> None:
    advice = of_kind(advise(measured(small_result, dense, latency_s=0.1), dense, load_board("jetson-nano")), "bound")
    assert "a peak of the cores for float32" in advice.text
    on_gpu = replace(
        measured(small_result, dense, latency_s=0.1),
        runtime=RuntimeUsed(name="onnxruntime", version="1", detail={"providers": ["CUDAExecutionProvider"]}),
    )
    told = of_kind(advise(on_gpu, dense, load_board("jetson-nano")), "bound")
    assert any("2.36e+11 op/s" in figure for figure in told.evidence)


def test_a_run_that_counts_instructions_has_no_bound_but_its_bytes_are_said(small_result: Result, conv: Graph) -> None:
    timed = measured(small_result, conv)
    counted = {"instructions_count": Metric(value=1e6, basis="emulated", count=1, method="")}
    result = replace(timed, metrics={**model_metrics(conv), **counted})
    advice = advise(result, conv)
    assert "no time, only counts" in of_kind(advice, "bound").text
    assert [effect.metric for effect in of_kind(advice, "int8").effects] == ["weights_bytes", "activations_peak_bytes"]


# ── what would help ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_int8_says_the_bytes_that_the_int8_twin_has(small_result: Result, conv: Graph) -> None:
    advice = of_kind(advise(measured(small_result, conv), conv), "int8")
    twin = model_metrics(read_model(MODELS / "kws_int8.tflite"))
    said = {effect.metric: effect for effect in advice.effects}
    weights, low, high = twin["weights_bytes"].value, said["weights_bytes"].low, said["weights_bytes"].high
    assert None not in {weights, low, high}
    assert (low or 0) <= (weights or 0) <= min(high or 0, (low or 0) + 16)  # its RESHAPE stores a shape besides
    assert said["activations_peak_bytes"].low == twin["activations_peak_bytes"].value
    assert "latency_p50_s" not in said  # single operators were not timed
    assert advice.basis == "computed"


def test_the_gain_of_int8_is_bounded_by_what_does_not_multiply(small_result: Result, dense: Graph) -> None:
    advice = of_kind(advise(measured(small_result, dense, {0: 80e-6}), dense), "int8")
    low = next(effect.low for effect in advice.effects if effect.metric == "latency_p50_s")
    assert low == pytest.approx(LATENCY_S / 4)
    amx = replace(
        measured(small_result, dense, {0: 80e-6}), environment=Environment(before={"cpu_features": ["amx_int8"]})
    )
    matrix = of_kind(advise(amx, dense), "int8")
    assert "4.0x (32x if matrix units run it)" in matrix.text


def test_a_quantised_model_is_not_told_to_be_quantised(small_result: Result, kws: Path) -> None:
    graph = read_model(kws)
    kinds = {one.kind for one in advise(measured(small_result, graph), graph)}
    assert not kinds & {"int8", "fp16"}


def test_threads_are_bounded_by_amdahl_and_only_where_cores_are_idle(small_result: Result, dense: Graph) -> None:
    result = measured(small_result, dense, {0: LATENCY_S})
    effect = of_kind(advise(result, dense), "threads").effects[0]
    assert effect.low == pytest.approx(LATENCY_S / 4)
    assert effect.high is None
    busy = replace(result, runtime=RuntimeUsed(name="onnxruntime", version="1", threads=4))
    assert "threads" not in {one.kind for one in advise(busy, dense)}
    pinned = replace(result, plan=replace(result.plan, cpus=(2,)))
    assert "threads" not in {one.kind for one in advise(pinned, dense)}


def test_a_split_shorter_than_waking_a_thread_is_said_to_gain_nothing(small_result: Result, dense: Graph) -> None:
    advice = of_kind(advise(measured(small_result, dense, {0: 2e-6}, latency_s=2.1e-6), dense), "threads")
    assert "likely to gain nothing" in advice.text


def test_depthwise_operators_are_named_where_a_mac_costs_more_there(small_result: Result, conv: Graph) -> None:
    costs = model_cost(conv).operators
    deep = [
        place
        for place, operator in enumerate(conv.operators)
        if operator.name.startswith("depthwise") and operator.type == "Conv"
    ]
    took = {place: 20e-6 if place in deep else 1e-6 for place, cost in enumerate(costs) if cost.macs_count}
    advice = of_kind(advise(measured(small_result, conv, took), conv), "depthwise")
    assert advice.text.startswith(f"{len(deep)} depthwise operators take about 80%")
    cheap = {place: 1e-6 if place in deep else 20e-6 for place in took}
    assert "depthwise" not in {one.kind for one in advise(measured(small_result, conv, cheap), conv)}


def test_times_of_operators_that_do_not_add_up_to_the_latency_are_not_used(small_result: Result, conv: Graph) -> None:
    took = dict.fromkeys(range(len(conv.operators)), LATENCY_S)
    kinds = {one.kind for one in advise(measured(small_result, conv, took), conv)}
    assert not kinds & {"operators", "depthwise", "threads"}


def test_operators_outside_the_delegate_are_bounded_by_their_time(small_result: Result, conv: Graph) -> None:
    softmax = len(conv.operators) - 1
    detail = {"nodes": 22, "not_delegated": {"count": 1, "names": ["Softmax out"]}}
    result = replace(
        measured(small_result, conv, {0: 80e-6, softmax: 20e-6}),
        runtime=RuntimeUsed(name="litert", version="2", detail=detail),
    )
    advice = of_kind(advise(result, conv), "delegate")
    assert advice.effects[0].low == pytest.approx(79e-6)  # LiteRT rounds each down by up to 1 µs
    assert "1 of 22 nodes" in advice.text


def test_a_batch_is_advised_where_the_weights_are_most_of_the_bytes(small_result: Result, dense: Graph) -> None:
    advice = of_kind(advise(measured(small_result, dense), dense), "batch")
    assert f"items a second = {1 / LATENCY_S:.4g}, in batches {8 / LATENCY_S:.4g} at most" in advice.evidence
    (effect,) = advice.effects  # an inference of eight items takes longer, eight times as long at most
    assert (effect.metric, effect.low) == ("latency_p50_s", LATENCY_S)
    assert effect.high == pytest.approx(8 * LATENCY_S)


def test_a_model_that_is_kept_loaded_saves_its_load_and_its_first_inference(small_result: Result, dense: Graph) -> None:
    load, first = of_kind(advise(measured(small_result, dense), dense), "cold-start").effects
    assert (load.metric, load.now, load.high) == ("latency_load_s", 0.01, 0.0)
    assert (first.metric, first.now, first.low) == ("latency_first_s", 0.002, LATENCY_S)


RUNS = (
    ("kws_int8.tflite", "sim:raspberry-pi-5", {"runs": 40, "per_op": True}),
    ("resnet8_int8.tflite", "sim:raspberry-pi-5?fault=throttle&after=100", {"duration_s": 5.0, "per_op": True}),
    ("kws_fp32.onnx", "sim:raspberry-pi-4", {"runs": 40, "per_op": True}),
    ("kws_qdq_int8.onnx", "local", {"runs": 40, "per_op": True, "threads": 1}),
    ("kws_int8.tflite", "local", {"runs": 40, "per_op": True}),
    ("vww_int8.tflite", "sim:nucleo-l4r5zi", {"runs": 20}),
    ("ad_int8.tflite", "local", {"runs": 40}),
)


@pytest.mark.parametrize(("model", "target", "options"), RUNS, ids=[f"{run[0]} on {run[1]}" for run in RUNS])
def test_what_advice_says_is_now_is_what_the_result_says_of_that_metric(
    model: str, target: str, options: dict[str, Any]
) -> None:
    result = profile(MODELS / model, target, options=Options(memory=False, **options), history=False)
    assert result.advice
    for one in result.advice:
        for effect in one.effects:
            assert effect.now == result.metrics[effect.metric].value, (one.kind, effect)
            assert effect.low is None or effect.high is None or effect.low <= effect.high, one.kind


def test_start_and_other_work_are_said_with_what_was_measured(small_result: Result, dense: Graph) -> None:
    advice = advise(measured(small_result, dense), dense)
    assert "the first answer takes 12.00 ms, 120 times a later one" in of_kind(advice, "cold-start").text
    assert of_kind(advice, "preempted").effects[0].low == 0.001


def test_a_clock_below_its_highest_is_said_with_what_it_costs(small_result: Result, dense: Graph) -> None:
    after = {"frequency_hz": {"cpu0": 1_200_000_000}, "frequency_hardware_limit_hz": {"cpu0": 2_400_000_000}}
    result = replace(measured(small_result, dense), environment=Environment(after=after))
    assert of_kind(advise(result, dense), "clock").effects[0].low == pytest.approx(LATENCY_S / 2)


def test_every_sentence_has_a_figure_and_none_names_checkpointing(small_result: Result, conv: Graph) -> None:
    took = {place: 5e-6 for place, cost in enumerate(model_cost(conv).operators) if cost.macs_count}
    advice = advise(measured(small_result, conv, took, latency_s=55e-6), conv)
    assert len(advice) >= 8
    for one in advice:
        assert any(character.isdigit() for character in one.text)
        assert one.kind == "bound" or one.effects
        assert "checkpoint" not in one.text


def test_nothing_is_said_of_a_run_that_measured_nothing(small_result: Result, conv: Graph) -> None:
    assert advise(small_result, conv) == ()
