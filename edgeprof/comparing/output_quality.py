"""What a comparison says of outputs: from what two runs sent back to distances, scores and verdicts."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeprof.bounded import read_bounded
from edgeprof.comparing.layouts import reshaped, turned
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
from edgeprof.oracle.agreement import output_kinds
from edgeprof.records.events import OutputReceived
from edgeprof.records.quality import Quality
from edgeprof.records.result import Finding
from edgeprof.summary.static import model_facts

if TYPE_CHECKING:
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


def judge_quality(
    graphs: tuple[Graph, Graph],
    heard: tuple[Heard, Heard],
    matched: Matched,
    basis: Basis,
    *,
    labels: Path | None = None,
    guard: Guard | None = None,
) -> Judged:
    """Compare what two models gave for the same inputs, the last of which repeats the first.

    Raises UsageError for labels that do not fit the outputs.
    """
    quality = Quality(inputs=matched.source, basis=basis, notes=matched.notes)
    try:
        stored = tuple(_stored(one, graph, matched) for one, graph in zip(heard, graphs, strict=True))
        base, new = (_real(arrays, graph) for arrays, graph in zip(stored, graphs, strict=True))
        new = _alike(base, new)
    except _Missing as missing:
        return Judged(_with_reason(quality, str(missing)), ())
    named = _labels(labels, len(base[0]) - 1, base[0][0].size) if labels is not None else None
    classes = len(base) == 1 and (named is not None or any(_is_classifier(graph) for graph in graphs))
    repeats = tuple(_repeat_error(arrays) for arrays in (base, new))
    first = tuple([array[:-1] for array in arrays] for arrays in (base, new))  # without the repetition
    quality = Quality(
        inputs=matched.source,
        basis=basis,
        notes=matched.notes,
        distance=distance(*first, classes=classes),
        base_consistent=_is_consistent(stored[0]),
        new_consistent=_is_consistent(stored[1]),
        base_repeat_error=repeats[0],
        new_repeat_error=repeats[1],
        guard=guard,
        **(_scored(first[0][0], first[1][0], named) if named is not None else {}),
    )
    return Judged(quality, tuple(_findings(quality)))


def _with_reason(quality: Quality, reason: str) -> Quality:
    return Quality(inputs=quality.inputs, basis=quality.basis, notes=quality.notes, reason=reason)


# ── from what was sent to real values ────────────────────────────────────────────────────────────────────────────────


def _stored(heard: Heard, graph: Graph, matched: Matched) -> list[NDArray[Any]]:
    """Return the stored outputs, an array an output, first axis: inferences."""
    import numpy as np  # noqa: PLC0415  only where outputs are compared

    count = len(next(iter(matched.arrays[0].values()), ()))
    tensors = range(len(graph.outputs))
    missing = [key for key in ((i, t) for i in range(count) for t in tensors) if key not in heard.outputs]
    if missing or not tensors:
        came = len({inference for inference, _ in heard.outputs})
        raise _Missing(f"the outputs of {graph.name} did not come: {came} of {count} inferences")
    arrays = []
    for tensor in tensors:
        rows = [heard.outputs[inference, tensor] for inference in range(count)]
        if len({row.shape for row in rows}) > 1:
            raise _Missing(f"output {tensor} of {graph.name} has another shape for each input")
        try:
            kind = np.dtype(rows[0].dtype)
        except TypeError as error:
            raise _Missing(f"output {tensor} of {graph.name} holds {rows[0].dtype}") from error
        if kind.kind not in "iubf":
            raise _Missing(f"output {tensor} of {graph.name} holds {rows[0].dtype}")
        arrays.append(np.stack([np.frombuffer(row.content, kind).reshape(row.shape) for row in rows]))
    return arrays


def _real(arrays: list[NDArray[Any]], graph: Graph) -> list[NDArray[np.float64]]:
    facts = model_facts(graph).outputs
    return [real_values(array, fact.scale, fact.zero_point) for array, fact in zip(arrays, facts, strict=True)]


def _alike(base: list[NDArray[np.float64]], new: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return NEW's outputs in the shapes of BASE's: axes of 1 aside, or NCHW against NHWC."""
    if len(base) != len(new):
        raise _Missing(f"BASE has {len(base)} outputs, NEW {len(new)}")
    return [_one_alike(one, other, index) for index, (one, other) in enumerate(zip(base, new, strict=True))]


def _one_alike(one: NDArray[np.float64], other: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    have, wanted = other.shape[1:], one.shape[1:]
    if reshaped(have, wanted):
        return other.reshape(one.shape)
    if turn := turned(have, wanted):
        return other.transpose(0, *(axis + 1 for axis in turn.axes))
    raise _Missing(f"output {index} is {list(wanted)} of BASE and {list(have)} of NEW")


def _is_classifier(graph: Graph) -> bool:
    """Tell whether the only output is one score a class; ONNX spells SOFTMAX otherwise."""
    if any(kind.classes for kind in output_kinds(graph)):
        return True
    makers = {output: operator.type.upper() for operator in graph.operators for output in operator.outputs}
    return len(graph.outputs) == 1 and makers.get(graph.outputs[0]) == "SOFTMAX"


def _is_consistent(stored: list[NDArray[Any]]) -> bool:
    """Tell whether the repeated input gave the same bytes again."""
    return all(array[0].tobytes() == array[-1].tobytes() for array in stored)


def _repeat_error(real: list[NDArray[np.float64]]) -> float | None:
    """Return how far apart the two answers to the same input are; None where a value is not finite on one side."""
    return distance([array[:1] for array in real], [array[-1:] for array in real], classes=False).max_abs_error


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _labels(path: Path, wanted: int, classes: int) -> NDArray[np.intp]:
    return checked_labels(read_labels(path), wanted, classes, str(path))


def read_labels(path: Path) -> NDArray[Any]:
    """Read labels: an NPZ with one array or one called `labels`, or a CSV whose last column they are."""
    from edgeprof.npz import array_of, opened_npz  # noqa: PLC0415  the same

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
    import numpy as np  # noqa: PLC0415  the same

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
    from edgeprof.records.result import Metric  # noqa: PLC0415  only with outputs

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
    from edgeprof.records.result import Metric  # noqa: PLC0415  only with labels

    return Metric(value=scored.accuracy_ratio, basis=basis, count=scored.labels, method="top-1 against --labels")
