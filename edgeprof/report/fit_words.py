"""What all formats say of a board in the answer of fit: figures, what is left of its memory, and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgeprof.fitting.wishes import NO_CELL, NO_FIT, NOT_KNOWN, fits
from edgeprof.records.inspection import ENERGY, LATENCY, LIFE
from edgeprof.units import format_bytes, format_duration, format_life, format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.inspection import BoardFit, Fit

TITLES = {LATENCY: "latency", ENERGY: "energy", LIFE: "life", "cycles_count": "NPU cycles"}
CONFIDENCES = {"known": "", "extrapolated": "~", "unknown": ""}
ABSENT = "—"
REASONS_TOLD = (LATENCY, ENERGY, LIFE, "cycles_count")


def estimated_names(fit: Fit) -> tuple[str, ...]:
    """Return the estimates that were asked for: life only where a battery was."""
    every = (*fit.boards, *fit.left_out)
    names = [LATENCY, ENERGY] + [LIFE] * any(LIFE in board.metrics for board in every)
    return (*names, *["cycles_count"] * any(known(board, "cycles_count") for board in every))


def figure(board: BoardFit, name: str) -> str:
    """Return a figure with its interval, or a dash; nothing is estimated where the model does not fit."""
    metric = board.metrics.get(name)
    if metric is None or metric.value is None or not fits(board):
        return ABSENT
    mark = CONFIDENCES[board.confidence] if name != "cycles_count" else ""
    worded = _worded(name, metric.value)
    if metric.basis == "measured":
        return f"{worded} measured"
    if metric.low is None or metric.high is None:
        return f"{mark}{worded}"
    number, _, unit = worded.partition(" ")
    scale = float(number.replace(",", "")) / metric.value if metric.value else 1.0
    value, low, high = (f"{_rounded(end * scale)}" for end in (metric.value, metric.low, metric.high))
    return f"{mark}{value} {unit} ({low}–{high})"  # noqa: RUF001  a range's dash


def _rounded(value: float) -> str:
    """Return a number to three digits, which is more than an estimate has."""
    return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):,.0f}"  # noqa: PLR2004  no exponents


def _worded(name: str, value: float) -> str:
    if name == LIFE:
        return format_life(value)
    return format_duration(value) if name == LATENCY else format_value(name, value)


def price(board: BoardFit) -> str:
    """Return the price, or a dash."""
    return ABSENT if board.price_usd is None else f"{board.price_usd:,.0f} USD"


def left(board: BoardFit, metric: str) -> str:
    """Return what is left of a memory, or what is short."""
    finding = next((finding for finding in board.findings if finding.metric == metric), None)
    if finding is None or finding.value is None or finding.threshold is None:
        return ""
    over = finding.threshold - finding.value
    return f"{format_bytes(over)} left" if over >= 0 else f"{format_bytes(-over)} short"


def memory_left(board: BoardFit) -> str:
    """Return what is left of the RAM that a model needs."""
    return left(board, "sram_peak_bytes") or left(board, "memory_peak_bytes")


def why(board: BoardFit) -> str:
    """Return why a board is not simply ready, what to shrink, and which wish it does not keep."""
    told = [] if board.verdict == "READY" else [f"{board.reason}."]
    told += [f"Shrink first: {board.shrink}."] if board.shrink else []
    told += [f"{text}." for text in board.unmet if text not in {NO_FIT, NO_CELL, NOT_KNOWN}]
    return " ".join(told)


def reasons(fit: Fit) -> list[str]:
    """Return why estimates are not known, each reason once with the boards that it holds for."""
    found: dict[str, list[str]] = {}
    for board in (*fit.boards, *fit.left_out):
        if not fits(board):
            continue
        for name in REASONS_TOLD:
            metric = board.metrics.get(name)
            if name == LIFE and board.verdict == "NOT READY":
                continue  # its cell cannot drive it: the board's own line says why
            inherited = name != LATENCY and not known(board, LATENCY)
            if metric is None or metric.value is not None or not metric.reason:
                continue
            if name == "cycles_count" or (not inherited and not (name == LIFE and not known(board, ENERGY))):
                reason, own = _shared(metric.reason.replace(board.name, "the board"))
                said = f"{board.board} ({own})" if own else board.board
                found.setdefault(f"no {TITLES[name]}: {reason}", []).append(said)
    return [f"{reason} — {_listed(names)}" for reason, names in found.items()]


def _shared(reason: str) -> tuple[str, str]:
    """Return a reason without what is a board's own in it, and that."""
    own = _OWN_CLASS.search(reason) or _OWN_CURRENT.search(reason)
    if own is None:
        return reason, ""
    return reason.replace(own[0], own[0].replace(own[1], "").rstrip(" ,").strip() or "…", 1), own[1]


_OWN_CLASS = re.compile(r"^core class (\S+)")
_OWN_CURRENT = re.compile(r"a mean of ([\d.]+ \S?A)(?=,)")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")  # noqa: PLR2004  a line's worth


def known(board: BoardFit, name: str) -> bool:
    """Tell whether a board has a figure of that name."""
    metric = board.metrics.get(name)
    return metric is not None and metric.value is not None


def needs(fit: Fit) -> list[str]:
    """Return what the model needs of each kind of memory, which is the same on all boards of a kind."""
    names = {"flash_bytes": "flash", "sram_peak_bytes": "SRAM in one block", "memory_peak_bytes": "RAM under Linux"}
    found: dict[str, str] = {}
    for board in (*fit.boards, *fit.left_out):
        for name, metric in board.metrics.items():
            if name in names and metric.value is not None and name not in found:
                more = metric.high is not None and metric.high > metric.value and name == "sram_peak_bytes"
                most = f" to {format_bytes(metric.high or 0)}" if more else ""
                found[name] = f"{format_bytes(metric.value)}{most} of {names[name]} ({metric.method})"
    return list(found.values())
