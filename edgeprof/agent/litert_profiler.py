"""Times single operators of a TFLite model with the profiler in LiteRT's own C library, reached through ctypes.

The Python interpreter of LiteRT hands out no profiler, but ``ai_edge_litert/libLiteRt.so`` exports the C API that has
one: a model compiled with the option ``enable_profiling`` records an event for each operator, and for each kernel of
XNNPACK in place of the delegate's node. The API promises no stable layout, so only the wheels in `VERIFIED` are used.
Recording makes a run of a small model two to four times as long and takes about 70 MB for its buffer: it belongs in a
child process and in a pass of its own, never in the one that measures latency or memory.

Facts about the C API are from github.com/google-ai-edge/LiteRT, litert/c/*.h; about the events from
litert/runtime/profiler.cc, tflite/core/subgraph.cc and tflite/delegates/xnnpack/xnnpack_delegate.cc.
"""

import contextlib
import ctypes
import importlib.util
import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple

VERIFIED = ("2.1.6", "2.2.0", "2.3.0")
"""The versions of the ai-edge-litert wheel whose signatures and structs this file was checked against."""


class OperatorRow(NamedTuple):
    """Time in one operator, summed over the `calls` times that it ran; `index` counts in order of first appearance."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which no one needs here
    name: str
    type: str
    calls: int
    ticks_ns: int


class ProfilerUnavailable(Exception):
    """The operators of this model cannot be timed here; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def operator_times(model_path: str, inputs: Sequence[bytes], runs: int, threads: int) -> Tuple[List[OperatorRow], str]:
    """Run a model `runs` times under the profiler; give its operators and the method, with its resolution.

    `inputs` holds the packed bytes of each input tensor in the model's order. One run without the profiler comes first.
    """
    if runs < 1 or threads < 1:
        raise ProfilerUnavailable(f"runs and threads are at least 1, not {runs} and {threads}")
    folder, version = _wheel()
    library = _loaded(folder / "libLiteRt.so")
    try:
        content = Path(model_path).read_bytes()
    except (OSError, ValueError) as error:  # no such file, or no possible name
        raise ProfilerUnavailable(f"{model_path}: {error}") from error
    with contextlib.ExitStack() as owned:
        model = _compiled(library, owned, content, threads)
        arguments = _run_arguments(library, owned, model, inputs)
        profiler = _made(library, "LiteRtCompiledModelGetProfiler", model.compiled)
        _call(library, "LiteRtRunCompiledModel", *arguments)
        times: Dict[_Key, Tuple[int, int]] = {}
        for _ in range(runs):
            _call(library, "LiteRtStartProfiler", profiler)
            _call(library, "LiteRtRunCompiledModel", *arguments)
            _call(library, "LiteRtStopProfiler", profiler)
            for key, elapsed_us in _operators(_events(library, profiler)):
                calls, sum_us = times.get(key, (0, 0))
                times[key] = (calls + 1, sum_us + elapsed_us)
        rows = [
            OperatorRow(index, _name(library, model, key), _type(key), calls, sum_us * 1000)
            for index, (key, (calls, sum_us)) in enumerate(times.items())
        ]
    if not rows:
        raise ProfilerUnavailable("the profiler recorded no operator")
    plural = "" if threads == 1 else "s"
    return rows, (
        f"LiteRT {version} profiler over its C API: CPU with XNNPACK, {threads} thread{plural}; "
        "each time is in whole microseconds, rounded down (resolution 1 us)"
    )


# Loading the library -------------------------------------------------------------------------------------------------

_POINTER_BYTES = 8
_CPU = 1  # kLiteRtHwAcceleratorCpu
_LOCK_WRITE = 1  # kLiteRtTensorBufferLockModeWrite
_MOST_EVENTS = 512 * 1024  # the profiler's buffer: it drops what comes after

