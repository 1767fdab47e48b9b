"""Whether ONNX Runtime answers rightly in int8 on a CPU, and what mends it where it does not.

Without VNNI its fastest kernels for int8 weights saturate at 16 bits: the keyword spotter of examples/ then agrees with
its float twin on 28 % of inputs instead of 95 %, and nothing but its outputs tells. The board's flags decide, so the
warning holds for whatever was measured over SSH too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.model.signed_weights import FLOAT, INTEGER, saturating
from edgeprof.records.result import Warned

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from edgeprof.model.graph import Graph
    from edgeprof.model.signed_weights import Saturating
    from edgeprof.records.result import Result, RuntimeUsed

CODE = "int8-saturates"
"""Of the warning in a result."""
PRECISE = "session.x64quantprecision=1"
"""ONNX Runtime turns int8 weights into uint8 ones then, whose kernels are exact (AVX2 and AVX-512)."""
UNFUSED = "session.disable_quant_qdq=1"
"""It leaves QDQ models in float."""
VNNI = {"avx512_vnni": "AVX512-VNNI", "avx_vnni": "AVX-VNNI"}
NAMED = 3
OTHER_MENDS = (
    "quantise the weights to 7 bits (reduce_range=True) or to uint8 (weight_type=QuantType.QUInt8), or run the .tflite"
    " model, whose kernels are exact"
)


def vnni_of(features: Collection[str]) -> str:
    """Return what an x86 CPU calls its instructions for sums of int8 products; empty where it has none."""
    return ", ".join(title for flag, title in VNNI.items() if flag in features)


def lacks_vnni(features: Collection[str]) -> bool:
    """Tell whether int8 kernels saturate: ONNX Runtime takes the fast ones from AVX2 on, on x86 alone."""
    return "avx2" in features and not vnni_of(features)


def saturation_warnings(result: Result, graph: Graph, path: Path) -> tuple[Warned, ...]:
    """Warn where the model that was run computes in int8 on such a CPU."""
    runtime = result.runtime
    features = result.environment.before.get("cpu_features", ())
    if runtime is None or runtime.name != "onnxruntime" or not lacks_vnni(features):
        return ()
    if not _multiplies_on_cpu(runtime):
        return ()
    found = saturating(graph, path)
    if PRECISE in result.plan.runtime_options:
        found = tuple(one for one in found if not one.stored)
    if UNFUSED in result.plan.runtime_options:
        found = tuple(one for one in found if one.type in INTEGER)
    return (_warned(found),) if found else ()


def _multiplies_on_cpu(runtime: RuntimeUsed) -> bool:
    """Tell whether what multiplies may have run on the CPU; another provider has kernels of its own."""
    left = runtime.detail.get("on_cpu")
    if left is None:
        return True
    names = left["names"]
    return left["count"] > len(names) or any(name.split(" ", 1)[0] in FLOAT | INTEGER.keys() for name in names)


def _warned(found: tuple[Saturating, ...]) -> Warned:
    one = len(found) == 1
    names = ", ".join(f"{each.type} {each.name}" for each in found[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    advice = f"--runtime-option {PRECISE} computes exactly, and takes longer; or {OTHER_MENDS}"
    if not any(each.stored for each in found):
        advice = "make that input uint8, whose kernels are exact"  # nothing turns what is no weight of the file
    return Warned(
        code=CODE,
        text=f"the outputs may be wrong: this CPU has AVX2 without VNNI, where ONNX Runtime's kernels for int8 weights"
        f" saturate at 16 bits; {len(found)} operator{'' if one else 's'} of this model"
        f" {'runs' if one else 'run'} on them: {names}{more}",
        advice=advice,
    )
