"""The virtual Pi of a test, and somebody who has a key for it. Where none can boot, CI fails and others skip.

`make test` boots a Pi 4 with bookworm; with EDGEPROF_VIRTUAL_PI=all each Pi boots with each suite.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from scripts.debian import FetchError
from scripts.fetch_virtual_pi import FOLDER, SUITES, fetch_virtual_pi
from tests.virtual_pi.boot import VirtualPi
from tests.virtual_pi.models import MODELS, PI_4
from tests.virtual_pi.owner import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.fetch_virtual_pi import VirtualPiFiles
    from tests.virtual_pi.models import PiModel

ALL = os.environ.get("EDGEPROF_VIRTUAL_PI") == "all"
BOOTS = [(model, suite) for model in MODELS for suite in SUITES] if ALL else [(PI_4, SUITES[0])]
collect_ignore = [] if ALL else ["test_every_pi.py"]


def virtual_pi_files(suite: str) -> VirtualPiFiles:
    """Return what a virtual Pi boots from; where it cannot be had, CI fails and others skip."""
    try:
        return fetch_virtual_pi(suite)
    except FetchError as error:
        reason = f"no virtual Pi can be built here: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session", params=BOOTS, ids=lambda boot: f"{boot[0].board}-{boot[1]}")
def pi(request: pytest.FixtureRequest) -> Iterator[VirtualPi]:
    """Boot a Pi; the tests of one share it."""
    model: PiModel
    model, suite = request.param
    with VirtualPi(model, virtual_pi_files(suite)) as booted:
        yield booted


@pytest.fixture(scope="session")
def owner(pi: VirtualPi, tmp_path_factory: pytest.TempPathFactory) -> Owner:
    """Return somebody who has a key for the Pi and knows it, and keeps the wheels that were fetched before."""
    return Owner(pi, tmp_path_factory.mktemp("owner"), FOLDER / "cache")


@pytest.fixture(scope="session")
def python(pi: VirtualPi) -> str:
    """Return the version of the board's Python."""
    return pi.run("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").strip()
