"""The words of `edgeprof battery` for who gave its options as the parts of `--battery`: pure.

`--tolerance sleep=10%` is an option of the one command and `tolerance=sleep=10%` a part of the other's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from edgeprof.battery.inputs import EXAMPLE
from edgeprof.battery.spec import PARTS
from edgeprof.errors import UsageError

if TYPE_CHECKING:
    from edgeprof.records.battery import BatteryReport

T = TypeVar("T", bound=msgspec.Struct)
PART_EXAMPLE = "--battery cell=CR2032,every=10s,sleep-current=5uA,supply=3V,regulator=none"
_OPTION = re.compile(r"--([a-z][a-z-]*)(?: (\d[^\s,;:)]*|[a-z]+=[^\s,;:)]+|[A-Z]+\.csv))?")


def as_part(text: str) -> str:
    """Return a text in which options of the battery are parts of `--battery`."""
    if text == EXAMPLE:
        return PART_EXAMPLE
    worded = _OPTION.sub(_part, text)
    return text if worded == text else f"{worded} (in --battery)"


def error_as_part(error: UsageError) -> UsageError:
    """Return an error with its words and its hint for `--battery`."""
    hint = "" if error.hint == error.usual_hint else as_part(error.hint)
    return UsageError(f"--battery: {_OPTION.sub(_part, error.message)}", hint=hint)


def report_as_part(report: BatteryReport) -> BatteryReport:
    """Return a report whose findings, warnings and assumptions name parts of `--battery`."""
    return msgspec.structs.replace(
        report,
        metrics={name: _replaced(metric, "reason") for name, metric in report.metrics.items()},
        assumptions=tuple(_replaced(one, "option") for one in report.assumptions),
        findings=tuple(_replaced(one, "reason") for one in report.findings),
        warnings=tuple(_replaced(_replaced(one, "text"), "advice") for one in report.warnings),
        what_if=tuple(_replaced(one, "reason") for one in report.what_if),
    )


def _replaced(record: T, field: str) -> T:
    text = getattr(record, field)
    return record if text is None else msgspec.structs.replace(record, **{field: as_part(text)})


def _part(found: re.Match[str]) -> str:
    name, value = found.groups()
    if name not in PARTS:
        return found[0]
    return name if value is None else f"{name}={value}"
