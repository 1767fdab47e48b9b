"""A reader of flatbuffers that trusts nothing: every offset is checked, no vector is copied before it is wanted.

Positions are bytes from the start of the file; 0 stands for a field that is absent.
https://flatbuffers.dev/internals/ describes the layout.
"""

from __future__ import annotations

from struct import Struct, error, unpack_from
from typing import TYPE_CHECKING, Final

from edgeprof.errors import ModelInvalid
from edgeprof.model.reading import max_name_bytes

if TYPE_CHECKING:
    import mmap

    from edgeprof.model.reading import Budget

int8, uint8 = Struct("<b"), Struct("<B")
int32, uint32 = Struct("<i"), Struct("<I")
int64, uint64 = Struct("<q"), Struct("<Q")
float32 = Struct("<f")
_table_head: Final = Struct("<i")
_vtable_head: Final = Struct("<H")
# The widest table of the TFLite schema has 17 fields; what lies behind is of a newer schema.
_most_fields: Final = 20


class FlatBuffer:
    """Bytes that claim to be a flatbuffer. Every method raises ModelInvalid for what lies outside of them."""

    def __init__(self, memory: mmap.mmap | bytes, budget: Budget) -> None:
        self.memory = memory
        self.size = len(memory)
        self.budget = budget
        self._vtables: dict[int, tuple[int, ...]] = {}
        self._table = -1
        self._offsets: tuple[int, ...] = ()

    def root(self) -> int:
        """Return the position of the root table."""
        return self._follow(0)

    def scalar(self, table: int, slot: int, kind: Struct, default: float = 0) -> int | float:
        """Return a number of this table, or its default where the writer left it out."""
        position = self.field(table, slot)
        if not position:
            return default
        number: int | float = self._number(kind, position)
        return number

    def integer(self, table: int, slot: int, kind: Struct, default: int = 0) -> int:
        """Return a whole number of this table, or its default where the writer left it out."""
        return int(self.scalar(table, slot, kind, default))

    def table(self, table: int, slot: int) -> int:
        """Return the position of the table that a field points at, or 0."""
        position = self.field(table, slot)
        return self._follow(position) if position else 0

    def tables(self, table: int, slot: int) -> list[int]:
        """Return the positions of the tables in a vector."""
        start, count = self.vector(table, slot, 4)
        if not count:
            return []
        self.budget.spend(count)
        offsets = unpack_from(f"<{count}I", self.memory, start)
        positions = [start + 4 * index + offset for index, offset in enumerate(offsets)]
        if max(positions) + 4 > self.size:
            raise ModelInvalid(f"a table lies at byte {max(positions):,}, outside the file of {self.size:,} bytes")
        return positions

    def integers(self, table: int, slot: int, kind: Struct = int32) -> tuple[int, ...]:
        """Return a vector of whole numbers."""
        start, count = self.vector(table, slot, kind.size)
        if not count:
            return ()
        self.budget.spend(1 + count // 4)  # unpacked at once: scales of many channels cost less than tables
        return unpack_from(f"<{count}{kind.format[-1]}", self.memory, start)

    def floats(self, table: int, slot: int) -> tuple[float, ...]:
        """Return a vector of 32-bit floats."""
        start, count = self.vector(table, slot, 4)
        self.budget.spend(count // 4)
        return unpack_from(f"<{count}f", self.memory, start) if count else ()

    def text(self, table: int, slot: int) -> str:
        """Return a string; bytes that are not UTF-8 are replaced."""
        start, count = self.vector(table, slot, 1)
        if count > max_name_bytes:
            raise ModelInvalid(f"a name at byte {start:,} has {count:,} bytes; at most {max_name_bytes:,} make sense")
        self.budget.spend(count // 16)
        return self.memory[start : start + count].decode("utf-8", "replace")

    def vector(self, table: int, slot: int, item_bytes: int) -> tuple[int, int]:
        """Return where the items of a vector start and how many there are."""
        position = self.field(table, slot)
        if not position:
            return 0, 0
        start = self._follow(position) + 4
        count = self._number(uint32, start - 4)
        if start + count * item_bytes > self.size:
            raise ModelInvalid(
                f"a vector of {count:,} items at byte {start - 4:,} ends outside the file of {self.size:,} bytes"
            )
        return start, count

    def field(self, table: int, slot: int) -> int:
        """Return the position of a field, or 0 where it is absent."""
        if table != self._table:
            # The fields of one table are read one after the other: its list of fields is looked up once.
            vtable = table - self._number(_table_head, table)
            offsets = self._vtables.get(vtable)
            if offsets is None:
                offsets = self._vtables[vtable] = self._read_vtable(vtable)
            self._table, self._offsets = table, offsets
        if slot >= len(self._offsets):
            return 0
        offset = self._offsets[slot]
        return table + offset if offset else 0

    def _read_vtable(self, vtable: int) -> tuple[int, ...]:
        if not 0 <= vtable <= self.size - 4:
            raise ModelInvalid(f"a table points at byte {vtable:,}, outside the file of {self.size:,} bytes")
        length = self._number(_vtable_head, vtable)
        count = min((length - 4) // 2, _most_fields)
        if count < 0 or vtable + 4 + 2 * count > self.size:
            raise ModelInvalid(f"the list of fields at byte {vtable:,} is damaged: it claims {length} bytes")
        self.budget.spend(count)
        return unpack_from(f"<{count}H", self.memory, vtable + 4)

    def _follow(self, position: int) -> int:
        target = position + self._number(uint32, position)
        if target + 4 > self.size:
            raise ModelInvalid(f"byte {position:,} points at byte {target:,}, outside the file of {self.size:,} bytes")
        return target

    def _number(self, kind: Struct, position: int) -> int:
        try:
            number: int = kind.unpack_from(self.memory, position)[0]
        except error:
            raise ModelInvalid(
                f"a number is wanted at byte {position:,}, the file has {self.size:,} bytes", hint="is it truncated?"
            ) from None
        return number
