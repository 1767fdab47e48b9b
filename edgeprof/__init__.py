"""On-device profiler for edge and TinyML models: what the command line can do, this package can."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeprof.api import check, compare, doctor, fit, inspect, load_result, profile
    from edgeprof.boards import list_boards, load_board
    from edgeprof.errors import EdgeprofError
    from edgeprof.profiling.plan import Options
    from edgeprof.records.result import Result

__version__ = "0.1.0"

__all__ = [
    "EdgeprofError",
    "Options",
    "Result",
    "__version__",
    "check",
    "compare",
    "doctor",
    "fit",
    "inspect",
    "list_boards",
    "load_board",
    "load_result",
    "profile",
]

_PLACES = {
    "EdgeprofError": "edgeprof.errors",
    "Options": "edgeprof.profiling.plan",
    "Result": "edgeprof.records.result",
    "check": "edgeprof.api",
    "compare": "edgeprof.api",
    "doctor": "edgeprof.api",
    "fit": "edgeprof.api",
    "inspect": "edgeprof.api",
    "list_boards": "edgeprof.boards",
    "load_board": "edgeprof.boards",
    "load_result": "edgeprof.api",
    "profile": "edgeprof.api",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `edgeprof --help` needs none of them."""
    if name not in _PLACES:
        message = f"module 'edgeprof' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_PLACES[name]), name)
