"""How flash tools are called, as data: `data/flash_tools.toml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

PRESETS = Path(__file__).parents[1] / "data" / "flash_tools.toml"


class Tool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A flash tool: groups of arguments; a group whose placeholder has no value is left out."""

    program: str = ""
    install: str = ""
    images: tuple[str, ...]
    needs: tuple[str, ...] = ()
    arguments: tuple[tuple[str, ...], ...] = ()


class PortOfTool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tool calls the chip or board of a port."""

    target: str
    remark: str = ""


class Presets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All tools, and the ports that they know."""

    tools: dict[str, Tool]
    ports: dict[str, dict[str, PortOfTool]]


@cache
def read_presets() -> Presets:
    """Return the tools that edgeprof knows."""
    return msgspec.toml.decode(PRESETS.read_bytes(), type=Presets)
