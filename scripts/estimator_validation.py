"""Cross-validates the estimator: every answer comes from a fit that has not seen what it is asked about.

The fits inside, for the widths of intervals too, see the training rows of their fold only.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.estimate.model import estimate_latency
from edgeprof.estimate.rescale import Point, rescale
from edgeprof.stats import percentile
from scripts.estimator_fit import SPREADS, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edgeprof.estimate.coefficients import Coefficients
    from edgeprof.estimate.features import Features
    from edgeprof.estimate.model import Estimate
    from scripts.estimator_table import TableRow


class Answer(NamedTuple):
    """One question of a fold: what was answered, the naive answer, and whether core and engine were in training."""

    row: TableRow
    estimate: Estimate
    naive_s: float | None
    answerable: bool

    @property
    def error(self) -> float:
        """Return the relative error of the estimate."""
        return abs((self.estimate.latency_s or 0.0) / self.row.latency_s - 1)

    @property
    def naive_error(self) -> float:
        """Return the relative error of the naive answer."""
        return abs((self.naive_s or 0.0) / self.row.latency_s - 1)

    @property
    def inside(self) -> bool:
        """Tell whether the truth is inside the interval."""
        return (self.estimate.low_s or 0.0) <= self.row.latency_s <= (self.estimate.high_s or 0.0)

    @property
    def half_width(self) -> float:
        """Return half the width of the interval, as a factor."""
        return math.sqrt((self.estimate.high_s or 1.0) / (self.estimate.low_s or 1.0))


def leave_out(
    rows: Sequence[TableRow],
    models: Mapping[str, Features],
    part: Callable[[TableRow], str],
    spreads: Mapping[str, float] = SPREADS,
) -> Iterator[tuple[Coefficients, list[Answer]]]:
    """Yield, for each board or model (`part` names it), the fit without it and the answers about it."""
    for name in sorted({part(row) for row in rows}):
        training = [row for row in rows if part(row) != name]
        fitted = fit(training, models, spreads)
        naive = naive_cycles_per_mac(training)
        cores, engines = {row.core for row in training}, {row.engine for row in training}
        answers = []
        for row in rows:
            if part(row) == name:
                estimate = estimate_latency(models[row.model], row.core, row.clock_hz, row.engine, coefficients=fitted)
                rate = naive.get(row.core)
                naive_s = None if rate is None else row.macs * rate / row.clock_hz
                answers.append(Answer(row, estimate, naive_s, row.core in cores and row.engine in engines))
        yield fitted, answers


def naive_cycles_per_mac(rows: Sequence[TableRow]) -> dict[str, float]:
    """Return the median cycles a MAC of each core class: what a rule of thumb would use."""
    rates: dict[str, list[float]] = {}
    for row in rows:
        rates.setdefault(row.core, []).append(row.latency_s * row.clock_hz / row.macs)
    return {core: statistics.median(found) for core, found in rates.items()}


def one_point(fold: tuple[Coefficients, list[Answer]], measured: str) -> Iterator[Answer]:
    """Yield the answers about the other models of a board that was left out, rescaled by one measured model."""
    fitted, answers = fold
    groups: dict[tuple[str, str, float, int], list[Answer]] = {}
    seen: dict[tuple[str, str, float, str], int] = {}
    for answer in answers:  # a release may be in the table several times, by several submitters
        row = answer.row
        key = (row.engine, row.release, row.clock_hz, row.model)
        groups.setdefault((*key[:3], seen.get(key, 0)), []).append(answer)
        seen[key] = seen.get(key, 0) + 1
    for group in groups.values():
        points = [
            Point(answer.estimate.latency_s, answer.row.latency_s)
            for answer in group
            if answer.row.model == measured and answer.estimate.latency_s is not None
        ]
        others = [answer for answer in group if answer.row.model != measured and answer.estimate.latency_s is not None]
        if not points or not others:
            continue
        scale = rescale(points, fitted)
        for answer in others:
            seconds = answer.estimate.latency_s or 0.0
            naive_s = None if answer.naive_s is None else _naive_scaled(group, measured, answer)
            estimate = answer.estimate._replace(
                latency_s=seconds * scale.factor, low_s=seconds * scale.low, high_s=seconds * scale.high
            )
            yield answer._replace(estimate=estimate, naive_s=naive_s)


def _naive_scaled(group: Sequence[Answer], measured: str, answer: Answer) -> float:
    """Return what the measured model's cycles a MAC say of another."""
    point = next(other.row for other in group if other.row.model == measured)
    return point.latency_s / point.macs * answer.row.macs


def weighted_quantile(values: Sequence[float], weights: Sequence[float], q: float) -> float:
    """Return the smallest value with at least the share q of the weight at or below it."""
    ordered = sorted(zip(values, weights, strict=True))
    total = sum(weights)
    reached = 0.0
    for value, weight in ordered:
        reached += weight
        if reached >= q * total * (1 - 1e-12):
            return value
    return ordered[-1][0]


