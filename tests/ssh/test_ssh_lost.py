"""Links that break, people who stop: what was measured is kept, and nothing of ours keeps running on the board."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.ssh.rig import MODEL, Person, eventually

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.ssh.rig import Rig

LONG = ("profile", MODEL, "--no-memory", "--duration", "60s", "--format", "json", "--target")


def _signal(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended since it was listed."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _measuring(person: Person, url: str) -> subprocess.Popen[str]:
    """Start a run of a minute and wait until samples have come."""
    process = person.start(*LONG, url)
    if not eventually(lambda: person.samples() > 2 or process.poll() is not None, 30) or process.poll() is not None:
        process.kill()
        pytest.fail(f"no samples came: {process.communicate()}")
    return process


def _launched(rig: Rig, person: Person, cache: Path) -> subprocess.Popen[str]:
    """Start a run whose measuring process takes a minute to start; runtimes are known from a run before it."""
    known = person.profile(rig.url(cache=str(cache)))
    assert known.returncode == 0, known.stderr
    process = person.start(*LONG, rig.url("slow", cache=str(cache)))
    assert eventually(lambda: "state-read" in person.events() and len(rig.guests()) > 2, 30), person.events()
    return process


def _partial(done: subprocess.CompletedProcess[str], person: Person) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["status"] == "partial"
    assert result["metrics"]["latency_p50_s"]["value"] > 0
    assert result["metrics"]["latency_p50_s"]["count"] > 100
    kept = sorted((person.home / "state" / "runs").glob("*/result.json"))
    assert json.loads(kept[-1].read_text())["id"] == result["id"]
    return result


def test_a_connection_killed_mid_run_keeps_the_samples(rig: Rig, person: Person, cache: Path) -> None:
    process = _measuring(person, rig.url(cache=str(cache)))
    for pid in rig.sessions():
        _signal(pid, signal.SIGKILL)
    done = Person.ended(process, 20)
    assert done.returncode == 5, done.stderr
    result = _partial(done, person)
    assert any(warning["code"] == "broken-off" for warning in result["warnings"])
    assert eventually(lambda: not rig.guests()), rig.guests()
    assert not list((cache / "blobs").glob("*.part"))


def test_a_connection_killed_before_the_first_sample_is_a_lost_link(rig: Rig, person: Person, cache: Path) -> None:
    process = _launched(rig, person, cache)
    for pid in rig.sessions():
        _signal(pid, signal.SIGKILL)
    done = Person.ended(process, 20)
    assert done.returncode == 3, done.stderr
    assert "lost" in done.stderr
    assert not done.stdout
    assert eventually(lambda: not rig.guests()), rig.guests()


def test_a_connection_killed_while_logging_in_is_a_board_that_cannot_be_reached(rig: Rig, person: Person) -> None:
    process = person.start(*LONG, rig.url())
    assert eventually(rig.sessions, 30)
    for pid in rig.sessions():
        _signal(pid, signal.SIGKILL)
    done = Person.ended(process, 60)
    assert done.returncode == 3, done.stderr
    assert not done.stdout


def test_an_agent_that_is_killed_keeps_the_samples(rig: Rig, person: Person, cache: Path) -> None:
    process = _measuring(person, rig.url(cache=str(cache)))
    for pid, line in rig.guests().items():
        if " serve " in line:
            _signal(pid, signal.SIGKILL)
    done = Person.ended(process, 20)
    assert done.returncode == 5, done.stderr
    _partial(done, person)
    assert eventually(lambda: not rig.guests()), rig.guests()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_the_samples_and_ends_the_agent(
    rig: Rig, person: Person, cache: Path, stop: signal.Signals
) -> None:
    process = _measuring(person, rig.url(cache=str(cache)))
    process.send_signal(stop)
    done = Person.ended(process, 10)
    assert done.returncode == 5, done.stderr
    _partial(done, person)
    assert eventually(lambda: not rig.guests(), 5), rig.guests()
    assert not list((cache / "blobs").glob("*.part"))


def test_ctrl_c_before_the_first_sample_ends_the_agent(rig: Rig, person: Person, cache: Path) -> None:
    process = _launched(rig, person, cache)
    process.send_signal(signal.SIGINT)
    done = Person.ended(process, 10)
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    assert eventually(lambda: not rig.guests(), 5), rig.guests()


@pytest.mark.parametrize("how", ["ctrl-c", "killed", "lost"])
def test_an_agent_that_is_looking_for_runtimes_ends_with_its_host(
    rig: Rig, person: Person, cache: Path, how: str
) -> None:
    process = person.start(*LONG, rig.url("slow", cache=str(cache)))
    assert eventually(lambda: any(" measure " in line for line in rig.guests().values()), 30)
    if how == "lost":
        for pid in rig.sessions():
            _signal(pid, signal.SIGKILL)
    else:
        process.send_signal(signal.SIGINT if how == "ctrl-c" else signal.SIGKILL)
    done = Person.ended(process, 20)
    assert done.returncode == {"ctrl-c": 5, "killed": -signal.SIGKILL, "lost": 3}[how], done.stderr
    assert eventually(lambda: not rig.guests(), 5), rig.guests()


def test_ctrl_c_while_connecting_ends_at_once(rig: Rig, person: Person) -> None:
    """A proxy that says nothing is a board that does not answer."""
    person.configures(f"Host 127.0.0.1\n ProxyCommand {sys.executable} -c 'import time;time.sleep(60)'\n")
    process = person.start(*LONG, rig.url())
    assert not eventually(lambda: process.poll() is not None, 2.5)
    process.send_signal(signal.SIGINT)
    done = Person.ended(process, 10)
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr


def test_a_client_that_is_killed_leaves_nothing_on_the_board(rig: Rig, person: Person, cache: Path) -> None:
    process = _measuring(person, rig.url(cache=str(cache)))
    assert len(rig.guests()) >= 2
    process.kill()
    process.communicate()
    assert eventually(lambda: not rig.guests(), 10), rig.guests()
    assert not list((cache / "blobs").glob("*.part"))


def test_a_board_that_falls_asleep_is_noticed_and_the_samples_are_kept(rig: Rig, person: Person, cache: Path) -> None:
    process = _measuring(person, rig.url(cache=str(cache)))
    asleep = [*rig.sessions(), *rig.guests()]
    for pid in asleep:
        _signal(pid, signal.SIGSTOP)
    try:
        done = Person.ended(process, 45)
    finally:
        for pid in asleep:
            _signal(pid, signal.SIGCONT)
    assert done.returncode == 5, done.stderr
    _partial(done, person)


def test_success_leaves_no_process_and_no_session(rig: Rig, person: Person) -> None:
    done = person.profile(rig.url())
    assert done.returncode == 0, done.stderr
    assert eventually(lambda: not rig.guests(), 2), rig.guests()
    assert eventually(lambda: not rig.sessions(), 5), rig.processes()
