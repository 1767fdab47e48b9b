"""Inference runtimes behind one small surface, and the probe that tells whether one really works here.

An import proves nothing: tflite-runtime 2.14 imports under numpy 2 and fails at the first Interpreter, and some ONNX
Runtime wheels die of an illegal instruction. So a probe constructs and invokes a tiny model, in a child process.
"""

import base64
import functools
import importlib
import json
import struct
import zlib
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from edgeprof.agent import delegates, plug_ins
from edgeprof.agent.delegates import Choice, Description

# y = x + x on float32 [1, 4]: the smallest models that make a runtime load its kernels and execute one.
TINY_TFLITE = zlib.decompress(
    base64.b64decode(
        "eNpdjjEOwjAQBMdgpEixkIsUKSj5QXgDFQUFBS2RqEFUPJdH0Jv1cRERtkbW3e75tgdO+8MAa3o6MomGqApVsBFb8RZLEUSsWillpff+uI1X"
        "72eRZn8k7x3rDnF2X/237utMT7S+L1ufdpp7akfwmQW/E2bg2s5zvTTTWI6vPro+5U6WDauqZ+69/HmD69EufAA+txML"
    )
)
TINY_ONNX = base64.b64decode(
    "CAQSADpBCg4KAWEKAWESAWIiA0FkZBIFcHJvYmVaEwoBYRIOCgwIARIICgIIAQoCCARiEwoBYhIOCgwIARIICgIIAQoCCARCBAoAEAk="
)
TINY_MODELS = {"tflite": TINY_TFLITE, "onnx": TINY_ONNX}

# In the order of preference.
CANDIDATES: Dict[str, Tuple[str, ...]] = {"tflite": ("ai_edge_litert", "tflite_runtime"), "onnx": ("onnxruntime",)}


class TensorFacts(NamedTuple):
    """What the runtime says of an input or output."""

    name: str
    dtype: str
    shape: Tuple[int, ...]


class Loaded(NamedTuple):
    """A model that is ready: `invoke` is the thing to time, and nothing else is in it.

    `set_inputs` and `outputs` take and give bytes, `feed` and `fetch` numpy arrays in the model's order. `describe`
    looks at what the runtime made of the model, which is no part of loading it.
    """

    invoke: Callable[[], Any]
    set_inputs: Callable[[List[bytes], List[Tuple[int, ...]]], None]
    outputs: Callable[[], List[Tuple[TensorFacts, bytes]]]
    inputs: Tuple[TensorFacts, ...]
    describe: Callable[[], Description]
    end_profile: Callable[[], str]
    feed: Callable[[List[Any]], None]
    fetch: Callable[[], List[Any]]

    @property
    def detail(self) -> Dict[str, Any]:
        """Return what the runtime really uses."""
        return self.describe().detail


DEFAULT = Choice()


def import_runtime(name: str) -> str:
    """Import a runtime with what it needs and return its version."""
    import numpy  # noqa: F401, ICN001  runtimes pull it in; it belongs to the import, not to the model load

    if name == "onnxruntime":
        import onnxruntime

        return str(onnxruntime.__version__)
    _interpreter_module(name)
    return _version(name)


def load(
    name: str,
    path: str,
    threads: int,
    shapes: Dict[str, List[int]],
    profile_prefix: str = "",
    choice: Choice = DEFAULT,
) -> Loaded:
    """Load a model; whatever the runtime raises goes through to the caller."""
    if name == "onnxruntime":
        return _load_onnx(path, threads, profile_prefix, choice)
    return _load_tflite(name, path, threads, shapes, choice)


def _interpreter_module(name: str) -> Any:  # noqa: ANN401  a module of either runtime
    module = importlib.import_module(name + ".interpreter")
    getattr(module, "Interpreter")  # noqa: B009  what is not there is to fail here, in the import
    return module


def _version(name: str) -> str:
    distribution = {"ai_edge_litert": "ai-edge-litert", "tflite_runtime": "tflite-runtime"}[name]
    try:
        from importlib.metadata import version  # novm

        return str(version(distribution))
    except ImportError:
        import pkg_resources  # type: ignore[import-not-found]

        return str(pkg_resources.get_distribution(distribution).version)
    except Exception:  # noqa: BLE001  a runtime copied without its metadata still runs
        return "unknown"


