"""Costs of kinds of work, fitted to what micro models took, and how far off they are for a model that was left out.

    time / time of the reference kernel = sum over kinds of work: amount · cost(kind),   cost >= 0

fitted by least squares of the logarithm, with large residuals weighted down (Huber, Robust Statistics, 1981).
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeprof.calibration.micro import micro_models
from edgeprof.calibration.micro_files import write_micro
from edgeprof.calibration.work import Machine, model_work
from edgeprof.errors import UsageError
from edgeprof.records.calibration import FittedDtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgeprof.calibration.micro import Dtype
    from edgeprof.model.graph import Graph
    from edgeprof.records.calibration import ModelFormat, Observation

    Floats = NDArray[Any]

TILES, CACHES = (1, 8, 16, 32), (1 << 18, 1 << 19, 1 << 20, 1 << 21)
FOLDS = 7
HUBER = 0.15
"""Residuals of the logarithm beyond this pull with a constant force."""

ROUNDS, REFIT_ROUNDS = 12, 4
CONFIDENCE = 0.9
LEAST_SPREAD, MOST_OFF, NORMAL_QUANTILE = 0.1, 1.5, 1.645
FEWEST_IN_A_CHAIN = 2
COMMON = "common"


class _Fit(NamedTuple):
    """Costs of one unit of each kind, scaled by the largest amount of it in `scale`."""

    machine: Machine
    kinds: tuple[str, ...]
    scale: Floats
    matrix: Floats
    truth: Floats


def fit_dtype(observed: Sequence[Observation], format_name: ModelFormat) -> FittedDtype:
    """Return the costs that these observations of one format and dtype show.

    Tile and cache are those whose predictions of left-out models are best. Raises UsageError where a model's name is
    none of this version's micro models.
    """
    import numpy as np

    graphs = [_graph_of(each, format_name) for each in observed]
    truth = np.exp([each.log_ratio for each in observed])
    machines = [Machine(tile, cache) for tile in TILES for cache in CACHES]
    tables = [_table(graphs, truth, machine) for machine in machines]
    best = min(tables, key=lambda table: float(np.median(np.abs(_off(table, FOLDS)))))
    costs = fit_costs(best.matrix, truth) / best.scale
    by_kind = {kind: float(cost) for kind, cost in zip(best.kinds, costs, strict=True)}
    off = _off(best, len(observed))
    macs = [work.macs for work in map(model_work, graphs) if work.macs]
    spreads, quantile = _spreads(graphs, best.machine, by_kind, off)
    return FittedDtype(
        dtype=observed[0].dtype,
        channel_tile=best.machine.channel_tile,
        cache_bytes=best.machine.cache_bytes,
        costs=by_kind,
        spreads=spreads,
        quantile=quantile,
        median_error_ratio=float(np.median(np.abs(np.expm1(off)))),
        observations=len(observed),
        seen_macs=(float(min(macs)), float(max(macs))),
    )


def family_shares(work: Mapping[str, float], costs: Mapping[str, float]) -> dict[str, float]:
    """Return what share of the time is spent in each family of work; calls and far memory are common to all."""
    priced_s: dict[str, float] = {}
    for kind, amount in work.items():
        name = family(kind)
        priced_s[name] = priced_s.get(name, 0.0) + amount * costs.get(kind, 0.0)
    total = sum(priced_s.values()) or 1.0
    return {name: value / total for name, value in priced_s.items()}


def family(kind: str) -> str:
    """Return the family of a kind of work: `conv_macs` and `patches` are of conv."""
    head, _, tail = kind.rpartition("_")
    if kind == "patches":
        return "conv"
    return head if tail in {"macs", "outputs", "elements"} and head != "edge" else COMMON


def combined_log(shares: Mapping[str, float], spreads: Mapping[str, float]) -> float:
    """Return the standard deviation of a model's log: families err apart, all operators of one family together."""
    parts = (share * spreads.get(name, MOST_OFF) for name, share in shares.items())
    return math.sqrt(LEAST_SPREAD**2 + sum(part**2 for part in parts))


def _spreads(
    graphs: Sequence[Graph], machine: Machine, costs: Mapping[str, float], off: Floats
) -> tuple[dict[str, float], float]:
    """Return how far off each family is, and how many of a chain's deviations hold 90 % of the chains."""
    found: dict[str, list[float]] = {}
    chains = []
    for graph, one in zip(graphs, off, strict=True):
        shares = family_shares(model_work(graph, machine).amounts, costs)
        if len(graph.operators) > FEWEST_IN_A_CHAIN and len(shares) > 2:  # noqa: PLR2004  a family and what is common
            chains.append((shares, abs(float(one))))
        else:
            own = max((name for name in shares if name != COMMON), key=lambda name: shares[name], default=COMMON)
            found.setdefault(own, []).append(min(abs(float(one)), MOST_OFF))
    spreads = {name: math.sqrt(sum(each**2 for each in values) / len(values)) for name, values in found.items()}
    spreads.setdefault(COMMON, math.sqrt(sum(each**2 for each in spreads.values()) / len(spreads)))
    ratios = sorted(each / combined_log(shares, spreads) for shares, each in chains)
    place = min(len(ratios) - 1, math.ceil(CONFIDENCE * (len(ratios) + 1)) - 1)
    return spreads, max(1.0, ratios[place]) if ratios else NORMAL_QUANTILE