_STATUSES = {
    1: "invalid argument",
    2: "out of memory",
    3: "runtime failure",
    4: "missing input tensor",
    5: "unsupported",
    6: "not found",
    500: "file cannot be read",
    501: "not a valid flatbuffer",
    504: "compilation failed",
    1000: "index out of bounds",
}

_HANDLE = _ADDRESS = ctypes.c_void_p
_INT, _SIZE, _TEXT = ctypes.c_int, ctypes.c_size_t, ctypes.c_char_p

# Each of these returns a status; `_DESTROYERS` return nothing and take one handle.
_FUNCTIONS: Dict[str, Tuple[type, ...]] = {
    "LiteRtCreateEnvironment": (_INT, _ADDRESS, _ADDRESS),
    "LiteRtCreateOptions": (_ADDRESS,),
    "LiteRtSetOptionsHardwareAccelerators": (_HANDLE, _INT),
    "LiteRtCreateOpaqueOptions": (_TEXT, _ADDRESS, _ADDRESS, _ADDRESS),
    "LiteRtAddOpaqueOptions": (_HANDLE, _HANDLE),
    "LiteRtCreateModelFromBuffer": (_HANDLE, _TEXT, _SIZE, _ADDRESS),
    "LiteRtCreateCompiledModel": (_HANDLE, _HANDLE, _HANDLE, _ADDRESS),
    "LiteRtGetMainModelSubgraphIndex": (_HANDLE, _ADDRESS),
    "LiteRtGetModelSubgraph": (_HANDLE, _SIZE, _ADDRESS),
    "LiteRtGetNumModelSignatures": (_HANDLE, _ADDRESS),
    "LiteRtGetModelSignature": (_HANDLE, _SIZE, _ADDRESS),
    "LiteRtGetSignatureSubgraph": (_HANDLE, _ADDRESS),
    "LiteRtGetNumSignatureInputs": (_HANDLE, _ADDRESS),
    "LiteRtGetSignatureInputTensorByIndex": (_HANDLE, _SIZE, _ADDRESS),
    "LiteRtGetNumSignatureOutputs": (_HANDLE, _ADDRESS),
    "LiteRtGetSignatureOutputTensorByIndex": (_HANDLE, _SIZE, _ADDRESS),
    "LiteRtGetNumSubgraphInputs": (_HANDLE, _ADDRESS),
    "LiteRtGetSubgraphInput": (_HANDLE, _SIZE, _ADDRESS),
    "LiteRtGetSubgraphOp": (_HANDLE, _SIZE, _ADDRESS),
    "LiteRtGetOpOutput": (_HANDLE, _SIZE, _ADDRESS),
    "LiteRtGetTensorName": (_HANDLE, _ADDRESS),
    "LiteRtGetRankedTensorType": (_HANDLE, _ADDRESS),
    "LiteRtGetCompiledModelInputTensorLayout": (_HANDLE, _SIZE, _SIZE, _ADDRESS),
    "LiteRtGetCompiledModelOutputTensorLayouts": (_HANDLE, _SIZE, _SIZE, _ADDRESS, ctypes.c_bool),
    "LiteRtGetCompiledModelInputBufferRequirements": (_HANDLE, _SIZE, _SIZE, _ADDRESS),
    "LiteRtGetCompiledModelOutputBufferRequirements": (_HANDLE, _SIZE, _SIZE, _ADDRESS),
    "LiteRtCreateManagedTensorBufferFromRequirements": (_HANDLE, _ADDRESS, _HANDLE, _ADDRESS),
    "LiteRtGetTensorBufferPackedSize": (_HANDLE, _ADDRESS),
    "LiteRtLockTensorBuffer": (_HANDLE, _ADDRESS, _INT),
    "LiteRtUnlockTensorBuffer": (_HANDLE,),
    "LiteRtRunCompiledModel": (_HANDLE, _SIZE, _SIZE, _ADDRESS, _SIZE, _ADDRESS),
    "LiteRtCompiledModelGetProfiler": (_HANDLE, _ADDRESS),
    "LiteRtStartProfiler": (_HANDLE,),
    "LiteRtStopProfiler": (_HANDLE,),
    "LiteRtGetNumProfilerEvents": (_HANDLE, _ADDRESS),
    "LiteRtGetProfilerEvents": (_HANDLE, _INT, _ADDRESS),
}
_DESTROYERS = (
    "LiteRtDestroyEnvironment",
    "LiteRtDestroyOptions",
    "LiteRtDestroyOpaqueOptions",
    "LiteRtDestroyModel",
    "LiteRtDestroyCompiledModel",
    "LiteRtDestroyTensorBuffer",
)


