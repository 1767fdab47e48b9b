"""Read an .onnx file into a Graph, in execution order, with the shapes that the file leaves to inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgeprof.errors import ModelInvalid
from edgeprof.file_names import written
from edgeprof.model import onnx_layout_rules, onnx_rules
from edgeprof.model.data_files import declared_files
from edgeprof.model.graph import (
    STANDARD,
    Attribute,
    Function,
    Graph,
    Operator,
    Shape,
    Subgraph,
    Tensor,
    elements_count,
    tensor_bytes,
)
from edgeprof.model.onnx_order import bodies, in_order
from edgeprof.model.onnx_proto import (
    RawFunction,
    RawGraph,
    RawModel,
    RawNode,
    RawTensor,
    RawValue,
    max_content,
    read_messages,
)
from edgeprof.model.onnx_values import Node, Value, nothing, of_content
from edgeprof.model.reading import Budget, check_shapes, drawn, max_elements, max_rank

if TYPE_CHECKING:
    import mmap
    from collections.abc import Mapping
    from pathlib import Path

_rules = onnx_rules.rules | onnx_layout_rules.rules
# Some rules hold for operators of other domains as well; what is not listed there is not guessed.
_contributed = frozenset(
    {"FusedConv", "FusedGemm", "QGemm", "MatMulNBits", "Gelu", "QuantizeLinear", "DequantizeLinear"}
)


def read_onnx(memory: mmap.mmap | bytes, path: Path, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Graph:
    """Return the graph of an ONNX model, without its digest.

    Raises ModelInvalid for what is not ONNX, is damaged or has a cycle, ModelUnsupported for one that is too
    large to be read safely and UsageError for `shapes` that do not fit its inputs.
    """
    budget = Budget()
    try:
        model = read_messages(memory, budget)
    except ModelInvalid as error:
        raise ModelInvalid(f"{path} is not a readable ONNX or TFLite model: {error.message}", hint=error.hint) from None
    builder = _Builder(model)
    given = shapes or {}
    declared = [value for value in model.graph.inputs if value.name not in model.graph.initializers]
    check_shapes(given, {value.name: value.shape for value in declared})
    inputs = {value.name: Value(given.get(value.name, value.shape), value.dtype) for value in declared}
    main, _ = builder.build(model.graph, None, inputs)
    return Graph(
        format="onnx",
        name=written(path.name),
        bytes=len(memory),
        sha256="",
        tensors=main.tensors,
        operators=main.operators,
        inputs=main.inputs,
        outputs=main.outputs,
        subgraphs=tuple(builder.subgraphs),
        opset=f"opset {model.opset}",
        producer=model.producer,
        warnings=tuple(builder.warnings(inputs)),
        opsets={domain or STANDARD: number for domain, number in model.domains.items()},
        ir_version=model.ir_version or None,
        functions=tuple(_function(function) for function in model.functions),
        data_files=declared_files(model.external),
    )


class _Scope:
    """The names of one graph; those of the graphs around it are found too, and copied in as captured."""

    def __init__(self, parent: _Scope | None) -> None:
        self.parent = parent
        self.index: dict[str, int] = {}
        self.tensors: list[Tensor] = []
        self.values: list[Value] = []
        self.captured: list[str] = []

    def add(self, tensor: Tensor, value: Value) -> int:
        """Add a tensor. Raises ModelInvalid where the name is taken: ONNX assigns every name once."""
        if tensor.name in self.index:
            raise ModelInvalid(f"two nodes make {tensor.name!r}; every name may be made once")
        return self._append(tensor, value)

    def find(self, name: str) -> int | None:
        """Return the index of a name in this scope, copying it from around where it is not its own."""
        if name in self.index:
            return self.index[name]
        outer = None if self.parent is None else self.parent.find(name)
        if self.parent is None or outer is None:
            return None
        self.captured.append(name)
        return self._append(self.parent.tensors[outer], self.parent.values[outer])

    def _append(self, tensor: Tensor, value: Value) -> int:
        self.index[tensor.name] = len(self.tensors)
        self.tensors.append(tensor)
        self.values.append(value)
        return len(self.tensors) - 1


class _Builder:
    """Turns messages into graphs, body by body, each one once."""

    def __init__(self, model: RawModel) -> None:
        self.model = model
        self.subgraphs: list[Subgraph] = []
        self._unknown: list[str] = []
        self._empty = 0
        self._foreign: set[str] = set()

    def build(self, raw: RawGraph, parent: _Scope | None, inputs: Mapping[str, Value]) -> tuple[Subgraph, list[Value]]:
        """Return a graph and what its outputs are."""
        scope = _Scope(parent)
        for value in raw.inputs:
            if value.name not in raw.initializers:
                known = inputs.get(value.name, nothing)
                scope.add(_tensor(value.name, known, value), known)
        input_indices = tuple(range(len(scope.tensors)))
        for stored in raw.initializers.values():
            self._initializer(scope, stored)
        declared = {value.name: value for value in raw.outputs} | raw.values
        operators = tuple(self._operator(scope, node, position, declared) for position, node in in_order(raw.nodes))
        outputs = [self._output(scope, value) for value in raw.outputs]
        graph = Subgraph(
            name=raw.name,
            tensors=tuple(scope.tensors),
            operators=operators,
            inputs=input_indices,
            outputs=tuple(outputs),
            captured=tuple(scope.index[name] for name in scope.captured),
        )
        return graph, [scope.values[index] for index in outputs]

    def warnings(self, inputs: Mapping[str, Value]) -> list[str]:
        """Return what a reader of figures must know about this graph."""
        said = [
            f"input {name!r} varies: {drawn(value.shape)}; fix it with --shape"
            for name, value in inputs.items()
            if value.shape is None or None in value.shape
        ]
        if self._unknown:
            more = f" and {len(self._unknown) - 3} more" if len(self._unknown) > 3 else ""  # three named
            said.append(f"shapes not known after {', '.join(self._unknown[:3])}{more}")
        if self._empty:
            said.append(f"{self._empty} initializers hold no data; their shapes are counted")
        if self._foreign:
            said.append(f"operators outside the ONNX standard: {', '.join(sorted(self._foreign)[:10])}")
        if self.model.functions:
            said.append(f"{len(self.model.functions)} functions of the model's own are not looked into")
        return said

    def _initializer(self, scope: _Scope, stored: RawTensor) -> None:
        if stored.offset is None and not stored.bytes and not stored.external and elements_count(stored.shape):
            self._empty += 1
        value = Value(stored.shape, stored.dtype, stored.content)
        scope.add(_constant(stored.name, stored), value)

    def _output(self, scope: _Scope, value: RawValue) -> int:
        index = scope.find(value.name)
        if index is None:
            raise ModelInvalid(f"the output {value.name!r} of the graph is made by nothing")
        return index

    def _operator(self, scope: _Scope, node: RawNode, position: int, declared: Mapping[str, RawValue]) -> Operator:
        name = node.name or next((output for output in node.outputs if output), "") or f"{node.type}_{position}"
        inputs = tuple(self._input(scope, source, name, node.type) for source in node.inputs)
        attributes = _attributes(node)
        graphs = bodies(node)
        called: list[int] = []
        captures: tuple[int, ...] = ()
        if graphs:
            called, captures, results = self._bodies(scope, node, graphs, inputs)
            taken = self._taken(scope, node, inputs)
            if taken is not None:
                attributes["taken_branch"] = taken
        else:
            results = _inferred(self._view(scope, node, inputs, attributes), node)
        known = [*results, *(nothing for _ in node.outputs[len(results) :])]
        outputs = tuple(
            self._made(scope, node, output, (known[slot], declared.get(output)))
            for slot, output in enumerate(node.outputs)
        )
        self._note_unknown(scope, f"{node.type} {name!r}", inputs, outputs)
        if node.domain:
            self._foreign.add(f"{node.domain}::{node.type}")
        return Operator(
            name=name,
            type=node.type,
            inputs=inputs,
            outputs=outputs,
            attributes=attributes,
            subgraphs=tuple(called),
            captures=captures,
            domain=node.domain,
            custom=bool(node.domain),
        )

    def _input(self, scope: _Scope, source: str, name: str, kind: str) -> int:
        if not source:
            return -1
        index = scope.find(source)
        if index is None:
            raise ModelInvalid(f"the input {source!r} of node {name!r} ({kind}) is made by nothing")
        return index

    def _view(self, scope: _Scope, node: RawNode, inputs: tuple[int, ...], attributes: dict[str, Attribute]) -> Node:
        values = tuple(scope.values[index] if index >= 0 else nothing for index in inputs)
        return Node(node.type, values, len(node.outputs), attributes, self.model.opset)

    def _made(self, scope: _Scope, node: RawNode, output: str, known: tuple[Value, RawValue | None]) -> int:
        """Add an output, or return -1 for one that is left out. A Constant's output is a stored tensor."""
        if not output:
            return -1
        value = _sanitised(known[0])
        stored = node.attributes.get("value") if node.type == "Constant" else None
        if isinstance(stored, RawTensor):
            return scope.add(_constant(output, stored), value)
        tensor = _tensor(output, value, known[1])
        if node.type == "Constant" and value.shape is not None:
            tensor = replace(tensor, constant_bytes=tensor_bytes(tensor))
        return scope.add(tensor, value._replace(shape=tensor.shape, dtype=tensor.dtype))

    def _note_unknown(self, scope: _Scope, what: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        """Remember where knowledge ends: at an operator whose inputs are known and whose outputs are not."""
        ends = any(_unknown(scope.values[index].shape) for index in outputs if index >= 0)
        if ends and not any(_unknown(scope.values[index].shape) for index in inputs if index >= 0):
            self._unknown.append(what)

    def _bodies(
        self, scope: _Scope, node: RawNode, graphs: list[RawGraph], inputs: tuple[int, ...]
    ) -> tuple[list[int], tuple[int, ...], list[Value]]:
        """Build the graphs inside a node: where they are, what they capture, and what the node's outputs are."""
        called: list[int] = []
        captures: dict[int, None] = {}
        ends: list[list[Value]] = []
        for graph in graphs:
            body, results = self.build(
                graph, scope, _body_inputs(graph, [scope.values[index] for index in inputs if index >= 0], node)
            )
            self.subgraphs.append(body)
            called.append(len(self.subgraphs) - 1)
            captures.update((scope.index[body.tensors[index].name], None) for index in body.captured)
            ends.append(results)
        taken = self._taken(scope, node, inputs)
        ends = ends if taken is None else ends[taken : taken + 1]
        # Scan had a batch dimension of its own before operator set 9.
        known = _joined(node, ends) if node.type != "Scan" or self.model.opset > 8 else []  # as said
        return called, tuple(captures), known

    def _taken(self, scope: _Scope, node: RawNode, inputs: tuple[int, ...]) -> int | None:
        """Return which branch of an If is taken, 0 or 1, where the condition is known from the file."""
        if node.type != "If" or not inputs or inputs[0] < 0:
            return None
        condition = scope.values[inputs[0]].content
        return None if not condition or condition[0] is None else (0 if condition[0] else 1)


def _function(raw: RawFunction) -> Function:
    todo, calls = list(raw.nodes), []
    while todo:
        node = todo.pop()
        calls.append((node.domain, node.type))
        todo += [inner for body in bodies(node) for inner in body.nodes]
    opsets = {domain or STANDARD: number for domain, number in raw.opsets.items()}
    return Function(domain=raw.domain, name=raw.name, calls=tuple(dict.fromkeys(calls)), opsets=opsets)


def _inferred(view: Node, raw: RawNode) -> list[Value]:
    if view.type == "Constant" and not raw.domain:
        return [_constant_value(raw)]
    rule = _rules.get(view.type) if not raw.domain or view.type in _contributed else None
    return (rule(view) or []) if rule else []


def _constant_value(node: RawNode) -> Value:
    """Return what a Constant holds: a tensor, a number, or a list of numbers."""
    for name, value in node.attributes.items():
        match value:
            case RawTensor():
                return Value(value.shape, value.dtype, value.content)
            case tuple() if name.startswith("value"):
                numbers = tuple(item for item in value if isinstance(item, int | float))
                dtype = {"value_ints": "int64", "value_floats": "float32"}.get(name, "string")
                return Value((len(value),), dtype, numbers if 0 < len(numbers) <= max_content else None)
            case int() | float():
                return of_content((value,), "int64" if name == "value_int" else "float32", scalar=True)
            case _:
                pass
    return Value((), "string") if "value_string" in node.attributes else nothing


def _body_inputs(graph: RawGraph, outer: list[Value], node: RawNode) -> dict[str, Value]:
    """Return what the inputs of a body are: what it declares; a Loop's counter and condition are single numbers.

    What a Loop carries may change its shape from turn to turn, so the shape it starts with is not taken over.
    """
    known = {value.name: Value(value.shape, value.dtype) for value in graph.inputs}
    if node.type == "Loop":
        for value, dtype in zip(graph.inputs[:2], ("int64", "bool"), strict=False):
            known[value.name] = Value((), dtype)
    if node.type == "Scan":
        scanned = node.attributes.get("num_scan_inputs", 0)
        first = len(graph.inputs) - (scanned if isinstance(scanned, int) else 0)
        for place, (value, start) in enumerate(zip(graph.inputs, outer, strict=False)):
            if value.shape is None and place >= first >= 0 and start.shape:
                known[value.name] = Value(start.shape[1:], start.dtype)
    return known


def _joined(node: RawNode, ends: list[list[Value]]) -> list[Value]:
    """Return the outputs of a node from those of its bodies: what the branches of an If agree on, and so forth."""
    if node.type == "If":
        return [_agreed(values) for values in zip(*ends, strict=False)]
    if not ends:
        return []
    results = ends[0][1:] if node.type == "Loop" else ends[0]
    carried = len(node.inputs) - 2 if node.type == "Loop" else len(node.outputs) - _scan_outputs(node)
    return [
        Value(value.shape, value.dtype)
        if slot < carried
        else Value(None if value.shape is None else (None, *value.shape), value.dtype)
        for slot, value in enumerate(results)
    ]


def _scan_outputs(node: RawNode) -> int:
    scanned = node.attributes.get("num_scan_inputs", 0)
    return len(node.outputs) - (len(node.inputs) - (scanned if isinstance(scanned, int) else 0))


def _agreed(values: tuple[Value, ...]) -> Value:
    shapes = [value.shape for value in values]
    if None in shapes or len({len(shape) for shape in shapes if shape is not None}) != 1:
        return Value(None, values[0].dtype)
    sizes = zip(*(shape for shape in shapes if shape is not None), strict=True)
    return Value(tuple(column[0] if len(set(column)) == 1 else None for column in sizes), values[0].dtype)


def _attributes(node: RawNode) -> dict[str, Attribute]:
    """Return the attributes that are numbers, texts and lists; of a ConstantOfShape the value and its type."""
    found: dict[str, Attribute] = {}
    for name, value in node.attributes.items():
        if isinstance(value, RawTensor):
            if node.type == "ConstantOfShape":
                found["value_dtype"] = value.dtype
                number = value.content[0] if value.content else None
                if number is not None:
                    found["value"] = number
        elif not isinstance(value, list):
            found[name] = value
    return found


def _sanitised(value: Value) -> Value:
    """Return the value with impossible dimensions as unknown ones; a tensor that no memory holds as unknown, too."""
    if value.shape is None:
        return value
    count, possible = 1, True
    for size in value.shape:
        count *= size or 1
        possible = possible and (size is None or size >= 0)
    if abs(count) > max_elements or len(value.shape) > max_rank:
        return value._replace(shape=None, content=None)
    if possible:
        return value
    return value._replace(shape=tuple(None if size is None or size < 0 else size for size in value.shape))


def _tensor(name: str, value: Value, declared: RawValue | None) -> Tensor:
    """Return a tensor of what was inferred, completed by what the file declares."""
    shape, dtype = value.shape, value.dtype
    if declared is not None:
        shape = _completed(shape, declared.shape)
        dtype = declared.dtype if dtype == "undefined" else dtype
    return Tensor(name=name, shape=shape, dtype=dtype)


def _completed(shape: Shape | None, declared: Shape | None) -> Shape | None:
    if shape is None or declared is None or len(shape) != len(declared):
        return declared if shape is None else shape
    return tuple(other if size is None else size for size, other in zip(shape, declared, strict=True))


def _constant(name: str, stored: RawTensor) -> Tensor:
    wanted = tensor_bytes(Tensor(name=name, shape=stored.shape, dtype=stored.dtype))
    size = stored.bytes or wanted or 0
    return Tensor(
        name=name,
        shape=stored.shape,
        dtype=stored.dtype,
        constant_bytes=size,
        constant_offset=stored.offset,
        sparse=stored.sparse,
    )


def _unknown(shape: Shape | None) -> bool:
    return shape is None or None in shape
