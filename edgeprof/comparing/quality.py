"""How good outputs are: distances between two models' outputs, scores against labels, and guards. Pure.

Arrays are numpy's, first axis: inferences. Stored values of quantised tensors become real ones by
`scale * (stored - zero_point)` first, so that fp32 and int8 are compared in the same unit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from edgeprof.errors import UsageError
from edgeprof.records.quality import AccuracyDrop, OutputDistance, Scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgeprof.records.quality import Guard
    from edgeprof.records.result import InputTensor, Verdict

    Reals = NDArray[np.float64]

CLOSE_RATIO = 0.01
"""Elements of outputs without classes agree within this share of the output's largest value."""
GUARDS: dict[Guard, float | None] = {"conservative": 0.005, "balanced": 0.015, "aggressive": None}
"""Accuracy that may be lost: less than 0.5 points, up to 1.5 points, and more than that (without a bound)."""
Z_95 = 1.96


def real_values(stored: NDArray[Any], scale: float | None, zero_point: int | None) -> Reals:
    """Return real values: of a quantised tensor `scale * (stored - zero_point)`, of any other the values."""
    import numpy as np

    values = stored.astype(np.float64)
    return values if scale is None else scale * (values - (zero_point or 0))


def stored_values(real: NDArray[Any], tensor: InputTensor) -> NDArray[Any]:
    """Return what a tensor stores for real values: rounded to the nearest code and clipped, or as floats."""
    import numpy as np

    kind = np.dtype(tensor.dtype)
    if kind.kind not in "iu":
        return real.astype(kind)
    codes = np.rint(real / tensor.scale) + (tensor.zero_point or 0) if tensor.scale else np.rint(real)
    limits = np.iinfo(kind)
    stored: NDArray[Any] = np.clip(codes, limits.min, limits.max).astype(kind)
    return stored


# ── against another model ────────────────────────────────────────────────────────────────────────────────────────────


def distance(base: Sequence[Reals], new: Sequence[Reals], *, classes: bool) -> OutputDistance:
    """Compare outputs of the same shapes, one array an output; `classes`: the only output is one score a class."""
    import numpy as np

    flat = [(one.reshape(len(one), -1), other.reshape(len(other), -1)) for one, other in zip(base, new, strict=True)]
    whole, whole_new = (np.concatenate([pair[side] for pair in flat], axis=1) for side in (0, 1))
    same = (whole == whole_new) | (np.isnan(whole) & np.isnan(whole_new))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(whole - whole_new))
    finite = bool(np.isfinite(apart).all())
    agreeing = [agreement(one, other, classes=classes) for one, other in flat]
    elements = sum(one.size for one, _ in flat)
    return OutputDistance(
        inferences=len(whole),
        elements=elements,
        max_abs_error=float(apart.max(initial=0.0)) if finite else None,
        mean_abs_error=float(apart.mean()) if finite and apart.size else None if not finite else 0.0,
        largest_value=float(np.abs(whole[np.isfinite(whole)]).max(initial=0.0)),
        cosine=least_cosine(whole, whole_new),
        agreement_ratio=sum(agreeing) / (len(whole) if classes else elements) if elements else 1.0,
        compared="top-1" if classes else "elements",
    )


def agreement(base: Reals, new: Reals, *, classes: bool) -> int:
    """Return how many inferences have the same class, or how many elements are close."""
    import numpy as np

    if classes:
        return int((top_classes(base) == top_classes(new)).sum())
    largest = np.abs(base[np.isfinite(base)]).max(initial=0.0)
    with np.errstate(invalid="ignore"):
        close = (base == new) | (np.abs(base - new) <= CLOSE_RATIO * largest) | (np.isnan(base) & np.isnan(new))
    return int(close.sum())


def least_cosine(base: Reals, new: Reals) -> float | None:
    """Return the least cosine of an inference; None where a value is not finite on one side alone.

    What is not finite on both alike is left out. Inferences in which both sides are within 1 % of the largest value of
    all are equal: the direction of what is left there is noise. One side of zeros has a cosine of 0.
    """
    import numpy as np

    finite = np.isfinite(base) & np.isfinite(new)
    alike = (base == new) | (np.isnan(base) & np.isnan(new))
    if not len(base) or not (finite | alike).all():
        return None
    sides = [np.where(finite, side, 0.0) for side in (base, new)]
    tops = [np.abs(side).max(axis=1, initial=0.0, keepdims=True) for side in sides]
    one, other = (side / np.where(top > 0, top, 1.0) for side, top in zip(sides, tops, strict=True))  # no overflow
    norms = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    cosines = (one * other).sum(axis=1) / np.where(norms > 0, norms, 1.0)
    top = np.maximum(*tops)[:, 0]
    nothing = top <= CLOSE_RATIO * top.max(initial=0.0)
    return float(np.clip(np.where(nothing, 1.0, cosines), -1.0, 1.0).min())


