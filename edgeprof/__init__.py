"""On-device profiler for edge and TinyML models: what the command line can do, this package can."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from edgeprof.version import __version__

if TYPE_CHECKING:
    from edgeprof.answers import battery_life, calibrate, energy, export, list_results, predict, readiness, render
    from edgeprof.api import check, compare, doctor, fit, inspect, list_targets, load_result, profile, profile_all
    from edgeprof.battery.options import BatteryOptions
    from edgeprof.boards import list_boards, load_board
    from edgeprof.errors import EdgeprofError
    from edgeprof.power.options import EnergyOptions
    from edgeprof.profiling.plan import Options
    from edgeprof.records.result import Result

__all__ = [
    "BatteryOptions",
    "EdgeprofError",
    "EnergyOptions",
    "Options",
    "Result",
    "__version__",
    "battery_life",
    "calibrate",
    "check",
    "compare",
    "doctor",
    "energy",
    "export",
    "fit",
    "inspect",
    "list_boards",
    "list_results",
    "list_targets",
    "load_board",
    "load_result",
    "predict",
    "profile",
    "profile_all",
    "readiness",
    "render",
]

_PLACES = {
    "BatteryOptions": "edgeprof.battery.options",
    "EdgeprofError": "edgeprof.errors",
    "EnergyOptions": "edgeprof.power.options",
    "Options": "edgeprof.profiling.plan",
    "Result": "edgeprof.records.result",
    "battery_life": "edgeprof.answers",
    "calibrate": "edgeprof.answers",
    "check": "edgeprof.api",
    "compare": "edgeprof.api",
    "doctor": "edgeprof.api",
    "energy": "edgeprof.answers",
    "export": "edgeprof.answers",
    "fit": "edgeprof.api",
    "inspect": "edgeprof.api",
    "list_boards": "edgeprof.boards",
    "list_results": "edgeprof.answers",
    "list_targets": "edgeprof.api",
    "load_board": "edgeprof.boards",
    "load_result": "edgeprof.api",
    "predict": "edgeprof.answers",
    "profile": "edgeprof.api",
    "profile_all": "edgeprof.api",
    "readiness": "edgeprof.answers",
    "render": "edgeprof.answers",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `edgeprof --help` needs none of them."""
    if name not in _PLACES:
        message = f"module 'edgeprof' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, which are not there before they are used."""
    return sorted({*globals(), *__all__})
