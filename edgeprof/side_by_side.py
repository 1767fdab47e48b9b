"""What `compare` is given: two results, two folders of results, or two models that are run in turns."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from edgeprof.compare_stats import estimate
from edgeprof.comparing import MAX_REGRESSION, compared, differences, interleaved_change
from edgeprof.errors import FileUnreadable, UsageError
from edgeprof.interleaving import interleave, pair_plan
from edgeprof.model import read_model
from edgeprof.records.result import Warned
from edgeprof.results import begun_result
from edgeprof.store import read_result
from edgeprof.targets import Local, Ssh, resolve_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from edgeprof.interleaving import Interleaved
    from edgeprof.plan import Options
    from edgeprof.records.comparison import Comparison
    from edgeprof.records.events import Event
    from edgeprof.records.result import Basis, Plan, Result
    from edgeprof.running import Stop

MODEL_SUFFIXES = frozenset({".tflite", ".onnx"})
FEWEST_LAUNCHES = 3


def is_model(path: Path) -> bool:
    """Tell whether a path names a model rather than a result."""
    return path.suffix.lower() in MODEL_SUFFIXES


def compare_saved(
    base: Path, new: Path, *, max_regression: float = MAX_REGRESSION, allow: Sequence[str] = ()
) -> tuple[Comparison, ...]:
    """Compare two results, or each result of a folder with the one of the same target and variant in the other."""
    pairs = _pairs(base, new) if base.is_dir() or new.is_dir() else [(read_result(base), read_result(new))]
    created = _now()
    found = []
    for one, other in pairs:
        refuse(one, other, allow)
        found.append(compared(one, other, created, max_regression=max_regression))
    return tuple(found)


def refuse(base: Result, new: Result, allow: Sequence[str]) -> None:
    """Raise UsageError where the two are not comparable, unless what differs is allowed."""
    told = [x for x in differences(base, new) if x.forbids and not {x.what, "all"} & set(allow)]
    if not told:
        return
    text = "; ".join(f"{x.what}: {x.base} against {x.new}" for x in told)
    options = " ".join(f"--allow {_quoted(x.what)}" for x in told)
    raise UsageError(f"these two are not comparable: {text}", hint=f"{options} compares them all the same")


def _quoted(what: str) -> str:
    return f"'{what}'" if " " in what else what


def _pairs(base: Path, new: Path) -> list[tuple[Result, Result]]:
    for path in (base, new):
        if not path.is_dir():
            raise UsageError(
                f"{path} is a file and the other side a folder of results",
                hint="compare two files, or two folders that edgeprof profile -o FOLDER wrote",
            )
    ours, theirs = _results_of(base), _results_of(new)
    both = [key for key in ours if key in theirs]
    if not both:
        raise UsageError(
            f"no result of {base} has its counterpart in {new}: {_named(ours)} against {_named(theirs)}",
            hint="results belong together by target and variant",
        )
    return [(ours[key], theirs[key]) for key in both]


def _results_of(folder: Path) -> dict[tuple[str, str], Result]:
    found = {}
    for path in sorted(folder.glob("*.json")):
        result = read_result(path)
        found[result.target.name, result.variant or ""] = result
    if not found:
        raise FileUnreadable(f"there is no result in {folder}", hint="edgeprof profile -o FOLDER writes them there")
    return found


def _named(keys: Iterable[tuple[str, str]]) -> str:
    return ", ".join(" ".join(part for part in key if part) for key in keys)


# ── two models ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Ears(NamedTuple):
    """Who hears what the board says, and who may stop it."""

    on_event: Callable[[Plan, Event], None] | None = None
    stop: Stop | None = None


NOBODY = Ears()


def compare_models(
    base: Path,
    new: Path,
    target: str,
    run: Callable[[Path], Result],
    options: Options,
    *,
    max_regression: float = MAX_REGRESSION,
    allow: Sequence[str] = (),
    ears: Ears = NOBODY,
) -> Comparison:
    """Profile both on the target with `run`, then, where two can be loaded at once, run them in turns."""
    one, other = run(base), run(new)
    refuse(one, other, (*allow, "inputs"))
    if not isinstance(resolve_target(target).place, Local | Ssh):
        return compared(one, other, _now(), max_regression=max_regression)
    latency = one.metrics.get("latency_p50_s")
    found = _in_turns(base, new, target, options, latency.value if latency and latency.value else 1e-3,
                      max_regression=max_regression, ears=ears)  # fmt: skip
    if len(found.launches) < FEWEST_LAUNCHES:
        return compared(one, other, _now(), max_regression=max_regression)
    change = interleaved_change(
        estimate([launch.log_ratio for launch in found.launches]), found.launches, _basis(one), max_regression
    )
    whole = compared(one, other, _now(), max_regression=max_regression, interleaved=change, launches=found.launches)
    return replace(whole, warnings=(*whole.warnings, *_stopped(found)))


def _basis(result: Result) -> Basis:
    return result.metrics["latency_p50_s"].basis


def _stopped(found: Interleaved) -> tuple[Warned, ...]:
    if found.failure is None:
        return ()
    return (Warned(code="broken-off", text=found.failure.message, advice=found.failure.hint),)


def _in_turns(
    base: Path,
    new: Path,
    target: str,
    options: Options,
    latency_s: float,
    *,
    max_regression: float,
    ears: Ears,
) -> Interleaved:
    place = resolve_target(target)
    ours, theirs = read_model(base), read_model(new)
    plan, blobs = pair_plan(ours, theirs, options, latency_s)
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(3)}"
    begun = begun_result(run_id, _now(), ("compare",), graph=ours, plan=plan, target=place, board=None)
    return interleave(
        begun, base, new, place, blobs, max_regression=max_regression, on_event=ears.on_event, stop=ears.stop
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
