"""Whether two models' outputs agree, output by output, and the finding `compare/outputs` on it. Pure.

Each output is judged by one figure between 0 and 1, by what it holds:

- classes (one vector an inference out of a softmax, or the only output where there are labels): the share of inferences
  with the same largest class;
- whole numbers without a scale on both sides (labels, counts, indices): the share of equal elements;
- one value an inference: the share of them within 1 % of the output's largest, since the cosine of two numbers is
  their sign;
- anything else: the least cosine of an inference. A cosine does not see that one side is twice as large: that is
  warned of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.comparing.quality import agreement, least_cosine
from edgeprof.records.quality import ComparedOutput
from edgeprof.records.result import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.comparing.quality import Reals
    from edgeprof.records.quality import OutputRule
    from edgeprof.records.result import Basis, Verdict

OUTPUTS = "compare/outputs"
WANTED, WANTED_ON_RANDOM = 0.99, 0.5
"""Below it is FAIL: on inputs that were given, and on random ones, which drive a quantised model beyond what it was
calibrated for. Between the two, random inputs are a WARN."""
SIZE_RATIO = 1.5
"""Values that are as much larger or smaller, in the root of the mean square, are warned of."""
NAMED_OUTPUTS = 3


class Side(NamedTuple):
    """One output of one model: its name, its real values, and whether they are whole numbers without a scale."""

    name: str
    values: Reals
    whole_numbers: bool


def compared_output(base: Side, new: Side, *, classes: bool) -> ComparedOutput:
    """Return how far an output of NEW agrees with BASE's, by the rule for what it holds."""
    rule = _rule(base, new, classes=classes)
    one, other = (side.values.reshape(len(side.values), -1) for side in (base, new))
    return ComparedOutput(
        base=base.name,
        new=new.name,
        rule=rule,
        agreement_ratio=_agreement(one, other, rule),
        size_ratio=_size_ratio(one, other) if rule == "cosine" else None,
        reason=_not_finite(one, other),
    )


def _rule(base: Side, new: Side, *, classes: bool) -> OutputRule:
    if classes:
        return "top-1"
    if base.whole_numbers and new.whole_numbers:
        return "equal"
    return "close" if base.values[0].size <= 1 else "cosine"


def _agreement(base: Reals, new: Reals, rule: OutputRule) -> float:
    if not base.size:
        return 1.0
    match rule:
        case "top-1":
            return agreement(base, new, classes=True) / len(base)
        case "equal":
            return float((base == new).mean())
        case "close":
            return agreement(base, new, classes=False) / base.size
        case "cosine":
            return max(0.0, least_cosine(base, new) or 0.0)


def _not_finite(base: Reals, new: Reals) -> str:
    """Return a word on values that are not finite on one side alone, or where none is; empty where all is well."""
    import numpy as np

    finite = np.isfinite(base) & np.isfinite(new)
    alike = (base == new) | (np.isnan(base) & np.isnan(new))
    if not (finite | alike).all():
        return "a value is not finite on one side alone"
    return "" if finite.any() or not finite.size else "no value is finite on either side"


def _size_ratio(base: Reals, new: Reals) -> float | None:
    """Return how many times as large NEW's values are; None where a side is all zeros."""
    import numpy as np

    finite = np.isfinite(base) & np.isfinite(new)
    largest = [float(np.abs(side[finite]).max(initial=0.0)) for side in (base, new)]
    if not all(largest):
        return None
    one, other = (
        top * float(np.sqrt(np.mean(np.square(side[finite] / top))))
        for side, top in zip((base, new), largest, strict=True)
    )
    return other / one


# ── the finding ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Lines(NamedTuple):
    """Below `fail` is FAIL, below `warn` WARN; `asked`: a person set the first."""

    fail: float
    warn: float
    random: bool
    asked: bool


def lines_for(min_agreement: float | None, *, random: bool) -> Lines:
    """Return the lines for inputs that were given, or for random ones."""
    usual = WANTED_ON_RANDOM if random else WANTED
    fail = usual if min_agreement is None else min_agreement
    return Lines(fail, max(fail, WANTED) if random else fail, random=random, asked=min_agreement is not None)


