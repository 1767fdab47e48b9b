"""What a comparison says of outputs: from what two runs sent back to distances, scores and verdicts."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from edgeprof.bounded import read_bounded
from edgeprof.comparing.layouts import reshaped, turned
from edgeprof.comparing.output_agreement import Side, compared_output, lines_for, outputs_finding, untold_finding
from edgeprof.comparing.output_pairs import gives_classes, output_names, paired_outputs
from edgeprof.comparing.quality import (
    GUARDS,
    accuracy_drop,
    checked_labels,
    distance,
    guarded,
    real_values,
    scores,
    top_classes,
)
from edgeprof.errors import FileUnreadable, UsageError
from edgeprof.records.events import OutputReceived
from edgeprof.records.quality import ComparedOutput, Quality
from edgeprof.records.result import Finding
from edgeprof.summary.static import model_facts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgeprof.comparing.quality_inputs import Matched
    from edgeprof.model.graph import Graph
    from edgeprof.records.events import Event
    from edgeprof.records.quality import Guard, Scores
    from edgeprof.records.result import Basis, Metric, Verdict

REPEAT = "repeatability"
LARGEST_LABELS_BYTES = 64 << 20
WHAT = "the labels"


class Heard(NamedTuple):
    """The outputs of one run as they came, by inference and tensor."""

    outputs: dict[tuple[int, int], OutputReceived]

    def listen(self, event: Event) -> None:
        """Keep an output; anything else goes by."""
        if isinstance(event, OutputReceived):
            self.outputs[event.inference, event.tensor] = event


class Judged(NamedTuple):
    """The quality, and the findings on it."""

    quality: Quality
    findings: tuple[Finding, ...]


class _Missing(Exception):
    """There is nothing to compare; the text says why."""


Came = list["NDArray[Any] | str"]
"""The stored outputs of one run in the model's order, first axis: inferences; a text says why one is none."""


def judge_quality(
    graphs: tuple[Graph, Graph],
    heard: tuple[Heard, Heard],
    matched: Matched,
    basis: Basis,
    *,
    labels: Path | None = None,
    guard: Guard | None = None,
    min_agreement: float | None = None,
) -> Judged:
    """Compare what two models gave for the same inputs, the last of which repeats the first.

    Raises UsageError for labels that do not fit the outputs.
    """
    quality = Quality(inputs=matched.source, basis=basis, notes=matched.notes)
    try:
        came = (_stored(heard[0], graphs[0], matched), _stored(heard[1], graphs[1], matched))
    except _Missing as missing:
        return _untold(quality, str(missing))
    pairs = paired_outputs(*graphs)
    compared = [_pair(graphs, came, place, scored=labels is not None) for place in pairs.places]
    quality = replace(quality, paired_by="name" if pairs.by_name else "position")
    told = [one for one in compared if isinstance(one, _Pair)]
    if not told:
        reasons = "; ".join(
            f"{one.base!r} with {one.new!r}: {one.reason}" for one in compared[:3] if not isinstance(one, _Pair)
        )
        return _untold(quality, reasons)
    whole = _with_distance(quality, came, told)
    whole = replace(
        whole, guard=guard,
        outputs=tuple(one.judged() if isinstance(one, _Pair) else one for one in compared),
        **(_labelled(compared[0], labels) if labels is not None else {}),
    )  # fmt: skip
    lines = lines_for(min_agreement, random=matched.random)
    agreeing = outputs_finding(whole.outputs, pairs.alone, lines, basis)
    return Judged(whole, (agreeing, *_findings(whole)))


def _untold(quality: Quality, reason: str) -> Judged:
    return Judged(replace(quality, reason=reason), (untold_finding(reason, quality.basis),))


class _Pair(NamedTuple):
    """Real values of one output on both sides, in BASE's shape, the last inference repeating the first."""

    base: Side
    new: Side
    classes: bool

    def judged(self) -> ComparedOutput:
        """Return how far they agree, the repetition aside."""
        one, other = (side._replace(values=side.values[:-1]) for side in (self.base, self.new))
        return compared_output(one, other, classes=self.classes)


