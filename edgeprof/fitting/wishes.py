"""What a board is wanted for: limits on estimates, the order of the answer, and the cheapest board that does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec.structs import replace

from edgeprof.records.inspection import ENERGY, LATENCY, LIFE
from edgeprof.units import format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.inspection import BoardFit
    from edgeprof.records.result import Metric

SortKey = Literal["name", "price", "latency", "energy", "life"]
SORT_KEYS: tuple[SortKey, ...] = ("name", "price", "latency", "energy", "life")
SORTED_BY = {"latency": LATENCY, "energy": ENERGY, "life": LIFE}


NO_FIT, NO_CELL, NOT_KNOWN = "does not fit", "its cell cannot drive it", "not known whether it fits"


class Wishes(NamedTuple):
    """Limits that a board has to keep; None: none. `sort` None: by life, energy or latency, what was asked for."""

    max_latency_s: float | None = None
    max_energy_j: float | None = None
    min_life_s: float | None = None
    max_price_usd: float | None = None
    sort: SortKey | None = None


def wishes_in_words(wishes: Wishes) -> tuple[str, ...]:
    """Return the limits as text."""
    return tuple(text for _, text, _, _ in _limits(wishes))


def fits(board: BoardFit) -> bool:
    """Tell whether the model fits, or may: nothing but the cell of the board's battery fails."""
    return all(finding.verdict != "FAIL" or finding.metric == LIFE for finding in board.findings)


def granted(board: BoardFit, wishes: Wishes) -> BoardFit:
    """Return the board with whether it does what is wanted: judged by the worse end of each estimate.

    A wish that only the better end keeps is not kept for sure, and not known is not kept either; both leave `does_it`
    null.
    """
    no, unsure = [], []
    overloaded = any(finding.verdict == "FAIL" and finding.metric == LIFE for finding in board.findings)
    for metric_name, text, threshold, at_most in _limits(wishes):
        if metric_name == LIFE and overloaded:
            continue  # there is no life to be told, and the cell's own verdict says it
        worse, better = _ends(board, metric_name, at_most=at_most)
        if worse is None or better is None:
            metric = board.metrics.get(metric_name)
            unsure.append(f"{text}: not known{f', {metric.reason}' if metric is not None and metric.reason else ''}")
        elif (better > threshold) if at_most else (better < threshold):
            no.append(f"{text}: {_shown(board, metric_name)}")
        elif (worse > threshold) if at_most else (worse < threshold):
            unsure.append(f"{text}: {_shown(board, metric_name)}, which may be either")
    if board.verdict == "NOT READY":
        no.insert(0, NO_FIT if not fits(board) else NO_CELL)
    elif board.verdict == "UNKNOWN":
        unsure.insert(0, NOT_KNOWN)
    return replace(board, does_it=False if no else None if unsure else True, unmet=(*no, *unsure))


def ordered(boards: Sequence[BoardFit], key: SortKey) -> tuple[BoardFit, ...]:
    """Return boards in an order; those of which nothing is known come last, and what does not fit after them."""
    if key == "name":
        return tuple(sorted(boards, key=lambda board: board.board))

    keys = [key, *(other for other in ("energy", "latency") if other != key)]

    def rank(board: BoardFit) -> tuple[object, ...]:
        values = [board.price_usd if one == "price" else _value(board.metrics.get(SORTED_BY[one])) for one in keys]
        signed = [None if value is None else -value if one == "life" else value
                  for one, value in zip(keys, values, strict=True)]  # fmt: skip
        fits = board.verdict in {"READY", "READY WITH WARNINGS"}
        return not fits, *((value is None, value or 0.0) for value in signed), board.board

    return tuple(sorted(boards, key=rank))


def cheapest(boards: Sequence[BoardFit]) -> tuple[str | None, str]:
    """Return the cheapest board that does what is wanted, and the answer in words."""
    doing = [board for board in boards if board.does_it]
    maybe = [board for board in boards if board.does_it is None]
    if not doing:
        some = f"; {len(maybe)} may, which is not known for sure" if maybe else ""
        return None, f"no board is known to do it{some}"
    priced = [board for board in doing if board.price_usd is not None]
    names = ", ".join(board.name for board in doing[:3]) + (f" and {len(doing) - 3} more" if len(doing) > 3 else "")  # noqa: PLR2004  a line's worth
    if not priced:
        return None, f"{len(doing)} {'board does' if len(doing) == 1 else 'boards do'} it ({names}); no price is known"
    best = min(priced, key=lambda board: board.price_usd or 0.0)
    rest = len(doing) - len(priced)
    unpriced = f"; {rest} more do it whose price is not known" if rest else ""
    return best.board, f"the cheapest that does it is {best.name} at {best.price_usd:,.0f} USD{unpriced}"


def _limits(wishes: Wishes) -> list[tuple[str, str, float, bool]]:
    """Return metric, words, threshold, and whether it is an upper one, of each limit that there is."""
    every = (
        (LATENCY, "latency at most", wishes.max_latency_s, True),
        (ENERGY, "energy at most", wishes.max_energy_j, True),
        (LIFE, "life at least", wishes.min_life_s, False),
        ("price_usd", "price at most", wishes.max_price_usd, True),
    )
    return [
        (name, f"{words} {f'{limit:g} USD' if name == 'price_usd' else format_value(name, limit)}", limit, at_most)
        for name, words, limit, at_most in every
        if limit is not None
    ]


def _ends(board: BoardFit, name: str, *, at_most: bool) -> tuple[float | None, float | None]:
    """Return the worse and the better end of a figure."""
    if name == "price_usd":
        return board.price_usd, board.price_usd
    metric = board.metrics.get(name)
    if metric is None or metric.value is None:
        return None, None
    low = metric.value if metric.low is None else metric.low
    high = metric.value if metric.high is None else metric.high
    return (high, low) if at_most else (low, high)


def _shown(board: BoardFit, name: str) -> str:
    if name == "price_usd":
        return f"{board.price_usd:g} USD"
    metric = board.metrics[name]
    if metric.value is None:
        return "not known"
    if metric.low is None or metric.high is None:
        return format_value(name, metric.value)
    return f"{format_value(name, metric.low)} to {format_value(name, metric.high)}"


def _value(metric: Metric | None) -> float | None:
    return None if metric is None else metric.value
