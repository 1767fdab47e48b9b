"""The gate of a comparison: what got worse by more than is allowed, and how surely. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.comparing.intervals import Estimate, gate
from edgeprof.comparing.shown import ratio_text, sides_text
from edgeprof.records.result import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.comparing.intervals import Gate
    from edgeprof.records.comparison import Change
    from edgeprof.records.result import Tier

MAX_REGRESSION = 0.03
ROUNDING = 1e-12
"""What dividing two whole numbers leaves in a double."""
GATED = (
    "latency_p50_s", "deadline_p99_s", "instructions_count", "cycles_count", "energy_per_inference_j",
    "memory_peak_bytes", "sram_peak_bytes", "arena_bytes", "flash_bytes", "model_bytes",
)  # fmt: skip
"""What a regression gate looks at; of all of them less is better. The other metrics are shown."""


def gate_findings(found: Sequence[Change], max_regression: float, tier: Tier = "hard") -> tuple[Finding, ...]:
    """Return a finding for each change that the gate looks at; what only one side has is skipped, and said."""
    return tuple(_finding(change, max_regression, tier) for change in found if change.metric in GATED)


def is_beyond(ratio: float, allowed: float) -> bool:
    """Tell whether an exact change is more than is allowed: 103 bytes for 100 are the 3 % and no more."""
    return ratio - allowed > ROUNDING


def _finding(change: Change, max_regression: float, tier: Tier) -> Finding:
    ratio = change.change_ratio
    said, reason = (_unknown(change)) if ratio is None else _judged(change, ratio, max_regression)
    return Finding(
        limit=f"regression/{change.metric}", metric=change.metric, verdict=said, tier=tier, value=ratio,
        threshold=max_regression, unit="ratio", basis=change.basis, source="--max-regression", reason=reason,
    )  # fmt: skip


def _unknown(change: Change) -> tuple[Gate, str]:
    """Judge what has no ratio: from nothing to something is worse, and one side alone tells nothing."""
    if change.way == "exact":
        return "FAIL", f"{_shown(change)}: there was none before"
    return "INCONCLUSIVE", f"{_shown(change)}: {change.reason}"


def _judged(change: Change, ratio: float, max_regression: float) -> tuple[Gate, str]:
    shown = f"{_shown(change)}, {ratio_text(ratio)}{bounds_text(change)}"
    allowed = f"{max_regression * 100:g} % is allowed"
    if change.way == "exact":
        return ("FAIL" if is_beyond(ratio, max_regression) else "PASS"), f"{shown}; {allowed}"
    if _has_fine_bounds(change) and change.low is not None and change.high is not None:
        found = Estimate(ratio, change.low, change.high, change.confidence or 0.95, 0)
        said = gate(found, change.base or 0.0, max_regression)
        return said, f"{shown}; {allowed}" + ("" if said != "INCONCLUSIVE" else ", and the interval holds both")
    match change.verdict:
        case "worse":
            said = "FAIL" if ratio > max_regression else "INCONCLUSIVE"
            return said, f"{shown}; {allowed}; {change.method}"
        case "better":
            return "PASS", f"{shown}; {allowed}"
        case "same":
            return "PASS", f"{shown}; {change.method}"
        case _:
            return "INCONCLUSIVE", f"{shown}: {change.reason}"


def _has_fine_bounds(change: Change) -> bool:
    """Tell whether nothing but what its interval holds moves a change: in turns, or on a simulated machine."""
    return change.way == "interleaved" or change.basis == "simulated"


def _shown(change: Change) -> str:
    return " → ".join(sides_text(change))


def bounds_text(change: Change) -> str:
    """Return the bounds of a change in brackets; nothing where it has none or is exact."""
    if change.way == "exact" or change.low is None or change.high is None:
        return ""
    return f" ({change.low * 100:+.2f} … {change.high * 100:+.2f} %)"