def _wheel() -> Tuple[Path, str]:
    """Find the package's folder and version without importing it: that would load NumPy and more of LiteRT."""
    spec = importlib.util.find_spec("ai_edge_litert")
    if spec is None or not spec.submodule_search_locations:
        raise ProfilerUnavailable("the package ai_edge_litert is not installed")
    folder = Path(next(iter(spec.submodule_search_locations)))
    # importlib.metadata came with Python 3.8; the name of the folder with the wheel's records holds the version too.
    records = folder.parent.glob("ai_edge_litert-*.dist-info")
    versions = sorted(record.name[len("ai_edge_litert-") : -len(".dist-info")] for record in records)
    if len(versions) != 1 or versions[0] not in VERIFIED:
        seen = " and ".join(versions) or "of unknown version"
        raise ProfilerUnavailable(
            f"ai-edge-litert {seen}: its C structs are not verified, only those of {', '.join(VERIFIED)}"
        )
    return folder, versions[0]


def _loaded(path: Path) -> ctypes.CDLL:
    if ctypes.sizeof(ctypes.c_void_p) != _POINTER_BYTES:
        raise ProfilerUnavailable("the C structs of LiteRT are verified for 64-bit processors only")
    if not path.is_file():
        raise ProfilerUnavailable(f"{path} is missing")
    try:
        library = ctypes.CDLL(str(path))
        for name, argument_types in _FUNCTIONS.items():
            getattr(library, name).argtypes = argument_types
        for name in _DESTROYERS:
            destroy = getattr(library, name)
            destroy.argtypes, destroy.restype = (_HANDLE,), None
    except (OSError, AttributeError) as error:  # it cannot be loaded, or lacks a symbol
        raise ProfilerUnavailable(f"{path}: {error}") from error
    return library


def _call(library: ctypes.CDLL, name: str, *arguments: object) -> None:
    status = getattr(library, name)(*arguments)
    if status != 0:
        raise ProfilerUnavailable(f"{name}: status {status} ({_STATUSES.get(status, 'unknown')})")


def _made(library: ctypes.CDLL, name: str, *arguments: object) -> ctypes.c_void_p:
    """Call a function whose last argument is where it puts a handle or an address."""
    handle = ctypes.c_void_p()
    _call(library, name, *arguments, ctypes.byref(handle))
    if not handle:
        raise ProfilerUnavailable(f"{name} gave nothing")
    return handle


def _number(library: ctypes.CDLL, name: str, handle: ctypes.c_void_p) -> int:
    number = ctypes.c_size_t()
    _call(library, name, handle, ctypes.byref(number))
    return number.value


# Compiling the model -------------------------------------------------------------------------------------------------


class _Setting(ctypes.Structure):
    """LiteRtEnvOption, with a LiteRtAny that holds an integer."""

    _fields_ = (("tag", ctypes.c_int), ("kind", ctypes.c_int64), ("number", ctypes.c_int64))


_AUTO_REGISTER, _LEAST_SEVERITY = 24, 25  # kLiteRtEnvOptionTag…
_ANY_INT = 2  # kLiteRtAnyTypeInt
_WARNING = 2  # kLiteRtLogSeverityWarning


class _Model(NamedTuple):
    environment: ctypes.c_void_p
    compiled: ctypes.c_void_p
    subgraph: ctypes.c_void_p
    """The main one, which `Interpreter.invoke` runs."""
    signature: ctypes.c_void_p
    signature_index: int
    content: bytes
    """The file, kept here because LiteRT goes on reading in it without a copy."""