def outputs_finding(outputs: Sequence[ComparedOutput], alone: Sequence[str], lines: Lines, basis: Basis) -> Finding:
    """Return the verdict on all outputs: the worst of them; INCONCLUSIVE where one is untold and none fails."""
    known = sorted(
        (one for one in outputs if one.agreement_ratio is not None), key=lambda one: one.agreement_ratio or 0.0
    )
    untold = [f"{_name(one)}: {one.reason}" for one in outputs if one.agreement_ratio is None]
    untold += [f"{name} has none on the other side" for name in alone]
    verdict = _verdict(known, untold, lines)
    worst = known[0].agreement_ratio if known else None
    told = [_text(one) for one in known[:NAMED_OUTPUTS]]
    told += [f"{len(known) - NAMED_OUTPUTS} more agree as far or further"] if len(known) > NAMED_OUTPUTS else []
    reason = "; ".join([*told, *(f"not compared: {text}" for text in untold[:NAMED_OUTPUTS])])
    return Finding(
        limit=OUTPUTS, metric="output_agreement_ratio", verdict=verdict, tier="hard", value=worst,
        threshold=lines.fail if verdict == "FAIL" else lines.warn, unit="ratio", basis=basis, source="--min-agreement",
        reason=f"{reason}; {_wanted(lines, verdict, known)}",
    )  # fmt: skip


def untold_finding(reason: str, basis: Basis) -> Finding:
    """Return that no output could be compared."""
    return Finding(
        limit=OUTPUTS, metric="output_agreement_ratio", verdict="INCONCLUSIVE", tier="hard", value=None, threshold=None,
        unit="ratio", basis=basis, source="--min-agreement",
        reason=f"not compared: {reason}; --no-quality leaves outputs out",
    )  # fmt: skip


def _verdict(known: Sequence[ComparedOutput], untold: Sequence[str], lines: Lines) -> Verdict:
    least = min((one.agreement_ratio or 0.0 for one in known), default=1.0)
    if least < lines.fail:
        return "FAIL"
    if untold:
        return "INCONCLUSIVE"
    odd = any(one.reason or _is_of_another_size(one) for one in known)
    return "WARN" if least < lines.warn or odd else "PASS"


def _is_of_another_size(one: ComparedOutput) -> bool:
    return one.size_ratio is not None and not 1 / SIZE_RATIO <= one.size_ratio <= SIZE_RATIO


def _name(one: ComparedOutput) -> str:
    return repr(one.base) if one.base == one.new else f"{one.base!r} with {one.new!r}"


def _text(one: ComparedOutput) -> str:
    value = one.agreement_ratio or 0.0
    share = f"{value * 100:.2f} % of the"
    size = f", and values {one.size_ratio:.3g} times as large" if _is_of_another_size(one) and not one.reason else ""
    match one.rule:
        case "top-1":
            said = f"{share} top-1 classes agree"
        case "equal":
            said = f"{share} whole numbers are equal"
        case "close":
            said = f"{share} values agree within 1 % of the largest"
        case _:
            said = f"cosine {value:.6f} at least" if value else "no cosine above 0"
    why = f" ({one.reason})" if one.reason else ""
    return f"{_name(one)}: {said}{size}{why}"


def _wanted(lines: Lines, verdict: Verdict, known: Sequence[ComparedOutput]) -> str:
    """Return the line that decides in words, and what random inputs are worth."""
    fail, warn = (_line(line, known) for line in (lines.fail, lines.warn))
    by = "--min-agreement: " if lines.asked else ""
    if not lines.random or verdict == "PASS":
        return f"{by}at least {warn} expected"
    wanted = "" if verdict == "FAIL" else f"at least {warn} expected; "
    return f"{by}{wanted}random inputs fail below {fail}: real ones (--inputs FILE.npz) tell more"


def _line(line: float, known: Sequence[ComparedOutput]) -> str:
    """Return a line as a share, as a cosine, or as both, by what the outputs are judged by."""
    kinds = {one.rule == "cosine" for one in known}
    share = [f"{line * 100:g} %"] if False in kinds or not kinds else []
    return " or ".join([*share, *([f"a cosine of {line:g}"] if True in kinds else [])])
