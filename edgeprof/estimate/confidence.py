"""Whether a question is inside the data, and how wide the answer has to be."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from edgeprof.estimate.coefficients import Coefficients, CoreFactor, OwnFactor
    from edgeprof.estimate.features import Features

ConfidenceClass: TypeAlias = Literal["known", "extrapolated", "unknown"]

CONFIDENCE = 0.9
PUBLISHED = "MLPerf Tiny"
MOST_LIGHT_SHARE = 0.25
"""With more of the cycles in operators outside the data, the model itself is outside."""

SIZE_SLACK = 4.0
"""Models this much smaller or larger than the measured ones are not extrapolations yet."""

_SEPARATORS = re.compile(r"[\s_]+")
_CORTEX = re.compile(r"cortex-?(?P<profile>[amr])-?(?P<number>\d+)(?P<plus>(?:\+(?!dsp))?)(?:f|-?\+?dsp|-with-fpu)?")


class Standing(NamedTuple):
    """Where a question stands to the data: `reason` says what is outside, empty where nothing is."""

    confidence_class: ConfidenceClass
    stands_on: str
    reason: str = ""


def core_class(core: str) -> str:
    """Return the name of a class of core as the data has it: `Cortex-M4F` is cortex-m4, `RISC-V RV32IMAC` rv32imac.

    Case, blanks and underscores are no difference, nor is a floating-point unit or the DSP extension, which every
    measured Cortex-M33 has: `cortex_m4`, `CortexM4`, `Cortex-M33+DSP`.
    """
    name = _SEPARATORS.sub("-", core.strip().lower()).replace("plus", "+").removeprefix("arm-").removeprefix("risc-v-")
    found = _CORTEX.fullmatch(name)
    return f"cortex-{found['profile']}{found['number']}{found['plus']}" if found else name


def standing(
    coefficients: Coefficients, features: Features, core: str, engine: str, own: OwnFactor | None = None
) -> Standing:
    """Judge core, engine and operators. The first thing that is outside the data is the reason.

    `own` is what the data has of this core at the clock that is asked about, with this engine.
    """
    reason = pair_reason(coefficients, core, engine)
    if reason:
        return _unknown(reason)
    found = coefficients.cores[core_class(core)]
    if features.outside:
        more = len(features.outside) - 1
        return _unknown(features.outside[0] + (f", and {more} more such reasons" if more else ""))
    if not features.operators:
        return _unknown("the model has no operators")
    return _inside(coefficients, features, found, engine, own)


def pair_reason(coefficients: Coefficients, core: str, engine: str) -> str:
    """Return why nothing is known of an engine on a core, empty where something is."""
    found = coefficients.cores.get(core_class(core))
    if found is None:
        return f"core class {core or 'unnamed'} is not in the data, which has {', '.join(coefficients.cores)}"
    if engine not in coefficients.engines:
        return _unfitted(coefficients, engine)
    if engine not in _family_engines(coefficients, found):
        measured = ", ".join(name for name, other in coefficients.cores.items() if engine in other.engines)
        return f"{engine} was measured on {measured} only, whose instructions differ from those of {core}"
    return ""


def _unfitted(coefficients: Coefficients, engine: str) -> str:
    ran_on = coefficients.other_engines.get(engine)
    if ran_on is None:
        return f"engine {engine} is not in the data, which has {', '.join(coefficients.engines)}"
    return f"of {engine} the data has results on {', '.join(ran_on)} only, which nothing could be fitted of"


def _unknown(reason: str) -> Standing:
    return Standing("unknown", "", reason)


def _family_engines(coefficients: Coefficients, core: CoreFactor) -> set[str]:
    return {name for other in coefficients.cores.values() if other.family == core.family for name in other.engines}


def _inside(
    coefficients: Coefficients, features: Features, core: CoreFactor, engine: str, own: OwnFactor | None
) -> Standing:
    doubts = []
    if engine not in core.engines:
        doubts.append(f"{engine} not measured on this core class, on others of its family")
    if core.boards == 1 and own is None:
        doubts.append("one board of the class")
    if any(operator.light for operator in features.operators):
        types = sorted({operator.type for operator in features.operators if operator.light})
        doubts.append(f"cost of {', '.join(types)} taken from other operators")
    if size_factor(coefficients, features) > 1:
        doubts.append("a size of model outside the data")
    if True in coefficients.engines[engine].drops_dead_channels and not features.dead_channels_known:
        doubts.append("dead channels not looked for")
    releases = coefficients.engines[engine].releases
    stands_on = (
        f"{coefficients.rows} published latencies of {len(coefficients.models)} models;"
        f" {core.boards} board{'s' * (core.boards > 1)} of the core class, {releases} release{'s' * (releases > 1)}"
        f" of {engine}{_own_words(own)}{''.join(f'; {doubt}' for doubt in doubts)}"
    )
    lone = own is None and core.boards == 1 and core.family not in _wide_families(coefficients)
    doubtful = lone or any(not doubt.startswith("one board") for doubt in doubts)
    return Standing("extrapolated" if doubtful else "known", stands_on)


def _own_words(own: OwnFactor | None) -> str:
    if own is None:
        return ""
    return (
        f"; rescaled by {', '.join(own.models)} at this very core, clock and engine"
        f" ({PUBLISHED} {', '.join(own.published)})"
    )


def _wide_families(coefficients: Coefficients) -> set[str]:
    """Return the families of which several boards were measured."""
    boards: dict[str, int] = {}
    for core in coefficients.cores.values():
        boards[core.family] = boards.get(core.family, 0) + core.boards
    return {family for family, count in boards.items() if count > 1}


def size_factor(coefficients: Coefficients, features: Features) -> float:
    """Return how many times a model is smaller or larger than the measured ones, 1 inside their range."""
    macs = sum(sum(operator.dense[:3]) for operator in features.operators)
    low, high = coefficients.macs_range
    return max(1.0, low / SIZE_SLACK / max(macs, 1.0), macs / (high * SIZE_SLACK))


def half_width_log(
    coefficients: Coefficients,
    features: Features,
    core: str,
    engine: str,
    light_share: float,
    own_sd: float | None = None,
) -> float:
    """Return half the width of the 90 % interval of log cycles.

    The variances add up: of a model that is not in the data, of one more board beside those measured, of one more
    release of the runtime, and of what is transferred from elsewhere. `own_sd` takes the place of all but the first
    where the data has this very core, clock and engine.
    """
    spread = coefficients.spread
    if own_sd is not None:
        outside = _outside_variance(coefficients, features, light_share)
        return spread.quantile * math.sqrt(spread.model**2 + own_sd**2 + outside)
    found, runtime = coefficients.cores[core_class(core)], coefficients.engines[engine]
    variance = spread.model**2 + spread.board**2 * (1 + 1 / found.boards)
    variance += runtime.release_sd**2 * (1 + 1 / runtime.releases)
    if engine not in found.engines:
        variance += spread.unseen_pair**2
    if found.boards == 1 and found.family not in _wide_families(coefficients):
        variance += spread.lone_class**2
    variance += _outside_variance(coefficients, features, light_share)
    return spread.quantile * math.sqrt(variance)


def rescaled_extra_log(coefficients: Coefficients, features: Features, light_share: float) -> float:
    """Return by how much an interval that measured models gave has to be wider for what none of them has."""
    return coefficients.spread.quantile * math.sqrt(_outside_variance(coefficients, features, light_share))


def _outside_variance(coefficients: Coefficients, features: Features, light_share: float) -> float:
    """Return the variance from operators outside the data and from a size outside of it."""
    beyond = math.log(size_factor(coefficients, features)) / 2
    return (light_share * coefficients.spread.light) ** 2 + beyond**2