def _compiled(library: ctypes.CDLL, owned: contextlib.ExitStack, content: bytes, threads: int) -> _Model:
    # No GPU or NPU driver is looked for; what goes wrong still shows on stderr.
    settings = (_Setting * 2)(_Setting(_AUTO_REGISTER, _ANY_INT, _CPU), _Setting(_LEAST_SEVERITY, _ANY_INT, _WARNING))
    environment = _made(library, "LiteRtCreateEnvironment", len(settings), settings)
    owned.callback(library.LiteRtDestroyEnvironment, environment)
    options = _made(library, "LiteRtCreateOptions")
    owned.callback(library.LiteRtDestroyOptions, options)
    _call(library, "LiteRtSetOptionsHardwareAccelerators", options, _CPU)
    _add_options(library, options, b"runtime_options_string", b"enable_profiling = true\n")
    _add_options(library, options, b"xnnpack", b"num_threads = %d\n" % threads)
    # From a buffer, because only then LiteRT verifies it first: a file that was cut off is a segmentation fault.
    loaded = _made(library, "LiteRtCreateModelFromBuffer", environment, content, len(content))
    owned.callback(library.LiteRtDestroyModel, loaded)
    compiled = _made(library, "LiteRtCreateCompiledModel", environment, loaded, options)
    owned.callback(library.LiteRtDestroyCompiledModel, compiled)
    main = _number(library, "LiteRtGetMainModelSubgraphIndex", loaded)
    subgraph = _made(library, "LiteRtGetModelSubgraph", loaded, main)
    for index in range(_number(library, "LiteRtGetNumModelSignatures", loaded)):
        signature = _made(library, "LiteRtGetModelSignature", loaded, index)
        if _made(library, "LiteRtGetSignatureSubgraph", signature).value == subgraph.value:
            return _Model(environment, compiled, subgraph, signature, index, content)
    raise ProfilerUnavailable("no signature of the model runs its main subgraph")


def _add_options(library: ctypes.CDLL, options: ctypes.c_void_p, identifier: bytes, toml: bytes) -> None:
    libc = ctypes.CDLL(None)
    libc.strdup.restype = ctypes.c_void_p
    # LiteRT frees the text with the function that it is given, so the text must come from malloc.
    text, free = ctypes.c_void_p(libc.strdup(toml)), ctypes.cast(libc.free, ctypes.c_void_p)
    opaque = _made(library, "LiteRtCreateOpaqueOptions", identifier, text, free)
    try:
        _call(library, "LiteRtAddOpaqueOptions", options, opaque)
    except ProfilerUnavailable:
        library.LiteRtDestroyOpaqueOptions(opaque)
        raise


# Tensor buffers ------------------------------------------------------------------------------------------------------


class _Layout(ctypes.Structure):
    """LiteRtLayout; `rank` holds the rank in 7 bits and whether there are strides in the eighth."""

    _fields_ = (("rank", ctypes.c_uint32), ("dimensions", ctypes.c_int32 * 8), ("strides", ctypes.c_uint32 * 8))


class _TensorType(ctypes.Structure):
    """LiteRtRankedTensorType."""

    _fields_ = (("element", ctypes.c_int), ("layout", _Layout))