def _graph_of(observation: Observation, format_name: ModelFormat) -> Graph:
    graphs = micro_graphs(format_name, observation.dtype)
    if observation.model not in graphs:
        raise UsageError(f"{observation.model!r} is no micro model of this version", hint="edgeprof calibrate again")
    return graphs[observation.model]


@cache
def micro_graphs(format_name: ModelFormat, dtype: str) -> dict[str, Graph]:
    """Return the graphs of all micro models by name, read from the files that are put on boards."""
    from edgeprof.model import read_model

    with TemporaryDirectory(prefix="edgeprof-micro-") as folder:
        stored: Dtype = "int8" if dtype == "int8" else "float32"
        return {
            micro.name: read_model(write_micro(micro, format_name, stored, Path(folder))) for micro in micro_models()
        }


def _table(graphs: Sequence[Graph], truth: Floats, machine: Machine) -> _Fit:
    """Return the amounts of all models as a matrix, each column divided by its largest."""
    import numpy as np

    amounts = [model_work(graph, machine).amounts for graph in graphs]
    kinds = tuple(sorted({kind for each in amounts for kind, amount in each.items() if amount}))
    matrix = np.array([[float(each.get(kind, 0)) for kind in kinds] for each in amounts])
    scale = matrix.max(axis=0)
    return _Fit(machine, kinds, scale, matrix / scale, truth)


def _off(table: _Fit, folds: int) -> Floats:
    """Return log(predicted / true) of each model, from a fit without it and the others of its fold."""
    import numpy as np

    start = fit_costs(table.matrix, table.truth)
    fold = np.arange(len(table.truth)) % folds
    off = np.empty(len(table.truth))
    for index in range(min(folds, len(table.truth))):
        out = fold == index
        costs = fit_costs(table.matrix[~out], table.truth[~out], start)
        off[out] = np.log(np.maximum(table.matrix[out] @ costs, 1e-9) / table.truth[out])
    return off


def fit_costs(matrix: Floats, truth: Floats, start: Floats | None = None) -> Floats:
    """Return the costs >= 0 that make `matrix @ costs` closest to `truth` in the logarithm (Gauss-Newton steps)."""
    import numpy as np

    costs = non_negative(matrix / truth[:, None], np.ones(len(truth))) if start is None else start
    for _ in range(ROUNDS if start is None else REFIT_ROUNDS):
        now = np.maximum(matrix @ costs, 1e-9)
        off = np.clip(np.log(now / truth), -2.0, 2.0)
        weight = np.sqrt(np.minimum(1.0, HUBER / np.maximum(np.abs(off), 1e-12)))
        step = non_negative(matrix / now[:, None] * weight[:, None], (1.0 - off) * weight)
        costs = (costs + step) / 2
    return costs


def non_negative(matrix: Floats, wanted: Floats) -> Floats:
    """Return x >= 0 that minimises the sum of squares of matrix @ x - wanted (Lawson and Hanson, 1974, ch. 23)."""
    import numpy as np

    count = matrix.shape[1]
    solution, passive = np.zeros(count), np.zeros(count, dtype=bool)
    for _ in range(3 * count):
        gradient = matrix.T @ (wanted - matrix @ solution)
        gradient[passive] = 0
        if gradient.max(initial=0.0) <= 1e-9:  # noqa: PLR2004  rounding
            break
        passive[int(gradient.argmax())] = True
        solution = _inner(matrix, wanted, solution, passive)
    return solution


def _inner(matrix: Floats, wanted: Floats, solution: Floats, passive: Floats) -> Floats:
    """Step back to the feasible side until the least squares of the passive set are positive."""
    import numpy as np

    while True:
        trial = np.zeros_like(solution)
        trial[passive] = np.linalg.lstsq(matrix[:, passive], wanted, rcond=None)[0]
        wrong = passive & (trial <= 0)
        if not wrong.any():
            return trial
        step = float(np.min(solution[wrong] / np.maximum(solution[wrong] - trial[wrong], 1e-300)))
        solution = solution + step * (trial - solution)
        passive &= solution > 1e-12  # noqa: PLR2004  rounding
        solution[~passive] = 0.0
        if not passive.any():
            return solution
