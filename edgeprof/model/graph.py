"""What is in a model file: tensors and operators in execution order. Weights are never copied."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

type_bits = {
    "float64": 64, "float32": 32, "float16": 16, "bfloat16": 16,
    "int64": 64, "int32": 32, "int16": 16, "int8": 8, "int4": 4, "int2": 2,
    "uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "uint4": 4, "uint2": 2, "bool": 8,
    "complex64": 64, "complex128": 128,
    "float8_e4m3fn": 8, "float8_e4m3fnuz": 8, "float8_e5m2": 8, "float8_e5m2fnuz": 8, "float8_e8m0": 8,
    "float4_e2m1": 4, "float6_e2m3": 6, "float6_e3m2": 6,
}  # fmt: skip

STANDARD = "ai.onnx"
"""The domain of ONNX's own operators, which files mostly leave empty."""

Shape: TypeAlias = tuple[int | None, ...]
Attribute: TypeAlias = int | float | str | tuple[int | float | str, ...]


class Quantization(Struct, frozen=True, kw_only=True):
    """Affine quantisation: real = scale * (stored - zero_point); one entry, or one a channel along `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0


class Tensor(Struct, frozen=True, kw_only=True):
    """One value in the graph. An unknown dimension is None, an unknown rank is a shape of None.

    A constant knows its stored size in bytes, and where in the file it starts when it lies there in one
    piece. `sparse` constants store fewer elements than their shape has.
    """

    name: str
    shape: Shape | None
    dtype: str
    quantization: Quantization | None = None
    constant_bytes: int | None = None
    constant_offset: int | None = None
    variable: bool = False
    sparse: bool = False


class Operator(Struct, frozen=True, kw_only=True):
    """One node. `inputs` and `outputs` index the tensors of its graph; an input that is left out is -1.

    `subgraphs` index `Graph.subgraphs`; `captures` are the tensors that those bodies read from around them.
    `domain` is an ONNX operator set other than the standard one; `custom` says that it is not a builtin. `version` is
    that of a TFLite operator: which of its forms is meant.
    """

    name: str
    type: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: dict[str, Attribute] = {}
    subgraphs: tuple[int, ...] = ()
    captures: tuple[int, ...] = ()
    domain: str = ""
    custom: bool = False
    version: int = 1


class Subgraph(Struct, frozen=True, kw_only=True):
    """A body of a control-flow operator, with tensors of its own.

    `captured` are those of its tensors that belong to a graph around it.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    captured: tuple[int, ...] = ()


class Function(Struct, frozen=True, kw_only=True):
    """An operator that an ONNX model makes of others itself: `calls` are their domains and types, once each."""

    domain: str
    name: str
    calls: tuple[tuple[str, str], ...]
    opsets: dict[str, int] = {}


class DataFile(Struct, frozen=True, kw_only=True):
    """A file beside an ONNX model that holds weights: what the model declares of it, and what was found there.

    `name` is the model's word for it, untrusted. Its weights take `weights_bytes` and reach to byte `needed_bytes`.
    `bytes` is None where the file cannot be used, `fault` says why, and `hint` what to do. `same_as` is the name under
    which these bytes are counted already; the model's own where they lie in the model file itself.
    """

    name: str
    weights_count: int
    weights_bytes: int
    needed_bytes: int
    bytes: int | None = None
    sha256: str = ""
    fault: str = ""
    hint: str = ""
    same_as: str = ""


class Graph(Struct, frozen=True, kw_only=True):
    """A model: its main subgraph in execution order, other subgraphs, and facts of the file.

    `bytes` are those of the model file alone; `data_files.size_bytes` adds its data files. `sha256` is that of all of
    them (`data_files.whole_sha256`), `file_sha256` the model file's own; both are empty when not asked for.
    `offline_offsets` is the arena plan that the file itself carries (TFLM's OfflineMemoryAllocation), -1 where a tensor
    is planned on the device.
    """

    format: Literal["tflite", "onnx"]
    name: str
    bytes: int
    sha256: str
    file_sha256: str = ""
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: tuple[Subgraph, ...] = ()
    opset: str = ""
    producer: str = ""
    offline_offsets: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    opsets: dict[str, int] = {}
    """The operator sets that an ONNX model names, the standard one as `ai.onnx`."""
    ir_version: int | None = None
    functions: tuple[Function, ...] = ()
    data_files: tuple[DataFile, ...] = ()


Body: TypeAlias = Graph | Subgraph


def bodies(graph: Graph) -> tuple[Body, ...]:
    """Return the main graph and then its subgraphs: all that hold tensors and operators."""
    return (graph, *graph.subgraphs)


def elements_count(shape: Shape | None) -> int | None:
    """Return the number of elements, 1 for a scalar, or None where a dimension is unknown."""
    if shape is None:
        return None
    count = 1
    for size in shape:
        if size is None:
            return None
        count *= size
    return count


def tensor_bytes(tensor: Tensor) -> int | None:
    """Return the bytes of a dense tensor of this shape and type, or None where either is not known.

    Types below 8 bits are packed, as in the file; a runtime may unpack them.
    """
    elements, bits = elements_count(tensor.shape), type_bits.get(tensor.dtype)
    return None if elements is None or bits is None else (elements * bits + 7) // 8


def integers(operator: Operator, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Return an attribute that is a list of whole numbers, or the default where it is absent or is not one."""
    value = operator.attributes.get(name)
    if not isinstance(value, tuple):
        return default
    whole = tuple(item for item in value if isinstance(item, int))
    return whole if len(whole) == len(value) else default


def integer(operator: Operator, name: str, default: int = 0) -> int:
    """Return an attribute that is a whole number, or the default where it is absent or is not one."""
    value = operator.attributes.get(name, default)
    return value if isinstance(value, int) else default
