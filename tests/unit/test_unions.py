"""Every choice among the members of a closed union ends in `assert_never`, so that a new member is not lost."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest

from edgeprof import targets
from edgeprof.meters import addresses

PACKAGE = Path(__file__).resolve().parents[2] / "edgeprof"
UNIONS = {
    "places": frozenset(kind.__name__ for kind in get_args(targets.Place)),
    "meter addresses": frozenset(kind.__name__ for kind in get_args(addresses.MeterAddress)),
}


def names_of(case: ast.match_case) -> set[str]:
    return {
        node.cls.id
        for node in ast.walk(case.pattern)
        if isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name)
    }


def falls_through(match: ast.Match) -> bool:
    """Tell whether a member that no case names would be passed over in silence."""
    last = match.cases[-1]
    catches_all = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
    return not (catches_all and ast.unparse(last.body[0]).startswith("assert_never("))


def matches(text: str, members: frozenset[str]) -> list[ast.Match]:
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Match)]
    return [match for match in found if members & set().union(*map(names_of, match.cases))]


@pytest.mark.parametrize("union", UNIONS)
def test_every_match_over_the_union_ends_in_assert_never(union: str) -> None:
    seen = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        for match in matches(path.read_text(encoding="utf-8"), UNIONS[union]):
            seen += 1
            assert not falls_through(match), f"{path.relative_to(PACKAGE)}:{match.lineno} takes {union}"
    assert seen >= {"places": 5, "meter addresses": 1}[union]


@pytest.mark.parametrize(
    "text",
    [
        "match place:\n case Ssh(host=host):\n  way = 1\n case Local():\n  way = 2",
        "match place:\n case Sim():\n  way = 1\n case _:\n  way = 2",
        "match place:\n case Sim():\n  way = 1\n case other if other:\n  assert_never(other)",
    ],
)
def test_a_match_that_would_lose_a_member_is_seen(text: str) -> None:
    (match,) = matches(text, UNIONS["places"])
    assert falls_through(match)


def test_a_match_that_names_what_is_missing_passes() -> None:
    (match,) = matches("match place:\n case Sim():\n  way = 1\n case other:\n  assert_never(other)", UNIONS["places"])
    assert not falls_through(match)
