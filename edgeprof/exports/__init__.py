"""Results into other people's trackers, each through its own library: an extra, imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.errors import UsageError
from edgeprof.printable import printable, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.records.result import Result

MODULES = {"mlflow": "edgeprof.exports.mlflow_runs", "tensorboard": "edgeprof.exports.tensorboard_events"}


def export(result: Result, tracker: str, place: str, name: str = "edgeprof") -> str:
    """Write a result's figures into a tracker and return where they are; `name` is the experiment's.

    `place` is a folder or, for MLflow, any tracking URI. Raises UsageError where the tracker's library is not
    installed or refuses the place.
    """
    from importlib import import_module

    if tracker not in MODULES:
        raise UsageError(f"unknown tracker {tracker!r}", hint=f"known: {', '.join(MODULES)}")
    try:
        module = import_module(MODULES[tracker])
    except ImportError as error:
        raise UsageError(f"{tracker} is not installed: {error}", hint=f"pip install 'edgeprof[{tracker}]'") from error
    return str(module.write(result, place, name))


def figures(result: Result) -> Iterator[tuple[str, float]]:
    """Yield the metrics that were got, and the bounds of those that have them, by name."""
    for name, metric in shown(result.metrics).items():
        if metric.value is None:
            continue
        yield name, metric.value
        for bound in ("low", "high"):
            value = getattr(metric, bound)
            if value is not None:
                yield f"{name}_{bound}", value


def facts(result: Result) -> dict[str, str]:
    """Return what the figures belong to, as words."""
    runtime = result.runtime
    words = {
        "model": result.model.name,
        "model_sha256": result.model.sha256 or "",
        "target": result.target.name,
        "board": result.board.id or result.board.name,
        "runtime": f"{runtime.name} {runtime.version}".strip() if runtime else "",
        "threads": str(runtime.threads) if runtime else "",
        "status": result.status,
        "variant": result.variant or "",
        "edgeprof": result.tool.version,
        "edgeprof_id": result.id,
    }
    return {name: printable(value) for name, value in words.items() if value}


def bases(result: Result) -> dict[str, str]:
    """Return how each figure was got, by name: a tracker shows numbers, and a number without its basis misleads."""
    return {name: metric.basis for name, metric in shown(result.metrics).items() if metric.value is not None}