def _run_arguments(
    library: ctypes.CDLL, owned: contextlib.ExitStack, model: _Model, inputs: Sequence[bytes]
) -> Tuple[object, ...]:
    """Make the buffers that one run needs, filled, and give the arguments of LiteRtRunCompiledModel."""
    input_count = _number(library, "LiteRtGetNumSignatureInputs", model.signature)
    output_count = _number(library, "LiteRtGetNumSignatureOutputs", model.signature)
    if len(inputs) != input_count or _number(library, "LiteRtGetNumSubgraphInputs", model.subgraph) != input_count:
        raise ProfilerUnavailable(f"the model has {input_count} input tensor(s), but {len(inputs)} were given")
    input_buffers = (ctypes.c_void_p * max(input_count, 1))()
    for index, content in enumerate(_in_signature_order(library, model, inputs)):
        layout = _Layout()
        name = "LiteRtGetCompiledModelInputTensorLayout"
        _call(library, name, model.compiled, model.signature_index, index, ctypes.byref(layout))
        buffer = _buffer(library, owned, model, "Input", index, layout)
        _fill(library, buffer, index, content)
        input_buffers[index] = buffer.value
    layouts = (_Layout * max(output_count, 1))()
    name = "LiteRtGetCompiledModelOutputTensorLayouts"
    _call(library, name, model.compiled, model.signature_index, output_count, layouts, False)  # noqa: FBT003 - C
    output_buffers = (ctypes.c_void_p * max(output_count, 1))()
    for index in range(output_count):
        output_buffers[index] = _buffer(library, owned, model, "Output", index, layouts[index]).value
    return model.compiled, model.signature_index, input_count, input_buffers, output_count, output_buffers


def _in_signature_order(library: ctypes.CDLL, model: _Model, inputs: Sequence[bytes]) -> Iterator[bytes]:
    """Give the inputs as the signature counts them, by name, from the order in which the subgraph lists them."""
    by_tensor = {
        _made(library, "LiteRtGetSubgraphInput", model.subgraph, index).value: content
        for index, content in enumerate(inputs)
    }
    for index in range(len(inputs)):
        tensor = _made(library, "LiteRtGetSignatureInputTensorByIndex", model.signature, index)
        if tensor.value not in by_tensor:
            raise ProfilerUnavailable(f"input {index} of the signature is no input of the main subgraph")
        yield by_tensor[tensor.value]


def _buffer(
    library: ctypes.CDLL, owned: contextlib.ExitStack, model: _Model, side: str, index: int, layout: _Layout
) -> ctypes.c_void_p:
    tensor = _made(library, f"LiteRtGetSignature{side}TensorByIndex", model.signature, index)
    kind = _TensorType()
    _call(library, "LiteRtGetRankedTensorType", tensor, ctypes.byref(kind))
    # The type is the file's, where a batch may be open (-1); the layout is what the runtime has allocated.
    kind.layout = layout
    name = f"LiteRtGetCompiledModel{side}BufferRequirements"
    requirements = _made(library, name, model.compiled, model.signature_index, index)
    name = "LiteRtCreateManagedTensorBufferFromRequirements"
    buffer = _made(library, name, model.environment, ctypes.byref(kind), requirements)
    owned.callback(library.LiteRtDestroyTensorBuffer, buffer)
    return buffer


def _fill(library: ctypes.CDLL, buffer: ctypes.c_void_p, index: int, content: bytes) -> None:
    size_bytes = _number(library, "LiteRtGetTensorBufferPackedSize", buffer)
    if len(content) != size_bytes:
        raise ProfilerUnavailable(f"input {index} takes {size_bytes} bytes, but {len(content)} were given")
    address = ctypes.c_void_p()
    _call(library, "LiteRtLockTensorBuffer", buffer, ctypes.byref(address), _LOCK_WRITE)
    ctypes.memmove(address, content, size_bytes)
    _call(library, "LiteRtUnlockTensorBuffer", buffer)


# Events --------------------------------------------------------------------------------------------------------------


class _MemoryUsage(ctypes.Structure):
    _fields_ = (("total", ctypes.c_size_t), ("in_use", ctypes.c_size_t), ("private", ctypes.c_size_t))


