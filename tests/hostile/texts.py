"""Texts that mean something to a terminal, a CI system, Markdown or a spreadsheet, and models and records of them."""

from __future__ import annotations

import re
import struct
from typing import Any

import msgspec
from msgspec import inspect

EVIL = (
    "\x1b]0;PWNED\x07\x1b[2J\x9b31m\u202eevil\r\n::error title=x::injected\n##[group]x ##vso[task.x]"
    "\u2028\n::warning::\x85\u200b\x7f|<b>`@here`[x](y)"
)
"""Every kind at once: a title, a cleared screen, C1, a reversed text, workflow commands, separators, Markdown."""
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)
COMMAND = re.compile(r"^\s*::|##[A-Za-z]*\[")
OURS = re.compile(r"\x1b\[[0-9;]*m|\r?\x1b\[[0-2]?K|\r?\x1b\[\d*A|\x1b\[\?25[lh]")
"""What edgeprof itself writes on a terminal: colours, and how progress draws its line again."""


def assert_harmless(text: str, *, terminal: bool = False) -> None:
    """Assert that nothing in an output acts on what shows it."""
    if terminal:
        text = OURS.sub("", text.replace("\r\n", "\n"))
    found = FORBIDDEN.search(text)
    assert found is None, repr(text[max(0, found.start() - 60) : found.end() + 60])
    for line in text.splitlines():
        assert not COMMAND.search(line), repr(line)


def renamed(model: bytes, names: dict[str, str]) -> bytes:
    """Return a flatbuffer whose strings of these names are others: new ones at its end, every offset moved there."""
    out = bytearray(model)
    for old, new in names.items():
        text, said = old.encode(), new.encode()
        wanted = struct.pack("<I", len(text)) + text + b"\0"
        found = model.find(wanted)
        while found != -1:
            out.extend(b"\0" * (-len(out) % 4))
            place = len(out)
            out.extend(struct.pack("<I", len(said)) + said + b"\0")
            for field in range(max(0, found - 65536) // 4 * 4, found, 4):
                if field + struct.unpack_from("<I", model, field)[0] == found:
                    struct.pack_into("<I", out, field, place - field)
            found = model.find(wanted, found + 1)
    return bytes(out)


def hostile(record: msgspec.Struct) -> Any:  # noqa: ANN401  a record of the same type
    """Return a record with every text that may be any text replaced by one that is hostile."""
    kind = inspect.type_info(type(record))
    content = _hostile(msgspec.to_builtins(record), kind)
    return msgspec.convert(content, type(record))


def _hostile(value: Any, kind: inspect.Type) -> Any:  # noqa: ANN401, PLR0911  one a kind
    match kind:
        case inspect.StrType():
            return f"{EVIL}{value}"
        case inspect.AnyType():
            return _untyped(value)
        case inspect.UnionType(types=types):
            if value is None:
                return None
            texts = [one for one in types if isinstance(one, inspect.StrType)]
            return _untyped(value) if texts else _hostile(value, next(t for t in types if _fits(t)))
        case inspect.StructType(fields=fields):
            known = {field.encode_name: field.type for field in fields}
            return {name: _hostile(one, known[name]) if name in known else one for name, one in value.items()}
        case inspect.DictType(value_type=inner):
            return {name: _hostile(one, inner) for name, one in value.items()}
        case inspect.VarTupleType(item_type=inner) | inspect.ListType(item_type=inner):
            return [_hostile(one, inner) for one in value]
        case _:
            return value


def _fits(kind: inspect.Type) -> bool:
    return not isinstance(kind, inspect.NoneType)


def _untyped(value: Any) -> Any:  # noqa: ANN401  whatever JSON holds
    if isinstance(value, str):
        return f"{EVIL}{value}"
    if isinstance(value, dict):
        return {name: _untyped(one) for name, one in value.items()}
    return [_untyped(one) for one in value] if isinstance(value, list) else value
