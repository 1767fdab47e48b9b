"""Exact figures that hardly differ: told exactly, and no regression by themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof.comparing.results import compared
from edgeprof.comparing.shown import difference_text, ratio_text, sides_text
from edgeprof.records.comparison import Change
from edgeprof.records.result import Metric
from edgeprof.report.comparison import render_comparisons

if TYPE_CHECKING:
    from edgeprof.records.comparison import Comparison
    from edgeprof.records.result import Result

MIB = 1 << 20


def two(result: Result, name: str, base: float, new: float, max_regression: float = 0.03) -> Comparison:
    """Return a comparison of two results that have one computed figure."""
    sides = [
        replace(result, id=f"r{at}", metrics={name: Metric(value=value, basis="computed", count=None, method="")})
        for at, value in enumerate((base, new))
    ]
    return compared(sides[0], sides[1], "now", max_regression=max_regression)


@pytest.mark.parametrize(
    ("name", "base", "new", "told"),
    [
        ("model_bytes", 4 * MIB, 4 * MIB + 4, "4 B more"),
        ("model_bytes", 1_443, 1_447, "4 B more"),
        ("model_bytes", 4 * MIB + 4, 4 * MIB, "4 B less"),
        ("model_bytes", 100, 103, "3 B more"),
        ("weights_bytes", 4 * MIB, 4 * MIB + 1, "1 B more"),
        ("arena_bytes", 16_000, 16_016, "16 B more"),
        ("macs_count", 10**9, 10**9 + 1, "1 more"),
        ("parameters_count", 10**9, 10**9 - 1_000, "1,000 fewer"),
        ("instructions_count", 10_235_837, 10_235_838, "1 more"),
    ],
)
def test_an_exact_difference_that_is_allowed_is_told_by_itself(
    small_result: Result, name: str, base: float, new: float, told: str
) -> None:
    found = two(small_result, name, base, new)
    [change] = found.changes
    assert (change.verdict, change.allowed) == ("worse" if new > base else "better", True)
    assert {finding.verdict for finding in found.findings} <= {"PASS"}
    for format_name in ("table", "markdown"):
        text = render_comparisons([found], format_name)
        assert told in text
        assert "WORSE" not in text
        assert not re.search(r"[+-]0\.0+(?![0-9])", text)
    one, other = sides_text(change)
    assert one != other


@pytest.mark.parametrize(("new", "allowed", "verdict"), [(103, 0.03, "PASS"), (104, 0.03, "FAIL"), (101, 0.0, "FAIL")])
def test_beyond_what_is_allowed_it_is_worse_and_fails(
    small_result: Result, new: int, allowed: float, verdict: str
) -> None:
    found = two(small_result, "model_bytes", 100, new, allowed)
    assert [finding.verdict for finding in found.findings] == [verdict]
    assert ("WORSE" in render_comparisons([found], "table")) == (verdict == "FAIL")


def test_no_difference_is_the_same_and_a_measured_one_is_not_exact(small_result: Result) -> None:
    [change] = two(small_result, "model_bytes", 100, 100).changes
    assert (change.verdict, change.allowed, ratio_text(change.change_ratio)) == ("same", False, "+0.00 %")


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, ""),
        (0.0, "+0.00 %"),
        (0.03, "+3.00 %"),
        (-0.5, "-50.00 %"),
        (0.00004, "+0.004 %"),
        (-9.5e-7, "-0.00010 %"),
        (1e-12, "+0.0000000001 %"),
        (9.0, "10.0 times"),
    ],
)
def test_a_small_percentage_has_the_digits_that_it_needs(ratio: float | None, text: str) -> None:
    assert ratio_text(ratio) == text


def test_other_units_tell_their_difference_too() -> None:
    change = Change(metric="latency_p50_s", base=1.0, new=1.5, basis="declared", way="exact")
    assert difference_text(change) == "500.0 ms more"
