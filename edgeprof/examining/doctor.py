"""What is missing or noisy on a target, what mends it, and what ignoring it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from edgeprof.diagnosis.int8_kernels import OTHER_MENDS, PRECISE, lacks_vnni, vnni_of
from edgeprof.errors import LinkError
from edgeprof.installing.choosing import board_python, choose_wheels
from edgeprof.installing.crashes import explained
from edgeprof.links import open_session
from edgeprof.links.framed import FramedSession
from edgeprof.records.checks import Check, Diagnosis
from edgeprof.targets import Emu, Local, MlperfTiny, Qemu, Serial, Sim, Ssh, runs_programs
from edgeprof.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.installing.choosing import BoardPython, Fitting
    from edgeprof.records.board import Board
    from edgeprof.records.events import AgentIdentified, RuntimeFound, RuntimesFound
    from edgeprof.targets import Target

FORMATS = ("tflite", "onnx")
PROGRAM = "program"
"""What a microcontroller executes: packed here from a model of either format."""
PACKAGES = {"tflite": "ai-edge-litert", "onnx": "onnxruntime"}
BUSY_LOAD = 0.5
LEAST_MEMORY_BYTES = 256 << 20
HOT_CELSIUS = 70.0
NOISE_COST = "latencies move by 10 % and more between runs"


def diagnose(target: Target, board: Board | None) -> Diagnosis:
    """Reach the target and look; a target that cannot be reached is a finding too."""
    try:
        with open_session(target, board) as session:
            identified = session.identify()
            framed = session if isinstance(session, FramedSession) else None
            formats = (PROGRAM,) if runs_programs(target.place) else FORMATS
            found = [framed.probe(name, fresh=True) for name in formats] if framed else []
            state = framed.board_state() if framed else {}
            identity = framed.identity() if framed else {}
    except LinkError as error:
        cost = "nothing can be measured there"
        lost = Check(name="reach", verdict="MISSING", seen=error.message, remedy=error.hint, cost=cost)
        return Diagnosis(target=target.name, board=board.name if board else "", checks=(lost,))
    known = board.name if board else ""
    name = known or identified.board or str(identified.identity.get("cpu", ""))
    python = board_python(identity) if "install" in identified.capabilities else None
    if runs_programs(target.place):
        runtimes = _engine(found)
    else:
        runtimes = _runtimes([explained(answer, python) for answer in found], target.name, python, identity)
    checks = (*_reach(target, identified), *runtimes, *_state(state))
    return Diagnosis(target=target.name, board=name, checks=checks)


def _reach(target: Target, identified: AgentIdentified) -> Iterator[Check]:
    match target.place:
        case Ssh(host=host):
            way = f"over SSH to {host}, host key known"
        case Local():
            way = "on this machine"
        case Sim():
            way = "simulated in this process"
        case Serial(url=url) | MlperfTiny(url=url):
            way = f"over the serial port {url}"
        case Qemu() | Emu():
            way = "in an emulator on this machine"
        case place:
            assert_never(place)
    yield Check(name="reach", verdict="OK", seen=f"{way}: {identified.agent}, protocol {identified.protocol}")
    if identified.basis != "measured":
        yield Check(
            name="basis",
            verdict="WARN",
            seen=f"every figure from here is {identified.basis}",
            remedy="measure on the board itself",
            cost="limits on hardware stay INCONCLUSIVE",
        )


def _engine(found: list[RuntimesFound]) -> Iterator[Check]:
    """Tell whether a microcontroller's firmware executes packed programs: no package can be put there."""
    for engine in (runtime for answer in found for runtime in answer.runtimes):
        if engine.works:
            seen = f"{engine.name}: it executes programs, packed here from .tflite and .onnx models"
            yield Check(name="engine", verdict="OK", seen=seen)
        else:
            yield Check(
                name="engine",
                verdict="MISSING",
                seen=f"{engine.name}: {engine.reason}, no packed program",
                remedy="edgeprof firmware flash --help tells how to put edgeprof's own there",
                cost="no model can be measured there",
            )


def _runtimes(
    found: list[RuntimesFound], target: str, python: BoardPython | None, identity: dict[str, Any]
) -> Iterator[Check]:
    """Tell for each format what works, what does not and why, and what would fit; `python` None: nothing can be put."""
    anything = any(runtime.works for answer in found for runtime in answer.runtimes)
    for answer in found:
        working = [runtime for runtime in answer.runtimes if runtime.works]
        broken = [runtime for runtime in answer.runtimes if not runtime.works]
        if working:
            yield _working(answer.format, working, broken)
            continue
        fitting = choose_wheels(answer.format, python) if python is not None else None
        remedy = f"{identity.get('python', 'python3')} -m pip install {PACKAGES[answer.format]}"
        if fitting is not None and fitting.choices:
            remedy = f"edgeprof profile MODEL.{answer.format} --target {target} --install-runtime"
        elif fitting is not None:
            remedy = "another Python or system on the board, see below"
        yield Check(
            name=f"runtime {answer.format}",
            verdict="WARN" if anything else "MISSING",
            seen="; ".join(f"{runtime.name}: {runtime.reason}" for runtime in broken) or "none is known",
            remedy=remedy,
            cost=f"no .{answer.format} model can be measured there",
        )
        if fitting is not None and python is not None:
            yield _wheels(answer.format, fitting, python)


