"""A writer of small .tflite files for tests: tables as dicts of slot to value, no flatbuffers package."""

from __future__ import annotations

import struct


class Table(dict[int, object]):
    """Fields of a flatbuffer table by slot: ("i", 3) a number, ("i", [1, 2]) a vector, text, bytes, tables."""


def written(root: Table) -> bytes:
    """Return the bytes of a flatbuffer with the identifier TFL3."""
    out = bytearray(b"\0\0\0\0TFL3")
    struct.pack_into("<I", out, 0, _table(out, root))
    return bytes(out)


def _align(out: bytearray, size: int = 8) -> None:
    out.extend(b"\0" * (-len(out) % size))


def _table(out: bytearray, table: Table) -> int:
    """Append a table: the fields, 8 bytes each, then what they point at. Return where it starts."""
    _align(out)
    slots = max(table, default=-1) + 1
    vtable = len(out)
    offsets = [0] * slots
    for place, slot in enumerate(sorted(table)):
        offsets[slot] = 8 + 8 * place
    out.extend(struct.pack(f"<HH{slots}H", 4 + 2 * slots, 8 + 8 * len(table), *offsets))
    _align(out)
    start = len(out)
    out.extend(struct.pack("<ii", start - vtable, 0) + bytes(8 * len(table)))
    for slot, cell in table.items():
        place = start + offsets[slot]
        match cell:
            case (str(kind), int() | float() as number):
                struct.pack_into(f"<{kind}", out, place, number)
            case _:
                target = _pointed(out, cell)
                struct.pack_into("<I", out, place, target - place)
    return start


def _pointed(out: bytearray, cell: object) -> int:
    match cell:
        case Table():
            return _table(out, cell)
        case str():
            return _vector(out, "B", list(cell.encode()), 1)
        case bytes():
            return _vector(out, "B", list(cell), 16)
        case (str(kind), list(numbers)):
            return _vector(out, kind, numbers, 8)
        case list(tables):
            _align(out)
            start = len(out)
            out.extend(struct.pack("<I", len(tables)) + bytes(4 * len(tables)))
            for index, table in enumerate(tables):
                place = start + 4 + 4 * index
                struct.pack_into("<I", out, place, _table(out, table) - place)
            return start
        case _:
            raise TypeError(cell)


def _vector(out: bytearray, kind: str, numbers: list[int] | list[float], alignment: int) -> int:
    _align(out, max(alignment, 4))
    # The length lies in the four bytes before the first item, which is aligned.
    out.extend(b"\0" * (max(alignment, 4) - 4))
    start = len(out)
    out.extend(struct.pack(f"<I{len(numbers)}{kind}", len(numbers), *numbers))
    return start


def tensor(
    name: str,
    shape: list[int],
    dtype: int = 9,
    buffer: int = 0,
    *,
    signature: list[int] | None = None,
    scales: list[float] | None = None,
    variable: bool = False,
) -> Table:
    """Return a tensor; type 9 is int8, 0 float32, 1 float16, 2 int32, 17 int4."""
    table = Table({0: ("i", shape), 1: ("b", dtype), 2: ("I", buffer), 3: name})
    if signature is not None:
        table[7] = ("i", signature)
    if scales is not None:
        table[4] = Table({2: ("f", scales), 3: ("q", [0] * len(scales)), 6: ("i", 0)})
    if variable:
        table[5] = ("B", 1)
    return table


def operator(code: int, inputs: list[int], outputs: list[int], kind: int = 0, options: Table | None = None) -> Table:
    """Return an operator; `kind` is the number of its table of options."""
    table = Table({0: ("I", code), 1: ("i", inputs), 2: ("i", outputs)})
    if options is not None:
        table[3] = ("B", kind)
        table[4] = options
    return table


def subgraph(tensors: list[Table], operators: list[Table], inputs: list[int], outputs: list[int]) -> Table:
    """Return a subgraph."""
    return Table({0: tensors, 1: ("i", inputs), 2: ("i", outputs), 3: operators, 4: "main"})


def code(builtin: int, custom: str = "") -> Table:
    """Return an operator code."""
    table = Table({0: ("b", min(builtin, 127)), 3: ("i", builtin)})
    if custom:
        table[1] = custom
    return table


def model(
    codes: list[Table], subgraphs: list[Table], buffers: list[bytes], metadata: dict[str, int] | None = None
) -> bytes:
    """Return a .tflite file; buffer 0 is empty and the given ones follow. Metadata are numbers of buffers."""
    tables = [Table(), *(Table({0: data}) if data else Table() for data in buffers)]
    named = [Table({0: name, 1: ("I", buffer)}) for name, buffer in (metadata or {}).items()]
    return written(Table({0: ("I", 3), 1: codes, 2: subgraphs, 3: "test", 4: tables, 6: named}))


def small_convolution() -> bytes:
    """Return an int8 CONV_2D 3x3 of 8x8x2 into 4 channels with a bias, then RESHAPE: 8*8*4*3*3*2 MACs."""
    tensors = [
        tensor("image", [1, 8, 8, 2], signature=[-1, 8, 8, 2], scales=[0.5]),
        tensor("kernel", [4, 3, 3, 2], buffer=1, scales=[0.1, 0.2, 0.3, 0.4]),
        tensor("bias", [4], dtype=2, buffer=2, scales=[0.05] * 4),
        tensor("features", [1, 8, 8, 4], signature=[-1, 8, 8, 4], scales=[0.5]),
        tensor("target", [2], dtype=2, buffer=3),
        tensor("flat", [1, 256], signature=[-1, 256], scales=[0.5]),
    ]
    convolution = Table({0: ("b", 0), 1: ("i", 1), 2: ("i", 1), 3: ("b", 1)})
    operators = [operator(0, [0, 1, 2], [3], 1, convolution), operator(1, [3, 4], [5], 17, Table())]
    graph = subgraph(tensors, operators, [0], [5])
    return model([code(3), code(22)], [graph], [bytes(72), bytes(16), struct.pack("<2i", -1, 256)])
