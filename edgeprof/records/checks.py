"""What `doctor` finds."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

CheckVerdict = Literal["OK", "WARN", "MISSING"]


class Check(Struct, frozen=True, kw_only=True):
    """One finding: what was seen, what mends it, and what ignoring it costs."""

    name: str
    verdict: CheckVerdict
    seen: str
    remedy: str = ""
    cost: str = ""


class Diagnosis(Struct, frozen=True, kw_only=True):
    """All findings of a target."""

    target: str
    board: str
    checks: tuple[Check, ...]

    @property
    def missing(self) -> tuple[Check, ...]:
        """Return what has to be there and is not."""
        return tuple(check for check in self.checks if check.verdict == "MISSING")
