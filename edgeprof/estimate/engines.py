"""Which engine runs a model on a board where nobody measured: one rule, for `fit` and for simulated boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.errors import UnknownName, did_you_mean
from edgeprof.estimate.confidence import core_class
from edgeprof.estimate.model import known_engines

if TYPE_CHECKING:
    from edgeprof.records.board import Board

CORTEX_M_ENGINE, OTHER_ENGINE = "tflm+cmsis-nn", "tflm"
ENGINE_NAMES = tuple(dict.fromkeys((OTHER_ENGINE, *known_engines())))
"""What can be asked for: TFLM first, then the runtimes of the published results by generation."""


def board_engine(board: Board, engine: str | None = None) -> str:
    """Return the engine that a board is estimated with: the one that is named, else TFLM."""
    if engine is not None:
        return engine
    on_arm = board.cores and core_class(board.cores[0].model).startswith("cortex-m")
    return CORTEX_M_ENGINE if on_arm else OTHER_ENGINE


def known_engine(name: str) -> str:
    """Return the name of an engine that can be asked for; any other is refused with the list."""
    if name in ENGINE_NAMES:
        return name
    hint = did_you_mean(name, ENGINE_NAMES)
    raise UnknownName(f"unknown engine {name!r}", hint=f"{f'{hint}; ' if hint else ''}known: {', '.join(ENGINE_NAMES)}")
