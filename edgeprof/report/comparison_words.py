"""What all formats say of a comparison: what changed, how sure that is, and what the gate says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.comparing.regression import GATED
from edgeprof.comparing.shown import difference_text, ratio_text, sides_text
from edgeprof.metrics import metric_kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.comparison import Change, Comparison
    from edgeprof.records.quality import Quality
    from edgeprof.records.result import Verdict

SIGNS = {"better": "better", "worse": "WORSE", "same": "same", "cannot tell": "?"}
GRAVITY: tuple[Verdict, ...] = ("FAIL", "WARN", "INCONCLUSIVE", "PASS", "SKIP")


def worst(one: Comparison) -> Verdict:
    """Return the gravest verdict of a comparison; without findings nothing failed."""
    verdicts = {finding.verdict for finding in one.findings}
    return next((verdict for verdict in GRAVITY if verdict in verdicts), "PASS")


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


class Shown(NamedTuple):
    """Changes that get a row, in the order of their weight, and those that get a word."""

    rows: tuple[Change, ...]
    same: tuple[Change, ...]
    open: tuple[Change, ...]


def shown_changes(one: Comparison, *, whole: bool = False) -> Shown:
    """Return what the gate looks at and what is decided, apart from the rest."""
    gated = [change for change in one.changes if change.metric in GATED]
    decided = [c for c in one.changes if c.metric not in GATED and c.verdict in {"better", "worse"}]
    rest = [c for c in one.changes if c.metric not in GATED and c.verdict not in {"better", "worse"}]
    if whole:
        return Shown((*gated, *decided, *rest), (), ())
    same = tuple(change for change in rest if change.verdict == "same")
    return Shown((*gated, *decided), same, tuple(change for change in rest if change.verdict != "same"))


class ShownChange(NamedTuple):
    """A change as text."""

    base: str
    new: str
    ratio: str
    verdict: str


def shown_change(change: Change) -> ShownChange:
    """Return base, new, change with bounds, and verdict, as text."""
    base, new = sides_text(change)
    ratio = ratio_text(change.change_ratio)
    if change.way != "exact" and change.low is not None and change.high is not None:
        ratio += f" ({change.low * 100:+.2f} … {change.high * 100:+.2f})"
    return ShownChange(base, new, ratio, sign_of(change))


def sign_of(change: Change) -> str:
    """Return the verdict as a word; of an exact difference that is allowed the difference itself."""
    return difference_text(change) if change.allowed else SIGNS[change.verdict]


def titles(changes: Sequence[Change]) -> str:
    """Return the names of metrics, in one line."""
    return ", ".join(metric_kind(change.metric).title for change in changes)


def heading(one: Comparison) -> str:
    """Return what is compared with what, and where."""
    runtimes = one.base.runtime if one.base.runtime == one.new.runtime else f"{one.base.runtime} and {one.new.runtime}"
    with_ = f", {runtimes}" if runtimes else ""
    if one.base.target == one.new.target:
        return f"{one.new.name} against {one.base.name} on {one.base.target}{with_}"
    return f"{one.new.name} on {one.new.target} against {one.base.name} on {one.base.target}{with_}"


def heading_of_all(found: Sequence[Comparison]) -> str:
    """Return what several NEW are compared with, and where."""
    base = found[0].base
    names = [new_name(one) for one in found]
    return f"{', '.join(names[:-1])} and {names[-1]} against {base.name} on {base.target}"


def new_name(one: Comparison) -> str:
    """Return NEW's name, with its target where that is another one."""
    return one.new.name if one.new.target == one.base.target else f"{one.new.name} on {one.new.target}"


def how_sure(one: Comparison) -> str:
    """Return one line on what the latency's verdict rests on."""
    latency = next((change for change in one.changes if change.metric == "latency_p50_s"), None)
    if latency is None or (latency.way == "exact" and one.base.id != one.new.id):
        return "exact figures need no repetition"
    if latency.way == "exact":
        return "both sides are the same result"
    if latency.base is None or latency.new is None:
        return "latency: one side alone has one"
    if latency.way == "interleaved" or (latency.basis == "simulated" and latency.low is not None):
        return f"latency: {latency.method}"
    finer = "; compare the models themselves for fine ones" if one.quality is None else ""
    return f"latency: two separate runs support coarse verdicts only{finer}"


def sentence(text: str) -> str:
    """Return a line as the beginning of a sentence; the rest of it stays as it is written."""
    return text[:1].upper() + text[1:]


def quality_line(quality: Quality) -> str:
    """Return one line on the outputs; empty where nobody asked for them."""
    if quality.distance is None:
        return f"outputs not compared: {quality.reason}" if quality.reason and quality.inputs else ""
    far = quality.distance
    error = "not finite on one side" if far.max_abs_error is None else f"{far.max_abs_error:.4g}"
    cosine = "" if far.cosine is None else f", cosine at least {far.cosine:.6f}"
    what = "top-1 classes" if far.compared == "top-1" else "elements (within 1 % of the largest)"
    told = (
        f"outputs, {quality.inputs}: largest error {error} (largest value {far.largest_value:.4g}){cosine},"
        f" {far.agreement_ratio * 100:.2f} % of {what} agree"
    )
    return told + "".join(f"; {note}" for note in quality.notes)


def scores_line(quality: Quality) -> str:
    """Return one line on the labels; empty where there are none."""
    base, new = quality.base, quality.new
    if base is None or new is None:
        return ""
    parts = [
        f"accuracy {base.accuracy_ratio * 100:.2f} % → {new.accuracy_ratio * 100:.2f} %",
        f"F1 (macro) {base.f1_macro:.4f} → {new.f1_macro:.4f}",
    ]
    if base.auc is not None and new.auc is not None:
        parts.append(f"AUC {base.auc:.4f} → {new.auc:.4f}")
    return f"{base.labels:,} labels: {', '.join(parts)}"


def have_one_base(found: Sequence[Comparison]) -> bool:
    """Tell whether several models were compared with the same one, so that a table shows them side by side."""
    return len(found) > 1 and len({one.base.id for one in found}) == 1
