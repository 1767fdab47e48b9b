"""Options of ONNX Runtime's session that a person may set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.diagnosis.int8_kernels import PRECISE
from edgeprof.errors import UnknownName, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

KEYS_PAGE = "onnxruntime_session_options_config_keys.h"
KEYS = frozenset({
    "memory.enable_memory_arena_shrinkage", "mlas.disable_kleidiai", "mlas.qnbit.force_fp32",
    "mlas.use_lut_gemm", "optimization.constant_folding_max_output_size_in_bytes",
    "optimization.disable_specified_optimizers", "optimization.enable_cast_chain_elimination",
    "optimization.enable_gelu_approximation", "session.allow_released_opsets_only",
    "session.disable_aot_function_inlining", "session.disable_double_qdq_remover", "session.disable_prepacking",
    "session.disable_qdq_constant_folding", "session.disable_quant_qdq", "session.dynamic_block_base",
    "session.enable_dq_matmulnbits_fusion", "session.enable_quant_qdq_cleanup", "session.force_spinning_stop",
    "session.graph_optimizations_loop_level", "session.inter_op.allow_spinning",
    "session.intra_op.allow_spinning", "session.intra_op.spin_backoff_max", "session.intra_op.spin_duration_us",
    "session.intra_op_thread_affinities", "session.qdq_matmulnbits_accuracy_level",
    "session.qdq_matmulnbits_block_size", "session.qdqisint8allowed", "session.set_denormal_as_zero",
    "session.strict_shape_type_inference", "session.use_device_allocator_for_initializers",
    "session.x64quantprecision",
})  # fmt: skip
"""What a session of one model may be configured with (KEYS_PAGE of ONNX Runtime 1.31)."""
OWN_KEYS = {
    "session.disable_cpu_ep_fallback": "--provider names who runs the model, and what fell to the CPU is told",
    "session.record_ep_graph_assignment_info": "it is set where a provider is named",
}
LONGEST_VALUE = 1024


def parse_runtime_options(given: Iterable[str]) -> tuple[str, ...]:
    """Return options of ONNX Runtime's session, each KEY=VALUE; it would take a mistyped key without a word."""
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key or not value or len(value) > LONGEST_VALUE:
            raise UsageError(f"--runtime-option {text!r} is not KEY=VALUE", hint=f"such as {PRECISE}")
        if key in OWN_KEYS:
            raise UsageError(f"--runtime-option {key} is edgeprof's own to set", hint=OWN_KEYS[key])
        if key not in KEYS and not key.startswith("ep."):
            hint = did_you_mean(key, KEYS) or f"such as {PRECISE}; {KEYS_PAGE} lists them"
            raise UnknownName(f"ONNX Runtime has no session option {key!r}", hint=hint)
        if found.setdefault(key, value) != value:
            raise UsageError(f"--runtime-option {key} is given twice: {found[key]} and {value}", hint="once")
    return tuple(f"{key}={value}" for key, value in found.items())
