"""Whether a board computes what an oracle computes: a pure comparison of output tensors, and the verdict on it.

The error is in real units, stored values times the output's scale, and in quantisation steps. Agreement is

- of a classifier, whose only output is one vector out of a SOFTMAX: the share of inferences with the same largest class
  (the first of equal ones);
- of anything else: the share of output elements that agree within the tolerance.

Two NaN agree, a NaN and a number never do.
"""

from __future__ import annotations

from collections import Counter
from math import inf, prod
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from edgeprof.records.result import Finding, Metric, OutputTensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.model.graph import Graph
    from edgeprof.records.result import Basis, Verdict

LIMIT = "outputs"
ERROR, AGREEMENT = "output_max_abs_error", "output_agreement_ratio"
FLOAT_TOLERANCE_RATIO = 1e-3
"""Where a tolerance in steps meets floats that have none: this share of the output's largest value."""
CLOSE_RATIO = 0.99
_passes_through = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})


class OutputKind(Struct, frozen=True, kw_only=True):
    """What the model says of one output; `step` is one quantisation step in real units, None where it has none."""

    name: str
    step: float | None = None
    quantised: bool = False
    classes: bool = False


class OracleOutputs(Struct, frozen=True, kw_only=True):
    """What an oracle computes, inference by inference in the model's order of outputs; none, with the reason.

    `tolerance_steps` is how far apart a right build may be from this oracle. `reason` also says why a better oracle
    was not there.
    """

    name: str = ""
    tolerance_steps: int = 0
    outputs: tuple[OutputTensor, ...] = ()
    reason: str = ""


class Agreement(Struct, frozen=True, kw_only=True):
    """How far a board's outputs are from the oracle's; None is not known.

    `max_abs_error` is infinite where a NaN or an infinity stands against a number; `first` tells the first element
    that is not equal, `outside` the first that is outside the tolerance.
    """

    equal_bytes: bool
    within_tolerance: bool
    inferences: int
    missing: int = 0
    max_abs_error: float | None = None
    max_steps: float | None = None
    agreement_ratio: float | None = None
    compared: str = "elements"
    first: str = ""
    outside: str = ""


def output_kinds(graph: Graph) -> tuple[OutputKind, ...]:
    """Return what a model says of its outputs."""
    makers = {output: operator for operator in graph.operators for output in operator.outputs}
    kinds = []
    for index in graph.outputs:
        tensor, maker = graph.tensors[index], makers.get(index)
        stored = tensor
        while maker is not None and maker.type in {*_passes_through, "DEQUANTIZE", "QUANTIZE"}:
            if maker.type == "DEQUANTIZE":
                stored = graph.tensors[maker.inputs[0]]
            maker = makers.get(maker.inputs[0])
        scales = stored.quantization.scales if stored.quantization is not None else ()
        size = [length for length in tensor.shape or () if length != 1]
        kinds.append(
            OutputKind(
                name=tensor.name,
                step=scales[0] if len(scales) == 1 else None,
                quantised=len(scales) == 1 and stored is tensor,
                classes=len(graph.outputs) == 1 and len(size) == 1 and maker is not None and maker.type == "SOFTMAX",
            )
        )
    return tuple(kinds)


# ── comparing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def compare_outputs(
    board: Sequence[OutputTensor],
    oracle: OracleOutputs,
    kinds: Sequence[OutputKind] = (),
    *,
    tolerance_steps: int | None = None,
) -> Agreement:
    """Compare what a board gave with an oracle's outputs, in their order; `kinds` give names and scales."""
    tolerance = oracle.tolerance_steps if tolerance_steps is None else tolerance_steps
    rows = list(_rows(board, oracle.outputs, kinds, tolerance, oracle.name))
    missing = len(oracle.outputs) - len(rows)
    if not rows:
        return Agreement(equal_bytes=False, within_tolerance=False, inferences=0, missing=missing)
    extra = _extra(board, oracle.outputs)
    by_class = all(row.same_class is not None for row in rows)
    agreeing = sum(bool(row.same_class) for row in rows) if by_class else sum(row.agreeing for row in rows)
    elements = sum(row.elements for row in rows)
    return Agreement(
        equal_bytes=all(row.equal_bytes for row in rows) and not missing,
        within_tolerance=not extra and not any(row.outside for row in rows),
        inferences=len({row.inference for row in rows}),
        missing=missing,
        max_abs_error=_largest([row.error for row in rows]),
        max_steps=_largest([row.steps for row in rows]),
        agreement_ratio=agreeing / len(rows) if by_class else agreeing / elements if elements else 1.0,
        compared="top-1" if by_class else "elements",
        first=next((row.first for row in rows if row.first), ""),
        outside=next((row.outside for row in rows if row.outside), extra),
    )


