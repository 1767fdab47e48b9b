"""A .tflite graph to a program: places in the arena, constants in the order in which the kernels read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from edgeprof.errors import ModelUnsupported
from edgeprof.model.arena import greedy_arena_plan
from edgeprof.model.graph import tensor_bytes
from edgeprof.program.blob import Command, Described, write_blob
from edgeprof.program.lowering import LOWERINGS, Source, Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgeprof.model.graph import Graph, Operator

_aliases = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
_most_operators = 65535
_two_inputs = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL", "PAD", "PADV2", "MEAN"})
HINT = "firmware_stubs/README.md lists what the reference executor runs; another engine can be compiled in"


class ProgramTensor(Struct, frozen=True, kw_only=True):
    """What goes in or comes out, and where it lies in the arena (None in the program itself)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    offset_bytes: int | None


class ProgramOperator(Struct, frozen=True, kw_only=True):
    """An operator that is executed; `position` is its place in the model, whose other operators cost nothing."""

    position: int
    name: str
    type: str


class Program(Struct, frozen=True, kw_only=True):
    """A packed model: `content` is what is uploaded, `core_bytes` of it (without the names) would be flashed."""

    content: bytes
    core_bytes: int
    arena_bytes: int
    operators: tuple[ProgramOperator, ...]
    inputs: tuple[ProgramTensor, ...]
    outputs: tuple[ProgramTensor, ...]
    notes: tuple[str, ...] = ()


def pack_program(graph: Graph, path: Path) -> Program:
    """Return the program of a model; `path` is the file that the graph was read from, for its weights.

    Raises ModelUnsupported, naming the operators, where the reference executor cannot run the model.
    """
    _check(graph)
    shared = _shared(graph)
    plan = greedy_arena_plan(_planned(graph, shared))
    if plan.planner_bytes is None:
        raise ModelUnsupported(f"{graph.name} has no arena plan: {plan.reason}", hint=HINT)
    offsets = {tensor.tensor: tensor.offset_bytes for tensor in plan.tensors}
    offsets |= {target: offsets[root] for target, root in shared.places.items() if root in offsets}
    source = Source(_with_constants(graph, shared), path.read_bytes(), offsets)
    commands = [
        _lowered(source, position, operator)
        for position, operator in enumerate(graph.operators)
        if position not in shared.skipped
    ]
    inputs = [_described(source, index) for index in graph.inputs]
    outputs = [_described(source, index) for index in graph.outputs]
    blob = write_blob(commands, bytes(source.constants.content), inputs, outputs, plan.planner_bytes)
    return Program(
        content=blob.content,
        core_bytes=blob.core_bytes,
        arena_bytes=plan.planner_bytes,
        operators=tuple(ProgramOperator(position=c.position, name=c.name, type=c.type) for c in commands),
        inputs=tuple(_program_tensor(source, index, offsets) for index in graph.inputs),
        outputs=tuple(_program_tensor(source, index, offsets) for index in graph.outputs),
        notes=_notes(shared.skipped),
    )


def _notes(skipped: frozenset[int]) -> tuple[str, ...]:
    if not skipped:
        return ()
    return (
        f"{len(skipped)} operators that only change a shape cost nothing: their output lies where their input does",
    )


def _check(graph: Graph) -> None:
    if graph.format != "tflite":
        raise ModelUnsupported(
            f"{graph.name} is an ONNX model; microcontrollers run .tflite models quantised to int8",
            hint="convert it to .tflite with int8 quantisation first",
        )
    known = {*LOWERINGS, *_aliases}
    missing = sorted({operator.type for operator in graph.operators if operator.custom or operator.type not in known})
    if missing:
        raise ModelUnsupported(
            f"{graph.name} needs {', '.join(missing)}: the reference executor has no such operator", hint=HINT
        )
    if graph.subgraphs or len(graph.operators) > _most_operators:
        raise ModelUnsupported(f"{graph.name} has subgraphs: the reference executor runs a single graph", hint=HINT)
    for position, operator in enumerate(graph.operators):
        if not _complete(operator):
            what = _named(graph, position, operator)
            raise ModelUnsupported(f"{what}: an input or its output is left out", hint=HINT)
    variable = [tensor.name for tensor in graph.tensors if tensor.variable]
    if variable:
        raise ModelUnsupported(
            f"{graph.name} keeps state in {variable[0]!r}: the reference executor has none", hint=HINT
        )


