"""Limits as text: the profiles, and each limit of one with its source."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.judging.limits import states_exactly
from edgeprof.judging.profiles import SCHEMA, format_notes
from edgeprof.report.console import captured, text_console
from edgeprof.report.drawing import drawn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.judging.limits import Limit
    from edgeprof.judging.profiles import Profile


@drawn
def render_profiles(profiles: Sequence[Profile], format_name: str) -> str:
    """Return one line a profile."""
    if format_name == "json":
        return msgspec.json.format(msgspec.json.encode(profiles), indent=1).decode()
    table = _blank("profile", "for", "limits", "extends")
    for profile in profiles:
        table.add_row(profile.name, Text(profile.title), str(len(profile.limits)), ", ".join(profile.extends))
    console = text_console()
    console.print(table)
    return captured(console)


@drawn
def render_profile(profile: Profile, format_name: str) -> str:
    """Return every limit of a profile with its tier, the bases that it accepts, and its source."""
    if format_name == "json":
        return msgspec.json.format(msgspec.json.encode(profile), indent=1).decode()
    if format_name == "toml":
        return "\n".join(_file(profile))
    console = text_console()
    extends = f", extends {', '.join(profile.extends)}" if profile.extends else ""
    console.print(Text(f"{profile.name}: {profile.title}{extends}", style="bold"))
    for note in profile.notes:
        console.print(Text(f"  {note}"))
    table = _blank("limit", "passes when", "tier", "bases", "source")
    for limit in profile.limits:
        source = Text(f"“{limit.quote}”\n" if limit.quote else "")
        source.append(limit.source, style="dim")
        if limit.note:
            source.append(f"\n{limit.note}")
        rule = f"{limit.metric} {limit.comparison} {limit.stated}"
        table.add_row(Text(limit.name), Text(rule), limit.tier, ", ".join(limit.bases), source)
    console.print(table)
    return captured(console)


# ── a file of limits ─────────────────────────────────────────────────────────────────────────────────────────────────


def _file(profile: Profile) -> Iterator[str]:
    """Yield a file of one profile that holds the same limits, those that it inherits among them: one to start from."""
    yield from format_notes()
    yield f'\nschema = "{SCHEMA}"\n'
    yield f"[profiles.{_key(profile.name)}]"
    yield f"title = {_text(profile.title)}"
    if profile.notes:
        yield f"notes = [{', '.join(map(_text, profile.notes))}]"
    for limit in profile.limits:
        yield f"\n[[profiles.{_key(profile.name)}.limits]]"
        yield from _entry(limit)


def _entry(limit: Limit) -> Iterator[str]:
    yield f"name = {_text(limit.name.partition('/')[2])}"
    yield f"metric = {_text(limit.metric)}"
    yield f"comparison = {_text(limit.comparison)}"
    yield f"threshold = {_text(limit.stated) if states_exactly(limit) else limit.threshold}"
    yield f"tier = {_text(limit.tier)}"
    yield f"bases = [{', '.join(map(_text, limit.bases))}]"
    texts = {
        "statistic": limit.statistic,
        "source": limit.source.removesuffix(f" [{limit.statistic}]"),
        "quote": limit.quote,
        "note": limit.note,
    }
    yield from (f"{key} = {_text(text)}" for key, text in texts.items() if text)


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _text(name)


def _text(text: str) -> str:
    """Return a basic string of TOML: JSON's escapes are among its own, but for the one character that JSON leaves."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _blank(*titles: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title in {"profile", "tier"})
    return table
