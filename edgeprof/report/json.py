"""JSON: the result as it is stored; several results as a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.result import Result


def render(results: Sequence[Result]) -> str:
    """Return one result, or a list of them."""
    content = msgspec.json.encode(results[0] if len(results) == 1 else list(results))
    return msgspec.json.format(content, indent=1).decode()
