"""Why a runtime died of an illegal instruction: the CPU feature that its wheel takes for granted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgeprof.installing.choosing import lacking
from edgeprof.installing.matrix import runtime_matrix

if TYPE_CHECKING:
    from edgeprof.installing.choosing import BoardPython
    from edgeprof.records.events import RuntimeFound, RuntimesFound

ILLEGAL = "SIGILL"


def explain_crash(reason: str, runtime: str, version: str, python: BoardPython) -> str:
    """Return what the agent said of a runtime's end, with the CPU feature that it misses where that is known.

    `runtime` is the module. A version that is not known is explained by the one that is known to crash so.
    """
    if ILLEGAL not in reason:
        return reason
    for row in runtime_matrix().runtimes:
        missing = lacking(row, python.architecture, python.cpu_features)
        if row.module == runtime and version in {"", row.version} and missing:
            issues = f" ({', '.join(row.issues)})" if row.issues else ""
            one = row.title if version else f"{row.title}, if it is that one,"
            return f"{reason}: {one} needs {', '.join(missing)}, which this CPU does not have{issues}"
    return reason


def explained(found: RuntimesFound, python: BoardPython | None) -> RuntimesFound:
    """Return the answer to a probe with crashes explained."""
    if python is None:
        return found
    return replace(found, runtimes=tuple(_explained(runtime, python) for runtime in found.runtimes))


def _explained(found: RuntimeFound, python: BoardPython) -> RuntimeFound:
    if found.works:
        return found
    return replace(found, reason=explain_crash(found.reason, found.name, found.version, python))