def _load_tflite(name: str, path: str, threads: int, shapes: Dict[str, List[int]], choice: Choice) -> Loaded:
    import numpy as np

    module = _interpreter_module(name)
    options = delegates.interpreter_options(module, choice)
    interpreter = module.Interpreter(model_path=path, num_threads=threads, **options)
    early = delegates.read_nodes(interpreter) if "experimental_delegates" in options else None
    for entry in interpreter.get_input_details():
        wanted = shapes.get(entry["name"])
        if wanted is not None and list(entry["shape"]) != list(wanted):
            interpreter.resize_tensor_input(entry["index"], wanted)
    interpreter.allocate_tensors()
    inputs = interpreter.get_input_details()
    outputs = interpreter.get_output_details()

    def feed(values: List[Any]) -> None:
        for entry, value in zip(inputs, values):
            interpreter.set_tensor(entry["index"], value)

    def set_inputs(values: List[bytes], _shapes: List[Tuple[int, ...]]) -> None:
        arrays = (np.frombuffer(value, dtype=entry["dtype"]) for entry, value in zip(inputs, values))
        feed([array.reshape(entry["shape"]) for entry, array in zip(inputs, arrays)])

    def fetch() -> List[Any]:
        return [interpreter.get_tensor(entry["index"]) for entry in outputs]

    def read_outputs() -> List[Tuple[TensorFacts, bytes]]:
        return _as_bytes([entry["name"] for entry in outputs], fetch())

    def describe() -> Description:
        own = sum(node.type == delegates.DELEGATE_NODE for node in early or ())
        return delegates.describe_tflite(choice, None if choice.watched else delegates.read_nodes(interpreter), own)

    facts = tuple(_tflite_facts(entry) for entry in inputs)
    return Loaded(interpreter.invoke, set_inputs, read_outputs, facts, _once(describe), str, feed, fetch)


def _once(describe: Callable[[], Description]) -> Callable[[], Description]:
    return functools.lru_cache(maxsize=None)(describe)


def _as_bytes(names: List[str], arrays: List[Any]) -> List[Tuple[TensorFacts, bytes]]:
    import numpy as np

    found = []
    for name, value in zip(names, arrays):
        array = np.ascontiguousarray(value)
        found.append((TensorFacts(name, str(array.dtype), tuple(array.shape)), array.tobytes()))
    return found


def _tflite_facts(entry: Dict[str, Any]) -> TensorFacts:
    import numpy as np

    return TensorFacts(entry["name"], str(np.dtype(entry["dtype"])), tuple(int(size) for size in entry["shape"]))


ONNX_TYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(int64)": "int64",
    "tensor(int32)": "int32", "tensor(int16)": "int16", "tensor(int8)": "int8", "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16", "tensor(uint32)": "uint32", "tensor(uint64)": "uint64", "tensor(bool)": "bool",
}  # fmt: skip


def _load_onnx(path: str, threads: int, profile_prefix: str, choice: Choice) -> Loaded:
    import numpy as np

    providers = delegates.wanted_providers(choice)
    options = functools.partial(_session_options, threads, profile_prefix, providers, choice)
    session, refused = plug_ins.make_session(path, options, providers)
    inputs = tuple(
        TensorFacts(entry.name, ONNX_TYPES.get(entry.type, entry.type), tuple(_size(d) for d in entry.shape))
        for entry in session.get_inputs()
    )
    output_names = [entry.name for entry in session.get_outputs()]
    binding = session.io_binding()
    for name in output_names:
        binding.bind_output(name, "cpu")
    kept: List[Any] = []  # a binding does not own what is bound to it

    def feed(values: List[Any]) -> None:
        del kept[:]
        binding.clear_binding_inputs()
        for facts, value in zip(inputs, values):
            array = np.ascontiguousarray(value)
            kept.append(array)
            binding.bind_cpu_input(facts.name, array)

    def set_inputs(values: List[bytes], given: List[Tuple[int, ...]]) -> None:
        arrays = (np.frombuffer(value, dtype=facts.dtype) for facts, value in zip(inputs, values))
        feed([array.reshape(shape) for array, shape in zip(arrays, given)])

    def read_outputs() -> List[Tuple[TensorFacts, bytes]]:
        return _as_bytes(output_names, fetch())

    def describe() -> Description:
        found = _describe_onnx(session, path, inputs, providers, choice, refused)
        if choice.options:
            found.detail["options"] = list(choice.options)
        return found

    invoke = functools.partial(session.run_with_iobinding, binding)
    fetch = binding.copy_outputs_to_cpu
    return Loaded(invoke, set_inputs, read_outputs, inputs, _once(describe), session.end_profiling, feed, fetch)