def top_classes(scores: Reals) -> NDArray[np.intp]:
    """Return the class of each row: the first of the largest; with one score a row, 1 from 0.5 on."""
    import numpy as np

    rows = scores.reshape(len(scores), -1)
    if rows.shape[1] == 1:
        return (rows[:, 0] >= 0.5).astype(np.intp)  # noqa: PLR2004  a probability
    classes = np.argmax(np.nan_to_num(rows, nan=-np.inf), axis=1)
    return np.where(np.isnan(rows).any(axis=1), -1, classes)


# ── against labels ───────────────────────────────────────────────────────────────────────────────────────────────────


def scores(outputs: Reals, labels: NDArray[np.intp]) -> Scores:
    """Return accuracy, macro F1 and, of two classes, the AUC; one row of scores a label."""
    found = top_classes(outputs)
    return Scores(
        labels=len(labels),
        accuracy_ratio=float((found == labels).mean()),
        f1_macro=f1_macro(found, labels),
        auc=_auc_of(outputs, labels),
    )


def f1_macro(found: NDArray[np.intp], labels: NDArray[np.intp]) -> float:
    """Return the mean over the classes that occur in labels or answers of 2·tp / (2·tp + fp + fn)."""
    import numpy as np

    each = []
    for name in np.union1d(found, labels):
        right = int(((found == name) & (labels == name)).sum())
        each.append(2 * right / int((found == name).sum() + (labels == name).sum()))
    return sum(each) / len(each)


def _auc_of(outputs: Reals, labels: NDArray[np.intp]) -> float | None:
    rows = outputs.reshape(len(outputs), -1)
    if rows.shape[1] > 2 or not set(labels.tolist()) <= {0, 1}:  # noqa: PLR2004  two classes
        return None
    score = rows[:, 0] if rows.shape[1] == 1 else rows[:, 1] - rows[:, 0]
    return auc(score, labels == 1)


def auc(score: Reals, positive: NDArray[np.bool_]) -> float | None:
    """Return the probability that a positive scores higher than a negative, ties counting half; None without both.

    By the sum of ranks: (R - p(p + 1)/2) / (p·n), the Mann-Whitney statistic over p·n (Hanley and McNeil 1982).
    """
    import numpy as np

    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives or np.isnan(score).any():
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    total = float(ranks[positive].sum())
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def accuracy_drop(base_right: NDArray[np.bool_], new_right: NDArray[np.bool_]) -> AccuracyDrop:
    """Return how much accuracy is lost, with the 95 % interval of a difference of paired proportions.

    Half an observation is added to each cell of the two by two table (Agresti and Min 2005, Stat. Med. 24:729).
    """
    count = len(base_right)
    lost, won = int((base_right & ~new_right).sum()), int((~base_right & new_right).sum())
    padded, b, c = count + 2, lost + 0.5, won + 0.5
    center = (b - c) / padded
    half = Z_95 * math.sqrt(b + c - (b - c) ** 2 / padded) / padded
    return AccuracyDrop(drop_ratio=(lost - won) / count, low=center - half, high=center + half, lost=lost, won=won)


class GuardVerdict(NamedTuple):
    """PASS, FAIL or INCONCLUSIVE, with the reason."""

    verdict: Verdict
    reason: str


def guarded(drop: AccuracyDrop, guard: Guard, labels: int) -> GuardVerdict:
    """Return the guard's verdict: PASS when the whole interval is within it, FAIL when the drop is real and beyond."""
    bound = GUARDS[guard]
    shown = (
        f"accuracy drop {drop.drop_ratio * 100:+.2f} points ({drop.low * 100:+.2f} … {drop.high * 100:+.2f})"
        f" on {labels:,} labels"
    )
    if bound is None:
        return GuardVerdict("PASS", f"{shown}; {guard} sets no bound")
    allowed = f"{guard} allows {bound * 100:g}"
    if drop.high < bound:
        return GuardVerdict("PASS", f"{shown}; {allowed}")
    if drop.drop_ratio > bound and drop.low > 0:
        return GuardVerdict("FAIL", f"{shown}; {allowed}")
    return GuardVerdict("INCONCLUSIVE", f"{shown}; {allowed}: so few labels cannot tell, more would")


# ── labels from a file ───────────────────────────────────────────────────────────────────────────────────────────────


def checked_labels(labels: NDArray[Any], wanted: int, classes: int, name: str) -> NDArray[np.intp]:
    """Return the labels as whole numbers; what does not fit the outputs is refused."""
    import numpy as np

    if labels.ndim != 1 or labels.dtype.kind not in "iufb" or (labels.dtype.kind == "f" and (labels % 1 != 0).any()):
        raise UsageError(
            f"{name} holds {labels.dtype} of shape {list(labels.shape)}, one whole number an inference is wanted"
        )
    if len(labels) != wanted:
        raise UsageError(f"{name} holds {len(labels):,} labels for {wanted:,} inferences", hint="--inputs with as many")
    found = cast("NDArray[np.intp]", labels.astype(np.intp))
    if found.size and (found.min() < 0 or found.max() >= max(2, classes)):
        raise UsageError(
            f"{name} names class {found.max() if found.min() >= 0 else found.min()}, the output has {classes}"
        )
    return found
