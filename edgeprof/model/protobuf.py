"""A reader of protobuf's wire format that skips what it is not asked for and trusts no length.

https://protobuf.dev/programming-guides/encoding/ describes the format.
"""

from __future__ import annotations

from struct import error, unpack_from
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.errors import ModelInvalid
from edgeprof.model.reading import max_name_bytes

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

    from edgeprof.model.reading import Budget

varint, fixed64, delimited, fixed32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field of a message: its number and wire type, its value (a varint) or where its bytes start, and its end."""

    number: int
    wire: int
    value: int
    end: int


class ProtoReader:
    """Bytes that claim to be a protobuf message. Every method raises ModelInvalid for what they cannot be."""

    def __init__(self, memory: mmap.mmap | bytes, budget: Budget) -> None:
        self.memory = memory
        self.size = len(memory)
        self.budget = budget

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """Yield the fields between two positions, in order, without reading what they hold."""
        position, memory = start, self.memory
        while position < end:
            self.budget.spend(1)
            # One byte is enough for nearly all keys and most lengths: this loop is where the time of a reader goes.
            key = memory[position]
            position += 1
            if key > 0x7F:  # the top bit says that more follows
                key, position = self.varint(position - 1, end)
            wire = key & 7
            if wire in (fixed32, fixed64):
                length = 4 if wire == fixed32 else 8
            elif wire in (varint, delimited):
                length, position = self.varint(position, end)
                if wire == varint:
                    yield Field(key >> 3, wire, length, position)
                    continue
            else:
                raise ModelInvalid(f"byte {position:,} is not protobuf: wire type {wire}")
            stop = position + length
            if key < 8 or stop > end:  # field 0 does not exist
                raise ModelInvalid(
                    f"field {key >> 3} at byte {position:,} ends at byte {stop:,}, its message at {end:,}",
                    hint="is the file truncated?",
                )
            yield Field(key >> 3, wire, position, stop)
            position = stop

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """Return an unsigned number of up to 64 bits and the position behind it."""
        memory = self.memory
        if position < end and memory[position] < 0x80:  # the top bit says that more follows
            return memory[position], position + 1
        value = shift = 0
        while position < end and shift < 70:  # ten groups of seven bits
            byte = memory[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # the top bit says that more follows
                return value & 0xFFFFFFFFFFFFFFFF, position
            shift += 7
        raise ModelInvalid(f"the number that ends at byte {position:,} is damaged")

    def integers(self, field: Field) -> tuple[int, ...]:
        """Return one or several signed 64-bit numbers: packed ones, or the one of this field."""
        if field.wire == varint:
            return (signed(field.value),)
        if field.wire != delimited:
            raise ModelInvalid(f"a whole number is wanted at byte {field.value:,}")
        numbers, position = [], field.value
        while position < field.end:
            self.budget.spend(1)
            value, position = self.varint(position, field.end)
            numbers.append(signed(value))
        return tuple(numbers)

    def floats(self, field: Field) -> tuple[float, ...]:
        """Return one or several 32-bit floats."""
        if field.wire == varint:
            raise ModelInvalid("a float is wanted where the file has a whole number")
        count = (field.end - field.value) // 4
        self.budget.spend(count)
        return self.unpack(f"<{count}f", field.value)

    def unpack(self, layout: str, position: int) -> tuple[int | float, ...]:
        """Return numbers in struct's notation, from a position."""
        try:
            return unpack_from(layout, self.memory, position)
        except error:
            raise ModelInvalid(f"numbers are wanted at byte {position:,}, the file has {self.size:,} bytes") from None

    def text(self, field: Field) -> str:
        """Return a string; bytes that are not UTF-8 are replaced."""
        if field.wire != delimited:
            raise ModelInvalid(f"a text is wanted at byte {field.end:,}")
        length = field.end - field.value
        if length > max_name_bytes:
            raise ModelInvalid(
                f"a name at byte {field.value:,} has {length:,} bytes; at most {max_name_bytes:,} make sense"
            )
        self.budget.spend(length // 16)
        return self.memory[field.value : field.end].decode("utf-8", "replace")

    def inside(self, field: Field) -> Iterator[Field]:
        """Yield the fields of the message that this field holds."""
        if field.wire != delimited:
            raise ModelInvalid(f"a message is wanted at byte {field.end:,}")
        return self.fields(field.value, field.end)


def signed(value: int) -> int:
    """Return a 64-bit varint as the signed number that it stands for."""
    return value - (1 << 64) if value >> 63 else value
