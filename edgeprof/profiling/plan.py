"""What one run is to do, decided before the board is touched; what cannot work is refused here, in milliseconds."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from edgeprof.errors import ModelDoesNotFit, UsageError
from edgeprof.model.data_files import needed_bytes
from edgeprof.power.metrics import UNPRICED, Priced
from edgeprof.records.result import Pass, Plan
from edgeprof.units import format_bytes

if TYPE_CHECKING:
    from edgeprof.inputs import Inputs
    from edgeprof.model.graph import Graph
    from edgeprof.program import Program
    from edgeprof.records.board import Board

DEFAULT_RUNS = 1000
DEFAULT_DURATION_S = 10.0
OPERATOR_RUNS = 50
MOST_RUNS = 10_000_000


class Options(NamedTuple):
    """What a person may ask for. `runs` and `duration_s` None: 1,000 samples or 10 s, whichever is first.

    `check_outputs` None: where a packed program runs, since its kernels are not the model's own runtime. `sensors_s`
    None: each pass's own interval, 0: sensors are left alone. `power`: where power is read from, empty: nowhere.
    `runtime_options`: KEY=VALUE of ONNX Runtime's session.
    """

    runs: int | None = None
    launches: int = 1
    warmup: int | None = None
    duration_s: float | None = None
    threads: int = 1
    batch: int | None = None
    per_op: bool = False
    outputs: bool = False
    check_outputs: bool | None = None
    memory: bool = True
    seed: int = 0
    timeout_s: float | None = None
    runtime: str = ""
    format: str = ""
    delegate: str = ""
    providers: tuple[str, ...] = ()
    require_delegated_ratio: float | None = None
    runtime_options: tuple[str, ...] = ()
    cpus: tuple[int, ...] = ()
    install_runtime: bool = False
    hook: str | None = None
    period_s: float | None = None
    sensors_s: float | None = None
    power: str = ""
    windows: int = 8
    window_s: float | None = None
    idle_s: float | None = None
    priced: Priced = UNPRICED


class Asked(TypedDict, total=False):
    """The options by name, for callers who give only some of them."""

    runs: int | None
    launches: int
    warmup: int | None
    duration_s: float | None
    threads: int
    batch: int | None
    per_op: bool
    check_outputs: bool | None
    memory: bool
    seed: int
    timeout_s: float | None
    runtime: str
    delegate: str
    providers: tuple[str, ...]
    require_delegated_ratio: float | None
    runtime_options: tuple[str, ...]
    cpus: tuple[int, ...]
    install_runtime: bool
    hook: str | None
    period_s: float | None
    sensors_s: float | None
    power: str
    windows: int
    window_s: float | None
    idle_s: float | None
    priced: Priced


def make_plan(graph: Graph, inputs: Inputs, options: Options, board: Board | None = None) -> Plan:
    """Return the passes of a run, in their order."""
    _check(options)
    if board is not None:
        check_fit(graph, board)
    passes = [_latency(options, launch) for launch in range(options.launches)]
    if options.period_s is not None:
        passes = _with_deadline(passes, options)
    if options.hook is not None:
        passes.append(Pass(kind="stages", runs=options.runs or DEFAULT_RUNS, duration_s=DEFAULT_DURATION_S,
                           warmup=options.warmup, threads=options.threads,
                           sensors_s=_sensors(options, "stages")))  # fmt: skip
    if options.power:
        passes.append(_energy(options))
    if options.memory:
        passes.append(Pass(kind="memory", threads=options.threads))
    if options.per_op:
        passes.append(Pass(kind="operators", runs=OPERATOR_RUNS, threads=options.threads))
    if options.outputs:
        passes.append(Pass(kind="outputs", threads=options.threads))
    return Plan(
        passes=tuple(passes),
        format=options.format or graph.format,
        runtime=options.runtime,
        delegate=options.delegate,
        providers=options.providers,
        runtime_options=options.runtime_options,
        cpus=options.cpus,
        hook=options.hook or "",
        seed=options.seed,
        inputs=inputs.source,
        inputs_sha256=hashlib.sha256(inputs.blob).hexdigest(),
        shapes=inputs.shapes,
        timeout_s=options.timeout_s,
    )


FIRMWARE_WINDOWS = 5


def make_firmware_plan(inputs: Inputs, options: Options) -> Plan:
    """Return the passes of a run with the model that is in the firmware; a sample is a window of 10 s."""
    _check(options)
    refused = (
        ("--launches", options.launches > 1), ("--per-op", options.per_op), ("--period", options.period_s is not None),
        ("--hook", options.hook is not None), ("--power", bool(options.power)),
    )  # fmt: skip
    for name, given in refused:
        if given:
            raise UsageError(f"{name} cannot be done with a model that is in the firmware")
    if options.runs is None and options.duration_s is None:
        options = options._replace(runs=FIRMWARE_WINDOWS)
    outputs = [Pass(kind="outputs")] if options.outputs else []
    return Plan(
        passes=(_latency(options, 0), *outputs),
        format="firmware",
        seed=options.seed,
        inputs=inputs.source,
        inputs_sha256=hashlib.sha256(inputs.blob).hexdigest(),
        timeout_s=options.timeout_s,
    )


def _latency(options: Options, launch: int) -> Pass:
    runs, duration_s = options.runs, options.duration_s
    if runs is None and duration_s is None:
        runs, duration_s = DEFAULT_RUNS, DEFAULT_DURATION_S
    return Pass(
        kind="sustained" if options.duration_s is not None else "latency",
        launch=launch,
        runs=runs or 0,
        warmup=options.warmup,
        batch=options.batch,
        threads=options.threads,
        duration_s=duration_s or 0.0,
        sensors_s=_sensors(options, "latency" if options.duration_s is None else "sustained"),
    )


SENSORS_S = {"latency": 0.5, "stages": 0.5, "deadline": 1.0, "sustained": 1.0, "energy": 0.1}
"""How often sensors are read during a pass, where nothing else is asked for."""
ONBOARD_WINDOW_S, ONBOARD_IDLE_S, BENCH_WINDOW_S, BENCH_IDLE_S = 4.0, 2.0, 1.0, 0.5
"""Sensors on a board give a few readings a second, of which a window needs 30; bench instruments give thousands."""


def _sensors(options: Options, kind: str) -> float:
    return SENSORS_S[kind] if options.sensors_s is None else options.sensors_s


def _with_deadline(passes: list[Pass], options: Options) -> list[Pass]:
    """Add a deadline pass, which takes the duration where one is given; its samples are never pooled with others."""
    one = Pass(
        kind="deadline",
        runs=0 if options.duration_s else options.runs or 0,
        warmup=options.warmup,
        threads=options.threads,
        duration_s=options.duration_s or DEFAULT_DURATION_S,
        period_s=options.period_s or 0.0,
        sensors_s=_sensors(options, "deadline"),
    )
    return [one] if options.duration_s else [*passes, one]


def _energy(options: Options) -> Pass:
    onboard = options.power == "onboard"
    return Pass(
        kind="energy",
        windows=options.windows,
        window_s=options.window_s or (ONBOARD_WINDOW_S if onboard else BENCH_WINDOW_S),
        idle_s=options.idle_s or (ONBOARD_IDLE_S if onboard else BENCH_IDLE_S),
        warmup=options.warmup,
        threads=options.threads,
        sensors_s=_sensors(options, "energy"),
    )


def _check(options: Options) -> None:
    _check_energy(options)
    if options.period_s is not None and options.duration_s is not None and options.period_s >= options.duration_s:
        raise UsageError(f"--period {options.period_s} s leaves no release within --duration {options.duration_s} s")
    limits = (
        ("--runs", options.runs, 1, MOST_RUNS),
        ("--launches", options.launches, 1, 100),
        ("--warmup", options.warmup, 0, MOST_RUNS),
        ("--threads", options.threads, 1, 1024),
        ("--batch", options.batch, 1, MOST_RUNS),
        ("--duration", options.duration_s, 0.001, 86400 * 7),
        ("--timeout", options.timeout_s, 0.001, 86400 * 30),
        ("--windows", options.windows, 1, 1000),
        ("--window", options.window_s, 0.01, 3600),
        ("--idle", options.idle_s, 0.01, 3600),
        ("--period", options.period_s, 1e-5, 3600),
        ("--sensors", options.sensors_s, 0, 3600),
    )
    share = options.require_delegated_ratio
    if share is not None and not 0 <= share <= 1:
        raise UsageError(f"--require-delegated {share:.0%}: 0 % to 100 % of the nodes can be required")
    for name, value, least, most in limits:
        if value is not None and not least <= value <= most:
            unit = "" if isinstance(value, int) else " s"
            raise UsageError(f"{name} {value:,}{unit}: {least:,}{unit} to {most:,}{unit} can be done")


def _check_energy(options: Options) -> None:
    """Refuse what speaks of energy where none is measured."""
    given = (
        ("--window", options.window_s), ("--idle", options.idle_s), ("--price", options.priced.price_usd_per_kwh),
        ("--grid", options.priced.grid_g_per_kwh),
    )  # fmt: skip
    alone = [name for name, value in given if value is not None]
    if alone and not options.power:
        raise UsageError(f"{alone[0]} without --power: no energy is measured", hint="--power onboard")


def check_program(program: Program, board: Board) -> None:
    """Refuse a program that the agent cannot hold: it lies in RAM with its arena."""
    from edgeprof.boards import largest_contiguous_sram_bytes

    sram = largest_contiguous_sram_bytes(board)
    needed = program.arena_bytes + len(program.content)
    if sram is not None and needed > sram[0]:
        raise ModelDoesNotFit(
            f"the program does not fit {board.name}: {format_bytes(len(program.content))} of program and"
            f" {format_bytes(program.arena_bytes)} of arena, the largest contiguous SRAM ({sram[1]}) has"
            f" {format_bytes(sram[0])}",
            hint="the agent keeps the program in RAM; edgeprof fit tells what flashing it would need",
        )


def check_fit(graph: Graph, board: Board) -> None:
    """Refuse a model that cannot be on a board at all: a lower bound against the board's memory, no estimate."""
    from edgeprof.boards import flash_bytes, largest_contiguous_sram_bytes
    from edgeprof.model.memory import liveness

    if board.kind == "linux":
        return
    flash = flash_bytes(board)
    if flash is not None and needed_bytes(graph) > flash:
        raise ModelDoesNotFit(
            f"{graph.name} does not fit {board.name}: the file has {format_bytes(needed_bytes(graph))},"
            f" flash has {format_bytes(flash)}",
            hint=f"edgeprof fit {graph.name} lists the boards that it fits",
        )
    sram = largest_contiguous_sram_bytes(board)
    needed = liveness(graph).lower_bound_bytes
    if sram is not None and needed is not None and needed > sram[0]:
        raise ModelDoesNotFit(
            f"{graph.name} does not fit {board.name}: at least {format_bytes(needed)} of tensors are alive at once,"
            f" the largest contiguous SRAM ({sram[1]}) has {format_bytes(sram[0])}",
            hint=f"edgeprof inspect {graph.name} shows where the peak is",
        )
