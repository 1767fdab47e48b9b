"""Execution providers that were named and are not on the board: refused before anything is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.errors import RuntimeUnusable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.events import RuntimesFound

BUILDS = {
    "CUDAExecutionProvider": "onnxruntime-gpu",
    "TensorrtExecutionProvider": "onnxruntime-gpu",
    "MIGraphXExecutionProvider": "onnxruntime-migraphx",
    "OpenVINOExecutionProvider": "onnxruntime-ep-openvino or onnxruntime-openvino",
    "QNNExecutionProvider": "onnxruntime-qnn",
    "WebGpuExecutionProvider": "onnxruntime-webgpu",
}
"""The packages on PyPI that have a provider; NVIDIA's Jetson, Qualcomm and Arm have builds of their own."""


def refuse_absent(wanted: Sequence[str], found: RuntimesFound, runtime: str, where: str) -> None:
    """Raise RuntimeUnusable where a provider is wanted that the chosen runtime says it does not have."""
    chosen = next((one for one in found.runtimes if one.name == runtime), None)
    here = chosen.providers if chosen is not None else ()
    absent = [name for name in wanted if name not in here]
    if not absent or not here or chosen is None:
        return
    raise RuntimeUnusable(
        f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not on {where}:"
        f" {runtime} {chosen.version} there has {', '.join(here)}",
        hint=_hint(absent[0]),
    )


def _hint(name: str) -> str:
    build = BUILDS.get(name)
    install = f"pip install {build} there, with the driver that it needs" if build else f"install a build with {name}"
    return f"{install}, or leave it out of --provider"