def _pair(
    graphs: tuple[Graph, Graph], came: tuple[Came, Came], places: tuple[int, int], *, scored: bool
) -> _Pair | ComparedOutput:
    """Return both sides of a pair, or why they cannot be compared. `scored`: there are labels for the only output."""
    names = [output_names(graph)[at] for graph, at in zip(graphs, places, strict=True)]
    sides = []
    for name, graph, arrays, at in zip(names, graphs, came, places, strict=True):
        array = arrays[at]
        if isinstance(array, str):
            return ComparedOutput(base=names[0], new=names[1], reason=array)
        fact = model_facts(graph).outputs[at]
        whole_numbers = array.dtype.kind in "iub" and fact.scale is None
        sides.append(Side(name, real_values(array, fact.scale, fact.zero_point), whole_numbers))
    turned_new = _one_alike(sides[0].values, sides[1].values)
    if isinstance(turned_new, str):
        return ComparedOutput(base=names[0], new=names[1], reason=turned_new)
    only = all(len(graph.outputs) == 1 for graph in graphs)
    shape = sides[0].values.shape[1:]
    softmax = any(gives_classes(graph, at, shape) for graph, at in zip(graphs, places, strict=True))
    return _Pair(sides[0], sides[1]._replace(values=turned_new), classes=(scored and only) or softmax)


def _with_distance(quality: Quality, came: tuple[Came, Came], pairs: Sequence[_Pair]) -> Quality:
    """Return the quality with how far the outputs are apart as a whole, and whether each side repeats itself."""
    base, new = [pair.base.values for pair in pairs], [pair.new.values for pair in pairs]
    first = tuple([array[:-1] for array in side] for side in (base, new))  # without the repetition
    return replace(
        quality,
        distance=distance(*first, classes=len(pairs) == 1 and pairs[0].classes),
        base_consistent=_is_consistent(came[0]),
        new_consistent=_is_consistent(came[1]),
        base_repeat_error=_repeat_error(base),
        new_repeat_error=_repeat_error(new),
    )


# ── from what was sent to real values ────────────────────────────────────────────────────────────────────────────────


def _stored(heard: Heard, graph: Graph, matched: Matched) -> Came:
    """Return the stored outputs of a model; raise where they did not come."""
    count = len(next(iter(matched.arrays[0].values()), ()))
    tensors = range(len(graph.outputs))
    missing = [key for key in ((i, t) for i in range(count) for t in tensors) if key not in heard.outputs]
    if missing or not tensors:
        came = len({inference for inference, _ in heard.outputs})
        raise _Missing(f"the outputs of {graph.name} did not come: {came} of {count} inferences")
    return [_one_stored([heard.outputs[at, tensor] for at in range(count)], graph.name) for tensor in tensors]


def _one_stored(rows: Sequence[OutputReceived], name: str) -> NDArray[Any] | str:
    import numpy as np

    if len({row.shape for row in rows}) > 1:
        return f"{name} gives another shape for each input"
    try:
        kind = np.dtype(rows[0].dtype)
    except TypeError:
        return f"{name} gives {rows[0].dtype}"
    if kind.kind not in "iubf":
        return f"{name} gives {rows[0].dtype}"
    return np.stack([np.frombuffer(row.content, kind).reshape(row.shape) for row in rows])


def _one_alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64] | str:
    """Return NEW's output in the shape of BASE's, axes of 1 aside, or NCHW against NHWC; else why it has none."""
    have, wanted = other.shape[1:], one.shape[1:]
    if reshaped(have, wanted):
        return other.reshape(one.shape)
    if turn := turned(have, wanted):
        return other.transpose(0, *(axis + 1 for axis in turn.axes))
    return f"it is {list(wanted)} of BASE and {list(have)} of NEW"


def _is_consistent(came: Came) -> bool:
    """Tell whether the repeated input gave the same bytes again."""
    return all(isinstance(array, str) or array[0].tobytes() == array[-1].tobytes() for array in came)


def _repeat_error(real: list[NDArray[np.float64]]) -> float | None:
    """Return how far apart the two answers to the same input are; None where a value is not finite on one side."""
    return distance([array[:1] for array in real], [array[-1:] for array in real], classes=False).max_abs_error


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _labelled(first: _Pair | ComparedOutput, path: Path) -> dict[str, Any]:
    """Return the scores of the first output against labels; none where it could not be compared."""
    if not isinstance(first, _Pair):
        return {}
    base, new = first.base.values[:-1], first.new.values[:-1]
    return _scored(base, new, checked_labels(read_labels(path), len(base), base[0].size, str(path)))


