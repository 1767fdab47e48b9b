"""The registry of metrics: every name that a result may hold, with its title, and whether less or more is better."""

from __future__ import annotations

from typing import Literal, NamedTuple

from edgeprof.errors import UnknownName, did_you_mean


class MetricKind(NamedTuple):
    """What a metric is called for people, and which direction is better."""

    title: str
    better: Literal["less", "more"]


REGISTRY: dict[str, MetricKind] = {
    "latency_load_s": MetricKind("Model load", "less"),
    "latency_first_s": MetricKind("First inference", "less"),
    "latency_min_s": MetricKind("Latency min", "less"),
    "latency_mean_s": MetricKind("Latency mean", "less"),
    "latency_std_s": MetricKind("Latency standard deviation", "less"),
    "latency_p50_s": MetricKind("Latency p50", "less"),
    "latency_p90_s": MetricKind("Latency p90", "less"),
    "latency_p95_s": MetricKind("Latency p95", "less"),
    "latency_p99_s": MetricKind("Latency p99", "less"),
    "latency_max_s": MetricKind("Latency max", "less"),
    "latency_unpreempted_p50_s": MetricKind("Latency p50, unpreempted", "less"),
    "latency_unpreempted_p99_s": MetricKind("Latency p99, unpreempted", "less"),
    "deadline_p50_s": MetricKind("Latency from release p50", "less"),
    "deadline_p99_s": MetricKind("Latency from release p99", "less"),
    "deadline_max_s": MetricKind("Latency from release, max", "less"),
    "deadline_miss_ratio": MetricKind("Deadlines missed", "less"),
    "stage_preprocessing_p50_s": MetricKind("Preprocessing p50", "less"),
    "stage_inference_p50_s": MetricKind("Inference p50, between the stages", "less"),
    "stage_postprocessing_p50_s": MetricKind("Postprocessing p50", "less"),
    "stage_total_p50_s": MetricKind("Whole path p50", "less"),
    "stage_total_p99_s": MetricKind("Whole path p99", "less"),
    "throughput_hz": MetricKind("Throughput", "more"),
    "preempted_ratio": MetricKind("Preempted samples", "less"),
    "delegated_ratio": MetricKind("Nodes delegated", "more"),
    "memory_peak_bytes": MetricKind("Memory peak", "less"),
    "memory_average_bytes": MetricKind("Memory average", "less"),
    "memory_file_backed_bytes": MetricKind("Memory, file-backed part", "less"),
    "model_bytes": MetricKind("Model file", "less"),
    "model_compressed_bytes": MetricKind("Model file, compressed", "less"),
    "weights_bytes": MetricKind("Weights", "less"),
    "parameters_count": MetricKind("Parameters", "less"),
    "macs_count": MetricKind("MACs", "less"),
    "activations_peak_bytes": MetricKind("Activations, peak", "less"),
    "activations_total_bytes": MetricKind("Activations, total", "less"),
    "arena_bytes": MetricKind("Tensor arena", "less"),
    "stack_peak_bytes": MetricKind("Stack, high-water mark", "less"),
    "static_ram_bytes": MetricKind("Static RAM", "less"),
    "sram_peak_bytes": MetricKind("SRAM, peak", "less"),
    "flash_bytes": MetricKind("Flash", "less"),
    "instructions_count": MetricKind("Instructions", "less"),
    "cycles_count": MetricKind("Cycles", "less"),
    "energy_per_inference_j": MetricKind("Energy an inference", "less"),
    "energy_above_idle_j": MetricKind("Energy an inference, above idle", "less"),
    "power_average_w": MetricKind("Power, average", "less"),
    "power_peak_w": MetricKind("Power, peak", "less"),
    "power_idle_w": MetricKind("Power, idle", "less"),
    "inferences_per_joule": MetricKind("Inferences a joule", "more"),
    "temperature_peak_celsius": MetricKind("Temperature, peak", "less"),
    "throttled_ratio": MetricKind("Throttled samples", "less"),
    "battery_life_s": MetricKind("Battery life", "more"),
    "cost_per_inference_usd": MetricKind("Electricity an inference", "less"),
    "carbon_per_inference_kg": MetricKind("Carbon an inference", "less"),
    "accuracy_ratio": MetricKind("Accuracy", "more"),
    "output_max_abs_error": MetricKind("Output error, largest", "less"),
    "output_agreement_ratio": MetricKind("Output agreement", "more"),
}

PERCENTILES = {
    "latency_p50_s": 0.5,
    "latency_p90_s": 0.9,
    "latency_p95_s": 0.95,
    "latency_p99_s": 0.99,
    "latency_unpreempted_p50_s": 0.5,
    "latency_unpreempted_p99_s": 0.99,
    "deadline_p50_s": 0.5,
    "deadline_p99_s": 0.99,
    "stage_preprocessing_p50_s": 0.5,
    "stage_inference_p50_s": 0.5,
    "stage_postprocessing_p50_s": 0.5,
    "stage_total_p50_s": 0.5,
    "stage_total_p99_s": 0.99,
}
"""The metrics that are percentiles, and which: a limit on one passes only by its upper bound."""

OF_THE_FILE = frozenset({
    "model_bytes", "model_compressed_bytes", "weights_bytes", "parameters_count", "macs_count",
    "activations_peak_bytes", "activations_total_bytes",
})  # fmt: skip
"""The metrics that the model's file alone tells: no run changes them."""


def metric_kind(name: str) -> MetricKind:
    """Return what the registry knows of a metric."""
    if name not in REGISTRY:
        hint = did_you_mean(name, REGISTRY) or f"known: {', '.join(REGISTRY)}"
        raise UnknownName(f"unknown metric {name!r}", hint=hint)
    return REGISTRY[name]


def unit_of(name: str) -> str:
    """Return the unit that a metric's name ends in, such as `s`, `bytes`, `hz`, `ratio` or `count`."""
    return name.rpartition("_")[2]
