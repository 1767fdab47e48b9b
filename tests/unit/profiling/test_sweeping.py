"""Sweeps: what is asked for, what it comes to for a model, and the table that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from msgspec.structs import replace

from edgeprof.errors import EdgeprofError, Interrupted, LinkLost, ModelUnsupported, RuntimeUnusable, UsageError
from edgeprof.model.graph import Graph, Tensor
from edgeprof.profiling.plan import Options
from edgeprof.profiling.sweeping import MOST_VARIANTS, Sweep, Variant, parse_sweep, run_variants, sweep_of, variants
from edgeprof.records.result import Metric, Warned
from edgeprof.report.sweep import is_sweep, render_sweep, render_sweep_markdown, sweep_rows

if TYPE_CHECKING:
    from edgeprof.model.graph import Shape
    from edgeprof.records.result import Result


def graph(*shapes: Shape | None, kind: Literal["tflite", "onnx"] = "onnx") -> Graph:
    tensors = tuple(Tensor(name=f"x{at}", shape=shape, dtype="float32") for at, shape in enumerate(shapes))
    indices = tuple(range(len(shapes)))
    return Graph(
        format=kind, name="m", bytes=1, sha256="", tensors=tensors, operators=(), inputs=indices, outputs=indices
    )


# ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sweep_is_read_in_the_order_in_which_it_is_given() -> None:
    assert parse_sweep(["batch=8,1", "threads=1, 2"]) == Sweep((("batch", (8, 1)), ("threads", (1, 2))))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["thread=1,2"], "'thread=1,2' is none of threads=N"),
        (["threads"], "'threads' is none of"),
        (["threads=1,two"], "'two' is no whole number from 1 to 1,024"),
        (["threads=0"], "'0' is no whole number"),
        (["batch=-1"], "'-1' is no whole number"),
        (["batch=1,,2"], "'' is no whole number"),
        (["batch=70000"], "from 1 to 65,536"),
        (["batch=2,2"], "has a value twice"),
        (["batch=1", "batch=2"], "batch is given 2 times"),
        ([f"threads={','.join(map(str, range(1, 66)))}"], f"65 combinations; at most {MOST_VARIANTS}"),
    ],
)
def test_what_is_no_sweep_is_refused_with_what_was_seen_and_wanted(texts: list[str], message: str) -> None:
    with pytest.raises(UsageError, match="sweep") as refused:
        parse_sweep(texts)
    assert message in refused.value.message


def test_a_right_name_without_values_is_not_suggested_to_itself() -> None:
    with pytest.raises(UsageError) as refused:
        parse_sweep(["threads"])
    assert refused.value.hint.startswith("such as --sweep threads=1,2,4")


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(UsageError) as refused:
        parse_sweep(["thread=1"])
    assert "threads" in refused.value.hint


def test_a_variants_name_says_what_varied_and_other_names_do_not() -> None:
    assert sweep_of("threads=2 batch=8") == {"threads": 2, "batch": 8}
    assert [sweep_of(name) for name in (None, "", "main branch", "colour=3")] == [{}] * 4


# ── what it comes to for a model ─────────────────────────────────────────────────────────────────────────────────────


def test_two_axes_give_every_combination_the_last_one_fastest() -> None:
    found = variants(parse_sweep(["threads=1,2", "batch=1,8"]), graph((None, 3)))
    assert [variant.name for variant in found] == [
        "threads=1 batch=1",
        "threads=1 batch=8",
        "threads=2 batch=1",
        "threads=2 batch=8",
    ]
    assert [variant.shapes for variant in found] == [{"x0": (1, 3)}, {"x0": (8, 3)}] * 2
    assert [variant.applied(Options(runs=5)) for variant in found[1:3]] == [
        Options(runs=5, threads=1),
        Options(runs=5, threads=2),
    ]


def test_threads_alone_leave_the_shapes_and_batch_alone_leaves_the_options() -> None:
    (only,) = variants(parse_sweep(["threads=4"]), graph((1, 3)))
    assert (only.threads, only.shapes) == (4, {})
    (only,) = variants(parse_sweep(["batch=4"]), graph((None, 3)))
    assert only.applied(Options(threads=3)) == Options(threads=3)


def test_a_fixed_batch_is_refused_for_onnx_and_left_to_the_runtime_for_tflite() -> None:
    sweep = parse_sweep(["batch=4"])
    with pytest.raises(ModelUnsupported, match="'x0' is 1x3") as refused:
        variants(sweep, graph((1, 3)))
    assert "dynamic batch" in refused.value.hint
    assert variants(sweep, graph((1, 3), kind="tflite"))[0].shapes == {"x0": (4, 3)}


def test_only_the_open_inputs_of_an_onnx_model_take_the_batch_and_scalars_never() -> None:
    (found,) = variants(parse_sweep(["batch=4"]), graph((None, 3), (1,), ()))
    assert found.shapes == {"x0": (4, 3)}
    (found,) = variants(parse_sweep(["batch=4"]), graph((1, 3), (), kind="tflite"))
    assert found.shapes == {"x0": (4, 3)}


def test_other_open_sizes_have_to_be_given() -> None:
    sweep = parse_sweep(["batch=4"])
    with pytest.raises(UsageError, match=r"\(\?x3x\?\) leaves more open") as refused:
        variants(sweep, graph((None, 3, None)))
    assert refused.value.hint.startswith("--shape x0=")
    assert variants(sweep, graph((None, 3, None)), {"x0": (1, 3, 7)})[0].shapes == {"x0": (4, 3, 7)}


# ── running it ───────────────────────────────────────────────────────────────────────────────────────────────────────

THREE = tuple(Variant(f"threads={count}", count, {}) for count in (1, 2, 4))


def test_variants_run_in_order_and_one_that_is_refused_leaves_the_others(small_result: Result) -> None:
    def run(variant: Variant) -> Result:
        if variant.threads == 2:
            raise RuntimeUnusable("no such runtime", hint="install it")
        return replace(small_result, variant=variant.name)

    results, (failure,) = run_variants(THREE, run)
    assert [result.variant for result in results] == ["threads=1", "threads=4"]
    assert (type(failure), failure.message, failure.hint) == (
        RuntimeUnusable,
        "threads=2: no such runtime",
        "install it",
    )


def test_a_run_that_breaks_off_ends_the_sweep_and_the_rest_is_named(small_result: Result) -> None:
    broken = Warned(code="broken-off", text="stopped by Ctrl-C", advice="")

    def run(variant: Variant) -> Result:
        return replace(small_result, variant=variant.name, warnings=(broken,) if variant.threads == 2 else ())

    results, (failure,) = run_variants(THREE, run)
    assert [result.variant for result in results] == ["threads=1", "threads=2"]
    assert failure.message == "the sweep ended with threads=2: 1 of 3 variants were not run"


@pytest.mark.parametrize("error", [Interrupted("stopped by Ctrl-C"), LinkLost("gone")])
def test_ctrl_c_before_the_first_sample_ends_the_sweep_and_a_lost_link_does_not(error: EdgeprofError) -> None:
    tried = []

    def run(variant: Variant) -> Result:
        tried.append(variant.threads)
        raise error

    results, failures = run_variants(THREE, run)
    assert results == []
    assert (tried, len(failures)) == (([1], 1) if isinstance(error, Interrupted) else ([1, 2, 4], 3))


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def swept(small_result: Result, variant: str, p50_s: float, target: str = "local") -> Result:
    def metric(value: float | None) -> Metric:
        return Metric(value=value, basis="measured", count=100, method="", reason=None if value else "too few")

    metrics = {
        "latency_p50_s": metric(p50_s),
        "latency_p95_s": metric(p50_s * 1.1),
        "latency_p99_s": metric(None),
        "throughput_hz": metric(1 / p50_s),
        "memory_peak_bytes": metric(1 << 20),
    }
    named = replace(small_result.target, name=target)
    return replace(small_result, variant=variant, metrics=metrics, target=named)


def test_a_larger_batch_is_slower_and_its_items_a_second_say_whether_it_pays(small_result: Result) -> None:
    results = [swept(small_result, "batch=1", 0.010), swept(small_result, "batch=8", 0.040)]
    one, eight = sweep_rows(results)
    assert [one.items_hz, one.speed_up] == pytest.approx([100, 1])
    assert [eight.inferences_hz, eight.items_hz, eight.speed_up] == pytest.approx([25, 200, 2])


def test_the_speed_up_is_against_the_first_row_of_the_same_target(small_result: Result) -> None:
    results = [
        swept(small_result, f"threads={threads}", seconds, target)
        for target, times in (("a", (0.010, 0.005)), ("b", (0.1, 0.08)))
        for threads, seconds in zip((1, 2), times, strict=True)
    ]
    assert [row.speed_up for row in sweep_rows(results)] == [1.0, pytest.approx(2), 1.0, pytest.approx(1.25)]
    assert [row.variant for row in sweep_rows(results)][2] == "b threads=1"


def test_the_table_shows_every_variant_and_a_dash_for_what_is_absent(small_result: Result) -> None:
    warned = Warned(code="governor", text="the clock may change", advice="")
    results = [
        replace(swept(small_result, variant, seconds), warnings=(warned,))
        for variant, seconds in (("batch=1", 0.010), ("batch=8", 0.040))
    ]
    for text in (render_sweep(results), render_sweep_markdown(results)):
        for shown in ("batch=8", "40.00 ms", "44.00 ms", "200.0", "2.00x", "1.000 MiB", "—", "measured"):
            assert shown in text
        assert text.count("the clock may change") == 1
        assert "every variant" in text
    assert is_sweep(results)
    assert not is_sweep([small_result])