def read_labels(path: Path) -> NDArray[Any]:
    """Read labels: an NPZ with one array or one called `labels`, or a CSV whose last column they are."""
    from edgeprof.npz import array_of, opened_npz

    if path.suffix.lower() == ".npz":
        with opened_npz(path, LARGEST_LABELS_BYTES, WHAT) as npz:
            names = list(npz.declared)
            if "labels" not in names and len(names) != 1:
                raise UsageError(
                    f"{path} holds {', '.join(map(repr, names)) or 'nothing'}", hint="call the array `labels`"
                )
            return array_of(npz, "labels" if "labels" in names else names[0])
    try:
        text = read_bounded(path, LARGEST_LABELS_BYTES, WHAT).decode("utf-8-sig")
        return _column([row for row in csv.reader(text.splitlines()) if row and any(row)], path)
    except (ValueError, csv.Error) as error:
        raise FileUnreadable(f"cannot read {WHAT} {path}: {error}", hint="a CSV with a class a line will do") from error


def _column(rows: list[list[str]], path: Path) -> NDArray[Any]:
    import numpy as np

    texts = [row[-1].strip() for row in rows]
    if texts and not texts[0].lstrip("+-").isdigit():
        texts = texts[1:]  # a header
    wrong = next((text for text in texts if not text.isdigit()), None)
    if wrong is not None or not texts:
        raise UsageError(f"{path}: {wrong!r} is no class" if wrong is not None else f"{path} holds no labels")
    return np.array([int(text) for text in texts])


def _scored(base: NDArray[np.float64], new: NDArray[np.float64], labels: NDArray[np.intp]) -> dict[str, Any]:
    right = (top_classes(outputs) == labels for outputs in (base, new))
    return {"base": scores(base, labels), "new": scores(new, labels), "drop": accuracy_drop(*right)}


# ── findings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _findings(quality: Quality) -> list[Finding]:
    found = [_repeatability(quality)]
    if quality.drop is not None and quality.guard is not None and quality.new is not None:
        said = guarded(quality.drop, quality.guard, quality.new.labels)
        found.append(
            _finding(f"accuracy/{quality.guard}", "accuracy_ratio", said.verdict, quality.basis, said.reason,
                     value=quality.drop.drop_ratio, threshold=GUARDS[quality.guard])
        )  # fmt: skip
    return found


def _repeatability(quality: Quality) -> Finding:
    sides = (
        ("BASE", quality.base_consistent, quality.base_repeat_error),
        ("NEW", quality.new_consistent, quality.new_repeat_error),
    )
    apart = [f"{name} by {error:g}" if error is not None else name for name, same, error in sides if not same]
    verdict: Verdict = "PASS" if not apart else "WARN"
    reason = "the same input gave the same bytes again, on both"
    if apart:
        reason = f"the same input gave other outputs the second time: {', '.join(apart)}"
    return _finding(REPEAT, "output_max_abs_error", verdict, quality.basis, reason)


def _finding(
    limit: str,
    metric: str,
    verdict: Verdict,
    basis: Basis,
    reason: str,
    *,
    value: float | None = None,
    threshold: float | None = None,
) -> Finding:
    return Finding(
        limit=limit, metric=metric, verdict=verdict, tier="hard", value=value, threshold=threshold, unit="ratio",
        basis=basis, source="--guard" if limit != REPEAT else "repeated inference", reason=reason,
    )  # fmt: skip


def quality_metrics(quality: Quality) -> dict[str, Metric]:
    """Return the figures of NEW's outputs under the registry's names."""
    from edgeprof.records.result import Metric

    found = {}
    far, scored = quality.distance, quality.new
    if far is not None:
        by = f"against BASE, {quality.inputs}"
        found["output_max_abs_error"] = Metric(
            value=far.max_abs_error, basis=quality.basis, count=far.inferences,
            method=f"largest difference of real values {by}",
            reason=None if far.max_abs_error is not None else "a value is not finite on one side",
        )  # fmt: skip
        found["output_agreement_ratio"] = Metric(
            value=far.agreement_ratio, basis=quality.basis, count=far.inferences, method=f"same {far.compared} {by}"
        )
    if scored is not None:
        found["accuracy_ratio"] = accuracy_metric(scored, quality.basis)
    return found


def accuracy_metric(scored: Scores, basis: Basis) -> Metric:
    """Return the accuracy as a figure."""
    from edgeprof.records.result import Metric

    return Metric(value=scored.accuracy_ratio, basis=basis, count=scored.labels, method="top-1 against --labels")
