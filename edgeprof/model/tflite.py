"""Read a .tflite file into a Graph: tables only, no weights. The cost grows with nodes, not with bytes."""

from __future__ import annotations

from itertools import starmap
from struct import unpack_from
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.errors import ModelInvalid, ModelUnsupported
from edgeprof.model.flatbuffer import FlatBuffer, float32, int8, int32, int64, uint8, uint32, uint64
from edgeprof.model.graph import Attribute, Graph, Operator, Quantization, Shape, Subgraph, Tensor
from edgeprof.model.reading import Budget, checked_shape, max_depth
from edgeprof.model.tflite_body import Body
from edgeprof.model.tflite_schema import (
    Option,
    builtin_options,
    builtin_options_2,
    enumerations,
    operator_names,
    type_names,
)

if TYPE_CHECKING:
    import mmap
    from collections.abc import Mapping

_kinds = {"b": int8, "B": uint8, "?": uint8, "i": int32, "I": uint32, "q": int64, "f": float32, "graph": int32}
_schema_version = 3


class Stored(NamedTuple):
    """Where the bytes of one buffer lie in the file; no bytes, no constant."""

    offset: int | None
    bytes: int


class Code(NamedTuple):
    """An entry of the operator codes: the name of the type, whether it is a custom one, and its version."""

    type: str
    custom: bool
    version: int = 1


def is_tflite(memory: mmap.mmap | bytes) -> bool:
    """Say whether these bytes carry the file identifier of TFLite."""
    return memory[4:8] == b"TFL3"


