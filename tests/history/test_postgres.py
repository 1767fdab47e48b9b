"""The history in PostgreSQL: the distribution's server, started for these tests on loopback and stopped after them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof.api import profile
from edgeprof.history.keeping import Filter, best, entries, kept, remember, series_of, trend
from scripts.debian import FetchError
from scripts.fetch_postgres import fetch_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.records.result import Result
    from scripts.fetch_postgres import Postgres

START_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Give the URL of a server."""
    try:
        programs = fetch_postgres()
    except FetchError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no PostgreSQL: {error}")
        pytest.skip(f"no PostgreSQL: {error}")
    folder = Path(tempfile.mkdtemp(prefix="edgeprof-postgres-"))
    port = free_port()
    try:
        run(programs, programs.initdb, "-D", folder / "data", "-U", "edgeprof", "-A", "trust", "--no-sync")
        process = subprocess.Popen(
            [*as_nobody(), programs.postgres, "-D", folder / "data", "-p", str(port), "-c", "fsync=off",
             "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"],
            env=programs.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            answers(port, process)
            yield f"postgresql+pg8000://edgeprof@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            process.wait(START_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def as_nobody() -> tuple[str, ...]:
    """Return what makes a program believe that it is not root, as PostgreSQL wants it."""
    return ("unshare", "--user", "--map-user=1000") if os.geteuid() == 0 else ()


def run(programs: Postgres, *command: object) -> None:
    done = subprocess.run(
        [*as_nobody(), *map(str, command)], env=programs.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def answers(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert process.poll() is None, "the server ended"
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(0.5)  # it listens a moment before it serves
                return
        time.sleep(0.1)
    pytest.fail(f"no server on port {port} in {START_S:.0f} s")


@pytest.fixture(scope="module")
def real(kws: Path) -> Result:
    return profile(kws, "sim:raspberry-pi-5", runs=20, memory=False, history=False)


def test_a_result_goes_into_postgresql_and_comes_back(
    server: str, real: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEPROF_DB", server)
    assert remember(real, tag="lab")
    assert remember(real, tag="lab")
    later = replace(real, id="later", created="2100-01-01T00:00:00+00:00")
    assert remember(later)
    assert [entry.id for entry in entries(Filter())] == ["later", real.id]
    assert [entry.id for entry in entries(Filter(tag="la"))] == [real.id]
    assert kept(real.id).metrics == real.metrics
    assert len(best("latency_p50_s", Filter())) == 2
    assert [point.id for point in trend("latency_p50_s", series_of(real))] == [real.id, "later"]
