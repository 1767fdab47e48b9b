"""The messages of an ONNX file as records: names, shapes and attributes are read, the data of weights is not.

Field numbers are those of onnx/onnx.proto3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from edgeprof.errors import ModelInvalid, ModelUnsupported
from edgeprof.model.graph import Shape, elements_count, type_bits
from edgeprof.model.protobuf import Field, ProtoReader, delimited, signed, varint
from edgeprof.model.reading import checked_shape, max_depth

if TYPE_CHECKING:
    import mmap

    from edgeprof.model.reading import Budget

type_names = (
    "undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16",
    "float64", "uint32", "uint64", "complex64", "complex128", "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz",
    "float8_e5m2", "float8_e5m2fnuz", "uint4", "int4", "float4_e2m1", "float8_e8m0", "uint2", "int2", "float6_e2m3",
    "float6_e3m2",
)  # fmt: skip
# Operands such as the target of a Reshape are read; weights are larger than this.
max_content: int = 256

Content: TypeAlias = tuple[int | float | None, ...]


class RawTensor(NamedTuple):
    """An initializer: its data's place and size, and the numbers themselves where they are few."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    offset: int | None
    content: Content | None
    external: bool = False
    sparse: bool = False


class ExternalWeight(NamedTuple):
    """Where a tensor's data lies in another file, in the file's own words; `bytes` is what its shape wants, 0 unknown.

    ONNX keeps the place as texts by key: `location`, `offset`, `length`.
    """

    name: str
    bytes: int
    place: dict[str, str]


class RawValue(NamedTuple):
    """What the file declares of a value: its type and shape, where it says so."""

    name: str
    shape: Shape | None
    dtype: str


RawAttribute: TypeAlias = "int | float | str | tuple[int | float | str, ...] | RawTensor | list[RawGraph]"


_length = re.compile("[0-9]{1,15}")
_empty: dict[int, RawAttribute] = {1: 0.0, 2: 0, 3: "", 6: (), 7: (), 8: ()}


class RawNode(NamedTuple):
    """A node as it is written."""

    name: str
    type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, RawAttribute]


class RawGraph(NamedTuple):
    """A graph as it is written, nodes in the file's order."""

    name: str
    nodes: list[RawNode]
    initializers: dict[str, RawTensor]
    inputs: list[RawValue]
    outputs: list[RawValue]
    values: dict[str, RawValue]


class RawFunction(NamedTuple):
    """An operator that the model itself makes of others."""

    domain: str
    name: str
    nodes: list[RawNode]
    opsets: dict[str, int]


class RawModel(NamedTuple):
    """A model as it is written; `opset` is that of the standard operators, `domains` has those of all."""

    graph: RawGraph
    producer: str
    opset: int
    domains: dict[str, int]
    functions: list[RawFunction]
    ir_version: int
    external: list[ExternalWeight]


def read_messages(memory: mmap.mmap | bytes, budget: Budget) -> RawModel:
    """Return an ONNX model's messages. Raises ModelInvalid for a damaged file, ModelUnsupported for an absurd one."""
    return _Messages(memory, budget).model()


