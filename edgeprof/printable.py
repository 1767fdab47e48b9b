"""What of a text may be shown: the one place that decides it, for terminals, logs, Markdown and JSON.

Names come from models, results, boards and people. `printable` is for a text of one line, `shown` for the texts of a
whole record, `defused` for what was drawn with them, `json_text` for JSON, which keeps its data and escapes it.

What a CI system takes for a command: GitHub's runner a line that begins with `::`, blanks before it or not, and
`##[…]` anywhere in a line (ActionCommand.cs); Azure's agent `##vso[…]`, TeamCity `##teamcity[…]`.
"""

from __future__ import annotations

import re
from itertools import chain
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

REPLACED = "�"
HOSTILE = (
    "\x00-\x09\x0b-\x1f\x7f-\x9f"  # C0 without the line feed, DEL, C1
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or turning text round
    "\ud800-\udfff\U000e0000-\U000e0fff"  # half a character, tags
)
"""What no output holds, as the inside of a regular expression's brackets."""
_hostile = re.compile(f"[{HOSTILE}]")
_breaks = re.compile("\r\n|[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
_blanks = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_commands = re.compile(r"(?m)(^(?:[^\S\n]|\x1b\[[0-9;]*m)*):(?=:)|(#)#(?=[A-Za-z]*\[)")
_json_commands = re.compile(r"##(?=[A-Za-z]*\[)")
_NUMBERS = frozenset({int, float, bool, type(None)})
DEEPEST = 60


def printable(text: str) -> str:
    """Return a text in one line: breaks become blanks, and what a terminal would obey or hide is replaced."""
    if text.isprintable() and not _hostile.search(text):
        return text
    text = _blanks.sub(" ", _breaks.sub(" ", text))
    return _hostile.sub(REPLACED, "".join(letter if letter.isprintable() else REPLACED for letter in text))


def shown(value: T) -> T:
    """Return a record with its texts printable, names in its dicts as well; what is so already is returned itself."""
    return cast("T", _shown(value))


def defused(text: str) -> str:
    """Return a drawn text in which no line is a command to a CI system."""
    return _commands.sub(lambda found: f"{found[1] or found[2] or ''}{REPLACED}", text)


def json_text(text: str) -> str:
    """Return JSON whose data is the same, and in which nothing means anything to a terminal or a CI system."""
    return _json_commands.sub(r"#\\u0023", _hostile.sub(_escaped, text))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code > 0xFFFF:  # noqa: PLR2004  where UTF-16, and so JSON, needs two
        high, low = divmod(code - 0x10000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    return f"\\u{code:04x}"


def _shown(value: object, depth: int = 0) -> object:  # noqa: PLR0911  one a kind of value
    match value:
        case str():
            return printable(value)
        case PurePath():
            return value if str(value).isprintable() else type(value)(printable(str(value)))
        case dict() | tuple() | list() if depth > DEEPEST:
            return REPLACED  # only what nobody draws is so deep
        case dict():
            pairs = [(_shown(name), _shown(one, depth + 1)) for name, one in value.items()]
            return value if _same(chain(*pairs), chain(*value.items())) else dict(pairs)
        case tuple() | list():
            return _sequence(value, depth)
        case _ if hasattr(value, "__struct_fields__"):
            return _record(value, depth)
        case _:
            return value


def _record(value: object, depth: int) -> object:
    from msgspec.structs import replace

    fields = {name: getattr(value, name) for name in value.__struct_fields__}  # type: ignore[attr-defined]  # a Struct
    changed = {name: new for name, old in fields.items() if (new := _shown(old, depth + 1)) is not old}
    return replace(value, **changed) if changed else value  # type: ignore[type-var]  # the same


def _sequence(value: tuple[object, ...] | list[object], depth: int) -> object:
    if set(map(type, value)) <= _NUMBERS:
        return value
    kept = [_shown(one, depth + 1) for one in value]
    if _same(kept, value):
        return value
    if isinstance(value, list):
        return kept
    named = getattr(value, "_make", tuple)  # a named tuple stays one
    return named(kept)


def _same(new: Iterable[object], old: Iterable[object]) -> bool:
    return all(one is other for one, other in zip(new, old, strict=True))
