"""Two results to a comparison: pure. What may be compared, what differs besides the model, and what changed."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgeprof.comparing.fallbacks import fallback_of_sides
from edgeprof.comparing.intervals import verdict
from edgeprof.comparing.layouts import alike
from edgeprof.comparing.regression import MAX_REGRESSION, gate_findings, is_beyond
from edgeprof.comparing.saved_changes import COUNTED, changes
from edgeprof.diagnosis.int8_kernels import CODE as INT8_SATURATES
from edgeprof.judging.marks import MARKS
from edgeprof.records.comparison import Change, ComparedSide, Comparison, Difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from edgeprof.comparing.intervals import Estimate
    from edgeprof.records.comparison import LaunchRatio
    from edgeprof.records.result import Basis, InputTensor, Result, Warned

    Shapes = Mapping[str, tuple[int, ...]]


def side_of(result: Result, name: str = "") -> ComparedSide:
    """Return what a comparison shows of a result, under a name of its own where one is given."""
    runtime = result.runtime
    return ComparedSide(
        id=result.id,
        created=result.created,
        name=name or result.variant or result.model.name,
        model=result.model,
        target=result.target.name,
        board=result.board.name,
        runtime=f"{runtime.name} {runtime.version}".strip() if runtime else "",
        threads=runtime.threads if runtime else 1,
        metrics=result.metrics,
    )


def differences(base: Result, new: Result) -> tuple[Difference, ...]:
    """Return what besides the model differs; most of it makes latencies incomparable."""
    clocks, engines = _simulated(base, new, "clock_hz"), _simulated(base, new, "engine")
    pairs = (
        ("board", _board(base) + clocks[0], _board(new) + clocks[1], True),
        ("basis", _basis(base), _basis(new), True),
        ("runtime", _runtime(base) + engines[0], _runtime(new) + engines[1], True),
        ("threads", _threads(base), _threads(new), True),
        ("CPUs", _cpus(base), _cpus(new), True),
        ("power mode", base.board.power_mode or "", new.board.power_mode or "", True),
        ("governor", _governor(base), _governor(new), True),
        ("runtime version", _version(base), _version(new), False),
        ("target", base.target.name, new.target.name, False),
        ("edgeprof", base.tool.version, new.tool.version, False),
    )
    return (
        *input_differences(_inputs(base), _inputs(new)),
        *(difference(what, one, other, forbids=forbids) for what, one, other, forbids in pairs if one != other),
    )


def difference(what: str, base: str, new: str, *, forbids: bool = True) -> Difference:
    """Return a difference whose sides are as they are known."""
    return Difference(what=what, base=base or "not known", new=new or "not known", forbids=forbids)


def input_differences(base: Shapes, new: Shapes) -> tuple[Difference, ...]:
    """Return how inputs differ, by name where both are called the same; NHWC beside NCHW is the same input."""
    order = list(base) if set(base) == set(new) else list(new)
    pairs = zip(base.values(), (new[name] for name in order), strict=False)
    if len(base) == len(new) and all(alike(one, other) for one, other in pairs):
        return ()
    texts = ("; ".join(str(list(shape)) for shape in side.values()) for side in (base, new))
    return (difference("inputs", *texts),)


def input_shapes(inputs: Iterable[InputTensor], settled: Shapes = {}) -> Shapes:  # noqa: B006  never written to
    """Return the inputs' shapes by name as they are run: sizes that the model leaves open as settled, else 1."""
    return {
        facts.name: tuple(settled.get(facts.name) or (1 if size is None else size for size in facts.shape or ()))
        for facts in inputs
    }


def _inputs(result: Result) -> Shapes:
    return input_shapes(result.model.inputs, result.plan.shapes)


def _board(result: Result) -> str:
    return result.board.id or result.board.name


def _basis(result: Result) -> str:
    names = ("latency_p50_s", *COUNTED)
    return next((m.basis for name in names if (m := result.metrics.get(name)) and m.value is not None), "")