class _Messages(ProtoReader):
    """One pass over one file; `external` collects tensors whose data lies elsewhere, wherever in the file they are."""

    def __init__(self, memory: mmap.mmap | bytes, budget: Budget) -> None:
        super().__init__(memory, budget)
        self.external: list[ExternalWeight] = []

    def model(self) -> RawModel:
        producer, version = "", ""
        functions: list[Field] = []
        domains: dict[str, int] = {}
        graph: Field | None = None
        ir_version = 0
        for field in self.fields(0, self.size):
            match field.number:
                case 1 if field.wire == varint:
                    ir_version = field.value
                case 2:
                    producer = self.text(field)
                case 3:
                    version = self.text(field)
                case 7 if field.wire == delimited:
                    graph = field
                case 8:
                    domains.update([self._opset(field)])
                case 25 if field.wire == delimited:
                    functions.append(field)
                case _:
                    pass
        if graph is None or not (ir_version or domains):
            raise ModelInvalid("the file has no graph" if ir_version else "the file is neither TFLite nor ONNX")
        opset = domains.get("", domains.get("ai.onnx", 1))
        read = [self._function(field) for field in functions]
        whole = self._graph(graph, 0)
        return RawModel(whole, f"{producer} {version}".strip(), opset, domains, read, ir_version, self.external)

    def _function(self, field: Field) -> RawFunction:
        texts = {1: "", 10: ""}
        nodes: list[RawNode] = []
        opsets: dict[str, int] = {}
        for item in self.inside(field):
            if item.number in texts:
                texts[item.number] = self.text(item)
            elif item.number == 7:  # FunctionProto.node
                self.budget.spend_operators(1)
                nodes.append(self._node(item, 0))
            elif item.number == 9:  # FunctionProto.opset_import
                opsets.update([self._opset(item)])
        return RawFunction(texts[10], texts[1], nodes, opsets)

    def _opset(self, field: Field) -> tuple[str, int]:
        domain, version = "", 0
        for item in self.inside(field):
            if item.number == 1:
                domain = self.text(item)
            elif item.number == 2:  # OperatorSetIdProto.version
                version = signed(item.value)
        return domain, version

    def _graph(self, field: Field, depth: int) -> RawGraph:
        if depth > max_depth:
            raise ModelUnsupported(f"graphs lie inside each other more than {max_depth} deep")
        graph = RawGraph("", [], {}, [], [], {})
        nodes: list[Field] = []
        for item in self.inside(field):
            match item.number:
                case 1:
                    self.budget.spend_operators(1)
                    nodes.append(item)
                case 2:
                    graph = graph._replace(name=self.text(item))
                case 5 | 15:
                    tensor = self._tensor(item) if item.number == 5 else self._sparse(item)  # initializer
                    self.budget.spend_tensors(1)
                    graph.initializers[tensor.name] = tensor
                case 11:
                    graph.inputs.append(self._value(item))
                case 12:
                    graph.outputs.append(self._value(item))
                case 13:
                    value = self._value(item)
                    graph.values[value.name] = value
                case _:
                    pass
        graph.nodes.extend(self._node(item, depth) for item in nodes)
        return graph

    def _node(self, field: Field, depth: int) -> RawNode:
        inputs: list[str] = []
        outputs: list[str] = []
        texts = {3: "", 4: "", 7: ""}
        attributes: dict[str, RawAttribute] = {}
        for item in self.inside(field):
            if item.number == 1:
                inputs.append(self.text(item))
            elif item.number == 2:  # NodeProto.output
                outputs.append(self.text(item))
            elif item.number in texts:
                texts[item.number] = self.text(item)
            elif item.number == 5:  # NodeProto.attribute
                name, value = self._attribute(item, depth)
                if value is not None:
                    attributes[name] = value
        self.budget.spend_tensors(len(outputs))
        domain = "" if texts[7] == "ai.onnx" else texts[7]
        return RawNode(texts[3], texts[4], domain, tuple(inputs), tuple(outputs), attributes)

    def _attribute(self, field: Field, depth: int) -> tuple[str, RawAttribute | None]:  # noqa: C901, PLR0912 (one arm a kind)
        name = ""
        value: RawAttribute | None = None
        many: list[int | float | str] = []
        graphs: list[RawGraph] = []
        for item in self.inside(field):
            match item.number:
                case 1:
                    name = self.text(item)
                case 2:
                    value = self.floats(item)[0] if item.end - item.value == 4 else 0.0  # a float's bytes
                case 3 if item.wire == varint:
                    value = signed(item.value)
                case 4:
                    value = self._short(item)
                case 5:
                    value = self._tensor(item)
                case 6 | 11:
                    graphs.append(self._graph(item, depth + 1))
                case 7:
                    many += self.floats(item)
                case 8:
                    many += self.integers(item)
                case 9:
                    many.append(self._short(item))
                case 10:
                    self._tensor(item)  # of lists and sparse ones only what lies in other files is of use
                case 22 | 23:
                    self._sparse(item)
                case 20 if item.wire == varint and value is None and not many:
                    # The kind alone: proto3 leaves a 0 out, an empty list has no field either.
                    value = _empty.get(item.value)
                case _:
                    pass
        return name, graphs or (tuple(many) if many else value)

    def _short(self, field: Field) -> str:
        """Return a text attribute, or nothing where it is data (a tokenizer's table may have megabytes)."""
        return self.text(field) if field.wire == delimited and field.end - field.value <= 1024 else ""

    def _value(self, field: Field) -> RawValue:
        name, shape, dtype = "", None, "undefined"
        for item in self.inside(field):
            if item.number == 1:
                name = self.text(item)
            elif item.number == 2:  # ValueInfoProto.type
                for kind in self.inside(item):
                    if kind.number == 1:
                        shape, dtype = self._tensor_type(kind, name)
                    elif kind.number in {4, 5, 9}:
                        dtype = {4: "sequence", 5: "map", 9: "optional"}[kind.number]
        return RawValue(name, shape, dtype)

    def _tensor_type(self, field: Field, name: str) -> tuple[Shape | None, str]:
        shape: Shape | None = None
        dtype = "undefined"
        for item in self.inside(field):
            if item.number == 1 and item.wire == varint:
                dtype = _type(item.value)
            elif item.number == 2:  # TypeProto.Tensor.shape
                shape = tuple(self._dimension(dim) for dim in self.inside(item) if dim.number == 1)
                checked_shape(name, tuple(size or 0 for size in shape))
        return shape, dtype

    def _dimension(self, field: Field) -> int | None:
        for item in self.inside(field):
            if item.number == 1 and item.wire == varint:
                # Some exporters write 0 or -1 for what varies.
                return signed(item.value) if signed(item.value) > 0 else None
        return None

    def _sparse(self, field: Field) -> RawTensor:
        values: RawTensor | None = None
        dims: tuple[int, ...] = ()
        for item in self.inside(field):
            if item.number == 1:
                values = self._tensor(item)
            elif item.number == 2:  # SparseTensorProto.indices
                self._tensor(item)
            elif item.number == 3:  # SparseTensorProto.dims
                dims += self.integers(item)
        if values is None:
            raise ModelInvalid("a sparse initializer has no values")
        return values._replace(shape=checked_shape(values.name, dims), content=None, sparse=True)

    def _tensor(self, field: Field) -> RawTensor:
        name, dtype, elsewhere = "", "undefined", False
        dims: tuple[int, ...] = ()
        data: list[Field] = []
        place: dict[str, str] = {}
        for item in self.inside(field):
            match item.number:
                case 1:
                    dims += self.integers(item)
                case 2 if item.wire == varint:
                    dtype = _type(item.value)
                case 4 | 5 | 6 | 7 | 9 | 10 | 11:
                    data.append(item)
                case 8:
                    name = self.text(item)
                case 13:
                    place.update([self._entry(item)])
                case 14 if item.wire == varint:
                    elsewhere = item.value == 1  # TensorProto.EXTERNAL
                case _:
                    pass
        # Data in the file itself counts, whatever place was left beside it.
        tensor = RawTensor(name, dims, dtype, 0, None, None, elsewhere or ("location" in place and not data))
        return self._stored(tensor, data, place)

    def _entry(self, field: Field) -> tuple[str, str]:
        texts = {1: "", 2: ""}
        for item in self.inside(field):
            if item.number in texts:
                texts[item.number] = self.text(item)
        return texts[1], texts[2]

    def _stored(self, tensor: RawTensor, data: list[Field], place: dict[str, str]) -> RawTensor:
        """Return the tensor with its size, place and small content. Raises ModelInvalid where the sizes disagree."""
        if min(tensor.shape, default=0) < 0:
            raise ModelInvalid(f"initializer {tensor.name!r} has the shape {list(tensor.shape)}")
        checked_shape(tensor.name, tensor.shape)
        elements = elements_count(tensor.shape) or 0
        wanted = (elements * type_bits.get(tensor.dtype, 0) + 7) // 8
        if tensor.external:
            self.external.append(ExternalWeight(tensor.name, wanted, place))
            told = place.get("length", "")
            return tensor._replace(bytes=wanted or (int(told) if _length.fullmatch(told) else 0))
        if not data:
            return tensor._replace(content=() if elements == 0 else None)
        first = data[0]
        if first.number != 9:  # raw_data; the others are lists by type
            stored = sum(item.end - item.value for item in data if item.wire == delimited)
            return tensor._replace(bytes=wanted or stored, content=self._listed(tensor.dtype, elements, data))
        length = first.end - first.value if first.wire == delimited else -1
        if wanted and length != wanted:
            raise ModelInvalid(f"initializer {tensor.name!r} has {length:,} bytes of data, its shape wants {wanted:,}")
        return tensor._replace(bytes=length, offset=first.value, content=self._raw(tensor.dtype, elements, first))

    def _listed(self, dtype: str, elements: int, data: list[Field]) -> Content | None:
        if elements > max_content:
            return None
        numbers: list[int | float] = []
        for item in data:
            if dtype == "float32" and item.number == 4:  # float_data
                numbers += self.floats(item)
            elif dtype in {"int64", "int32", "bool", "int8", "uint8"} and item.number in {5, 7}:
                numbers += self.integers(item)
        return tuple(numbers) if len(numbers) == elements else None

    def _raw(self, dtype: str, elements: int, field: Field) -> Content | None:
        letter = {"int64": "q", "int32": "i", "float32": "f", "bool": "?", "int8": "b", "uint8": "B"}.get(dtype)
        if letter is None or elements > max_content:
            return None
        self.budget.spend(elements)
        return self.unpack(f"<{elements}{letter}", field.value)


def _type(number: int) -> str:
    return type_names[number] if number < len(type_names) else f"type_{number}"
