"""Execution providers that are packages of their own beside ONNX Runtime, registered where they are asked for.

ONNX Runtime knows nothing of such a package until its library is registered. Its provider is then chosen by device: a
session that only names it runs every node on the CPU without a word.
"""

import functools
import importlib
import importlib.util
from typing import Any, Callable, Dict, List, Sequence, Tuple

from edgeprof.agent.delegates import CPU, BadRequest

PACKAGES = {"QNNExecutionProvider": "onnxruntime_qnn", "OpenVINOExecutionProvider": "onnxruntime_ep_openvino"}
"""Each has `get_library_path`, as packages of ONNX Runtime's plug-in providers do."""
SPECIAL = ("NPU", "GPU")
"""Kinds of devices that are chosen before a CPU."""


def listed_providers() -> List[str]:
    """Return the providers that are here: ONNX Runtime's own, and those whose package could be registered."""
    import onnxruntime

    own = list(_own_providers())
    if not hasattr(onnxruntime, "register_execution_provider_library"):
        return own
    return own + [name for name, package in PACKAGES.items() if name not in own and importlib.util.find_spec(package)]


def make_session(path: str, make_options: Callable[[], Any], wanted: Sequence[str]) -> Tuple[Any, str]:
    """Return a session with the providers that are wanted, and why those of packages could not be used.

    ONNX Runtime leaves out those of its own providers that fail; those of packages are treated alike.
    """
    import onnxruntime

    own = _own_providers()
    devices = {name: _devices(name) for name in wanted if name in PACKAGES and name not in own}
    if not devices:
        return onnxruntime.InferenceSession(path, make_options(), providers=list(wanted)), ""
    try:
        return onnxruntime.InferenceSession(path, _with_providers(make_options(), devices, wanted)), ""
    except Exception as error:  # noqa: BLE001  what a provider raises has no common class; a bad model raises again
        rest = [name for name in wanted if name not in devices] or [CPU]
        return onnxruntime.InferenceSession(path, make_options(), providers=rest), _words(error)


def _with_providers(options: Any, devices: Dict[str, List[Any]], wanted: Sequence[str]) -> Any:  # noqa: ANN401  theirs
    for name in wanted:
        if name in devices:
            options.add_provider_for_devices(devices[name], {})
        elif name != CPU:
            options.add_provider(name, {})
    return options


@functools.lru_cache(maxsize=None)
def _own_providers() -> Tuple[str, ...]:
    """Return what ONNX Runtime has by itself; looked at before anything is registered."""
    import onnxruntime

    return tuple(str(name) for name in onnxruntime.get_available_providers())


@functools.lru_cache(maxsize=None)
def _devices(name: str) -> List[Any]:
    """Register a package's provider and return the device that it offers here, of several the most special one."""
    import onnxruntime

    try:
        package = importlib.import_module(PACKAGES[name])
        onnxruntime.register_execution_provider_library(name, package.get_library_path())
        found = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    except Exception as error:  # what a package raises has no common class
        raise BadRequest("{} cannot be loaded: {}", name, _words(error)) from error
    if not found:
        raise BadRequest("{} is installed and finds no device here that it supports", name)
    return sorted(found, key=_rank)[:1]


def _rank(device: Any) -> int:  # noqa: ANN401  ONNX Runtime's device of a provider
    kind = str(device.device.type).rpartition(".")[2]
    return SPECIAL.index(kind) if kind in SPECIAL else len(SPECIAL)


def _words(error: Exception) -> str:
    """Return what an error says in one line; of ONNX Runtime's that hold each other the innermost."""
    return " ".join(str(error).split()).rpartition("[ONNXRuntimeError] : ")[2]