def _session_options(threads: int, profile_prefix: str, providers: List[str], choice: Choice) -> Any:  # noqa: ANN401  ONNX Runtime's
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if profile_prefix:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    if providers != [delegates.CPU]:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    for option in choice.options:
        key, _, value = option.partition("=")
        options.add_session_config_entry(key, value)
    return options


def _describe_onnx(
    session: Any,  # noqa: ANN401  ONNX Runtime's session
    path: str,
    inputs: Tuple[TensorFacts, ...],
    providers: List[str],
    choice: Choice,
    refused: str,
) -> Description:
    """Say which nodes run where; where the session cannot tell, a second one is run under the profiler."""
    import numpy as np
    import onnxruntime

    used = session.get_providers()
    available = onnxruntime.get_available_providers()
    if not [name for name in providers if name != delegates.CPU and name in used]:
        return delegates.describe_onnx(providers, available, used, None, refused)
    assigned = delegates.assigned_nodes(session)
    fused = assigned is None
    if assigned is None and not choice.watched:
        zeros = {facts.name: np.zeros(facts.shape, facts.dtype) for facts in inputs}
        assigned = delegates.profiled_nodes(onnxruntime, path, providers, zeros)
    found = delegates.describe_onnx(providers, available, used, assigned, refused, fused=fused)
    if assigned is None and not choice.watched:
        found.notes.append(delegates.UNKNOWN)
    return found


def _size(dimension: object) -> int:
    return dimension if isinstance(dimension, int) and dimension > 0 else 1


# ── input blobs ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Inputs(NamedTuple):
    """An input blob: what each tensor is and, an inference, the bytes of each."""

    tensors: Tuple[TensorFacts, ...]
    inferences: Tuple[List[bytes], ...]


ITEM_BYTES = {"float64": 8, "int64": 8, "uint64": 8, "float32": 4, "int32": 4, "uint32": 4, "float16": 2, "int16": 2,
              "uint16": 2}  # fmt: skip


def read_inputs(blob: bytes) -> Inputs:
    """Take an input blob (`wire.pack_inputs`) apart."""
    if blob[:4] != b"EPIN":
        raise ValueError("not an input blob")
    size = struct.unpack_from("<I", blob, 4)[0]
    header = json.loads(blob[8 : 8 + size].decode("utf-8"))
    tensors = tuple(TensorFacts(t["name"], t["dtype"], tuple(t["shape"])) for t in header["tensors"])
    at = 8 + size
    inferences = []
    for _ in range(header["inferences"]):
        values = []
        for facts in tensors:
            count = ITEM_BYTES.get(facts.dtype, 1)
            for length in facts.shape:
                count *= length
            values.append(blob[at : at + count])
            at += count
        inferences.append(values)
    return Inputs(tensors, tuple(inferences))


def give_inputs(loaded: Loaded, inputs: Inputs, index: int) -> None:
    """Set the inputs of one inference, in the runtime's own order of names."""
    by_name = {facts.name: at for at, facts in enumerate(inputs.tensors)}
    order = [by_name.get(facts.name, at) for at, facts in enumerate(loaded.inputs)]
    loaded.set_inputs([inputs.inferences[index][at] for at in order], [inputs.tensors[at].shape for at in order])


# ── the probe ────────────────────────────────────────────────────────────────────────────────────────────────────────


def probe(name: str, format_name: str, folder: str, choice: Choice = DEFAULT) -> Dict[str, Any]:
    """Import a runtime, construct and invoke a tiny model with it; for use in a child process."""
    version = import_runtime(name)
    import numpy as np

    path = folder + "/probe." + format_name
    with open(path, "wb") as file:
        file.write(TINY_MODELS[format_name])
    loaded = load(name, path, 1, {}, choice=choice)
    loaded.set_inputs([struct.pack("<4f", 1, 2, 3, 4)], [(1, 4)])
    loaded.invoke()
    value = struct.unpack("<4f", loaded.outputs()[0][1])
    if value != (2.0, 4.0, 6.0, 8.0):
        text = "the probe model gave {} for 1, 2, 3, 4 doubled"
        raise ValueError(text.format(value))
    found: Dict[str, Any] = {"name": name, "version": version, "numpy": str(np.__version__), "works": True}
    if name == "onnxruntime":
        found["providers"] = plug_ins.listed_providers()
    return found
