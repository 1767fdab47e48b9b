"""Whether a result that was decoded can be drawn and judged: what its types alone do not say."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from edgeprof.records.breakdowns import BoardState, Breakdowns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.records.result import Result

LARGEST, SMALLEST = 1e30, 1e-100
"""No figure of a run lies outside, and what is computed from those inside stays a number."""
NEVER_NEGATIVE = ("_s", "_bytes", "_count", "_hz")


class _Untyped(Struct, frozen=True):
    """The parts of a result that its own record holds as JSON, under the names that they have there."""

    breakdowns: Breakdowns
    environment: dict[str, BoardState]


def fault_of(result: Result) -> str:
    """Return what is wrong with a result and where, empty where nothing is."""
    untyped = {
        "breakdowns": result.breakdowns,
        "environment": {"before": result.environment.before, "after": result.environment.after},
    }
    try:
        msgspec.convert(untyped, _Untyped)
    except msgspec.ValidationError as error:
        return str(error)
    return next(chain(_numbers(result, "$"), _columns(result), _metrics(result)), "")


def _columns(result: Result) -> Iterator[str]:
    samples = result.samples
    columns = (samples.launch, samples.start_s, samples.duration_s, samples.batch, samples.flags)
    if len(set(map(len, columns))) > 1:
        yield f"columns of {', '.join(str(len(column)) for column in columns)} samples - at `$.samples`"
    if min(samples.batch, default=1) < 1:
        yield "a batch below 1 - at `$.samples.batch`"
    if min(samples.duration_s, default=0.0) < 0:
        yield "a duration below 0 - at `$.samples.duration_s`"
    if min((*samples.flags, *samples.launch), default=0) < 0:
        yield "a number below 0 - at `$.samples.flags` or `$.samples.launch`"
    for at, series in enumerate(result.sensors):
        if len(series.time_s) != len(series.value):
            yield f"{len(series.time_s)} times of {len(series.value)} readings - at `$.sensors[{at}]`"
    for at, row in enumerate(result.operators):
        if min(row.time_s or 0, row.share_ratio, row.calls, row.instructions_count or 0, row.macs_count or 0) < 0:
            yield f"a figure below 0 - at `$.operators[{at}]`"


def _metrics(result: Result) -> Iterator[str]:
    for name, metric in result.metrics.items():
        if metric.value is not None and metric.value < 0 and name.endswith(NEVER_NEGATIVE):
            yield f"{metric.value} where none is below 0 - at `$.metrics.{name}.value`"


def _numbers(value: Any, path: str) -> Iterator[str]:  # noqa: ANN401  a part of a result
    """Yield where a number is outside of what can be computed with."""
    if isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from _numbers(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, dict):
        for name, inside in value.items():
            yield from _numbers(inside, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        if value and all(type(one) in {int, float} for one in value):
            if not all(map(_computable, value)):
                yield f"a number that no run gives - at `{path}[…]`"
        else:
            for at, inside in enumerate(value):
                yield from _numbers(inside, f"{path}[{at}]")
    elif isinstance(value, int | float) and not _computable(value):
        yield f"a number that no run gives - at `{path}`"


def _computable(number: float) -> bool:
    return number == 0 or SMALLEST <= abs(number) <= LARGEST
