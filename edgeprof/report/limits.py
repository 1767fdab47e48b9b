"""Limits as text: the profiles, and each limit of one with its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.report.console import captured, text_console
from edgeprof.report.drawing import drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def _blank(*titles: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title in {"profile", "tier"})
    return table
