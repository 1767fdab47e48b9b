"""What narrower numbers would gain: bytes exactly, time within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgeprof.diagnosis.work import AMDAHL, evidence, is_weighted, taken, times
from edgeprof.model.graph import elements_count
from edgeprof.model.memory import liveness
from edgeprof.records.diagnosis import Advice, Effect
from edgeprof.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.diagnosis.work import Case
    from edgeprof.model.graph import Graph, Tensor

INT8_GAIN = {"": 4.0, "i8mm": 8.0, "amx_int8": 32.0}
"""The most that int8 arithmetic gains over float32 an instruction: four times the values in a register, and what
matrix units add to that (Arm i8mm: twice a dot product; AMX: 2048 operations a cycle against 64)."""
DEPTHWISE_GAIN = 4.0
"""Matrix units multiply no depthwise kernels."""


def int8_advice(case: Case) -> Iterator[Advice]:
    """Weights of a byte each: exact in bytes, bounded in time by what the operators with weights can gain."""
    kernels = [tensor for tensor in _float_constants(case.graph) if _is_kernel(tensor)]
    stored = case.result.metrics.get("weights_bytes")
    if not kernels or stored is None or not stored.value:
        return
    saved = sum((tensor.constant_bytes or 0) - (elements_count(tensor.shape) or 0) for tensor in kernels)
    low, high = stored.value - saved, stored.value - saved + _grids_bytes(case.graph, kernels)
    effects = [Effect(metric="weights_bytes", now=stored.value, low=low, high=high), *_int8_activations(case)]
    text = f"int8: weights shrink from {format_bytes(stored.value)} to {format_bytes(low)}"
    if len(effects) > 1 and effects[1].low is not None:
        fused = "" if case.graph.format == "tflite" else " where the runtime fuses the scaling"
        text += (
            f", activations at their peak from {format_bytes(effects[1].now)} to {format_bytes(effects[1].low)}{fused}"
        )
    time = _int8_time(case)
    if time is not None:
        effects.append(time[0])
        text += f"; {time[1]}"
    yield Advice(
        kind="int8",
        text=text,
        basis="computed" if time is None else "estimated",
        rule=f"1 byte a weight, biases stay 4; {AMDAHL}; int8 gains at most {_int8_gain(case):g}x an instruction",
        effects=tuple(effects),
        evidence=evidence(case, f"float kernels = {len(kernels)}"),
    )


def fp16_advice(case: Case) -> Iterator[Advice]:
    """Weights of two bytes each: half the bytes, exactly; kernels without float16 arithmetic gain no time."""
    constants = _float_constants(case.graph)
    stored = case.result.metrics.get("weights_bytes")
    if not constants or stored is None or not stored.value:
        return
    saved = sum((tensor.constant_bytes or 0) // 2 for tensor in constants)
    kernels = sum((tensor.constant_bytes or 0) // 2 for tensor in constants if _is_kernel(tensor))
    low, high = stored.value - saved, stored.value - kernels
    yield Advice(
        kind="fp16", basis="computed", rule="2 bytes a float weight; cores widen them when the model is loaded",
        text=f"float16 weights: {format_bytes(stored.value)} become {format_bytes(low)} in the file;"
        " no time is gained where the runtime computes in float32",
        effects=(Effect(metric="weights_bytes", now=stored.value, low=low, high=high),),
        evidence=evidence(case, f"float constants = {len(constants)}"),
    )  # fmt: skip


def _float_constants(graph: Graph) -> list[Tensor]:
    used = {index for operator in graph.operators for index in operator.inputs if index >= 0}
    return [
        tensor
        for index, tensor in enumerate(graph.tensors)
        if index in used and tensor.dtype == "float32" and tensor.constant_bytes and not tensor.sparse
    ]


def _grids_bytes(graph: Graph, kernels: list[Tensor]) -> int:
    """Return the most that scales and zero points add where the file keeps them as constants, as ONNX does.

    A channel has two scales of 4 bytes, a zero point of 1 for its kernel and of 4 for its bias; each tensor has one of
    each besides.
    """
    channels = sum(max(tensor.shape[0] or 0, tensor.shape[-1] or 0) for tensor in kernels if tensor.shape)
    return 13 * channels + 8 * len(graph.tensors)


def _is_kernel(tensor: Tensor) -> bool:
    """Say whether a constant is a kernel: biases and the like, of one dimension, keep four bytes."""
    return tensor.shape is not None and sum(1 for size in tensor.shape if size != 1) > 1


def _int8_gain(case: Case) -> float:
    features = case.result.environment.before.get("cpu_features", ())
    return max(gain for feature, gain in INT8_GAIN.items() if not feature or feature in features)


def _int8_time(case: Case) -> tuple[Effect, str] | None:
    """Return the least time with int8 and the words for it; nothing where single operators were not timed."""
    if not case.latency or case.metric != "latency_p50_s" or not case.rows:
        return None
    vectors, best = (_int8_floor(case, case.latency, gain) for gain in (INT8_GAIN[""], _int8_gain(case)))
    said = f"time gains at most {times(case.latency / vectors)}"
    if best < vectors:
        said += f" ({times(case.latency / best)} if matrix units run it)"
    return Effect(metric=case.metric, now=case.latency, low=best), f"{said} and may gain nothing: measure it"


def _int8_floor(case: Case, latency: float, gain: float) -> float:
    """Return the least latency with int8: what multiplies takes 1/gain of its time, all else a quarter of it."""
    deep = sum(work.took or 0.0 for work in case.work if work.depthwise)
    others = sum(taken(row) for row in case.rows if not is_weighted(row))
    return (deep + others) / DEPTHWISE_GAIN + max(latency - deep - others, 0.0) / gain


def _int8_activations(case: Case) -> Iterator[Effect]:
    """Yield the peak of the activations with a byte each: at best all, at worst inputs and outputs stay float.

    An ONNX file keeps float tensors between QuantizeLinear and DequantizeLinear: a runtime that fuses them gains, the
    file does not show it.
    """
    now = case.result.metrics.get("activations_peak_bytes")
    if now is None or not now.value:
        return
    outer = {*case.graph.inputs, *case.graph.outputs}
    low, high = (_peak_of_bytes(case.graph, kept) for kept in (set(), outer))
    if low is not None and low < now.value:
        high = high if case.graph.format == "tflite" else int(now.value)
        yield Effect(metric="activations_peak_bytes", now=now.value, low=low, high=high)


def _peak_of_bytes(graph: Graph, kept: set[int]) -> int | None:
    tensors = tuple(
        replace(tensor, dtype="int8")
        if tensor.dtype == "float32" and tensor.constant_bytes is None and index not in kept
        else tensor
        for index, tensor in enumerate(graph.tensors)
    )
    return liveness(replace(graph, tensors=tensors)).lower_bound_bytes