class _Event(ctypes.Structure):
    """ProfiledEventData."""

    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory_before", _MemoryUsage),
        ("memory_after", _MemoryUsage),
        ("node", ctypes.c_uint64),
        ("subgraph", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


# LiteRtProfilerEventType. Telemetry is left out: its `elapsed_us` is no time. Kernels of a delegate come after their
# run, without a start; beside those of the first kind the delegate's own node is an operator event, too.
_SPAN, _OPERATOR, _INNER_KERNEL, _KERNEL = 1, 2, 4, 8


class _Recorded(NamedTuple):
    """An event of the profiler, read out of its buffer. `start_us` is 0 where only the duration is known."""

    tag: str
    kind: int
    start_us: int
    elapsed_us: int
    node: int
    subgraph: int


class _Key(NamedTuple):
    """What tells one operator from the others in every run."""

    tag: str
    node: int
    subgraph: int
    block: int
    """-1 for an operator of the graph, else which of the subgraph's delegated parts the kernel belongs to."""


def _events(library: ctypes.CDLL, profiler: ctypes.c_void_p) -> List[_Recorded]:
    count = ctypes.c_int()
    _call(library, "LiteRtGetNumProfilerEvents", profiler, ctypes.byref(count))
    if not 0 < count.value < _MOST_EVENTS:
        raise ProfilerUnavailable(f"one run made {count.value} events; the profiler can hold 1 to {_MOST_EVENTS - 1}")
    records = (_Event * count.value)()
    _call(library, "LiteRtGetProfilerEvents", profiler, count.value, records)
    return [
        _Recorded(
            (record.tag or b"").decode("utf-8", "replace"),
            record.kind,
            record.start_us,
            record.elapsed_us,
            record.node,
            record.subgraph,
        )
        for record in records
    ]


def _operators(events: Sequence[_Recorded]) -> Iterator[Tuple[_Key, int]]:
    """Give the operators and kernels of one run, without those that only contain others."""
    umbrellas = _umbrellas(events)
    block = before = -1
    for position, event in enumerate(events):
        if event.kind in (_KERNEL, _INNER_KERNEL):
            # The kernels of a delegated part count up from 0, so a number that does not grow begins the next part.
            block += before < 0 or event.node <= before
            before = event.node
            yield _Key(event.tag, event.node, event.subgraph, block), event.elapsed_us
        elif event.kind == _OPERATOR:
            before = -1
            if position not in umbrellas:
                yield _Key(event.tag, event.node, event.subgraph, -1), event.elapsed_us
        elif (
            event.kind == _SPAN and event.tag == "Invoke"
        ):  # a subgraph begins; the body of a loop begins anew each time
            block = before = -1


def _umbrellas(events: Sequence[_Recorded]) -> Set[int]:
    """Find the operators that contain others, such as WHILE: something that comes later starts before they end."""
    umbrellas: Set[int] = set()
    earliest_us = None
    for position in range(len(events) - 1, -1, -1):
        event = events[position]
        if event.kind == _OPERATOR and earliest_us is not None and earliest_us < event.start_us + event.elapsed_us:
            umbrellas.add(position)
        if event.kind in (_SPAN, _OPERATOR) and event.start_us:
            earliest_us = event.start_us if earliest_us is None else min(earliest_us, event.start_us)
    return umbrellas


def _type(key: _Key) -> str:
    """Name the kind of work: ``Convolution (NHWC, QC8) DWConv`` without the layout and the number formats."""
    return re.sub(r"^(.+) \1$", r"\1", re.sub(r" \([^)]*\)", "", key.tag))  # "Average Pooling (…) Average Pooling"


def _name(library: ctypes.CDLL, model: _Model, key: _Key) -> str:
    """Name an operator of the main graph by the tensor that it makes; kernels of a delegate have their own names."""
    if key.block >= 0 or key.subgraph != 0:
        return key.tag
    try:
        operator = _made(library, "LiteRtGetSubgraphOp", model.subgraph, key.node)
        name = _made(library, "LiteRtGetTensorName", _made(library, "LiteRtGetOpOutput", operator, 0))
    except ProfilerUnavailable:  # a node that the runtime added itself has no counterpart in the file
        return key.tag
    return ctypes.string_at(name.value or 0).decode("utf-8", "replace") or key.tag