def _runtime(result: Result) -> str:
    """Return the runtime with the delegate, or the providers and options, that it used."""
    runtime = result.runtime
    if runtime is None:
        return ""
    chosen = (runtime.detail.get(name) for name in ("delegate", "providers", "options"))
    used = [", ".join(map(str, x)) if isinstance(x, list | tuple) else str(x) for x in chosen if x]
    return f"{runtime.name} ({'; '.join(used)})" if used else runtime.name


def _simulated(base: Result, new: Result, name: str) -> tuple[str, str]:
    """Return what a simulated board was made of, where both results say it and differ: older results say less."""
    one, other = (str(side.runtime.detail.get(name, "")) if side.runtime else "" for side in (base, new))
    unit = " Hz" if name == "clock_hz" else ""
    return (f", {one}{unit}", f", {other}{unit}") if one and other and one != other else ("", "")


def _version(result: Result) -> str:
    return result.runtime.version if result.runtime else ""


def _threads(result: Result) -> str:
    return str(result.runtime.threads) if result.runtime else ""


def _cpus(result: Result) -> str:
    return ",".join(map(str, result.plan.cpus)) or "any"


def _governor(result: Result) -> str:
    return ", ".join(sorted(set(result.environment.before.get("governor", {}).values())))


# ── interleaved ──────────────────────────────────────────────────────────────────────────────────────────────────────


def interleaved_change(
    found: Estimate, launches: Sequence[LaunchRatio], basis: Basis, max_regression: float, way: str = ""
) -> Change:
    """Return the change of latency_p50_s that both models run in turns gave; `way` says how the turns were taken."""
    base_s = statistics.median(launch.base_p50_s for launch in launches)
    said = verdict(found, base_s, max_regression)
    pairs = sum(launch.pairs for launch in launches)
    turns = f" ({way})" if way else ""
    return Change(
        metric="latency_p50_s",
        base=base_s,
        new=base_s * (1 + found.change_ratio),
        basis=basis,
        way="interleaved",
        change_ratio=found.change_ratio,
        low=found.low,
        high=found.high,
        confidence=0.95,
        verdict=said,
        method=f"{pairs:,} pairs of inferences in turns{turns} over {len(launches)} launches; t-interval over launches",
        reason="" if said != "cannot tell" else "the launches differ too much among themselves",
    )


def compared(
    base: Result,
    new: Result,
    created: str,
    *,
    max_regression: float = MAX_REGRESSION,
    interleaved: Change | None = None,
    launches: Sequence[LaunchRatio] = (),
    names: tuple[str, str] = ("", ""),
    advice: str = "",
) -> Comparison:
    """Return the comparison of two results; what was run in turns takes the place of the saved latency.

    `advice`: what would tell more where a latency cannot be told.
    """
    found = changes(base, new, advice)
    if interleaved is not None:
        found = (interleaved, *(change for change in found if change.metric != interleaved.metric))
    found = tuple(_with_allowance(change, max_regression) for change in found)
    return Comparison(
        created=created,
        base=side_of(base, names[0]),
        new=side_of(new, names[1]),
        differences=differences(base, new),
        changes=found,
        launches=tuple(launches),
        findings=fallback_of_sides(base, new, gate_findings(found, max_regression)),
        warnings=tuple(_marks(base, new)),
    )


def _with_allowance(change: Change, max_regression: float) -> Change:
    """Mark an exact difference that the gate allows: four bytes more are told, and are no regression."""
    ratio = change.change_ratio
    if ratio is None or change.way != "exact" or change.verdict == "same" or is_beyond(abs(ratio), max_regression):
        return change
    return replace(change, allowed=True)


def _marks(base: Result, new: Result) -> Iterator[Warned]:
    """Yield what makes a side no measurement of a healthy board, or of a network that answers rightly."""
    for side, result in (("BASE", base), ("NEW", new)):
        for warned in result.warnings:
            if warned.code in MARKS or warned.code == INT8_SATURATES:
                yield replace(warned, text=f"{side}: {warned.text}")
