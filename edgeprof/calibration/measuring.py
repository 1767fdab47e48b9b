"""Running the micro models on a board, each in turns with the reference kernel in a process of its own."""

from __future__ import annotations

import hashlib
import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.calibration.fitted import fit_dtype
from edgeprof.calibration.micro import micro_models, reference
from edgeprof.calibration.micro_files import write_micro
from edgeprof.calibration.work import model_work
from edgeprof.errors import RuntimeUnusable, UsageError
from edgeprof.identify import board_used
from edgeprof.inputs import random_inputs
from edgeprof.links import open_session
from edgeprof.links.framed import SECOND_INPUTS, SECOND_MODEL, FramedSession
from edgeprof.model import read_model
from edgeprof.records.calibration import Calibration, Observation
from edgeprof.records.events import ClockBracketed, PassEnded
from edgeprof.records.result import Pass, Plan, SecondModel, Tool
from edgeprof.store import now
from edgeprof.summary.fold import fold
from edgeprof.targets import Local, Ssh, board_folders, resolve_target
from edgeprof.version import __version__
from edgeprof.wire import AFTER_SEND, PREEMPTED, SECOND, WARMUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgeprof.calibration.micro import Dtype, Micro
    from edgeprof.model.graph import Graph
    from edgeprof.records.board import Board
    from edgeprof.records.calibration import ModelFormat
    from edgeprof.records.events import Event
    from edgeprof.records.result import Measurement, SampleColumns
    from edgeprof.targets import Target

    Heard = Callable[[str, int, int], None]

FORMATS: tuple[ModelFormat, ...] = ("tflite", "onnx")
DTYPES: tuple[Dtype, ...] = ("float32", "int8")
LAUNCH_S, FEWEST_PAIRS, MOST_PAIRS = 0.25, 15, 200
LONG_MACS, WARM_UP, LONG_WARM_UP = 30_000_000, 50, 8
"""A count instead of the agent's own rule: on a busy machine waiting for a steady state can take ten seconds."""

DISTURBED_RATIO = 1.3
FEWEST_MODELS = 20
"""With fewer micro models that ran, nothing is fitted."""


class Blob(NamedTuple):
    """A model as the board gets it, with its inputs and what has to be said of it."""

    name: str
    content: bytes
    inputs: bytes
    shapes: dict[str, tuple[int, ...]]
    format: str
    warmup: int


class Job(NamedTuple):
    """What is calibrated, and with which models."""

    target: Target
    board: Board | None
    threads: int
    runtime: str
    folder: Path
    micros: tuple[Micro, ...]
    heard: Heard | None


class Side(NamedTuple):
    """One model beside the reference kernel in one launch, or why it could not be run."""

    log_ratio: float
    reference_s: float
    model_s: float
    pairs: int
    measurement: Measurement
    failure: str = ""


def calibrate(
    target: str | Target = "local",
    *,
    threads: int = 1,
    formats: Sequence[ModelFormat] = FORMATS,
    micros: Sequence[Micro] | None = None,
    runtime: str = "",
    board: Board | None = None,
    folder: Path,
    heard: Heard | None = None,
) -> tuple[Calibration, ...]:
    """Measure the micro models of each format on a Linux board and fit what they show; one record a runtime.

    `micros` None: all of them. `folder` is where the models are written for as long as this takes. `heard` is told each
    model's name, its number and how many there are. Raises UsageError for a target that runs no models in turns,
    RuntimeUnusable where no runtime works.
    """
    place = resolve_target(target) if isinstance(target, str) else target
    if not isinstance(place.place, Local | Ssh):
        raise UsageError(
            f"{place.name} cannot be calibrated: micro models run on Linux boards",
            hint="--target local, or ssh://user@board; microcontrollers are estimated by their core class",
        )
    strange = [name for name in formats if name not in FORMATS]
    if strange or threads < 1:
        what = f"format {strange[0]!r}" if strange else f"{threads} threads"
        raise UsageError(f"{what} cannot be calibrated: {' and '.join(FORMATS)}, with 1 thread or more")
    job = Job(place, board, threads, runtime, folder, tuple(micros or micro_models()), heard)
    found, reasons = [], []
    for format_name in formats:
        try:
            with open_session(place, board) as session:
                if not isinstance(session, FramedSession):
                    continue
                found.append(_one_runtime(session, job, format_name))
        except RuntimeUnusable as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    return tuple(found)


