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

    from edgeprof.model.graph import Graph, Operator, Tensor

_aliases = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
_most_operators = 65535
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
    graph, alias = _without_aliases(graph)
    plan = greedy_arena_plan(graph)
    if plan.planner_bytes is None:
        raise ModelUnsupported(f"{graph.name} has no arena plan: {plan.reason}", hint=HINT)
    offsets = {tensor.tensor: tensor.offset_bytes for tensor in plan.tensors}
    source = Source(graph, path.read_bytes(), offsets)
    commands = []
    for position, operator in enumerate(graph.operators):
        if position not in alias.skipped:
            commands.append(_lowered(source, position, operator))
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
        notes=_notes(alias.skipped),
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
    variable = [tensor.name for tensor in graph.tensors if tensor.variable]
    if variable:
        raise ModelUnsupported(
            f"{graph.name} keeps state in {variable[0]!r}: the reference executor has none", hint=HINT
        )


def _lowered(source: Source, position: int, operator: Operator) -> Command:
    try:
        code, words = LOWERINGS[operator.type](source, operator)
    except Unsupported as error:
        raise ModelUnsupported(
            f"{source.graph.name}: operator {position} ({operator.type}, {operator.name!r}): {error}", hint=HINT
        ) from error
    return Command(code, position, words, operator.name, operator.type)


# ── operators that only change a shape ───────────────────────────────────────────────────────────────────────────────


class _Aliased(Struct, frozen=True):
    skipped: frozenset[int]


def _without_aliases(graph: Graph) -> tuple[Graph, _Aliased]:
    """Let the output of a reshape be its input wherever it is used, so that the plan gives it no room of its own."""
    same: dict[int, int] = {}
    skipped = set()
    operators = []
    for position, operator in enumerate(graph.operators):
        inputs = tuple(same.get(index, index) for index in operator.inputs)
        if operator.type in _aliases and _may_alias(graph, inputs[0], operator.outputs[0]):
            same[operator.outputs[0]] = inputs[0]
            skipped.add(position)
            # It stays in its place, so that positions do not move, but lives for nobody.
            operators.append(replace(operator, inputs=(), outputs=()))
        else:
            operators.append(replace(operator, inputs=inputs))
    # A tensor with no bytes of its own is to take no place either.
    tensors = tuple(
        replace(tensor, constant_bytes=0) if index in same else tensor for index, tensor in enumerate(graph.tensors)
    )
    outputs = tuple(same.get(index, index) for index in graph.outputs)
    named = _renamed(tensors, graph, outputs)
    return replace(graph, operators=tuple(operators), tensors=named, outputs=outputs, offline_offsets=()), _Aliased(
        frozenset(skipped)
    )


def _renamed(tensors: tuple[Tensor, ...], graph: Graph, outputs: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Give a tensor that stands for an output the output's name and shape."""
    changed = list(tensors)
    for old, new in zip(graph.outputs, outputs, strict=True):
        if old != new and new not in graph.inputs:
            wanted = graph.tensors[old]
            changed[new] = replace(changed[new], name=wanted.name, shape=wanted.shape)
    return tuple(changed)


def _may_alias(graph: Graph, source: int, target: int) -> bool:
    """Say whether both are the same bytes; a constant stays where it is, and an input is not an output."""
    before, after = graph.tensors[source], graph.tensors[target]
    return (
        before.constant_bytes is None
        and tensor_bytes(before) == tensor_bytes(after)
        and not (source in graph.inputs and target in graph.outputs)
        and not (source in graph.outputs and target in graph.outputs)
    )


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
