"""A measuring process that hangs is told from one that is slow, and the run ends with what was kept."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof import wire
from edgeprof.agent.hanging import COMPUTING_TIMES, LOADING_TIMES, REST_SECONDS, Watch
from edgeprof.agent.working import Work, working
from tests.watching import journalled, processes, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAMPLES, MARK = wire.LAYOUTS[wire.Samples].type, wire.LAYOUTS[wire.Mark].type
IDLE, BUSY, STOPPED = Work(1.0, False, False), Work(1.0, True, False), Work(1.0, False, True)  # noqa: FBT003  records


class Clock:
    """Time that passes when it is told to, and what a process does in it."""

    def __init__(self, **orders: Any) -> None:  # noqa: ANN401  whatever orders hold
        self.now_s, self.work = 0.0, IDLE
        self.watch = Watch(77, orders, lambda: self.now_s, lambda _: self.work)

    def passes(self, seconds: float, work: Work) -> str:
        """Look every two seconds; return the first words and forget about the rest."""
        self.work = work
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += 2.0
            words = self.watch.hung()
            if words:
                return words
        return ""


def test_a_process_without_a_sample_or_cpu_time_hangs_after_a_minute() -> None:
    clock = Clock()
    clock.watch.heard(SAMPLES)
    assert clock.passes(REST_SECONDS - 4, IDLE) == ""
    words = clock.passes(20, IDLE)
    assert words.startswith("the measuring process (77) has given no sample for ")
    assert "uses no CPU: does a driver hang?" in words


def test_one_that_is_stopped_is_said_to_be_stopped() -> None:
    clock = Clock()
    clock.watch.heard(SAMPLES)
    assert clock.passes(100, STOPPED).endswith("and is stopped")


def test_one_that_computes_or_waits_for_a_cpu_is_slow_and_bounded_far_away() -> None:
    clock = Clock()
    clock.watch.heard(SAMPLES)
    assert clock.passes(COMPUTING_TIMES * REST_SECONDS - 10, BUSY) == ""
    assert "has said nothing for" in clock.passes(100, BUSY)


def test_one_that_loads_may_rest_for_longer() -> None:
    clock = Clock()
    clock.watch.heard(MARK)
    assert clock.passes(LOADING_TIMES * REST_SECONDS - 10, IDLE) == ""
    assert "uses no CPU" in clock.passes(30, IDLE)


def test_slow_samples_are_no_hang() -> None:
    clock = Clock()
    for _ in range(5):
        assert clock.passes(30, IDLE) == ""
        clock.watch.heard(SAMPLES)
    assert clock.passes(19 * 30, IDLE) == ""
    assert clock.passes(60, IDLE)


@pytest.mark.parametrize(
    "settings", [{"idle_ms": 300_000}, {"window_ms": 300_000}, {"period_ns": 300 * 10**9}], ids=str
)
def test_a_rest_that_the_plan_asks_for_is_no_hang(settings: dict[str, int]) -> None:
    clock = Clock(settings=settings)
    clock.watch.heard(SAMPLES)
    assert clock.passes(3 * 300 - 10, IDLE) == ""


def test_a_batch_takes_as_many_times_as_long() -> None:
    clock = Clock(batch=1000)
    clock.watch.heard(SAMPLES)
    clock.now_s = 1.0
    clock.watch.heard(SAMPLES)
    assert clock.passes(5000, IDLE) == ""


def test_a_moment_of_work_counts_as_a_sign_of_life() -> None:
    clock = Clock()
    clock.watch.heard(SAMPLES)
    for cpu_s in range(20):
        assert clock.passes(30, Work(float(cpu_s), runnable=False, stopped=False)) == ""


def test_an_agent_that_was_stopped_itself_blames_nobody() -> None:
    clock = Clock()
    clock.watch.heard(SAMPLES)
    assert clock.passes(6, IDLE) == ""
    clock.now_s += 1000
    assert clock.watch.hung() == ""


# ── processes of this machine ────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def python(source: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run some Python in a session of its own; it says something when it is ready."""
    process = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.read(1)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def seen(pid: int) -> Work:
    work = working(pid)
    assert work is not None
    return work


READY = "import os, time; os.write(1, b'x');"


def test_a_process_that_computes_is_told_from_one_that_waits_and_one_that_is_stopped() -> None:
    with python(f"{READY} time.sleep(60)") as process:
        wait_for(lambda: not seen(process.pid).runnable)
        assert not seen(process.pid).stopped
        process.send_signal(signal.SIGSTOP)
        wait_for(lambda: seen(process.pid).stopped)
    with python(f"{READY}\nwhile True: pass") as process:
        assert seen(process.pid).runnable
        wait_for(lambda: seen(process.pid).cpu_s > 0.05)
    assert working(process.pid) is None


def test_what_a_process_started_and_its_threads_count() -> None:
    busy = "while True: pass"
    with python(
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {busy!r}]); {READY} time.sleep(60)"
    ) as p:
        wait_for(lambda: seen(p.pid).runnable and seen(p.pid).cpu_s > 0.2)
    threads = f"import threading\nthreading.Thread(target=exec, args=({busy!r},)).start()\n{READY} time.sleep(60)"
    with python(threads) as p:
        wait_for(lambda: seen(p.pid).runnable)


@pytest.mark.slow
def test_a_run_whose_process_hangs_ends_by_itself_and_keeps_its_samples(
    own_cache: Path, kws: Path, state: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "edgeprof",
        "profile",
        str(kws),
        "--no-memory",
        "--duration",
        "10m",
        "--warmup",
        "3",
    ]
    run = subprocess.Popen(
        [*command, "-q", "-o", str(tmp_path / "r.json")],
        env={**os.environ, "EDGEPROF_HANG_S": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: sum(journalled(state)) > 1000, 60)
    (child,) = [pid for pid, line in processes(own_cache).items() if " measure " in line]
    os.kill(child, signal.SIGSTOP)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 5, err
    result = json.loads((tmp_path / "r.json").read_text())
    assert len(result["samples"]["start_s"]) > 1000
    assert f"the measuring process ({child}) has given no sample for" in str(result["warnings"])
    assert "is stopped" in str(result["warnings"])
