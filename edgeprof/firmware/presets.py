"""How flash tools are called, as data: `data/flash_tools.toml`, and the `[flash]` table of `edgeprof.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from edgeprof.errors import FileUnreadable, UsageError
from edgeprof.targets import configuration_file

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


class FlashTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[flash]` table: what options would say."""

    tool: str = ""
    command: str | list[str] = ""
    port: str = ""
    uid: str = ""
    chip: str = ""


class _File(Struct, frozen=True, kw_only=True):
    flash: FlashTable = FlashTable()


@cache
def read_presets() -> Presets:
    """Return the tools that edgeprof knows."""
    return msgspec.toml.decode(PRESETS.read_bytes(), type=Presets)


def read_flash_table() -> FlashTable:
    """Return the `[flash]` table of the nearest `edgeprof.toml`; without one, an empty one."""
    path = configuration_file()
    if path is None:
        return FlashTable()
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File).flash
    except OSError as error:
        raise FileUnreadable(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
