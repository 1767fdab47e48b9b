"""The agent on boards in QEMU: its counter, its memory, its size, and what the package ships of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgeprof.inputs import random_inputs
from edgeprof.links.framed import FramedSession
from edgeprof.model import read_model
from edgeprof.program import pack_program
from edgeprof.records.events import AgentIdentified, FigureRead, OperatorTimed, SamplesReceived
from edgeprof.records.result import Pass
from firmware_stubs.prebuilt import SHIPPED, sources, write_prebuilt
from tests.firmware.boards import FIRMWARE, ROOT, SocketChannel, preloaded, run_passes, start_qemu
from tests.firmware.conftest import build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeprof.records.events import Event
    from scripts.fetch_firmware_tools import FirmwareTools

pytestmark = pytest.mark.timeout(300)
MACHINES = ("mps2-an385", "mps2-an386", "mps2-an500")
NOT_RUN_HERE = ("nucleo-l4r5zi", "nucleo-h743zi", "nrf52840-dk")
PASSES = (Pass(kind="latency", runs=3, batch=1), Pass(kind="memory"), Pass(kind="operators", runs=2))


def profile(tools: FirmwareTools, machine: str, agent: Path, model: Path, folder: Path) -> list[Event]:
    graph = read_model(model)
    program, inputs = pack_program(graph, model).content, random_inputs(graph, 0).blob
    extra = preloaded(machine, [program, inputs], folder / "blobs.bin")
    with FramedSession(SocketChannel.qemu(tools, machine, agent, extra), name=machine) as session:
        return run_passes(session, program, inputs, PASSES)


def figures(events: list[Event]) -> dict[str, int]:
    return {event.name: event.value for event in events if isinstance(event, FigureRead)}


@pytest.mark.parametrize("machine", MACHINES)
def test_instructions_are_the_same_in_five_fresh_starts(
    tools: FirmwareTools, agents: Callable[[str], Path], kws: Path, tmp_path: Path, machine: str
) -> None:
    seen = set()
    for _ in range(5):
        events = profile(tools, machine, agents(machine), kws, tmp_path)
        seen |= {ticks for event in events if isinstance(event, SamplesReceived) for ticks in event.duration_ticks}
    (identified,) = [event for event in events if isinstance(event, AgentIdentified)]
    assert (identified.counter_unit, identified.counter_hz, identified.basis) == (
        "instructions",
        15_625_000,
        "emulated",
    )
    assert len(seen) == 1


def test_operators_add_up_to_the_inference(
    tools: FirmwareTools, agents: Callable[[str], Path], kws: Path, tmp_path: Path
) -> None:
    events = profile(tools, "mps2-an386", agents("mps2-an386"), kws, tmp_path)
    whole = next(event.duration_ticks[0] for event in events if isinstance(event, SamplesReceived))
    parts = sum(event.ticks / event.calls for event in events if isinstance(event, OperatorTimed))
    assert parts == pytest.approx(whole, rel=1e-3)


def test_without_icount_the_counter_is_not_said_to_count_instructions(
    tools: FirmwareTools, agents: Callable[[str], Path]
) -> None:
    process, line = start_qemu(
        "mps2-an386", agents("mps2-an386"), tools=tools, options=("-nographic", "-monitor", "none")
    )
    with FramedSession(SocketChannel(process, line), name="QEMU") as session:
        identified = session.identify()
    assert (identified.counter_unit, identified.counter_hz) == ("seconds", 25_000_000)


@pytest.mark.parametrize("machine", MACHINES)
def test_memory_is_told_apart_and_the_stack_stays_below_a_kibibyte(
    tools: FirmwareTools, agents: Callable[[str], Path], kws: Path, tmp_path: Path, machine: str
) -> None:
    program = pack_program(read_model(kws), kws)
    found = figures(profile(tools, machine, agents(machine), kws, tmp_path))
    assert found["arena_bytes"] == program.arena_bytes == 16000
    assert found["program_bytes"] == program.core_bytes
    assert 200 < found["stack_peak_bytes"] < 1024
    assert 0 < found["static_ram_bytes"] < 64
    assert program.core_bytes + 7000 < found["flash_bytes"] < program.core_bytes + 10_000


def sizes(tools: FirmwareTools, file: Path) -> dict[str, int]:
    size = tools.gcc.with_name("arm-none-eabi-size")
    done = subprocess.run([size, "-A", file], env=tools.environment(), capture_output=True, text=True, check=True)
    return {m[1]: int(m[2]) for m in re.finditer(r"^(\.[.\w]+)\s+(\d+)", done.stdout, re.MULTILINE)}


def text_of(tools: FirmwareTools, files: list[Path]) -> int:
    return sum(
        size for file in files for name, size in sizes(tools, file).items() if name.startswith((".text", ".rodata"))
    )


@pytest.mark.parametrize("port", [*MACHINES, *NOT_RUN_HERE])
def test_the_agent_is_small(tools: FirmwareTools, agents: Callable[[str], Path], port: str) -> None:
    elf = agents(port)
    whole = sizes(tools, elf)
    assert whole[".text"] + whole[".data"] < 16 * 1024
    protocol = [elf.with_name(f"wire_{name}.o") for name in ("ep_wire", "ep_agent", "ep_blobs")]
    assert text_of(tools, protocol) < 6 * 1024
    assert whole[".bss"] < (8 * 1024 if port in MACHINES else 16 * 1024)


def test_ports_that_were_not_run_here_say_so() -> None:
    for port in NOT_RUN_HERE:
        assert "NOT RUN ON HARDWARE HERE" in (FIRMWARE / "ports" / port / "config.mk").read_text(encoding="utf-8")


def test_the_header_of_the_protocol_is_what_wire_py_says() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "write_wire_header.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr


def test_the_shipped_agents_are_built_from_these_sources(tools: FirmwareTools, tmp_path: Path) -> None:
    shipped = json.loads((SHIPPED / "firmware.json").read_text(encoding="utf-8"))
    assert shipped["sources_sha256"] == sources(), "run make -C firmware_stubs prebuilt"
    for name, facts in shipped["files"].items():
        assert (SHIPPED / name).stat().st_size == facts["bytes"] < 100_000
    built = write_prebuilt(tmp_path, tools.environment())
    if built["compiler"] != shipped["compiler"]:
        pytest.skip(f"shipped: {shipped['compiler']}, here: {built['compiler']}")
    assert built == shipped


def test_the_stub_compiles_with_every_sensible_level_of_optimisation(tools: FirmwareTools, tmp_path: Path) -> None:
    assert shutil.which("make")
    for level in ("-Os", "-O3"):
        command = ["make", "-s", "-C", str(FIRMWARE), f"BUILD={tmp_path / level}", "PORT=mps2-an386", f"OPT={level}"]
        done = subprocess.run(command, env=tools.environment(), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_speaking_between_operators_is_taken_out_of_the_count_which_stays_the_same_each_time(
    tools: FirmwareTools, agents: Callable[[str], Path], kws: Path, tmp_path: Path
) -> None:
    talkative = build(tmp_path / "build", "mps2-an386", tools.environment(), "EXTRA=-DALIVE_MS=100")
    runs = [
        profile(tools, "mps2-an386", agent, kws, tmp_path) for agent in (agents("mps2-an386"), talkative, talkative)
    ]
    counts = [
        {ticks for event in run if isinstance(event, SamplesReceived) for ticks in event.duration_ticks} for run in runs
    ]
    (quiet,), (spoken,) = counts[0], counts[1] | counts[2]
    assert 0 < spoken - quiet < 2000  # an operator's look at the clock; a word on the line is tens of thousands
    assert figures(runs[0])["stack_peak_bytes"] == figures(runs[1])["stack_peak_bytes"]
