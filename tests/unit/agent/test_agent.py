"""The Linux agent as it runs on a board: one file, under each Python that is here, with runtimes that misbehave."""

from __future__ import annotations

import hashlib
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeprof import wire
from edgeprof.agent.bundle import agent_bundle
from edgeprof.agent.runtimes import TINY_TFLITE
from edgeprof.errors import RuntimeUnusable
from edgeprof.links.framed import FramedSession
from edgeprof.links.local import install_agent, open_local
from edgeprof.records.events import Event, Noted, PassEnded, PassStarted, RuntimeFound, SamplesReceived
from edgeprof.records.result import Pass, Plan
from tests.watching import left_after, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).resolve().parents[3]
BLOBS = {
    "model": TINY_TFLITE,
    "inputs": wire.pack_inputs([("a", "float32", (1, 4), [struct.pack("<4f", 1, 2, 3, 4)])]),
}
VERSIONS = ("3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
pytestmark = pytest.mark.usefixtures("own_cache")


def interpreter(version: str) -> str | None:
    """Return a Python of this version: pyenv's own, or one on the path that really runs."""
    homes = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    candidates = [*sorted(homes.glob(f"{version}.*/bin/python{version}")), Path(f"/usr/bin/python{version}")]
    return next((str(path) for path in candidates if path.exists()), None)


FOUND: dict[str, str] = {version: path for version in VERSIONS if (path := interpreter(version))}


# ── under every Python ───────────────────────────────────────────────────────────────────────────────────────────────


def test_at_least_one_python_is_here() -> None:
    assert FOUND


@pytest.mark.parametrize("version", VERSIONS)
def test_the_agent_answers_under_this_python_and_says_why_a_runtime_is_missing(version: str) -> None:
    if version not in FOUND:
        pytest.skip(f"Python {version} is not installed")
    channel = open_local(FOUND[version])
    with FramedSession(channel, name="here") as session:
        hello = session.identify()
        assert hello.agent.startswith(f"linux python {version}.")
        assert hello.protocol == f"{wire.MAJOR}.{wire.MINOR}"
        for format_name in ("tflite", "onnx"):
            found = session.probe(format_name).runtimes
            assert found
            assert not [runtime for runtime in found if not runtime.works and not runtime.reason]
            assert not [runtime.reason for runtime in found if "Traceback" in runtime.reason]
        assert channel.last_words() == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_python_without_a_runtime_gets_the_name_of_what_to_install(version: str, tmp_path: Path) -> None:
    if version not in FOUND:
        pytest.skip(f"Python {version} is not installed")
    subprocess.run([FOUND[version], "-m", "venv", "--without-pip", tmp_path / "bare"], check=True, timeout=60)
    plan = Plan(passes=(Pass(kind="latency", runs=1),), format="onnx")
    with (
        FramedSession(open_local(str(tmp_path / "bare" / "bin" / "python")), name="here") as session,
        pytest.raises(RuntimeUnusable, match=r"is not installed|No module named") as refused,
    ):
        list(session.run(plan, BLOBS))
    assert "pip install onnxruntime" in refused.value.hint


def test_each_runtime_that_is_missing_is_listed_under_its_own_name(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True, timeout=60)
    with FramedSession(open_local(str(tmp_path / "bare" / "bin" / "python")), name="here") as session:
        session.identify()
        assert [runtime.name for runtime in session.probe("tflite").runtimes] == ["ai_edge_litert", "tflite_runtime"]
        assert [runtime.name for runtime in session.probe("onnx").runtimes] == ["onnxruntime"]


def test_the_agent_keeps_to_the_syntax_of_python_3_6() -> None:
    files = ["edgeprof/wire.py", *sorted(str(p) for p in Path("edgeprof/agent").glob("*.py") if p.name != "bundle.py")]
    command = [str(Path(sys.executable).with_name("vermin")), "-t=3.6-", "--no-tips", "--violations", *files]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


# ── the bundle ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_bundle_is_the_same_bytes_each_time_and_named_by_them() -> None:
    first = agent_bundle()
    agent_bundle.cache_clear()
    assert agent_bundle() == first
    assert hashlib.sha256(first.content).hexdigest() == first.sha256


def test_the_bundle_holds_the_agent_and_nothing_of_the_host() -> None:
    names = set(zipfile.ZipFile(BytesIO(agent_bundle().content)).namelist())
    assert "__main__.py" in names
    assert not [
        name
        for name in names
        if not name.startswith(("__main__", "edgeprof/__init__", "edgeprof/wire", "edgeprof/agent/"))
    ]


def test_a_part_of_a_bundle_that_was_left_behind_is_not_taken_for_it(own_cache: Path) -> None:
    path = install_agent(own_cache)
    path.unlink()
    path.with_suffix(".part").write_bytes(b"half")
    assert install_agent(own_cache).read_bytes() == agent_bundle().content


# ── runtimes that misbehave ──────────────────────────────────────────────────────────────────────────────────────────

DOUBLING = """
import numpy as np

class Interpreter:
    def __init__(self, model_path, num_threads):
        self.value = np.zeros((1, 4), np.float32)
    def allocate_tensors(self):
        pass
    def get_input_details(self):
        return [{"name": "a", "index": 0, "dtype": np.float32, "shape": np.array([1, 4])}]
    def get_output_details(self):
        return [{"name": "b", "index": 1, "dtype": np.float32, "shape": np.array([1, 4])}]
    def set_tensor(self, index, value):
        self.value = value
    def get_tensor(self, index):
        return self.value * 2
    def invoke(self):
        pass
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that puts a runtime of this source before the real one."""
    package = tmp_path / "site" / "ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def write(source: str) -> Path:
        (package / "interpreter.py").write_text(source)
        return package

    return write


def probed(*, fresh: bool = False) -> RuntimeFound:
    with FramedSession(open_local(), name="here") as session:
        session.identify()
        return session.probe("tflite", fresh=fresh).runtimes[0]


@pytest.mark.parametrize("name", ["SIGILL", "SIGSEGV", "SIGABRT"])
def test_a_runtime_that_dies_of_a_signal_is_reported_with_its_name(fake: Callable[[str], Path], name: str) -> None:
    fake(f"import os\nos.kill(os.getpid(), {int(signal.Signals[name])})")
    found = probed()
    assert not found.works
    assert name in found.reason


def test_a_runtime_that_imports_and_cannot_construct_is_reported_with_its_message(fake: Callable[[str], Path]) -> None:
    fake("class Interpreter:\n    def __init__(self, **_):\n        raise RuntimeError('_ARRAY_API not found')")
    found = probed()
    assert (found.works, found.reason) == (False, "RuntimeError: _ARRAY_API not found")


def test_a_runtime_that_computes_something_else_does_not_work(fake: Callable[[str], Path]) -> None:
    fake(DOUBLING.replace("* 2", "* 3"))
    found = probed()
    assert not found.works
    assert "(3.0, 6.0, 9.0, 12.0)" in found.reason


def test_a_runtime_that_ends_the_process_is_reported_with_what_it_said(fake: Callable[[str], Path]) -> None:
    fake("import sys\nprint('licence expired')\nsys.stdout.flush()\nimport os\nos._exit(3)")
    assert probed().reason == "the measuring process ended with status 3: licence expired"


def test_a_probe_is_remembered_until_the_runtime_changes(fake: Callable[[str], Path], tmp_path: Path) -> None:
    count = tmp_path / "imports"
    package = fake(f"open({str(count)!r}, 'a').write('x')\n{DOUBLING}")
    assert probed().works
    assert probed().works
    assert count.read_text() == "x"
    os.utime(package / "__init__.py", (1, 1))
    assert probed().works
    assert count.read_text() == "xx"
    assert probed(fresh=True).works
    assert count.read_text() == "xxx"


def test_a_failure_is_not_remembered_because_what_it_lacked_may_come(
    fake: Callable[[str], Path], tmp_path: Path
) -> None:
    needed = tmp_path / "site" / "needed_by_the_runtime.py"
    fake(f"import needed_by_the_runtime\n{DOUBLING}")
    assert "needed_by_the_runtime" in probed().reason
    needed.touch()
    assert probed().works


def passed(plan: Plan) -> list[Event]:
    with FramedSession(open_local(), name="here") as session:
        return list(session.run(plan, BLOBS))


LATENCY = Plan(passes=(Pass(kind="latency", runs=50, warmup=0, batch=1),), format="tflite")


def test_what_a_runtime_prints_does_not_get_between_the_frames(fake: Callable[[str], Path]) -> None:
    noisy = DOUBLING.replace(
        "        pass\n", "        os.write(1, b'\\0INFO: a delegate\\n')\n        print('more')\n"
    )
    fake(f"import os\nprint('hello')\nos.write(1, b'native noise')\n{noisy}")
    events = passed(LATENCY)
    ended = [event for event in events if isinstance(event, PassEnded)]
    assert [event.complete for event in ended] == [True]
    assert sum(len(event.flags) for event in events if isinstance(event, SamplesReceived)) == 50


def test_a_runtime_that_crashes_in_the_middle_ends_the_pass_and_keeps_its_samples(fake: Callable[[str], Path]) -> None:
    crashing = DOUBLING.replace(
        "    def invoke(self):\n        pass\n",
        "    calls = 0\n    def invoke(self):\n        self.calls += 1\n"
        "        if self.calls > 3000:\n            os.kill(os.getpid(), 11)\n",
    )
    fake(f"import os\n{crashing}")
    plan = Plan(passes=(Pass(kind="latency", runs=100_000, warmup=0, batch=1),), format="tflite")
    events = passed(plan)
    (ended,) = [event for event in events if isinstance(event, PassEnded)]
    assert (ended.complete, ended.failure) == (False, "runtime-crashed")
    assert "SIGSEGV" in ended.text
    assert sum(len(event.flags) for event in events if isinstance(event, SamplesReceived)) >= 2048


def test_what_a_runtime_raises_while_it_runs_ends_the_pass_with_its_message(fake: Callable[[str], Path]) -> None:
    raising = DOUBLING.replace(
        "    def invoke(self):\n        pass\n",
        "    calls = 0\n    def invoke(self):\n        self.calls += 1\n"
        "        if self.calls > 20:\n            raise ValueError('boom')\n",
    )
    fake(raising)
    (ended,) = [event for event in passed(LATENCY) if isinstance(event, PassEnded)]
    assert (ended.failure, ended.text) == ("internal", "ValueError: boom")


def test_an_invoke_below_ten_microseconds_is_timed_in_batches(fake: Callable[[str], Path]) -> None:
    fake(DOUBLING)
    plan = Plan(passes=(Pass(kind="latency", runs=20),), format="tflite")
    steady = [
        event for event in passed(plan) if isinstance(event, SamplesReceived) and not event.flags[0] & wire.WARMUP
    ]
    assert {event.batch > 1 for event in steady} == {True}


def test_a_runtime_without_a_profile_of_operators_says_so(fake: Callable[[str], Path]) -> None:
    fake(DOUBLING)
    plan = Plan(passes=(Pass(kind="operators", runs=5),), format="tflite")
    notes = [event.code for event in passed(plan) if isinstance(event, Noted)]
    assert notes == ["operators-unavailable"]


# ── what is left behind ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def busy(own_cache: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Give an agent in the middle of a pass of an hour, driven without a session."""
    agent = install_agent(own_cache)
    process = subprocess.Popen(
        [sys.executable, agent, "serve", own_cache],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for content in BLOBS.values():
        (own_cache / "blobs" / hashlib.sha256(content).hexdigest()).write_bytes(content)
    writer = wire.FrameWriter()
    order = wire.Run(
        run=1, kind=0, runs=0, warmup=0, batch=1, duration_ms=3_600_000, format="tflite", runtime="ai_edge_litert",
        model=hashlib.sha256(BLOBS["model"]).digest(), inputs=hashlib.sha256(BLOBS["inputs"]).digest(),
    )  # fmt: skip
    process.stdin.write(writer.frame(wire.Ask()))
    writer.max_frame = wire.LARGEST_FRAME_BYTES
    process.stdin.write(writer.frame(order))
    process.stdin.flush()
    reader = wire.FrameReader()
    started = False
    while not started:
        heard = [wire.read(frame) for frame in reader.feed(os.read(process.stdout.fileno(), 1 << 16))]
        assert not [message for message in heard if isinstance(message, wire.Failed)]
        started = any(isinstance(message, wire.Samples) for message in heard)
    assert len(processes(own_cache)) == 2
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_when_its_input_closes_the_agent_ends_and_takes_its_child_with_it(
    busy: subprocess.Popen[bytes], own_cache: Path
) -> None:
    assert busy.stdin is not None
    assert busy.stdout is not None
    busy.stdin.close()
    while busy.stdout.read(1 << 16):  # a host that goes away takes what is under way, or closes this side too
        pass
    assert left_after(own_cache) == {}


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_when_the_agent_is_killed_its_child_goes_too(
    busy: subprocess.Popen[bytes], own_cache: Path, ending: signal.Signals
) -> None:
    busy.send_signal(ending)
    assert left_after(own_cache) == {}


def test_when_nobody_reads_any_more_the_agent_ends(busy: subprocess.Popen[bytes], own_cache: Path) -> None:
    assert busy.stdout is not None
    busy.stdout.close()
    assert left_after(own_cache) == {}


def test_a_session_leaves_no_process_behind(own_cache: Path) -> None:
    started = [event for event in passed(LATENCY) if isinstance(event, PassStarted)]
    assert [event.runtime for event in started] == ["ai_edge_litert"]
    assert left_after(own_cache) == {}


def test_a_runtime_that_hangs_in_its_import_is_gone_when_the_session_is(
    fake: Callable[[str], Path], own_cache: Path
) -> None:
    fake("import time\ntime.sleep(3600)")
    session = FramedSession(open_local(), name="here", silence_s=1)
    with session:
        session.identify()
        session.line.say(wire.Probe("tflite"))  # ask and do not wait
        while len(processes(own_cache)) < 2:
            time.sleep(0.01)
    assert left_after(own_cache) == {}
