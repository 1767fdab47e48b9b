"""Fits the estimator's coefficients: a mixed model of log cycles, solved by Gauss and Newton.

    log cycles = log sum over kinds k of amount_k · exp(kind_k + core + engine + core_k + engine_k)
                 + release + board + (board, engine) + noise

Every term is normal around its prior. Release, board and (board, engine) are nuisances: they keep a runtime's old
release, or a board with slow flash, from being taken for the runtime or the core, and are 0 in a prediction.

The priors are rough counts of instructions of CMSIS-NN's int8 kernels without MVE, and instruction sets, not fitted. A
2x2 block of products takes about 24 instructions for 16 MACs. A fully connected layer uses each loaded weight once and
not in two columns: twice that. A depthwise product has no word-wide pairs: four times. Scaling one output back takes 20
to 25 instructions, gathering one value into a patch 3. Cores: eight int8 products a cycle (MVE) against two (DSP), and
none in parallel at about four times the cycles; two instructions at a time on Cortex-M7.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec.structs import replace

from edgeprof.estimate.coefficients import Coefficients, CoreFactor, EngineFactor, OwnFactor, Spread
from edgeprof.estimate.confidence import half_width_log
from edgeprof.estimate.features import KINDS, Features, total
from edgeprof.estimate.model import estimate_latency
from edgeprof.estimate.rescale import Point, rescale
from scripts.estimator_table import power_log_sd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from scripts.estimator_table import TableRow

    Array = NDArray[np.float64]
    Term = tuple[str, ...]

KIND_PRIORS = {
    "matmul_macs": (math.log(1.5), 0.5),
    "depthwise_macs": (math.log(1.5 * 4), 0.7),
    "fully_connected_macs": (math.log(1.5 * 2), 0.4),
    "outputs": (math.log(22), 0.5),
    "patches": (math.log(3), 0.7),
    "operators": (math.log(1000), 0.7),
}
RELATIVE_KINDS = KINDS[1:5]
"""Kinds whose rates move together with that of the products of matrices, up to their priors."""

CORE_PRIORS = {
    "cortex-m4": ("armv7e-m and armv8-m dsp", 0.0),
    "cortex-m33": ("armv7e-m and armv8-m dsp", 0.0),
    "cortex-m7": ("armv7e-m and armv8-m dsp", -0.5),
    "cortex-m85": ("armv8.1-m mve", -math.log(4)),
    "cortex-m0+": ("armv6-m", math.log(4)),
    "rv32imac": ("risc-v without simd", math.log(4)),
    "rv32imacp": ("risc-v p", 0.0),
    "rh850g3kh": ("rh850", math.log(4)),
}
SPREADS = {
    "core": 0.35,
    "core of its own": 0.5,
    "engine": 0.35,
    "core and kind": 0.1,
    "engine and kind": 0.2,
    "release": 0.25,
    "board": 0.1,
    "board and engine": 0.1,
    "noise": 0.1,
}
"""Standard deviations of the priors, in natural logarithms: round figures, not tuned."""

UNSEEN_PAIR_SD, LONE_CLASS_SD, LIGHT_SD = 0.15, 0.3, 1.5
CONFIDENCE = 0.9
PRIOR_RELEASES = 2
DSP = CORE_PRIORS["cortex-m4"][0]
MOST_STEPS, LAST_STEP = 60, 1e-6


class Solution(NamedTuple):
    """The posterior mode of every term."""

    values: dict[Term, float]

    def at(self, *term: str) -> float:
        """Return the value of a term, 0 for one that nothing was learnt of."""
        return self.values.get(term, 0.0)


def solve(rows: Sequence[TableRow], models: Mapping[str, Features], spreads: Mapping[str, float] = SPREADS) -> Solution:
    """Return the posterior mode of all terms."""
    terms = list(dict.fromkeys(term for row in rows for kind in KINDS for term in row_terms(row, kind)))
    place = {term: index for index, term in enumerate(terms)}
    prior = np.array([prior_of(term, spreads) for term in terms])
    mean, precision = prior[:, 0], prior[:, 1] ** -2
    amounts = np.array([_amounts(row, models[row.model]) for row in rows])
    design = np.zeros((len(rows), len(KINDS), len(terms)))
    for number, row in enumerate(rows):
        for at, kind in enumerate(KINDS):
            design[number, at, [place[term] for term in row_terms(row, kind)]] = 1
    observed = np.array([row.log_cycles for row in rows])
    values = _gauss_newton(design, amounts, observed, mean, precision, spreads["noise"] ** -2)
    return Solution({term: float(value) for term, value in zip(terms, values, strict=True)})


def _gauss_newton(
    design: Array, amounts: Array, observed: Array, mean: Array, precision: Array, weight: float
) -> Array:
    values = mean.copy()
    for _ in range(MOST_STEPS):
        parts = np.exp(design @ values) * amounts
        shares = parts / parts.sum(axis=1, keepdims=True)
        slope = np.einsum("nk,nkp->np", shares, design)
        gradient = weight * slope.T @ (observed - np.log(parts.sum(axis=1))) - precision * (values - mean)
        step = np.linalg.solve(weight * slope.T @ slope + np.diag(precision), gradient)
        longest = float(np.abs(step).max())
        values += step / max(1.0, longest)
        if longest < LAST_STEP:
            break
    return values


def _amounts(row: TableRow, model: Features) -> tuple[float, ...]:
    return total([operator.reduced if row.drops else operator.dense for operator in model.operators])


def row_terms(row: TableRow, kind: str) -> tuple[Term, ...]:
    """Return the terms whose sum is the log of the cycles of one unit of a kind of work in a row."""
    common = (("kind", KINDS[0]),) if kind in RELATIVE_KINDS else ()
    return (
        *common,
        ("kind", kind),
        ("core", row.core),
        ("engine", row.engine),
        ("core and kind", row.core, kind),
        ("engine and kind", row.engine, kind),
        ("release", row.engine, row.release),
        ("board", row.board),
        ("board and engine", row.board, row.engine),
    )


def prior_of(term: Term, spreads: Mapping[str, float]) -> tuple[float, float]:
    """Return mean and standard deviation of a term before any result is seen."""
    if term[0] == "kind":
        mean, spread = KIND_PRIORS[term[1]]
        return (mean - KIND_PRIORS[KINDS[0]][0] if term[1] in RELATIVE_KINDS else mean), spread
    if term[0] == "core":
        family, mean = CORE_PRIORS[term[1]]
        return mean, spreads["core" if family == DSP else "core of its own"]
    return 0.0, spreads[term[0]]


def fit(
    rows: Sequence[TableRow],
    models: Mapping[str, Features],
    spreads: Mapping[str, float] = SPREADS,
    *,
    source: str = "",
) -> Coefficients:
    """Return coefficients whose intervals hold 90 % of the truth about models that were left out one by one.

    Rows of other core classes than those of CORE_PRIORS are left aside: they have caches, vector units and threads, and
    the table has one board of each. The quantile is at least 1: some terms of the intervals stand for what leaving
    models out does not show, such as other boards. All of it is of estimates without own factors, which come last.
    """
    rows = [row for row in rows if row.core in CORE_PRIORS]
    fitted = coefficients_of(rows, models, spreads, source)
    residuals, pairs = [], []
    for left_out in sorted({row.model for row in rows}):
        without = coefficients_of([row for row in rows if row.model != left_out], models, spreads, "")
        found = [(row, log_ratio(row, models, without)) for row in rows]
        known = [(row, ratio) for row, ratio in found if ratio is not None]
        residuals += [(row, ratio) for row, ratio in known if row.model == left_out]
        pairs += _pairs(known, left_out)
    model_sd = _within_groups(residuals)
    fitted = replace(fitted, spread=replace(fitted.spread, model=model_sd), point_model_sd=model_sd)
    sds = [half_width_log(fitted, models[row.model], row.core, row.engine, 0.0) for row, _ in residuals]
    wide = _quantile_of([abs(ratio) / sd for (_, ratio), sd in zip(residuals, sds, strict=True)])
    return replace(
        fitted,
        spread=replace(fitted.spread, quantile=max(1.0, wide)),
        point_quantile=_quantile_of([_off(fitted, measured, asked) for measured, asked in pairs]),
        own=own_factors(rows, models, fitted),
    )


def own_factors(
    rows: Sequence[TableRow], models: Mapping[str, Features], fitted: Coefficients
) -> tuple[OwnFactor, ...]:
    """Return what the estimates of each core, clock and engine miss on average; every model weighs the same."""
    groups: dict[tuple[str, float, str], list[tuple[TableRow, float]]] = {}
    for row in rows:
        ratio = log_ratio(row, models, fitted)
        if ratio is not None:
            groups.setdefault((row.core, row.clock_hz, row.engine), []).append((row, ratio))
    return tuple(_own(*key, groups[key]) for key in sorted(groups))


def _own(core: str, clock_hz: float, engine: str, found: Sequence[tuple[TableRow, float]]) -> OwnFactor:
    by_model: dict[str, list[float]] = {}
    for row, ratio in found:
        by_model.setdefault(row.model, []).append(-ratio)
    means = [sum(ratios) / len(ratios) for ratios in by_model.values()]
    return OwnFactor(
        core=core,
        clock_hz=clock_hz,
        engine=engine,
        log_factor=_rounded(sum(means) / len(means)),
        models=tuple(sorted(by_model)),
        published=tuple(dict.fromkeys(row.published for row, _ in found)),
    )


def _pairs(residuals: Sequence[tuple[TableRow, float]], asked: str) -> list[tuple[float, float]]:
    """Return the residuals of one measured model and of the one that was left out, on one board with one release."""
    groups: dict[tuple[str, ...], dict[str, float]] = {}
    for row, residual in residuals:
        groups.setdefault((row.board, row.engine, row.release), {})[row.model] = residual
    return [
        (residual, group[asked])
        for group in groups.values()
        for name, residual in group.items()
        if name != asked and asked in group
    ]


def _off(fitted: Coefficients, measured: float, asked: float) -> float:
    """Return by how many of its standard deviations a rescaled estimate is off; residuals are of the plain ones."""
    point = rescale([Point(math.exp(measured), 1.0)], replace(fitted, point_quantile=1.0))
    return abs(asked + math.log(point.factor)) / math.log(point.high / point.factor)


def _quantile_of(ratios: Sequence[float]) -> float:
    return _rounded(float(np.quantile(ratios, CONFIDENCE)))


def coefficients_of(
    rows: Sequence[TableRow], models: Mapping[str, Features], spreads: Mapping[str, float], source: str
) -> Coefficients:
    """Return the coefficients of one fit, whose intervals are one standard deviation and know no other models yet."""
    fitted = _without_releases(rows, models, spreads, source)
    ratios: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        ratio = log_ratio(row, models, fitted)
        if ratio is not None:
            ratios.setdefault(row.engine, {}).setdefault(row.release, []).append(ratio)
    engines = {
        name: replace(engine, release_sd=_release_sd(ratios[name], spreads["release"]))
        for name, engine in fitted.engines.items()
    }
    return replace(fitted, engines=engines)


def _release_sd(ratios: Mapping[str, Sequence[float]], prior: float) -> float:
    """Return how much the releases of one engine differ: their mean residuals, and the prior as if it were two more."""
    squares = sum((sum(found) / len(found)) ** 2 for found in ratios.values())
    return _rounded(math.sqrt((PRIOR_RELEASES * prior**2 + squares) / (PRIOR_RELEASES + len(ratios))))


def _without_releases(
    rows: Sequence[TableRow], models: Mapping[str, Features], spreads: Mapping[str, float], source: str
) -> Coefficients:
    solution = solve(rows, models, spreads)
    base = solution.at("kind", KINDS[0])
    macs = [row.macs for row in rows]
    return Coefficients(
        source=source,
        rows=len(rows),
        models=tuple(sorted({row.model for row in rows})),
        macs_range=(min(macs), max(macs)),
        kinds=KINDS,
        log_kinds=tuple(
            _rounded(solution.at("kind", kind) + (base if kind in RELATIVE_KINDS else 0.0)) for kind in KINDS
        ),
        cores={name: _core(name, rows, solution) for name in sorted({row.core for row in rows})},
        engines={name: _engine(name, rows, solution) for name in sorted({row.engine for row in rows})},
        spread=Spread(
            model=0.0,
            board=spreads["board"],
            unseen_pair=UNSEEN_PAIR_SD,
            lone_class=LONE_CLASS_SD,
            light=LIGHT_SD,
            quantile=1.0,
        ),
        log_power_sd=power_log_sd(rows),
        point_board_sd=math.hypot(spreads["board"], spreads["release"], spreads["board and engine"]),
        point_model_sd=0.0,
    )


def _core(name: str, rows: Sequence[TableRow], solution: Solution) -> CoreFactor:
    mine = [row for row in rows if row.core == name]
    return CoreFactor(
        family=CORE_PRIORS[name][0],
        log_factor=_rounded(solution.at("core", name)),
        log_kinds=tuple(_rounded(solution.at("core and kind", name, kind)) for kind in KINDS),
        boards=len({row.board for row in mine}),
        engines=tuple(sorted({row.engine for row in mine})),
    )


def _engine(name: str, rows: Sequence[TableRow], solution: Solution) -> EngineFactor:
    mine = [row for row in rows if row.engine == name]
    return EngineFactor(
        log_factor=_rounded(solution.at("engine", name)),
        log_kinds=tuple(_rounded(solution.at("engine and kind", name, kind)) for kind in KINDS),
        releases=len({row.release for row in mine}),
        release_sd=0.0,
        drops_dead_channels=tuple(sorted({row.drops for row in mine})),
    )


def _rounded(value: float) -> float:
    """Return what is written: more digits would claim more than the data holds."""
    return round(value, 4)


def log_ratio(row: TableRow, models: Mapping[str, Features], coefficients: Coefficients) -> float | None:
    """Return log of estimate over truth of one row, None where the answer is not known."""
    answer = estimate_latency(models[row.model], row.core, row.clock_hz, row.engine, coefficients=coefficients)
    return None if answer.latency_s is None else math.log(answer.latency_s / row.latency_s)


def _within_groups(residuals: Sequence[tuple[TableRow, float]]) -> float:
    """Return the standard deviation between models on one board with one release."""
    groups: dict[tuple[str, ...], list[float]] = {}
    for row, residual in residuals:
        groups.setdefault((row.board, row.engine, row.release), []).append(residual)
    squares = sum(sum((value - sum(group) / len(group)) ** 2 for value in group) for group in groups.values())
    freedom = sum(len(group) - 1 for group in groups.values())
    return math.sqrt(squares / freedom) if freedom else 0.0
