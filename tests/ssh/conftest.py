"""The server of the suite, and a person for each test. Where no server can run, CI fails and others skip."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.contract.conftest import running_server
from tests.ssh.rig import Person, Rig, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def running() -> Rig:
    """Return the server of this session."""
    return running_server()


@pytest.fixture
def rig(running: Rig) -> Iterator[Rig]:
    """Return the server, and see to it that a test leaves nothing running on the board."""
    yield running
    if not eventually(lambda: not running.guests()):
        left = running.guests()
        for pid in left:  # the next test shall not find them
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        pytest.fail(f"left running on the board: {left}")


@pytest.fixture
def stranger(tmp_path: Path) -> Person:
    """Return somebody without keys who knows no host."""
    return Person(tmp_path / "person")


@pytest.fixture
def person(rig: Rig, stranger: Person) -> Person:
    """Return somebody who has a key for the server and knows it."""
    stranger.has_key(rig.key)
    stranger.knows(rig.known_host())
    return stranger


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return a cache folder on the board that is this test's alone."""
    return tmp_path / "board-cache"
