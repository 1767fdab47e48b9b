"""The latencies of two models that were profiled: from turns, where one target can load both at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from edgeprof.comparing.interleaving import interleave, pair_plan
from edgeprof.comparing.intervals import FEWEST_LAUNCHES, estimate
from edgeprof.comparing.results import compared, interleaved_change
from edgeprof.comparing.sides import basis_of, inputs_of
from edgeprof.errors import EdgeprofError, Interrupted
from edgeprof.records.result import Warned
from edgeprof.store import new_id, now
from edgeprof.summary.results import begun_result
from edgeprof.targets import Local, Ssh, resolve_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.comparing.interleaving import Interleaved
    from edgeprof.comparing.request import Wanted
    from edgeprof.comparing.sides import Side
    from edgeprof.profiling.running import Stop
    from edgeprof.records.comparison import Comparison
    from edgeprof.records.events import Event
    from edgeprof.records.result import Plan


class Ears(NamedTuple):
    """Who hears what the board says, and who may stop it."""

    on_event: Callable[[Plan, Event], None] | None = None
    stop: Stop | None = None


NOBODY = Ears()


def with_latency(base: Side, new: Side, wanted: Wanted, ears: Ears) -> Comparison:
    """Return the comparison, its latency from turns where both models can be loaded at once."""
    names = (base.name, new.name)
    apart = compared(base.result, new.result, now(), max_regression=wanted.max_regression, names=names)
    if base.target != new.target or not isinstance(resolve_target(base.target).place, Local | Ssh):
        return apart
    try:
        found = _in_turns(base, new, wanted, ears)
    except Interrupted as error:
        return replace(
            apart, warnings=(*apart.warnings, Warned(code="broken-off", text=error.message, advice=error.hint))
        )
    except EdgeprofError as error:
        return replace(apart, warnings=(*apart.warnings, _not_in_turns(error.message, error.hint)))
    stopped = _stopped(found)
    if len(found.launches) < FEWEST_LAUNCHES:
        return replace(
            apart, warnings=(*apart.warnings, *(stopped or (_not_in_turns("too few launches were complete", ""),)))
        )
    change = interleaved_change(
        estimate([launch.log_ratio for launch in found.launches]), found.launches, basis_of(base.result),
        wanted.max_regression, found.way,
    )  # fmt: skip
    whole = compared(
        base.result, new.result, now(), max_regression=wanted.max_regression, interleaved=change,
        launches=found.launches, names=names,
    )  # fmt: skip
    return replace(whole, warnings=(*whole.warnings, *stopped))


def _not_in_turns(text: str, advice: str) -> Warned:
    return Warned(code="not-in-turns", text=f"the two could not be run in turns: {text}", advice=advice)


def _stopped(found: Interleaved) -> tuple[Warned, ...]:
    if found.failure is None:
        return ()
    return (Warned(code="broken-off", text=found.failure.message, advice=found.failure.hint),)


def _in_turns(base: Side, new: Side, wanted: Wanted, ears: Ears) -> Interleaved:
    place = resolve_target(base.target)
    latency = base.result.metrics.get("latency_p50_s")
    runtimes = tuple(side.result.runtime.name if side.result.runtime else "" for side in (base, new))
    plan, blobs = pair_plan(
        (base.graph, new.graph), (inputs_of(base), inputs_of(new)), (base.options, new.options), runtimes,
        latency.value if latency and latency.value else 1e-3,
    )  # fmt: skip
    begun = begun_result(new_id(), now(), ("compare",), graph=base.graph, plan=plan, target=place, board=None)
    return interleave(
        begun, base.path, new.path, place, blobs, max_regression=wanted.max_regression, on_event=ears.on_event,
        stop=ears.stop,
    )  # fmt: skip
