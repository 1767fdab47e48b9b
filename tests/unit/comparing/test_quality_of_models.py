"""The same inputs for two real models, what their outputs are worth, and what was done to one to get the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeprof.comparing.output_quality import Heard, judge_quality, read_labels
from edgeprof.comparing.quality import real_values
from edgeprof.comparing.quality_inputs import Matched, input_facts, matched_inputs
from edgeprof.comparing.techniques import techniques
from edgeprof.errors import UsageError
from edgeprof.model import read_model
from edgeprof.records.events import OutputReceived

if TYPE_CHECKING:
    from pathlib import Path


def shared(base: Path, new: Path, **more: Any) -> Matched:  # noqa: ANN401  what matched_inputs takes
    found = matched_inputs(read_model(base), [read_model(new)], 0, **more)[0]
    assert isinstance(found, Matched), found
    return found


def test_an_int8_model_and_a_float_one_get_the_same_real_values(kws: Path) -> None:
    onnx = kws.with_name("kws_fp32.onnx")
    found = shared(kws, onnx)
    facts = input_facts(read_model(kws))[0]
    (codes,), (floats,) = (tuple(arrays.values()) for arrays in found.arrays)
    assert [array.dtype.name for array in (codes, floats)] == ["int8", "float32"]
    real = real_values(codes, facts.scale, facts.zero_point)
    assert np.allclose(real.transpose(0, 1, 4, 2, 3), floats, rtol=1e-6)
    assert "NHWC to NCHW" in " ".join(found.notes)
    assert "agree is no accuracy" in " ".join(found.notes)
    assert (codes[0] == codes[-1]).all()


def test_what_is_said_of_random_inputs_is_not_said_of_real_ones(kws: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", input=np.zeros((2, 1, 49, 10, 1), np.int8))
    assert shared(kws, kws, given=tmp_path / "in.npz").notes == ()
    assert "random inputs" in " ".join(shared(kws, kws).notes)


def test_models_that_take_other_things_are_told_why(kws: Path) -> None:
    found = matched_inputs(read_model(kws), [read_model(kws.with_name("vww_int8.tflite"))], 0)
    assert found == ["BASE takes [1, 49, 10, 1], NEW's input [1, 96, 96, 3]"]


def heard(rows: list[list[int]]) -> Heard:
    outputs = {
        (at, 0): OutputReceived(
            index=0, inference=at, tensor=0, name="", dtype="int8", shape=(1, 12), content=bytes(np.array(row, np.int8))
        )
        for at, row in enumerate(rows)
    }
    return Heard(outputs)


def scored(first: int, count: int = 12) -> list[int]:
    return [100 if at == first else -128 for at in range(count)]


def test_outputs_of_two_runs_are_compared_and_a_run_that_repeats_itself_otherwise_is_warned_of(kws: Path) -> None:
    graph = read_model(kws)
    matched = shared(kws, kws, most=2)
    base, new = heard([scored(1), scored(2), scored(1)]), heard([scored(1), scored(3), scored(4)])
    quality, findings = judge_quality((graph, graph), (base, new), matched, "measured")
    assert quality.distance is not None
    assert (quality.distance.agreement_ratio, quality.distance.inferences) == (0.5, 2)
    assert (quality.base_consistent, quality.new_consistent) == (True, False)
    told = [(finding.limit, finding.verdict) for finding in findings]
    assert told == [("compare/outputs", "WARN"), ("repeatability", "WARN")]


def test_labels_give_accuracy_and_a_guard_its_verdict(kws: Path, tmp_path: Path) -> None:
    graph = read_model(kws)
    labels = tmp_path / "labels.csv"
    labels.write_text("name,class\na,1\nb,2\n")
    base, new = heard([scored(1), scored(2), scored(1)]), heard([scored(1), scored(3), scored(1)])
    quality, findings = judge_quality(
        (graph, graph), (base, new), shared(kws, kws, most=2), "measured", labels=labels, guard="conservative"
    )
    assert quality.base is not None
    assert quality.new is not None
    assert (quality.base.accuracy_ratio, quality.new.accuracy_ratio) == (1.0, 0.5)
    assert findings[-1].verdict == "INCONCLUSIVE"  # two labels tell nothing


def test_outputs_that_did_not_come_are_no_agreement(kws: Path) -> None:
    graph = read_model(kws)
    quality, findings = judge_quality((graph, graph), (heard([]), heard([])), shared(kws, kws, most=2), "measured")
    assert quality.distance is None
    assert "did not come" in quality.reason
    assert [(finding.limit, finding.verdict) for finding in findings] == [("compare/outputs", "INCONCLUSIVE")]


@pytest.mark.parametrize("text", ["", "class\n", "a\nb\n", "1\nx\n", "1\n-3\n"])
def test_a_file_without_classes_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"labels\.csv"):
        read_labels(path)


def test_techniques_are_read_off_the_two_graphs(kws: Path) -> None:
    quantised, whole = read_model(kws.with_name("kws_qdq_int8.onnx")), read_model(kws.with_name("kws_fp32.onnx"))
    told = "\n".join(techniques(whole, quantised))
    assert "float32" in told
    assert "int8" in told
    assert "QuantizeLinear" in told
    assert techniques(whole, whole) == ("none: both are the same file",)
    assert "converted from onnx to tflite" in techniques(whole, read_model(kws))
