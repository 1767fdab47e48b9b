"""What every test gets: folders of its own, and the command line as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import settings

from edgeprof.records.result import (
    BoardUsed,
    Environment,
    Metric,
    ModelFacts,
    Pass,
    Plan,
    Result,
    Samples,
    TargetUsed,
    Tool,
)
from scripts.debian import FetchError, search_path
from scripts.fetch_compiler import fetch_compiler
from scripts.uv import OWN
from tests.provided import firmware_tools, lacking
from tests.watching import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

# Whatever PATH says: what the distribution has, and uv, which the project brings.
os.environ["PATH"] = os.pathsep.join((search_path(), str(OWN)))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a shell does to its background jobs; what tests start would inherit it, and Ctrl-C would not reach them.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("edgeprof", deadline=None)  # a busy host is no failure
settings.load_profile("edgeprof")

REPOSITORY = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "edgeprof")
LONGEST_FIRST = ("virtual_pi", "firmware", "cli", "ssh", "html", "models")
"""The folders whose files take longest: they begin, so that short ones fill the end of a run on several processors."""


class Cli(Protocol):
    """Runs one command to its end."""

    def __call__(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Return how it ended and what it wrote."""


@pytest.fixture(scope="session", autouse=True)
def _folders_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep everything out of the user's folders; the cache is shared, so that runtimes are probed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEPROF_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("EDGEPROF_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("EDGEPROF_CONFIG", str(tmp_path_factory.mktemp("config")))
        patch.setenv("EDGEPROF_DB", "off")  # the history's own tests name a database
        patch.setenv("NO_COLOR", "1")
        yield


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a state folder of its own: `last` is its own last result."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("EDGEPROF_STATE", str(folder))
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a test a cache of its own: its path is in the command line of every process of the agent."""
    folder = tmp_path / "own-cache"
    monkeypatch.setenv("EDGEPROF_CACHE", str(folder))
    return folder


@pytest.fixture
def tools_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program find QEMU and the cross compiler as those of a machine that has them installed."""
    found = firmware_tools().environment()
    for name in ("PATH", "LD_LIBRARY_PATH"):
        if name in found:
            monkeypatch.setenv(name, found[name])


@pytest.fixture(scope="session")
def compiler() -> Path:
    """Return a C compiler for this machine."""
    try:
        return fetch_compiler()
    except FetchError as error:
        lacking(f"no C compiler: {error}")


@pytest.fixture(scope="session")
def kws() -> Path:
    """Return the path of an int8 keyword-spotting model."""
    return REPOSITORY / "examples" / "models" / "kws_int8.tflite"


@pytest.fixture
def small_result() -> Result:
    """Return a result of one pass without anything measured."""
    return Result(
        schema="edgeprof.result/1",
        id="20260101T000000000000-abcdef",
        created="2026-01-01T00:00:00+00:00",
        status="complete",
        group=None,
        variant=None,
        tool=Tool(name="edgeprof", version="0", command=("edgeprof",)),
        model=ModelFacts(name="m.tflite", format="tflite", bytes=1, sha256="00", inputs=(), outputs=()),
        target=TargetUsed(name="local", link="local"),
        board=BoardUsed(id=None, name="a board", kind="linux"),
        runtime=None,
        environment=Environment(),
        plan=Plan(passes=(Pass(kind="latency", runs=1),), format="tflite"),
        metrics={"latency_p50_s": Metric(value=0.001, basis="measured", count=1, method="p50")},
        breakdowns={},
        samples=Samples(launch=(), start_s=(), duration_s=(), batch=(), flags=()),
        operators=(),
        sensors=(),
        findings=(),
        warnings=(),
    )


@pytest.fixture
def edgeprof() -> Cli:
    """Return a function that runs `edgeprof` with these arguments."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            env={**os.environ, **environment},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    return run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files: those that take longest first."""
    folders = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: folders.get(item.path.relative_to(REPOSITORY / "tests").parts[0], len(folders)))


class FailuresAtOnce:
    """Names a test that fails when it fails, and not only when all are done."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write its name on a line of its own."""
        if report.failed:
            self._terminal.ensure_newline()
            self._terminal.write_line(f"FAILED {report.nodeid} ({report.when}, {report.duration:.1f} s)", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Tell of failures at once where there is a terminal reporter: not in the workers."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(terminal), "failures-at-once")
