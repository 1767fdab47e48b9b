"""What every function that draws a record wears: it is shown only text that may be shown."""

from __future__ import annotations

from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, ParamSpec

from edgeprof.printable import defused, json_text, shown

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
EXACT = frozenset({"json", "perfetto"})
"""Formats that are data: it stays what it is, and is escaped."""


def drawn(draw: Callable[P, str]) -> Callable[P, str]:
    """Let `draw` see its arguments with their texts printable; for JSON it sees them as they are."""
    names = tuple(signature(draw).parameters)

    @wraps(draw)
    def safely(*args: P.args, **kwargs: P.kwargs) -> str:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if given.get("format_name") in EXACT:
            return json_text(draw(*args, **kwargs))
        return defused(draw(*map(shown, args), **{name: shown(one) for name, one in kwargs.items()}))  # type: ignore[arg-type]  # the same types

    return safely
