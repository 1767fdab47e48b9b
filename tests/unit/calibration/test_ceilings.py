"""A calibration's best rates become the ceilings of a roofline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof import __version__
from edgeprof.calibration.ceilings import measured_ceilings
from edgeprof.records.calibration import Calibration, FittedDtype
from edgeprof.records.result import BoardUsed, InputTensor, RuntimeUsed, Tool

if TYPE_CHECKING:
    from edgeprof.records.result import Result


def calibration(created: str, conv_cost: float, weight_cost: float = 1e-7) -> Calibration:
    costs = {"conv_macs": conv_cost, "dense_macs": 4 * conv_cost, "far_weight_bytes": weight_cost}
    fitted = FittedDtype(
        dtype="float32", channel_tile=8, cache_bytes=1 << 20, costs=costs, spreads={}, quantile=1.6,
        median_error_ratio=0.1, observations=3, seen_macs=(1e3, 1e9),
    )  # fmt: skip
    return Calibration(
        created=created, tool=Tool(name="edgeprof", version=__version__, command=()), target="local",
        board=BoardUsed(id=None, name="here", kind="linux"), basis="measured", format="tflite",
        runtime="ai_edge_litert", version="2", threads=1, reference="a kernel", reference_s=1e-3, reference_low_s=1e-3,
        reference_high_s=1e-3, fitted=(fitted,), observations=(),
    )  # fmt: skip


def of_float(result: Result) -> Result:
    tensor = InputTensor(name="x", shape=(1, 4), dtype="float32")
    runtime = RuntimeUsed(name="ai_edge_litert", version="2")
    return replace(result, model=replace(result.model, inputs=(tensor,)), runtime=runtime)


def test_the_quickest_product_and_the_weights_bound_it(small_result: Result) -> None:
    found = measured_ceilings(of_float(small_result), [calibration("2026-01-01", 1e-8)])
    assert found is not None
    assert found.ops_per_s == pytest.approx(2 / 1e-11)
    assert found.bytes_per_s == pytest.approx(1 / 1e-10)
    assert "2026-01-01" in found.source


def test_the_newest_calibration_counts(small_result: Result) -> None:
    both = [calibration("2026-01-01", 1e-8), calibration("2026-02-01", 2e-8)]
    found = measured_ceilings(of_float(small_result), both)
    assert found is not None
    assert "2026-02-01" in found.source


def test_another_runtime_or_type_has_no_ceilings(small_result: Result) -> None:
    other = replace(of_float(small_result), runtime=RuntimeUsed(name="onnxruntime", version="1"))
    assert measured_ceilings(other, [calibration("2026-01-01", 1e-8)]) is None
    kinds = replace(small_result.model, inputs=(InputTensor(name="x", shape=(1, 4), dtype="int8"),))
    assert measured_ceilings(replace(of_float(small_result), model=kinds), [calibration("2026-01-01", 1e-8)]) is None


def test_a_rate_that_was_not_told_is_absent_with_the_reason(small_result: Result) -> None:
    found = measured_ceilings(of_float(small_result), [calibration("2026-01-01", 1e-8, weight_cost=0.0)])
    assert found is not None
    assert found.bytes_per_s is None
    assert found.reason