class Validation(NamedTuple):
    """Every answer of both ways to leave something out."""

    boards: list[tuple[Coefficients, list[Answer]]]
    models: list[tuple[Coefficients, list[Answer]]]


class Summary(NamedTuple):
    """The figures of a validation. Errors are relative; half-widths are factors; equal: every board weighs the same."""

    boards_rows: int
    boards_unanswered: int
    unknown_rows: int
    unknown_answered: int
    boards_median: float
    boards_p90: float
    boards_median_equal: float
    boards_p90_equal: float
    boards_medians: dict[str, float]
    boards_naive_median: float
    boards_naive_p90: float
    boards_naive_median_equal: float
    boards_naive_p90_equal: float
    models_rows: int
    models_median: float
    models_p90: float
    models_worst_median: float
    models_naive_median: float
    inside: float
    boards_inside: float
    models_inside: float
    half_width: float
    kws_median: float
    kws_naive_median: float
    kws_inside: float
    ic_median: float
    ic_naive_median: float
    ic_inside: float


def validate(rows: Sequence[TableRow], models: Mapping[str, Features]) -> Validation:
    """Leave every board out, then every model."""
    return Validation(
        list(leave_out(rows, models, lambda row: row.board)), list(leave_out(rows, models, lambda row: row.model))
    )


def board_medians(validation: Validation) -> list[tuple[str, float, float, int]]:
    """Return median and p90 of the error and the count of answers of every board that can be asked about."""
    boards: dict[str, list[float]] = {}
    for answer in _known(validation):
        boards.setdefault(answer.row.board, []).append(answer.error)
    return [(board, _quantile(found, 0.5), _quantile(found, 0.9), len(found)) for board, found in boards.items()]


def summarise(validation: Validation) -> Summary:
    """Return the figures of a validation."""
    asked = [answer for _, answers in validation.boards for answer in answers]
    known, others = _known(validation), [answer for answer in asked if not answer.answerable]
    counts = {board: count for board, _, _, count in board_medians(validation)}
    weights = [1 / counts[answer.row.board] for answer in known]
    errors, naive = [answer.error for answer in known], [answer.naive_error for answer in known]
    models = [answer for _, answers in validation.models for answer in answers if answer.estimate.latency_s]
    kws, ic = (
        [a for fitted, answers in validation.boards for a in one_point((fitted, answers), name)]
        for name in ("kws", "ic")
    )
    return Summary(
        boards_rows=len(known),
        boards_unanswered=sum(answer.answerable for answer in asked) - len(known),
        unknown_rows=len(others),
        unknown_answered=sum(answer.estimate.latency_s is not None for answer in others),
        boards_median=_quantile(errors, 0.5),
        boards_p90=_quantile(errors, 0.9),
        boards_median_equal=weighted_quantile(errors, weights, 0.5),
        boards_p90_equal=weighted_quantile(errors, weights, 0.9),
        boards_medians={board: median for board, median, _, _ in board_medians(validation)},
        boards_naive_median=_quantile(naive, 0.5),
        boards_naive_p90=_quantile(naive, 0.9),
        boards_naive_median_equal=weighted_quantile(naive, weights, 0.5),
        boards_naive_p90_equal=weighted_quantile(naive, weights, 0.9),
        models_rows=len(models),
        models_median=_quantile([answer.error for answer in models], 0.5),
        models_p90=_quantile([answer.error for answer in models], 0.9),
        models_worst_median=max(
            _quantile([answer.error for answer in models if answer.row.model == name], 0.5)
            for name in {answer.row.model for answer in models}
        ),
        models_naive_median=_quantile([answer.naive_error for answer in models], 0.5),
        inside=statistics.fmean(answer.inside for answer in known + models),
        boards_inside=statistics.fmean(answer.inside for answer in known),
        models_inside=statistics.fmean(answer.inside for answer in models),
        half_width=statistics.median(answer.half_width for answer in known + models),
        kws_median=_quantile([answer.error for answer in kws], 0.5),
        kws_naive_median=_quantile([answer.naive_error for answer in kws], 0.5),
        kws_inside=statistics.fmean(answer.inside for answer in kws),
        ic_median=_quantile([answer.error for answer in ic], 0.5),
        ic_naive_median=_quantile([answer.naive_error for answer in ic], 0.5),
        ic_inside=statistics.fmean(answer.inside for answer in ic),
    )


def _known(validation: Validation) -> list[Answer]:
    """Return the answers about boards that were left out while their core class and engine stayed."""
    return [
        answer
        for _, answers in validation.boards
        for answer in answers
        if answer.answerable and answer.estimate.latency_s is not None
    ]


def _quantile(values: Sequence[float], q: float) -> float:
    return percentile(sorted(values), q)