def _one_runtime(session: FramedSession, job: Job, format_name: ModelFormat) -> Calibration:
    kernel = micro_blob(reference(), format_name, "float32", job.folder)
    sides: dict[tuple[Dtype, Micro], Side] = {}
    wanted = [(dtype, micro) for dtype in DTYPES for micro in job.micros]

    def run(dtype: Dtype, micro: Micro) -> Side:
        kernel_s = min((side.reference_s for side in sides.values() if not side.failure), default=1e-3)
        model = micro_blob(micro, format_name, dtype, job.folder)
        return beside(session, kernel, model, job.threads, job.runtime, kernel_s)

    for number, (dtype, micro) in enumerate(wanted):
        if job.heard is not None:
            job.heard(f"{format_name} {dtype} {micro.name}", number, len(wanted))
        sides[dtype, micro] = run(dtype, micro)
    for key in disturbed(sides):
        if job.heard is not None:
            job.heard(f"{format_name} {key[0]} {key[1].name}, again: it was disturbed", len(wanted) - 1, len(wanted))
        again = run(*key)
        if not again.failure and again.reference_s < sides[key].reference_s:
            sides[key] = again
    last = next((side.measurement for side in sides.values() if not side.failure), None)
    failed = [f"{micro.name} in {dtype} was not run: {side.failure}"
              for (dtype, micro), side in sides.items() if side.failure]  # fmt: skip
    observed = [
        Observation(
            model=micro.name, dtype=dtype, log_ratio=side.log_ratio, reference_s=side.reference_s,
            model_s=side.model_s, pairs=side.pairs,
        )
        for (dtype, micro), side in sides.items() if not side.failure
    ]  # fmt: skip
    if last is None or len(observed) < FEWEST_MODELS:
        raise RuntimeUnusable(
            f"{len(observed)} of {len(wanted)} micro models ran on {job.target.name}: {failed[0]}",
            hint=f"edgeprof doctor --target {job.target.name} shows what is missing",
        )
    return _filled(observed, failed, last, job, format_name)


