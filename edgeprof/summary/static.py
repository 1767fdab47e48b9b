"""What a model file alone says, as metrics: computed, exact, no board needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.file_names import written
from edgeprof.model.cost import ModelCost, model_cost
from edgeprof.model.data_files import fault_text, size_bytes, size_method
from edgeprof.model.memory import Liveness, liveness
from edgeprof.records.result import InputTensor, Metric, ModelFacts, ModelFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.model.graph import Graph, Tensor


def model_facts(graph: Graph) -> ModelFacts:
    """Return what a result says of the model."""
    return ModelFacts(
        name=graph.name,
        format=graph.format,
        bytes=size_bytes(graph),
        sha256=graph.sha256 or None,
        inputs=tuple(_tensor_facts(graph.tensors[index]) for index in graph.inputs),
        outputs=tuple(_tensor_facts(graph.tensors[index]) for index in graph.outputs),
        files=tuple(_files(graph)),
    )


def _files(graph: Graph) -> Iterator[ModelFile]:
    """Yield the files of a model that has several; one that lies under two names is one."""
    if graph.data_files:
        yield ModelFile(name=graph.name, bytes=graph.bytes, sha256=graph.file_sha256 or None)
    for file in graph.data_files:
        if not file.same_as:
            yield ModelFile(name=written(file.name), bytes=file.bytes, sha256=file.sha256 or None)


def _tensor_facts(tensor: Tensor) -> InputTensor:
    quantization = tensor.quantization
    whole = quantization is not None and len(quantization.scales) == 1 and len(quantization.zero_points) == 1
    return InputTensor(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=quantization.scales[0] if quantization is not None and whole else None,
        zero_point=quantization.zero_points[0] if quantization is not None and whole else None,
    )


def model_metrics(graph: Graph, cost: ModelCost | None = None, alive: Liveness | None = None) -> dict[str, Metric]:
    """Return size, weights, parameters, MACs and activations of a model; `cost` and `alive` where they are known."""
    cost = cost or model_cost(graph)
    alive = alive or liveness(graph)
    return {
        "model_bytes": _computed(size_bytes(graph), size_method(graph), fault_text(graph)),
        "weights_bytes": _computed(cost.weights_bytes, "stored bytes of the constants, shared ones once"),
        "parameters_count": _computed(cost.parameters_count, "elements of weights and biases, shared ones once"),
        "macs_count": _computed(
            cost.macs_count, "multiply-accumulates of one inference, 1 MAC = 2 FLOPs", "; ".join(cost.unknown)
        ),
        "activations_total_bytes": _computed(
            cost.activations_total_bytes, "sum of all operators' outputs: traffic, not memory", alive.reason
        ),
        "activations_peak_bytes": _computed(
            alive.lower_bound_bytes,
            "most bytes of tensors alive at once in file order: a lower bound of memory",
            alive.reason,
        ),
    }


def _computed(value: int | None, method: str, unknown: str = "") -> Metric:
    if value is None:
        return Metric(value=None, basis="computed", count=None, method=method, reason=unknown or "a size is not known")
    return Metric(value=value, basis="computed", count=None, method=method)