def _extra(board: Sequence[OutputTensor], oracle: Sequence[OutputTensor]) -> str:
    """Return what the board gave more than there are outputs."""
    count, wanted = Counter(o.inference for o in board), Counter(o.inference for o in oracle)
    more = next((inference for inference in count if count[inference] > wanted[inference]), None)
    if more is None:
        return ""
    return f"the board gave {_plural(count[more], 'output')} in inference {more}, there are {wanted[more]}"


class _Row(NamedTuple):
    """One output of one inference, compared. `same_class` is None where there are no classes."""

    inference: int
    equal_bytes: bool
    elements: int
    agreeing: int
    error: float | None
    steps: float | None
    same_class: bool | None
    first: str = ""
    outside: str = ""


def _rows(
    board: Sequence[OutputTensor],
    oracle: Sequence[OutputTensor],
    kinds: Sequence[OutputKind],
    tolerance: int,
    oracle_name: str,
) -> Iterator[_Row]:
    """Yield the comparison of each output that the board gave: the n-th of an inference with the oracle's n-th."""
    given: dict[int, list[OutputTensor]] = {}
    for output in board:
        given.setdefault(output.inference, []).append(output)
    position: dict[int, int] = {}
    for wanted in oracle:
        at = position[wanted.inference] = position.get(wanted.inference, -1) + 1
        outputs = given.get(wanted.inference, [])
        if at < len(outputs):
            kind = kinds[at] if at < len(kinds) else OutputKind(name=wanted.name)
            yield _row(outputs[at], wanted, kind, tolerance, oracle_name)


def _row(given: OutputTensor, wanted: OutputTensor, kind: OutputKind, tolerance: int, oracle: str) -> _Row:
    name = kind.name or given.name
    if given.dtype != wanted.dtype or len(given.content) != len(wanted.content):
        seen = f"{given.dtype} of {len(given.content)} bytes, {oracle} {wanted.dtype} of {len(wanted.content)} bytes"
        told = f"{name} of inference {given.inference} is {seen}"
        return _Row(given.inference, False, 1, 0, None, None, False if kind.classes else None, told, told)  # noqa: FBT003  a row
    if given.content == wanted.content:
        count = prod(wanted.shape)
        return _Row(given.inference, True, count, count, 0.0, 0.0, True if kind.classes else None)  # noqa: FBT003  a row
    return _unequal_row(given, wanted, kind, tolerance, oracle)


def _unequal_row(given: OutputTensor, wanted: OutputTensor, kind: OutputKind, tolerance: int, oracle: str) -> _Row:
    import numpy as np

    stored = _numbers(np, wanted.dtype)
    if stored is None or len(wanted.content) % stored.itemsize:
        told = f"{kind.name or given.name} of inference {given.inference} has other bytes ({wanted.dtype})"
        return _Row(given.inference, False, 1, 0, None, None, False if kind.classes else None, told, told)  # noqa: FBT003  a row
    seen, right = np.frombuffer(given.content, stored), np.frombuffer(wanted.content, stored)
    a, b = seen.astype(np.float64), right.astype(np.float64)
    equal = (seen == right) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        apart = np.where(equal, 0.0, np.abs(a - b))
    apart = np.where(np.isnan(apart), np.inf, apart)  # a NaN or an infinity against something else
    error = apart * kind.step if kind.quantised and kind.step else apart
    steps = error / kind.step if kind.step else apart if stored.kind in "iub" else None
    allowed = _allowed(np, stored.kind, kind, tolerance, b)
    agree = equal | (error <= allowed) if allowed else equal

    def describe(where: Any) -> str:  # noqa: ANN401  an array of numpy
        if not where.any():
            return ""
        at = int(np.flatnonzero(where)[0])
        far = steps is not None and np.isfinite(steps[at]) and f", {_plural(float(steps[at]), 'step')} apart"
        return (
            f"{kind.name or given.name}{_place(wanted.shape, at)} of inference {given.inference} is {seen[at]:g}"
            f" on the board, {right[at]:g} by {oracle}{far or ''}"
        )

    return _Row(
        inference=given.inference,
        equal_bytes=False,
        elements=len(seen),
        agreeing=int(agree.sum()),
        error=float(error.max()),
        steps=None if steps is None else float(steps.max()),
        same_class=_top(np, a) == _top(np, b) if kind.classes else None,
        first=describe(~equal),
        outside=describe(~agree),
    )


