"""Profiles of limits as data: those that ship with edgeprof, and users' own files of the same form."""

from __future__ import annotations

from functools import cache
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from edgeprof.bounded import read_bounded
from edgeprof.errors import FileUnreadable, UnknownName, UsageError, did_you_mean
from edgeprof.judging.limits import HARDWARE, Comparison, Limit, parse_limit, parse_threshold
from edgeprof.metrics import metric_kind
from edgeprof.records.result import Basis, Tier
from edgeprof.units import format_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_FILE_BYTES = 1_000_000
SCHEMA = "edgeprof.limits/1"


class LimitEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One limit as a file states it. `threshold` is a number in the metric's unit or text with a unit of its own.

    `statistic` says which one was chosen where the source names none, and why.
    """

    name: str
    metric: str
    comparison: Comparison
    threshold: float | str
    tier: Tier = "hard"
    bases: tuple[Basis, ...] = HARDWARE
    statistic: str = ""
    source: str = ""
    quote: str = ""
    note: str = ""


class ProfileEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits that belong together. A limit replaces the one of the same name that a profile above it has."""

    title: str = ""
    extends: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    limits: tuple[LimitEntry, ...] = ()


class LimitFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of limits."""

    schema: Literal["edgeprof.limits/1"]
    profiles: dict[str, ProfileEntry]


class Profile(Struct, frozen=True, kw_only=True):
    """A profile with all that it takes over from others."""

    name: str
    title: str
    extends: tuple[str, ...]
    notes: tuple[str, ...]
    limits: tuple[Limit, ...]


def load_limits(names_or_files: Iterable[str | Path]) -> tuple[Limit, ...]:
    """Return the limits of profiles (`mobile`), files (`ours.toml`) or single profiles of files (`ours.toml:kiosk`).

    Raises UnknownName for a profile that is not there and UsageError for a file that is not right.
    """
    profiles = [profile for given in names_or_files for profile in _profiles_of(str(given))]
    return tuple(dict.fromkeys(limit for profile in profiles for limit in profile.limits))


def read_limits(given: str | Path | Limit | Iterable[str | Path | Limit]) -> tuple[Limit, ...]:
    """Return limits given in any way: as they are, as a term (`latency_p99_s<50ms`), a profile or a file."""
    limits: dict[Limit, None] = {}
    for one in [given] if isinstance(given, str | Path | Limit) else given:
        if isinstance(one, Limit):
            limits[one] = None
        elif isinstance(one, str) and ("<" in one or ">" in one):
            limits[parse_limit(one)] = None
        else:
            limits |= dict.fromkeys(load_limits([one]))
    return tuple(limits)


def list_profiles() -> tuple[Profile, ...]:
    """Return the profiles that ship with edgeprof."""
    known = shipped_profiles()
    return tuple(_resolved(name, known) for name in known)


def load_profile(name: str) -> Profile:
    """Return one profile: one that ships with edgeprof, or one of a file (`ours.toml:kiosk`)."""
    several = _profiles_of(name)
    if len(several) != 1:
        raise UsageError(f"{name} has {len(several)} profiles", hint=f"name one of them, as in {name}:NAME")
    return several[0]


@cache
def shipped_profiles() -> dict[str, ProfileEntry]:
    """Return the profiles of edgeprof's own file, as it states them."""
    return _decoded(_shipped(), "limits.toml")


def format_notes() -> list[str]:
    """Return the lines that explain the fields of a file of limits, as the file that ships has them."""
    lines = _shipped().decode().splitlines()
    return [line for line in lines if line.startswith("#   ")]


def _shipped() -> bytes:
    return resources.files("edgeprof").joinpath("data/limits.toml").read_bytes()


def _profiles_of(given: str) -> list[Profile]:
    file, _, wanted = given.partition(".toml:")
    if not given.endswith(".toml") and not wanted:
        return [_resolved(given, shipped_profiles())]
    path = Path(f"{file}.toml" if wanted else given)
    own = _decoded(_content(path), str(path))
    known = {**shipped_profiles(), **own}
    if wanted and wanted not in own:
        raise UnknownName(f"{path} has no profile {wanted!r}", hint=f"it has {', '.join(own)}")
    return [_resolved(name, known) for name in ([wanted] if wanted else own)]


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise FileUnreadable(f"there is no file of limits {path}", hint="edgeprof limits list shows the profiles")
    except (OSError, ValueError) as error:
        raise FileUnreadable(f"cannot read the limits in {path}: {error}") from error
    return read_bounded(path, MAX_FILE_BYTES, "the limits in")


def _decoded(content: bytes, place: str) -> dict[str, ProfileEntry]:
    try:
        return msgspec.toml.decode(content, type=LimitFile).profiles
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{place}: {error}", hint="edgeprof limits show mobile --format toml prints a file to start from"
        ) from error


def _resolved(name: str, known: Mapping[str, ProfileEntry]) -> Profile:
    limits = _inherited(name, known, ())
    entry = known[name]
    return Profile(
        name=name, title=entry.title, extends=entry.extends, notes=entry.notes, limits=tuple(limits.values())
    )


def _inherited(name: str, known: Mapping[str, ProfileEntry], below: tuple[str, ...]) -> dict[str, Limit]:
    """Return the limits by their short names: those of the profiles above, then what this one replaces or adds."""
    if name in below:
        raise UsageError(f"the profiles {', '.join(below)} extend each other in a circle")
    if name not in known:
        hint = did_you_mean(name, known) or f"known: {', '.join(known)}; a file of limits ends in .toml"
        raise UnknownName(f"unknown limits {name!r}", hint=hint)
    entry = known[name]
    limits: dict[str, Limit] = {}
    for above in entry.extends:
        limits |= _inherited(above, known, (*below, name))
    own = {stated.name: _limit(name, stated) for stated in entry.limits}
    if len(own) < len(entry.limits):
        raise UsageError(f"the profile {name!r} has two limits of the same name")
    return limits | own


def _limit(profile: str, stated: LimitEntry) -> Limit:
    name = f"{profile}/{stated.name}"
    metric_kind(stated.metric)
    given = stated.threshold
    threshold = parse_threshold(name, stated.metric, given) if isinstance(given, str) else float(given)
    if not isfinite(threshold):
        raise UsageError(f"{name!r}: the threshold {given!r} is not a finite number")
    return Limit(
        name=name,
        metric=stated.metric,
        comparison=stated.comparison,
        threshold=threshold,
        tier=stated.tier,
        bases=stated.bases,
        source=f"{stated.source} [{stated.statistic}]" if stated.statistic else stated.source,
        stated=given if isinstance(given, str) else format_value(stated.metric, threshold),
        statistic=stated.statistic,
        quote=stated.quote,
        note=stated.note,
    )