def _working(format_name: str, working: list[RuntimeFound], broken: list[RuntimeFound]) -> Check:
    """Say what runs models of a format, and what is there beside it and does not."""
    told = []
    for runtime in working:
        numpy = f", numpy {runtime.numpy}" if runtime.numpy else ""
        origin = f", {runtime.reason}" if runtime.reason else ""
        providers = f", with {', '.join(runtime.providers)}" if runtime.providers else ""
        told.append(f"{runtime.name} {runtime.version} runs a .{format_name} model{numpy}{providers}{origin}")
    told += [f"{runtime.name} is there and does not: {runtime.reason}" for runtime in broken if _is_there(runtime)]
    return Check(name=f"runtime {format_name}", verdict="OK", seen="; ".join(told))


def _is_there(runtime: RuntimeFound) -> bool:
    """Tell whether a runtime that does not work is installed: the agent gives its version then."""
    return bool(runtime.version)


def _wheels(format_name: str, fitting: Fitting, python: BoardPython) -> Check:
    """Say which wheels fit the board's Python, and why the others do not."""
    fits = f"{fitting.choices[0].wheel.title} fits {python}" if fitting.choices else f"nothing fits {python}"
    seen = "; ".join(filter(None, [fits, fitting.reasons]))
    return Check(name=f"wheels {format_name}", verdict="OK", seen=seen)


def _state(state: dict[str, Any]) -> Iterator[Check]:
    if not state:
        return
    for look in (_load, _int8_kernels, _governor, _temperature, _throttling, _memory, _swap):
        yield from look(state)
    for name in ("kernel", "distribution"):
        if name in state:
            yield Check(name=name, verdict="OK", seen=str(state[name]))


def _load(state: dict[str, Any]) -> Iterator[Check]:
    load, cores = state.get("load_1m"), state.get("cores")
    if load is None or not cores:
        return
    seen = f"load {load:.2f} on {cores} cores"
    if load > BUSY_LOAD * cores:
        remedy = "stop what else runs there: top -o %CPU shows it"
        yield Check(name="load", verdict="WARN", seen=seen, remedy=remedy, cost=NOISE_COST)
    else:
        yield Check(name="load", verdict="OK", seen=seen)


def _int8_kernels(state: dict[str, Any]) -> Iterator[Check]:
    """Say whether ONNX Runtime's int8 kernels are exact on this x86 CPU; others have nothing to tell."""
    features = state.get("cpu_features", ())
    if "avx2" not in features:
        return
    if not lacks_vnni(features):
        yield Check(name="int8 kernels", verdict="OK", seen=f"{vnni_of(features)}: sums of int8 products are exact")
        return
    yield Check(
        name="int8 kernels",
        verdict="WARN",
        seen="AVX2 without VNNI: ONNX Runtime's kernels for int8 weights saturate at 16 bits",
        remedy=f"for .onnx models with int8 weights --runtime-option {PRECISE}, or {OTHER_MENDS}",
        cost="such a model may answer wrongly, however fast it is",
    )


def _governor(state: dict[str, Any]) -> Iterator[Check]:
    governors = state.get("governor")
    if not governors:
        reason = state.get("absent", {}).get("governor", "not reported")
        yield Check(name="governor", verdict="OK", seen=f"none to be seen ({reason})")
        return
    seen = ", ".join(f"{policy} {governor}" for policy, governor in sorted(governors.items()))
    if set(governors.values()) == {"performance"}:
        yield Check(name="governor", verdict="OK", seen=seen)
    else:
        remedy = "sudo cpupower frequency-set -g performance (until the next boot)"
        yield Check(
            name="governor", verdict="WARN", seen=seen, remedy=remedy, cost="the first runs are up to 3 times slower"
        )


def _temperature(state: dict[str, Any]) -> Iterator[Check]:
    zones = state.get("temperature_celsius")
    if not zones:
        return
    name, hottest = max(zones.items(), key=lambda zone: float(zone[1]))
    seen = f"{hottest:.0f} °C at {name}"
    if hottest >= HOT_CELSIUS:
        remedy = "let it cool down, or fit a heat sink or a fan"
        yield Check(name="temperature", verdict="WARN", seen=seen, remedy=remedy, cost="it throttles within minutes")
    else:
        yield Check(name="temperature", verdict="OK", seen=seen)


def _throttling(state: dict[str, Any]) -> Iterator[Check]:
    current, limit = state.get("frequency_hz", {}), state.get("frequency_limit_hz", {})
    slow = [policy for policy, hz in limit.items() if policy in current and current[policy] < hz]
    if slow and set(state.get("governor", {}).values()) == {"performance"}:
        seen = f"{', '.join(slow)} below its limit although the governor asks for all"
        remedy = "look for heat or a weak power supply"
        yield Check(name="throttling", verdict="WARN", seen=seen, remedy=remedy, cost="figures of a throttled board")


def _memory(state: dict[str, Any]) -> Iterator[Check]:
    available = state.get("memory_available_bytes")
    if available is None:
        return
    seen = f"{format_bytes(available)} available"
    if available < LEAST_MEMORY_BYTES:
        remedy = "stop what else runs there"
        yield Check(name="memory", verdict="WARN", seen=seen, remedy=remedy, cost="a large model may be killed")
    else:
        yield Check(name="memory", verdict="OK", seen=seen)


def _swap(state: dict[str, Any]) -> Iterator[Check]:
    used = state.get("swap_used_bytes")
    if used:
        yield Check(
            name="swap",
            verdict="WARN",
            seen=f"{format_bytes(used)} of swap in use",
            remedy="sudo swapoff -a && sudo swapon -a, when there is memory for it",
            cost="single inferences take milliseconds longer",
        )
