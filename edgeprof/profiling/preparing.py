"""Everything that is decided before a board is touched: the target, the model, the plan, and what is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, assert_never

from edgeprof.battery import check_battery
from edgeprof.errors import UsageError
from edgeprof.inputs import file_inputs, random_inputs, read_beside
from edgeprof.model import read_model
from edgeprof.oracle.reference import can_be_checked, seeded_inferences
from edgeprof.profiling.plan import check_program, make_firmware_plan, make_plan
from edgeprof.profiling.powered import check_power, supplied
from edgeprof.profiling.runtime_choice import read_hook, settled_choice
from edgeprof.profiling.simulated import check_named, check_simulated, declared
from edgeprof.targets import (
    Emu,
    Local,
    MlperfTiny,
    Qemu,
    Serial,
    Sim,
    Ssh,
    board_folders,
    resolve_target,
    runs_programs,
)

if TYPE_CHECKING:
    from edgeprof.battery.options import BatteryOptions
    from edgeprof.inputs import Inputs
    from edgeprof.model.graph import Graph
    from edgeprof.profiling.plan import Options
    from edgeprof.records.board import Board
    from edgeprof.records.result import Plan
    from edgeprof.targets import Place, Target

EMULATED_AS = {"cortex-m3": "mps2-an385", "cortex-m4": "cortex-m4", "cortex-m7": "mps2-an500"}
"""The board whose memories the emulated core has."""
IN_FIRMWARE = "firmware"
"""The MODEL that is on the board already."""


class Ready(NamedTuple):
    """What one run is made of. `graph` None: the model is in the firmware. `checks`: its outputs are to be compared."""

    path: Path
    target: Target
    board: Board | None
    graph: Graph | None
    inputs: Inputs
    plan: Plan
    blobs: dict[str, bytes]
    options: Options
    checks: bool
    battery: BatteryOptions | None


def prepare(
    model: str | Path,
    target: str,
    *,
    board: str | None,
    options: Options,
    shapes: dict[str, tuple[int, ...]] | None,
    inputs: str | Path | None,
    outputs: bool,
    battery: BatteryOptions | None,
) -> Ready:
    """Decide all of it, or refuse. `outputs`: what the model gives is wanted too."""
    place = resolve_target(target)
    facts = board_of(place, board)
    if battery is not None:
        battery = supplied(battery, options.power)
        check_battery(battery, facts)
    graph = _model_for(place, model, shapes)
    _check_place(place, facts, options)
    options = settled_choice(options, graph.format if graph else IN_FIRMWARE, place)
    checks = options.check_outputs if options.check_outputs is not None else runs_programs(place.place)
    outputs = outputs or options.outputs or (checks and can_be_checked(graph))
    options = options._replace(power=check_power(options.power), outputs=outputs)
    count = seeded_inferences(graph, emulated=isinstance(place.place, Qemu | Emu)) if graph and checks else 1
    given = _inputs_for(graph, Path(inputs) if inputs else None, options.seed, count)
    graph = _settled(graph, Path(model), given)
    if isinstance(place.place, Sim) and graph is not None and facts is not None:
        check_simulated(graph, facts, place, place.place.engine)
    blobs = {"inputs": given.blob} | ({"hook": read_hook(options.hook)} if options.hook else {})
    if graph is None:
        plan = make_firmware_plan(given, options)
    else:
        content, options = _executable(Path(model), graph, place, options, facts)
        blobs |= {"model": content, **read_beside(Path(model), graph)}
        plan = make_plan(graph, given, options, facts)
    return Ready(Path(model), place, facts, graph, given, plan, blobs, options, checks, battery)


def _check_place(target: Target, board: Board | None, options: Options) -> None:
    """Refuse what the target can never do, before minutes of emulation or of flashing go into it."""
    if isinstance(target.place, Qemu | Emu):
        if options.power == "onboard":
            raise UsageError(
                f"--power onboard cannot be done on {target.name}: an emulator has no sensors", hint="leave --power out"
            )
        if options.period_s is not None:
            raise UsageError(
                f"--period cannot be done on {target.name}: an emulator counts instructions and has no time",
                hint="leave --period out, or take --target sim:BOARD",
            )
    one_core = runs_programs(target.place) or (
        isinstance(target.place, Sim) and board is not None and board.kind == "mcu"
    )
    if options.threads > 1 and one_core:
        raise UsageError(
            f"--threads {options.threads} cannot be done on {target.name}: a microcontroller's agent has one",
            hint="leave --threads out",
        )


def _model_for(target: Target, model: str | Path, shapes: dict[str, tuple[int, ...]] | None) -> Graph | None:
    """Read the model; None for `firmware`, the one that is on the board already."""
    on_board = isinstance(target.place, MlperfTiny)
    if on_board == (str(model) == IN_FIRMWARE):
        return None if on_board else read_model(Path(model), shapes)
    raise UsageError(
        f"{model} cannot be put on {target.name}: its model is part of its firmware"
        if on_board
        else f"{IN_FIRMWARE!r} is what is on an MLPerf Tiny board; {target.name} is none",
        hint=f"edgeprof profile {IN_FIRMWARE} --target mlperf-tiny:///dev/ttyACM0",
    )


def _inputs_for(graph: Graph | None, path: Path | None, seed: int, inferences: int) -> Inputs:
    if graph is None:
        from edgeprof.links.mlperf_inputs import firmware_inputs

        return firmware_inputs(path, seed)
    return file_inputs(graph, path) if path else random_inputs(graph, seed, inferences)


def _settled(graph: Graph | None, path: Path, given: Inputs) -> Graph | None:
    """Return the graph with the sizes that it is run with, where the model leaves some open."""
    return read_model(path, given.shapes) if graph is not None and given.guessed else graph


def _executable(
    path: Path, graph: Graph, target: Target, options: Options, board: Board | None
) -> tuple[bytes, Options]:
    """Return what the target executes, the file or the program packed from it; emulated, it needs no warm-up."""
    if not runs_programs(target.place):
        return path.read_bytes(), options
    from edgeprof.program import pack_program

    options = options._replace(format="program")
    if isinstance(target.place, Qemu | Emu):  # deterministic: one counted run says it all
        runs = options.runs or (None if options.duration_s else 1)
        options = options._replace(runs=runs, warmup=options.warmup or 0)
    program = pack_program(graph, path)
    if board is not None:
        check_program(program, board)
    return program.content, options


def board_of(target: Target, named: str | None) -> Board | None:
    """Return the facts of the board that is named, or that the target tells."""
    from edgeprof.boards import load_board

    name = named or target.board or _board_told(target.place)
    board = load_board(name, board_folders()) if name else None
    if board is None or not isinstance(target.place, Sim):
        return board
    check_named(board, target, target.place)
    return declared(board, target.place)


def _board_told(place: Place) -> str | None:
    match place:
        case Sim(board=board) | Qemu(board=board):
            return board
        case Emu(core=core):
            return EMULATED_AS.get(core)
        case Local() | Ssh() | Serial() | MlperfTiny():
            return None
        case _:
            assert_never(place)