def _numbers(np: Any, name: str) -> Any:  # noqa: ANN401  numpy, imported late
    """Return the type of that name, None where its values are no real numbers that numpy knows."""
    try:
        known = np.dtype(name)
    except TypeError:
        return None
    return known if known.kind in "iubf" else None


def _allowed(np: Any, stored: str, kind: OutputKind, tolerance: int, right: Any) -> float:  # noqa: ANN401  numpy, imported late
    """Return the tolerance in real units. Whole numbers that are not quantised, such as indices, have none."""
    if not tolerance or (stored in "iub" and not kind.quantised):
        return 0.0
    if kind.step:
        return (tolerance + 1e-3) * kind.step  # products of floats are compared
    finite = np.abs(right[np.isfinite(right)])
    return float(FLOAT_TOLERANCE_RATIO * finite.max()) if finite.size else 0.0


def _top(np: Any, values: Any) -> int:  # noqa: ANN401  numpy, imported late
    """Return where the first of the largest is; -1 with a NaN among them, which is no class."""
    return -1 if np.isnan(values).any() else int(np.argmax(values))


def _place(shape: tuple[int, ...], index: int) -> str:
    place = []
    for length in reversed(shape):
        place.append(index % length)
        index //= length
    return f"[{', '.join(str(at) for at in reversed(place))}]"


def _largest(values: list[float | None]) -> float | None:
    """Return the largest, None where one is not known."""
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None


# ── the verdict ──────────────────────────────────────────────────────────────────────────────────────────────────────


def agreement_metrics(
    agreement: Agreement | None, oracle: OracleOutputs, basis: Basis, why: str = ""
) -> dict[str, Metric]:
    """Return the error and the agreement as figures of the run; `why` there is none."""
    reason = why or oracle.reason or "the board gave no outputs"
    if agreement is None or not agreement.inferences:
        return {
            name: Metric(value=None, basis=basis, count=None, method="", reason=reason) for name in (ERROR, AGREEMENT)
        }
    by = f"against {oracle.name} on this machine, {_plural(agreement.inferences, 'inference')}"
    method = f"largest difference of dequantised outputs {by}"
    error = agreement.max_abs_error
    known = error is not None and error != inf
    told = agreement.outside or agreement.first
    what = "inferences with the same top-1 class" if agreement.compared == "top-1" else "elements within the tolerance"
    return {
        ERROR: Metric(
            value=error if known else None,
            basis=basis,
            count=agreement.inferences,
            method=method,
            reason=None if known else f"no finite difference: {told}",
        ),
        AGREEMENT: Metric(
            value=agreement.agreement_ratio, basis=basis, count=agreement.inferences, method=f"share of {what} {by}"
        ),
    }


