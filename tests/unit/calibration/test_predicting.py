from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edgeprof.calibration.fitted import fit_dtype, non_negative
from edgeprof.calibration.keeping import kept_calibrations, needed_calibrations, read_calibration, store_calibration
from edgeprof.calibration.predicting import predict
from edgeprof.calibration.work import Machine, model_work, priced
from edgeprof.errors import ResultInvalid, UsageError
from edgeprof.model import read_model
from edgeprof.model.graph import Graph, Operator
from tests.unit.calibration.synthetic import COSTS, KERNEL_S, TILE, calibration, observed

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "models"
SEEN = 0.1


@pytest.fixture(scope="module")
def vww() -> Graph:
    """Return a model of int8 whose types are taken to be float32: the made-up board knows nothing else."""
    graph = read_model(EXAMPLES / "vww_int8.tflite")
    tensors = tuple(replace(x, dtype="float32" if x.dtype == "int8" else x.dtype) for x in graph.tensors)
    return replace(graph, tensors=tensors)


@pytest.mark.slow
def test_the_costs_that_made_the_times_are_found_again() -> None:
    fitted = fit_dtype(observed(), "tflite")
    assert fitted.channel_tile == TILE
    assert fitted.median_error_ratio < 0.02
    for kind in ("conv_macs", "pointwise_macs", "depthwise_macs", "add_elements"):
        assert fitted.costs[kind] == pytest.approx(COSTS[kind], rel=0.15)


@pytest.mark.slow
def test_a_model_that_was_never_run_is_predicted_within_its_interval(vww: Graph) -> None:
    truth = priced(model_work(vww, Machine(TILE)).amounts, COSTS)
    found = predict(vww, [calibration()])
    assert found.ratio is not None
    assert found.ratio == pytest.approx(truth, rel=0.15)
    assert found.ratio_low is not None
    assert found.ratio_high is not None
    assert found.ratio_low < truth < found.ratio_high
    assert found.latency_s == pytest.approx(found.ratio * KERNEL_S)
    assert found.basis == "estimated"


def test_seconds_are_less_certain_than_ratios_for_launches_differ(vww: Graph) -> None:
    found = predict(vww, [calibration()])
    assert found.ratio is not None
    assert found.ratio_high is not None
    assert found.high_s is not None
    assert found.latency_s is not None
    assert found.high_s / found.latency_s > found.ratio_high / found.ratio


@pytest.mark.slow
def test_noise_makes_intervals_wider(vww: Graph) -> None:
    quiet, loud = (predict(vww, [calibration(noise)]) for noise in (0.02, 0.4))
    assert quiet.ratio is not None
    assert quiet.ratio_high is not None
    assert loud.ratio is not None
    assert loud.ratio_high is not None
    assert loud.ratio_high / loud.ratio > 1.1 * quiet.ratio_high / quiet.ratio


def test_an_operator_that_no_micro_model_has_makes_the_answer_unknown(vww: Graph) -> None:
    foreign = Operator(name="fft", type="RFFT2D", inputs=(0,), outputs=())
    found = predict(replace(vww, operators=(*vww.operators, foreign)), [calibration()])
    assert (found.ratio, found.latency_s) == (None, None)
    assert found.reason == "no micro model has RFFT2D"


def test_an_operator_of_borrowed_cost_is_named_and_widens_the_interval(vww: Graph) -> None:
    first = vww.operators[0]
    strange = replace(first, type="TANH", inputs=first.outputs, outputs=first.outputs)
    known, wider = (
        predict(replace(vww, operators=(*vww.operators, *more)), [calibration()]) for more in ((), (strange,))
    )
    assert wider.unseen == ("TANH",)
    assert known.ratio is not None
    assert known.ratio_high is not None
    assert wider.ratio is not None
    assert wider.ratio_high is not None
    assert wider.ratio_high / wider.ratio > known.ratio_high / known.ratio


def test_what_is_mostly_of_borrowed_cost_is_unknown(vww: Graph) -> None:
    first = vww.operators[0]
    strange = replace(first, type="TANH", inputs=first.outputs, outputs=first.outputs)
    found = predict(replace(vww, operators=(strange,)), [calibration()])
    assert found.ratio is None
    assert "TANH, which no micro model has" in found.reason


def test_another_format_or_type_is_unknown() -> None:
    assert (
        "no runtime for .onnx was calibrated" in predict(read_model(EXAMPLES / "kws_fp32.onnx"), [calibration()]).reason
    )
    assert "no micro model of int8" in predict(read_model(EXAMPLES / "kws_int8.tflite"), [calibration()]).reason


def test_unknown_micro_models_are_refused() -> None:
    with pytest.raises(UsageError, match="'another' is no micro model"):
        fit_dtype([replace(observed()[0], model="another")], "tflite")


@given(
    st.lists(st.lists(st.floats(0, 10), min_size=3, max_size=3), min_size=4, max_size=9),
    st.lists(st.floats(0, 5), min_size=3, max_size=3),
)
def test_least_squares_without_negative_costs_are_no_worse_than_the_truth(
    rows: list[list[float]], truth: list[float]
) -> None:
    matrix = np.array(rows)
    wanted = matrix @ np.array(truth)
    found = non_negative(matrix, wanted)
    assert (found >= 0).all()
    assert math.sqrt(float(((matrix @ found - wanted) ** 2).sum())) <= 1e-3 * (1 + float(np.abs(wanted).max()))


def test_a_calibration_is_kept_and_replaced_by_the_next_of_its_kind(tmp_path: Path) -> None:
    first = store_calibration(calibration(), tmp_path)
    newer = replace(calibration(), created="2026-02-02T03:04:05+00:00")
    assert store_calibration(newer, tmp_path) == first
    assert kept_calibrations("local", 1, tmp_path) == (newer,)
    assert kept_calibrations("local", 2, tmp_path) == ()
    assert kept_calibrations("ssh://pi@board", folder=tmp_path) == ()
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_a_damaged_file_of_another_target_is_no_trouble(tmp_path: Path) -> None:
    store_calibration(calibration(), tmp_path)
    other = store_calibration(replace(calibration(), target="ssh://pi@board"), tmp_path)
    other.write_bytes(b"{")
    assert kept_calibrations("local", 1, tmp_path) == (calibration(),)
    with pytest.raises(ResultInvalid, match="is no calibration"):
        kept_calibrations("ssh://pi@board", 1, tmp_path)


def test_what_is_not_calibrated_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        needed_calibrations("ssh://pi@board", 4, tmp_path)
    assert caught.value.hint == "edgeprof calibrate --target ssh://pi@board --threads 4"


def test_a_damaged_file_is_refused_with_its_place(tmp_path: Path) -> None:
    path = store_calibration(calibration(), tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"threads": 1', b'"threads": "one"'))
    with pytest.raises(ResultInvalid, match=r"\$\.threads"):
        read_calibration(path)
