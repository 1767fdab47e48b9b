"""What a model file alone says, as metrics: computed, exact, no board needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.model.cost import model_cost
from edgeprof.model.memory import liveness
from edgeprof.records.result import Metric

if TYPE_CHECKING:
    from edgeprof.model.graph import Graph


def model_metrics(graph: Graph) -> dict[str, Metric]:
    """Return size, weights, parameters, MACs and activations of a model."""
    cost = model_cost(graph)
    alive = liveness(graph)
    unknown = "; ".join(cost.unknown)[:300]
    return {
        "model_bytes": _computed(graph.bytes, "size of the file"),
        "weights_bytes": _computed(cost.weights_bytes, "stored bytes of the constants, shared ones once"),
        "parameters_count": _computed(cost.parameters_count, "elements of weights and biases, shared ones once"),
        "macs_count": _computed(cost.macs_count, "multiply-accumulates of one inference, 1 MAC = 2 FLOPs", unknown),
        "activations_total_bytes": _computed(
            cost.activations_total_bytes, "sum of all operators' outputs: traffic, not memory", unknown
        ),
        "activations_peak_bytes": _computed(
            alive.lower_bound_bytes,
            "most bytes of tensors alive at once in file order: a lower bound of memory",
            alive.reason,
        ),
    }


def _computed(value: int | None, method: str, unknown: str = "") -> Metric:
    if value is None:
        reason = f"not known for: {unknown}" if unknown else "some shapes are not known"
        return Metric(value=None, basis="computed", count=None, method=method, reason=reason)
    return Metric(value=value, basis="computed", count=None, method=method)