def _complete(operator: Operator) -> bool:
    """Say whether the tensors that an operator cannot do without are there."""
    needed = 2 if operator.type in _two_inputs else 1
    given = (*operator.inputs[:needed], *operator.outputs[:1])
    return len(given) == needed + 1 and min(given) >= 0


def _named(graph: Graph, position: int, operator: Operator) -> str:
    return f"{graph.name}: operator {position} ({operator.type}, {operator.name!r})"


def _lowered(source: Source, position: int, operator: Operator) -> Command:
    try:
        code, words = LOWERINGS[operator.type](source, operator)
    except Unsupported as error:
        raise ModelUnsupported(f"{_named(source.graph, position, operator)}: {error}", hint=HINT) from error
    return Command(code, position, words, operator.name, operator.type)


# ── operators that only change a shape ───────────────────────────────────────────────────────────────────────────────


class _Shared(Struct, frozen=True):
    """Operators that are not executed, and for the output of each the tensor whose bytes it has."""

    skipped: frozenset[int]
    places: dict[int, int]


def _shared(graph: Graph) -> _Shared:
    """Find the reshapes whose output is their input's bytes; what follows them still reads the output's own shape."""
    places: dict[int, int] = {}
    skipped = set()
    for position, operator in enumerate(graph.operators):
        if operator.type not in _aliases:
            continue
        root = places.get(operator.inputs[0], operator.inputs[0])
        if _may_share(graph, root, operator.outputs[0]):
            places[operator.outputs[0]] = root
            skipped.add(position)
    return _Shared(frozenset(skipped), places)


def _may_share(graph: Graph, root: int, target: int) -> bool:
    """Say whether both are the same bytes; an input or output of the graph is no output besides."""
    before, after = graph.tensors[root], graph.tensors[target]
    ends = {*graph.inputs, *graph.outputs}
    return tensor_bytes(before) == tensor_bytes(after) and not (root in ends and target in graph.outputs)


def _planned(graph: Graph, shared: _Shared) -> Graph:
    """Return the graph to plan: each shared tensor is used wherever its reshapes are, which take no room themselves."""

    def rooted(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(shared.places.get(index, index) for index in indices)

    operators = tuple(
        # It stays in its place, so that positions do not move, but lives for nobody.
        replace(operator, inputs=(), outputs=())
        if position in shared.skipped
        else replace(operator, inputs=rooted(operator.inputs))
        for position, operator in enumerate(graph.operators)
    )
    tensors = tuple(
        replace(tensor, constant_bytes=0) if index in shared.places else tensor
        for index, tensor in enumerate(graph.tensors)
    )
    return replace(graph, operators=operators, tensors=tensors, outputs=rooted(graph.outputs), offline_offsets=())


def _with_constants(graph: Graph, shared: _Shared) -> Graph:
    """Return the graph in which a reshaped constant is a constant of its own shape at the same place in the file."""
    tensors = list(graph.tensors)
    for target, root in shared.places.items():
        stored = graph.tensors[root]
        tensors[target] = replace(
            tensors[target],
            constant_bytes=stored.constant_bytes,
            constant_offset=stored.constant_offset,
            sparse=stored.sparse,
        )
    return replace(graph, tensors=tuple(tensors))


# ── tensors that go in and come out ──────────────────────────────────────────────────────────────────────────────────


def _described(source: Source, index: int) -> Described:
    tensor = source.graph.tensors[index]
    shape = ",".join(str(size) for size in tensor.shape or ())
    return Described(source.place(index), source.bytes_of(index), tensor.name, tensor.dtype, shape)


def _program_tensor(source: Source, index: int, offsets: Mapping[int, int]) -> ProgramTensor:
    tensor = source.graph.tensors[index]
    return ProgramTensor(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tuple(size or 0 for size in tensor.shape or ()),
        bytes=source.bytes_of(index),
        offset_bytes=offsets.get(index),
    )