def read_tflite(memory: mmap.mmap | bytes, name: str, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Graph:
    """Return the graph of a TFLite flatbuffer, without its digest.

    Raises ModelInvalid for a damaged file, ModelUnsupported for one that is too large to be read safely and
    UsageError for `shapes` that do not fit its inputs.
    """
    from edgeprof.model.tflite_shapes import resolve

    reader = _Reader(memory)
    bodies, warnings = resolve(reader.bodies(), shapes or {}, reader.values)
    main, *others = bodies
    _refuse_cycles(bodies)
    return Graph(
        format="tflite",
        name=name,
        bytes=len(memory),
        sha256="",
        tensors=main.tensors,
        operators=main.operators,
        inputs=main.inputs,
        outputs=main.outputs,
        subgraphs=tuple(others),
        opset=f"schema {reader.version}",
        producer=reader.flat.text(reader.model, 3),
        offline_offsets=reader.offline_offsets(),
        warnings=(*reader.warnings, *warnings),
    )


class _Reader:
    """One pass over one flatbuffer; what is shared between subgraphs is read once."""

    def __init__(self, memory: mmap.mmap | bytes) -> None:
        self.flat = FlatBuffer(memory, Budget())
        self.model = self.flat.root()
        self.version = self.flat.integer(self.model, 0, uint32)
        if self.version != _schema_version:
            raise ModelUnsupported(f"the file is of TFLite schema version {self.version}; version 3 is wanted")
        self.warnings: list[str] = []
        self._buffers = self.flat.tables(self.model, 4)
        self._external = self._read_external()
        self._codes = [self._code(table) for table in self.flat.tables(self.model, 1)]
        self._tables = self.flat.tables(self.model, 2)
        self._quantizations: dict[int, Quantization | None] = {}
        self._attributes: dict[tuple[object, ...], dict[str, Attribute]] = {}

    def bodies(self) -> list[Body]:
        """Return every subgraph, the main one first."""
        if not self._tables:
            raise ModelInvalid("the file has no subgraph")
        return list(starmap(self._body, enumerate(self._tables)))

    def values(self, tensor: Tensor) -> tuple[int, ...] | None:
        """Return the numbers of a small constant of whole numbers, such as the target of a RESHAPE, else None."""
        letter = {"int32": "i", "int64": "q"}.get(tensor.dtype)
        if letter is None or tensor.constant_offset is None or not tensor.constant_bytes:
            return None
        size = 4 if letter == "i" else 8
        if tensor.constant_bytes > 64 * size or tensor.constant_bytes % size:
            return None
        return unpack_from(f"<{tensor.constant_bytes // size}{letter}", self.flat.memory, tensor.constant_offset)

    def offline_offsets(self) -> tuple[int, ...]:
        """Return the arena plan that the file carries: TFLM's metadata, one offset a tensor after three words."""
        for table in self.flat.tables(self.model, 6):
            if self.flat.text(table, 0) == "OfflineMemoryAllocation":
                stored = self._stored(self.flat.integer(table, 1, uint32))
                if stored.offset is None or stored.bytes < 12:  # version, subgraph, count
                    raise ModelInvalid("the metadata OfflineMemoryAllocation is damaged: it holds no plan")
                count = stored.bytes // 4
                self.flat.budget.spend(count)
                words = unpack_from(f"<{count}i", self.flat.memory, stored.offset)
                return words[3 : 3 + max(words[2], 0)]
        return ()

    def _read_external(self) -> dict[int, int]:
        """Return the sizes of buffers that lie in other files, by their number."""
        flat = self.flat
        return {flat.integer(table, 0, uint32): flat.integer(table, 3, uint64) for table in flat.tables(self.model, 9)}

    def _code(self, table: int) -> Code:
        # Codes up to 127 stand in the old 8-bit field, later ones in the new; the larger of them holds.
        code = max(self.flat.integer(table, 0, int8), self.flat.integer(table, 3, int32))
        version = self.flat.integer(table, 2, int32, 1)
        if not 0 <= code < len(operator_names):
            return Code(f"BUILTIN_{code}", custom=False, version=version)
        if operator_names[code] == "CUSTOM":
            return Code(self.flat.text(table, 1) or "CUSTOM", custom=True, version=version)
        return Code(operator_names[code], custom=False, version=version)

    def _body(self, index: int, table: int) -> Body:
        flat = self.flat
        tensor_tables, operator_tables = flat.tables(table, 0), flat.tables(table, 3)
        flat.budget.spend_tensors(len(tensor_tables))
        flat.budget.spend_operators(len(operator_tables))
        pairs = [self._tensor(position, item) for position, item in enumerate(tensor_tables)]
        tensors = tuple(tensor for tensor, _ in pairs)
        graph = Subgraph(
            name=flat.text(table, 4) or ("main" if index == 0 else f"subgraph_{index}"),
            tensors=tensors,
            operators=tuple(self._operator(position, item, tensors) for position, item in enumerate(operator_tables)),
            inputs=self._indices(table, 1, len(tensors), "input of the graph"),
            outputs=self._indices(table, 2, len(tensors), "output of the graph"),
        )
        return Body(graph, tuple(signature for _, signature in pairs))

    def _tensor(self, index: int, table: int) -> tuple[Tensor, Shape | None]:
        flat = self.flat
        name = flat.text(table, 3) or f"tensor_{index}"
        shape = checked_shape(name, flat.integers(table, 0))
        signature = flat.integers(table, 7) or shape
        if any(size < 0 for size in shape) or len(signature) != len(shape) or min(signature, default=0) < -1:
            # A -1 in `shape` itself is how some converters say that a dimension varies.
            if min((*shape, *signature), default=0) < -1 or len(signature) != len(shape):
                raise ModelInvalid(f"tensor {name!r} has the shape {list(shape)} and the signature {list(signature)}")
            signature = tuple(-1 if size < 0 else known for size, known in zip(shape, signature, strict=True))
        stored = self._stored(flat.integer(table, 2, uint32), flat.integer(table, 10, uint32))
        tensor = Tensor(
            name=name,
            shape=tuple(None if size < 0 else size for size in shape),
            dtype=self._type(name, flat.integer(table, 1, int8)),
            quantization=self._quantization(flat.table(table, 4)),
            constant_bytes=stored.bytes or None,
            constant_offset=stored.offset,
            variable=bool(flat.integer(table, 5, uint8)),
            sparse=bool(flat.table(table, 6)),
        )
        return tensor, tuple(None if size < 0 else size for size in signature)

    def _type(self, name: str, number: int) -> str:
        if 0 <= number < len(type_names):
            return type_names[number]
        self.warnings.append(f"tensor {name!r} is of type {number}, which this version does not know")
        return f"type_{number}"

    def _stored(self, index: int, external: int = 0) -> Stored:
        """Return where a buffer lies: inside the tables, behind them (files above 2 GB), or in another file."""
        flat = self.flat
        if external and external in self._external:
            return Stored(None, self._external[external])
        if index >= len(self._buffers):
            raise ModelInvalid(f"buffer {index} is wanted, the file has {len(self._buffers)}")
        table = self._buffers[index]
        start, count = flat.vector(table, 0, 1)
        if count:
            return Stored(start, count)
        offset, size = flat.integer(table, 1, uint64), flat.integer(table, 2, uint64)
        if offset <= 1 or not size:
            return Stored(None, 0)
        if offset + size > flat.size:
            raise ModelInvalid(f"buffer {index} ends at byte {offset + size:,}, the file has {flat.size:,}")
        return Stored(offset, size)

    def _quantization(self, table: int) -> Quantization | None:
        if not table:
            return None
        if table not in self._quantizations:
            scales = self.flat.floats(table, 2)
            self._quantizations[table] = (
                Quantization(
                    scales=scales,
                    zero_points=self.flat.integers(table, 3, int64),
                    axis=self.flat.integer(table, 6, int32),
                )
                if scales
                else None
            )
        return self._quantizations[table]

    def _operator(self, index: int, table: int, tensors: tuple[Tensor, ...]) -> Operator:
        flat = self.flat
        number = flat.integer(table, 0, uint32)
        if number >= len(self._codes):
            raise ModelInvalid(f"operator {index} is of code {number}, the file has {len(self._codes)} codes")
        code = self._codes[number]
        outputs = self._indices(table, 2, len(tensors), f"output of operator {index} ({code.type})")
        attributes, subgraphs = self._read_attributes(table)
        return Operator(
            name=tensors[outputs[0]].name if outputs and outputs[0] >= 0 else f"{code.type}_{index}",
            type=code.type,
            inputs=self._indices(table, 1, len(tensors), f"input of operator {index} ({code.type})"),
            outputs=outputs,
            attributes=attributes,
            subgraphs=subgraphs,
            custom=code.custom,
            version=code.version,
        )

    def _indices(self, table: int, slot: int, count: int, what: str) -> tuple[int, ...]:
        indices = self.flat.integers(table, slot)
        if indices and (min(indices) < -1 or max(indices) >= count):
            wrong = next(index for index in indices if not -1 <= index < count)
            raise ModelInvalid(f"an {what} is tensor {wrong}; the graph has {count} tensors")
        return indices

    def _read_attributes(self, table: int) -> tuple[dict[str, Attribute], tuple[int, ...]]:
        """Return the options of an operator, equal ones as one object, and the subgraphs that they name."""
        flat = self.flat
        found: list[tuple[str, Attribute]] = []
        subgraphs: list[int] = []
        for slot, unions in ((3, builtin_options), (11, builtin_options_2)):
            options = flat.table(table, slot + 1)
            for option in unions.get(flat.integer(table, slot, uint8), ()) if options else ():
                if option.kind == "graph":
                    subgraphs += self._subgraphs(options, option)
                else:
                    found.append((option.name, self._attribute(options, option)))
        # 1 == 1.0 == True: the kinds must be part of the key for equal options to be the same ones.
        key = tuple((name, type(value), value) for name, value in found)
        return self._attributes.setdefault(key, dict(found)), tuple(subgraphs)

    def _attribute(self, table: int, option: Option) -> Attribute:
        flat = self.flat
        if option.many:
            return flat.floats(table, option.slot) if option.kind == "f" else self._integers(table, option)
        if option.kind == "s":
            return flat.text(table, option.slot)
        value = flat.scalar(table, option.slot, _kinds.get(option.kind, int8), option.default)
        names = enumerations.get(option.kind)
        if names is None:
            return value
        return names[int(value)] if 0 <= value < len(names) else f"{option.kind}_{value}"

    def _integers(self, table: int, option: Option) -> tuple[int, ...]:
        return self.flat.integers(table, option.slot, _kinds[option.kind])

    def _subgraphs(self, table: int, option: Option) -> list[int]:
        numbers = self._integers(table, option) if option.many else (self.flat.integer(table, option.slot, int32),)
        for number in numbers:
            # 0 is the main graph, which nothing may call: it would call itself.
            if not 0 < number < len(self._tables) and not (number < 0 and not option.many):
                raise ModelInvalid(f"an operator calls subgraph {number}; the file has 1 to {len(self._tables) - 1}")
        return [number - 1 for number in numbers if number > 0]


def _refuse_cycles(bodies: list[Subgraph]) -> None:
    """Raise ModelInvalid where a subgraph calls itself, and ModelUnsupported where calls nest too deeply.

    Position 0 is the main graph.
    """
    calls = [sorted({called + 1 for node in body.operators for called in node.subgraphs}) for body in bodies]
    height: dict[int, int] = {}
    for start in range(len(bodies)):
        path, pending, open_calls = [start], [iter(calls[start])], {start}
        while pending:
            called = next((item for item in pending[-1] if item not in height), None)
            if called is None:
                pending.pop()
                done = path.pop()
                open_calls.discard(done)
                height[done] = 1 + max((height[item] for item in calls[done]), default=0)
                if height[done] > max_depth:
                    raise ModelUnsupported(f"subgraphs call each other more than {max_depth} deep")
            elif called in open_calls:
                raise ModelInvalid(f"subgraph {called} ({bodies[called].name!r}) calls itself")
            else:
                path.append(called)
                open_calls.add(called)
                pending.append(iter(calls[called]))
