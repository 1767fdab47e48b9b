"""What a run over SSH costs besides the run, and what several boards at once cost besides one."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scripts.bench_rows import Row
from tests.ssh.rig import EDGEPROF, MODEL, Person, Rig, running_rig

if TYPE_CHECKING:
    from collections.abc import Iterable

RUNS = 5
SAMPLES = 20
TARGET_S = 1.5
BOARDS = 8
BOARD = "nucleo-l4r5zi"
BOARD_SAMPLES = 20
TARGET_RATIO = 1.3

# Runs edgeprof with a clock at its seams; what it prints last is when each was passed.
STOPWATCH = """
import json, sys, time
passed = {"python": time.time()}
def at(owner, name, label):
    function = getattr(owner, name)
    def timed(*arguments, **named):
        began = time.time()
        try:
            return function(*arguments, **named)
        finally:
            passed[label] = passed.get(label, 0.0) + time.time() - began
    setattr(owner, name, timed)
import edgeprof.cli, edgeprof.api
import edgeprof.links.framed as framed
passed["imports"] = time.time() - passed["python"]
began = time.time()
import edgeprof.links.ssh as ssh
passed["import asyncssh"] = time.time() - began
at(ssh.SshChannel, "connect", "connect")
at(ssh.SshChannel, "start_agent", "agent start")
at(ssh.SshChannel, "close", "teardown")
at(framed.FramedSession, "identify", "hello")
at(framed.FramedSession, "probe", "probe")
at(framed.FramedSession, "_upload", "blobs")
try:
    edgeprof.cli.main()
finally:
    passed["end"] = time.time()
    sys.stderr.write(json.dumps(passed))
"""


class Timed(NamedTuple):
    """One run: its wall time, the part that is its own, and what that is made of."""

    wall_s: float
    own_s: float
    parts: dict[str, float]


def run() -> list[Row]:
    """Measure both."""
    return [_second_run(), _boards_at_once()]


# ── one board over SSH ───────────────────────────────────────────────────────────────────────────────────────────────


def _second_run() -> Row:
    with tempfile.TemporaryDirectory(prefix="edgeprof-bench-") as folder, running_rig(Path(folder)) as rig:
        person = Person(Path(folder) / "person")
        _keep_bytecode(person.environment, folder)
        person.has_key(rig.key)
        person.knows(rig.known_host())
        _once(rig, person)  # puts the agent, the model and the probe there
        timed = sorted((_once(rig, person) for _ in range(RUNS)), key=lambda one: one.own_s)
        where = [_once(rig, person, watched=True) for _ in range(RUNS)]
    middle = timed[len(timed) // 2]
    parts = {name: statistics.median(one.parts[name] for one in where) for name in where[0].parts}
    return Row(
        name="second run over SSH loopback, outside load, warm-up and runs",
        value=f"{middle.own_s:.2f} s of {middle.wall_s:.2f} s",
        target=f"at most {TARGET_S} s",
        ok=middle.own_s <= TARGET_S,
        conditions=f"median of {RUNS}, {timed[0].own_s:.2f} … {timed[-1].own_s:.2f} s, latency pass alone; "
        + ", ".join(f"{name} {value * 1e3:.0f} ms" for name, value in parts.items()),
    )


def _keep_bytecode(environment: dict[str, str], folder: str) -> None:
    """Let the first run compile what an installer would have compiled, whatever is set here."""
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"


def _once(rig: Rig, person: Person, *, watched: bool = False) -> Timed:
    program = [sys.executable, "-c", STOPWATCH] if watched else [str(EDGEPROF)]
    options = ["--no-memory", "--runs", str(SAMPLES), "--quiet", "--format", "json", "--target", rig.url()]
    began = time.time()
    done = subprocess.run(
        [*program, "profile", str(MODEL), *options],
        env=person.environment, cwd=person.home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    wall_s = time.time() - began
    if done.returncode:
        raise RuntimeError(done.stderr)
    measured = _measuring_s(person)
    parts = _parts(json.loads(done.stderr.splitlines()[-1]), began, wall_s, measured) if watched else {}
    return Timed(wall_s, wall_s - measured["load, warm-up, runs"], parts)


def _measuring_s(person: Person) -> dict[str, float]:
    """Return from the newest journal how long loading, the first inference, warm-up and runs took, and the rest."""
    journal = max((person.home / "state" / "runs").glob("*/journal.jsonl"))
    events = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    figures = {event["name"]: event["value"] / 1e9 for event in events if event["event"] == "figure-read"}
    blocks = [event for event in events if event["event"] == "samples-received"]
    brackets = [event for event in events if event["event"] == "clock-bracketed"]
    first, last = blocks[0]["start_ticks"][0], blocks[-1]["start_ticks"][-1] + blocks[-1]["duration_ticks"][-1]
    inside = (last - first) / 1e9 + figures["load_ticks"] + figures["first_ticks"]
    whole = brackets[-1]["host_before_s"] - brackets[0]["host_after_s"]
    return {
        "load, warm-up, runs": inside,
        "runtime import": figures["import_ticks"],
        "start and end of the measuring process": whole - inside - figures["import_ticks"],
    }


def _parts(passed: dict[str, float], began: float, wall_s: float, measured: dict[str, float]) -> dict[str, float]:
    parts = {"Python": passed.pop("python") - began, "exit": began + wall_s - passed.pop("end")}
    parts |= passed | {name: value for name, value in measured.items() if name != "load, warm-up, runs"}
    parts["the rest"] = wall_s - sum(parts.values()) - measured["load, warm-up, runs"]
    return parts


# ── simulated boards ─────────────────────────────────────────────────────────────────────────────────────────────────


def _boards_at_once() -> Row:
    with tempfile.TemporaryDirectory(prefix="edgeprof-bench-") as folder:
        environment = {**os.environ, "EDGEPROF_STATE": folder, "EDGEPROF_CACHE": folder}
        _keep_bytecode(environment, folder)
        _simulated_s(1, environment)
        one, all_of_them = [], []
        for _ in range(RUNS):
            one.append(_simulated_s(1, environment))
            all_of_them.append(_simulated_s(BOARDS, environment))
    ratio = statistics.median(all_of_them) / statistics.median(one)
    return Row(
        name=f"{BOARDS} simulated boards at once / one",
        value=f"{ratio:.2f}: {statistics.median(all_of_them):.2f} s, {statistics.median(one):.2f} s",
        target=f"at most {TARGET_RATIO}",
        ok=ratio <= TARGET_RATIO,
        conditions=f"sim:{BOARD}?pace=1, {BOARD_SAMPLES} samples, medians of {RUNS} in turns",
    )


def _simulated_s(count: int, environment: dict[str, str]) -> float:
    targets = _named(f"sim:{BOARD}?pace=1&seed={seed}" for seed in range(count))
    options = ["--no-memory", "--runs", str(BOARD_SAMPLES), "--quiet", "--format", "json"]
    began = time.monotonic()
    subprocess.run(
        [str(EDGEPROF), "profile", str(MODEL), *options, *targets],
        env=environment, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return time.monotonic() - began


def _named(targets: Iterable[str]) -> list[str]:
    return [word for target in targets for word in ("--target", target)]
