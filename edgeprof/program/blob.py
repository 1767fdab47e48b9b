"""The bytes of a program: firmware_stubs/core/ep_program.h says what each word means."""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

magic: Final = 0x47525045
version: Final = 1
in_program: Final = 0x80000000
header_words: Final = 12

codes: Final = {
    name: number
    for number, name in enumerate(
        (
            "CONV", "DEPTHWISE", "AVERAGE_POOL", "MAX_POOL", "ADD", "MUL", "SOFTMAX", "TABLE", "COPY", "PAD", "MEAN",
            "CONCATENATION", "QUANTIZE", "DEQUANTIZE",
        ),
        start=1,
    )
}  # fmt: skip


class Command(NamedTuple):
    """An operator of a program: its code, its place in the model, its parameters as words."""

    code: str
    position: int
    words: tuple[int, ...]
    name: str
    type: str


class Described(NamedTuple):
    """A tensor that goes in or comes out."""

    place: int
    bytes: int
    name: str
    type: str
    shape: str


class Constants:
    """What lies behind the operators, each at a multiple of 16.

    Equal constants are kept once. Places are handed out before the size of the operators is known: until they are
    written, they are relative to the first constant.
    """

    def __init__(self) -> None:
        self.content = bytearray()
        self._known: dict[bytes, int] = {}

    def place(self, content: bytes) -> int:
        """Return where these bytes lie."""
        if content not in self._known:
            self.content += bytes(-len(self.content) % 16)
            self._known[content] = len(self.content)
            self.content += content
        return in_program | self._known[content]


class Blob(NamedTuple):
    """The bytes, and how many of them would be flashed."""

    content: bytes
    core_bytes: int


def write_blob(
    commands: list[Command],
    constants: bytes,
    inputs: list[Described],
    outputs: list[Described],
    arena_bytes: int,
) -> Blob:
    """Return the program; places of constants in commands and tensors are relative to the first constant."""
    operators_at = header_words * 4
    operator_bytes = sum(4 + 4 * len(command.words) for command in commands)
    tensors_at = operators_at + operator_bytes
    base = _aligned(tensors_at + 20 * (len(inputs) + len(outputs)))
    names = _Names(_aligned(base + len(constants)))
    operators = b"".join(_command(command, base) for command in commands)
    tensors = b"".join(_tensor(tensor, base, names) for tensor in (*inputs, *outputs))
    operator_names = b"".join(
        struct.pack("<II", names.add(command.name), names.add(command.type)) for command in commands
    )
    text = names.content + bytes(-len(names.content) % 4)
    core_bytes = names.start
    body = operators + tensors
    body += bytes(base - operators_at - len(body)) + constants
    body += bytes(core_bytes - operators_at - len(body)) + text + operator_names
    total = operators_at + len(body)
    rest = struct.pack(
        "<8I",
        core_bytes,
        arena_bytes,
        len(commands),
        operators_at,
        len(inputs),
        len(outputs),
        tensors_at,
        core_bytes + len(text),
    )
    crc = zlib.crc32(rest + body)
    return Blob(struct.pack("<4I", magic, version, total, crc) + rest + body, core_bytes)


def _aligned(size: int) -> int:
    return -(-size // 16) * 16


class _Names:
    """Texts that end in 0, each kept once."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.content = bytearray()
        self._known: dict[str, int] = {}

    def add(self, text: str) -> int:
        if text not in self._known:
            self._known[text] = self.start + len(self.content)
            self.content += text.encode("utf-8", "replace")[:200].replace(b"\0", b"?") + b"\0"
        return self._known[text]


def _command(command: Command, base: int) -> bytes:
    words = [_rebased(word, base) for word in command.words]
    head = codes[command.code] | len(words) << 8 | command.position << 16
    return struct.pack(f"<{1 + len(words)}I", head, *words)


def _tensor(tensor: Described, base: int, names: _Names) -> bytes:
    place = _rebased(tensor.place, base)
    return struct.pack(
        "<5I", place, tensor.bytes, names.add(tensor.name), names.add(tensor.type), names.add(tensor.shape)
    )


def _rebased(word: int, base: int) -> int:
    """Add the base to places in the program; parameters are signed, and only places are as large when they are not."""
    return word + base if word >= in_program else word & 0xFFFFFFFF
