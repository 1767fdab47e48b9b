"""What a calibration found and what it says of other models, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeprof.calibration.ceilings import WEIGHTS, unit_seconds
from edgeprof.printable import printable
from edgeprof.report.columns import Column, columns, page, wrapped
from edgeprof.report.drawing import drawn
from edgeprof.report.escaping import escape
from edgeprof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.calibration import Calibration, FittedDtype, Prediction

RATES = (("conv", "conv"), ("1x1 conv", "pointwise"), ("depthwise", "depthwise"), ("dense", "dense"))
LEAST_CALL_S = 1e-9
"""A cost below it is none: a kind's time is in another of its figures then, in values written or weights read."""


@drawn
def render_calibrations(calibrations: Sequence[Calibration], format_name: str) -> str:
    """Return calibrations in a format."""
    if format_name == "json":
        return msgspec.json.format(msgspec.json.encode({"calibrations": calibrations}), indent=1).decode()
    head, rows = _rates(calibrations)
    if format_name == "markdown":
        return "\n".join(_markdown(head, rows))
    paper = page()
    lines = []
    for each in calibrations:
        low, high = format_duration(each.reference_low_s), format_duration(each.reference_high_s)
        title = (
            f"{each.runtime} {each.version} on {each.board.name}, {each.threads} thread{'s' * (each.threads != 1)}:"
            f" reference kernel ({each.reference}) {format_duration(each.reference_s)}, {low} to {high} over launches"
        )
        lines += [paper.styled(line, "bold") for line in wrapped(printable(title), paper.width)]
    lines += ["", *columns(paper, [Column(name, right=place > 1) for place, name in enumerate(head)], rows), ""]
    lines += [f"! {printable(text)}" for each in calibrations for text in each.warnings]
    note = "rates in GMAC/s (10^9); left-out error: the median over micro models, each predicted from the others"
    lines += [paper.styled(line, "dim") for line in wrapped(note, paper.width)]
    return "\n".join(lines)


def _rates(calibrations: Sequence[Calibration]) -> tuple[list[str], list[list[str]]]:
    head = [
        "runtime", "type", *(title for title, _ in RATES), "weights", "operator", "invoke",
        "left-out error",
    ]  # fmt: skip
    rows = [
        [
            each.runtime, fitted.dtype, *(_rate(each, fitted, kind) for _, kind in RATES),
            _bandwidth(each, fitted), _time(each, fitted, "operators"), _time(each, fitted, "invoke"),
            f"{fitted.median_error_ratio:.0%}",
        ]
        for each in calibrations for fitted in each.fitted
    ]  # fmt: skip
    return head, rows


def _rate(calibration: Calibration, fitted: FittedDtype, kind: str) -> str:
    """Return the rate of the products alone, where they are what takes the time."""
    unit_s = unit_seconds(calibration, fitted, f"{kind}_macs")
    return f"{1e-9 / unit_s:.3g}" if unit_s else "—"


def _bandwidth(calibration: Calibration, fitted: FittedDtype) -> str:
    byte_s = unit_seconds(calibration, fitted, *WEIGHTS)
    return f"{1e-9 / byte_s:.3g} GB/s" if byte_s else "—"


def _time(calibration: Calibration, fitted: FittedDtype, kind: str) -> str:
    call_s = fitted.costs.get(kind, 0.0) * calibration.reference_s
    return format_duration(call_s) if call_s > LEAST_CALL_S else "—"


# ── predictions ──────────────────────────────────────────────────────────────────────────────────────────────────────


@drawn
def render_predictions(predictions: Sequence[Prediction], format_name: str) -> str:
    """Return predictions in a format."""
    if format_name == "json":
        return msgspec.json.format(msgspec.json.encode({"predictions": predictions}), indent=1).decode()
    head = ["model", "runtime", "type", "latency p50", "90 % interval", "of kernel"]
    rows = [_prediction(each) for each in predictions]
    if format_name == "markdown":
        return "\n".join(_markdown(head, rows))
    paper = page()
    lines = columns(paper, [Column(name, right=place > 2) for place, name in enumerate(head)], rows)  # noqa: PLR2004  figures follow
    for each in predictions:
        why = each.reason or (f"{each.stands_on}; borrowed costs: {', '.join(each.unseen)}" if each.unseen else "")
        lines += [paper.styled(line, "dim") for line in wrapped(f"· {each.model}: {why}", paper.width) if why]
    return "\n".join([*lines, paper.styled("estimated, from this board's own calibration", "dim")])


def _prediction(each: Prediction) -> list[str]:
    if each.latency_s is None or each.low_s is None or each.high_s is None or each.ratio is None:
        return [each.model, each.runtime, each.dtype, "not known", "", ""]
    interval = f"{format_duration(each.low_s)} to {format_duration(each.high_s)}"
    return [each.model, each.runtime, each.dtype, format_duration(each.latency_s), interval, f"{each.ratio:.3g}"]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    drawn = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return drawn + [f"| {' | '.join(escape(cell) for cell in row)} |" for row in rows]
