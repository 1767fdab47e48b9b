"""How long a device lives on a battery: from measured energy, with every assumption listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.errors import UsageError

if TYPE_CHECKING:
    from edgeprof.battery.options import BatteryOptions
    from edgeprof.records.battery import BatteryReport
    from edgeprof.records.board import Board
    from edgeprof.records.result import Result


def battery_of(result: Result | None, options: BatteryOptions, board: Board | None = None) -> BatteryReport:
    """Return how long the battery lasts. `result` None: energy and latency are in the options.

    `board` says at which voltage it is supplied, where `options` do not. Raises UsageError naming what is missing.
    """
    from edgeprof.battery.reckoning import reckon

    return reckon(result, options, board)


def check_battery(options: BatteryOptions, board: Board | None = None) -> None:
    """Refuse before anything is measured what the options leave out, or what does not go together in them."""
    from edgeprof.battery.as_part import error_as_part

    declared = options._replace(energy_j=options.energy_j or 1e-12, latency_s=options.latency_s or 1e-9)
    try:
        battery_of(None, declared, board)
    except UsageError as error:
        raise error_as_part(error) from error


def with_battery(result: Result, options: BatteryOptions, board: Board | None = None) -> Result:
    """Return the result with `battery_life_s`, the findings on the cell, and the report in `breakdowns["battery"]`.

    What was measured is kept in any case: where no life can be told, the metric is absent with the reason. Options were
    given as parts of `--battery`, and its words are of these.
    """
    import msgspec

    from edgeprof.battery.as_part import as_part, report_as_part
    from edgeprof.summary.summarise import absent

    try:
        report = report_as_part(battery_of(result, options, board))
    except UsageError as error:
        unknown = absent("declared", as_part(error.message))
        return msgspec.structs.replace(result, metrics={**result.metrics, "battery_life_s": unknown})
    return msgspec.structs.replace(
        result,
        metrics={**result.metrics, **report.metrics},
        findings=(*result.findings, *report.findings),
        warnings=(*result.warnings, *report.warnings),
        breakdowns={**result.breakdowns, "battery": msgspec.to_builtins(report)},
    )