def agreement_finding(
    agreement: Agreement | None,
    oracle: OracleOutputs,
    basis: Basis,
    kinds: Sequence[OutputKind] = (),
    *,
    tolerance_steps: int | None = None,
    own_kernels: bool = False,
    why: str = "",
) -> Finding:
    """Return the verdict: outputs that differ from an oracle without a tolerance FAIL, whatever else a build can do.

    An oracle that rounds differently can only tell what is far off: LiteRT's and TFLM's reference kernels are up to 10
    steps apart on a residual network of MLPerf Tiny, XNNPACK up to 13. What is outside its tolerance and still close
    is INCONCLUSIVE, or a WARN for a runtime with `own_kernels`. `why` tells why there is nothing, or not all.
    """
    tolerance = oracle.tolerance_steps if tolerance_steps is None else tolerance_steps
    verdict, reason = _verdict(agreement, oracle, tolerance, why)
    if verdict == "FAIL" and tolerance and agreement is not None and _is_close(agreement):
        verdict = "WARN" if own_kernels else "INCONCLUSIVE"
        reason = reason if own_kernels else f"{reason}; a byte for byte verdict needs tflite-micro"
    steps = {kind.step for kind in kinds}
    step = next(iter(steps)) if len(steps) == 1 else None
    error = agreement.max_abs_error if agreement is not None else None
    return Finding(
        limit=LIMIT,
        metric=ERROR,
        verdict=verdict,
        tier="hard",
        value=None if error is None or error == inf else error,
        threshold=0.0 if not tolerance else None if step is None else tolerance * step,
        unit="error",
        basis=basis if agreement is not None and agreement.inferences else None,
        source=oracle.name,
        reason=reason,
    )


def skipped_finding(reason: str) -> Finding:
    """Return the finding on outputs for which there can be no oracle."""
    return Finding(
        limit=LIMIT, metric=ERROR, verdict="SKIP", tier="hard", value=None, threshold=None, unit="error", basis=None,
        source="", reason=reason,
    )  # fmt: skip


def _verdict(agreement: Agreement | None, oracle: OracleOutputs, tolerance: int, why: str) -> tuple[Verdict, str]:
    if agreement is None or not agreement.inferences:
        return "INCONCLUSIVE", why or oracle.reason or "the board gave no outputs"
    besides = f"; {oracle.reason}" if oracle.reason else ""
    if not agreement.within_tolerance:
        return "FAIL", f"{_apart(agreement, tolerance)}{besides}"
    if agreement.missing:
        missing = f"{_plural(agreement.missing, 'output')} of {len(oracle.outputs)} did not come"
        return "INCONCLUSIVE", f"{missing}{': ' + why if why else ''}{besides}"
    return "PASS", f"{_plural(agreement.inferences, 'inference')} {_near(agreement, oracle, tolerance)}{besides}"


def _near(agreement: Agreement, oracle: OracleOutputs, tolerance: int) -> str:
    if agreement.equal_bytes:
        return f"equal to {oracle.name} byte for byte"
    if not tolerance:
        return f"equal to {oracle.name} in value"
    if agreement.max_steps is None:
        return f"equal to {oracle.name} to within {FLOAT_TOLERANCE_RATIO * 100:g} % of its largest value"
    return f"at most {_plural(agreement.max_steps, 'step')} from {oracle.name}, allowed are {tolerance}"


def _apart(agreement: Agreement, tolerance: int) -> str:
    """Return the first element that is too far off, how far any is, and how much agrees."""
    steps = agreement.max_steps
    known = steps not in {None, 0.0, inf}
    largest = f"; at most {_plural(steps, 'step')}" if known else ""
    allowed = f", allowed are {tolerance}" if tolerance and known else ""
    share = f"{(agreement.agreement_ratio or 0.0) * 100:.4g} % of {_compared(agreement)} agree"
    return f"{agreement.outside}{largest}{allowed}; {share}"


def _is_close(agreement: Agreement) -> bool:
    """Tell whether every class is the same, or nearly every element, and no difference is without bounds."""
    least = 1.0 if agreement.compared == "top-1" else CLOSE_RATIO
    return (agreement.agreement_ratio or 0.0) >= least and agreement.max_abs_error not in {None, inf}


def _compared(agreement: Agreement) -> str:
    return "top-1 classes" if agreement.compared == "top-1" else "elements"


def _plural(count: float | None, what: str) -> str:
    rounded = round(count or 0.0, 2)
    return f"{rounded:g} {what}{'' if rounded == 1 else 's'}"