def disturbed(sides: Mapping[tuple[Dtype, Micro], Side]) -> list[tuple[Dtype, Micro]]:
    """Return the launches in which the kernel was much slower than at its best, the slowest first, some at most."""
    ran = {key: side.reference_s for key, side in sides.items() if not side.failure}
    if not ran:
        return []
    best = sorted(ran.values())[len(ran) // 10]
    slow = [key for key, kernel_s in ran.items() if kernel_s > DISTURBED_RATIO * best]
    return sorted(slow, key=lambda key: -ran[key])[: len(ran) // 6]


def _filled(
    observed: Sequence[Observation], failed: Sequence[str], last: Measurement, job: Job, format_name: ModelFormat
) -> Calibration:
    kernel_s = sorted(each.reference_s for each in observed)
    by_dtype = [[each for each in observed if each.dtype == dtype] for dtype in DTYPES]
    used = last.passes[0].runtime
    return Calibration(
        created=now(),
        tool=Tool(name="edgeprof", version=__version__, command=("calibrate",)),
        target=job.target.name,
        board=board_used(job.board, last, job.target.name, board_folders()),
        basis="measured",
        format=format_name,
        runtime=used,
        version=next((each.version for each in last.runtimes if each.name == used), ""),
        threads=job.threads,
        reference="convolution 3x3, 32x32x64 to 32x32x32, float32",
        reference_s=statistics.median(kernel_s),
        reference_low_s=kernel_s[int(0.05 * len(kernel_s))],
        reference_high_s=kernel_s[min(len(kernel_s) - 1, math.ceil(0.95 * len(kernel_s)))],
        fitted=tuple(fit_dtype(rows, format_name) for rows in by_dtype if len(rows) >= FEWEST_MODELS),
        observations=tuple(observed),
        warnings=tuple(failed),
    )


# ── one launch ───────────────────────────────────────────────────────────────────────────────────────────────────────


def micro_blob(micro: Micro, format_name: ModelFormat, dtype: Dtype, folder: Path) -> Blob:
    """Write a micro model and return it as the board gets it."""
    path = write_micro(micro, format_name, dtype, folder)
    return model_blob(path, read_model(path))


def model_blob(path: Path, graph: Graph) -> Blob:
    """Return a model file as the board gets it, with seeded random inputs."""
    given = random_inputs(graph, 0)
    warmup = LONG_WARM_UP if model_work(graph).macs > LONG_MACS else WARM_UP
    return Blob(path.name, path.read_bytes(), given.blob, given.shapes, graph.format, warmup)


def beside(
    session: FramedSession, kernel: Blob, model: Blob, threads: int, runtime: str = "", kernel_s: float = 1e-3
) -> Side:
    """Run a model in turns with the kernel, in one launch, and leave the session open for the next.

    `kernel_s` is about what the kernel takes, for the number of pairs.
    """
    pairs = max(FEWEST_PAIRS, min(MOST_PAIRS, round(LAUNCH_S / kernel_s)))
    plan = Plan(
        passes=(Pass(kind="pair", runs=pairs, threads=threads, batch=1, warmup=model.warmup),),
        format=kernel.format,
        runtime=runtime,
        inputs_sha256=hashlib.sha256(kernel.inputs).hexdigest(),
        shapes=kernel.shapes,
        second=SecondModel(name=model.name, format=model.format, runtime="", shapes=model.shapes),
    )
    blobs = {"model": kernel.content, "inputs": kernel.inputs, SECOND_MODEL: model.content,
             SECOND_INPUTS: model.inputs}  # fmt: skip
    measurement = fold(list(_whole_pass(session.run(plan, blobs))), plan)
    measured = next((each for each in measurement.passes if each.complete), None)
    pairs_s = undisturbed_pairs(measured.samples) if measured is not None else []
    if not pairs_s:
        last = measurement.passes[0] if measurement.passes else None
        said = (last.failure_text or last.failure) if last else ""
        return Side(0, 0, 0, 0, measurement, failure=" ".join(said.split())[:200] or "no samples came")
    return Side(
        statistics.median(math.log(model_s / own_s) for own_s, model_s in pairs_s),
        statistics.median(own_s for own_s, _ in pairs_s),
        statistics.median(model_s for _, model_s in pairs_s),
        len(pairs_s),
        measurement,
    )


def undisturbed_pairs(columns: SampleColumns) -> list[tuple[float, float]]:
    """Return the seconds of kernel and model in each pair in which neither was preempted; all where few are.

    A time slice is a few kernels long: on a busy machine it is the longer one of a pair that is cut, and the ratio with
    it. Samples are not batches here for the same reason.
    """
    rows = [row for row in zip(columns.duration, columns.flags, strict=True) if not row[1] & WARMUP]
    pairs = []
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        kernel, model = (other, one) if one[1] & SECOND else (one, other)
        if not (one[1] | other[1]) & AFTER_SEND:
            pairs.append((kernel[0], model[0], (one[1] | other[1]) & PREEMPTED))
    kept = [(kernel_s, model_s) for kernel_s, model_s, cut in pairs if not cut]
    return kept if len(kept) >= FEWEST_PAIRS else [(kernel_s, model_s) for kernel_s, model_s, _ in pairs]


def _whole_pass(events: Iterator[Event]) -> Iterator[Event]:
    """Yield the events of a run up to the end of its only pass: what follows would be the farewell."""
    ended = False
    for event in events:
        yield event
        ended = ended or isinstance(event, PassEnded)
        if ended and isinstance(event, ClockBracketed):
            return
