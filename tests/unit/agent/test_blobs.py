"""Files on the board that are not, or no longer, what they are called: what is measured is what was asked for."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeprof import wire
from edgeprof.agent import install
from edgeprof.agent.blobs import Blobs
from edgeprof.agent.digests import Damaged, check_files, look
from edgeprof.agent.refusal import Refused
from edgeprof.agent.runtimes import TINY_ONNX, TINY_TFLITE
from edgeprof.errors import FileDamaged
from edgeprof.links.framed import HOOK, FramedSession
from edgeprof.links.local import open_local
from edgeprof.records.events import Event, Noted, OutputReceived, PassEnded, PassStarted
from edgeprof.records.result import Pass, Plan
from tests.wheels import write_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INPUTS = wire.pack_inputs([("a", "float32", (1, 4), [struct.pack("<4f", 1, 2, 3, 4)])])
OUTPUTS = Pass(kind="outputs")
LATENCY = Pass(kind="latency", runs=5, warmup=0, batch=1)


def measured(
    *passes: Pass, blobs: dict[str, bytes] | None = None, after: Callable[[Event], None] | None = None, hook: str = ""
) -> list[Event]:
    """Return the events of a run on this machine; `after` is called between two events."""
    sent = {"model": TINY_TFLITE, "inputs": INPUTS, **(blobs or {})}
    events = []
    with FramedSession(open_local(), name="here") as session:
        for event in session.run(Plan(passes=passes, format="tflite", hook=hook), sent):
            events.append(event)
            if after is not None:
                after(event)
    return events


def blob(cache: Path, content: bytes) -> Path:
    return cache / "blobs" / hashlib.sha256(content).hexdigest()


def replaced(events: Sequence[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Noted) and event.code == "blob-replaced"]


def complete(events: Sequence[Event]) -> list[bool]:
    return [event.complete for event in events if isinstance(event, PassEnded)]


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "another model": lambda _: TINY_ONNX,
    "one bit": lambda content: flipped(content, len(content) // 2),
    "the last byte": lambda content: flipped(content, len(content) - 1),
    "one page of zeros": lambda content: bytes(min(4096, len(content))) + content[4096:],
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "longer": lambda content: content + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_a_copy_became_it_is_told_and_not_taken_for_the_blob(tmp_path: Path, damage: str) -> None:
    path = blob(tmp_path, TINY_TFLITE)
    path.parent.mkdir()
    path.write_bytes(DAMAGES[damage](TINY_TFLITE))
    sha256 = bytes.fromhex(path.name)
    blobs = Blobs(str(tmp_path), lambda: None)
    assert blobs.drop_damaged(sha256).startswith(f"{len(DAMAGES[damage](TINY_TFLITE))} bytes, SHA-256 ")
    assert blobs.begin(wire.BlobBegin(len(TINY_TFLITE), sha256)).state == wire.BLOB_ABSENT
    blobs.append(wire.BlobChunk(0, TINY_TFLITE))
    assert path.read_bytes() == TINY_TFLITE
    assert blobs.drop_damaged(sha256) == ""
    assert blobs.begin(wire.BlobBegin(len(TINY_TFLITE), sha256)).state == wire.BLOB_PRESENT


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing", "link to a device"])
def test_what_is_no_file_is_no_blob(tmp_path: Path, kind: str) -> None:
    path = blob(tmp_path, TINY_TFLITE)
    path.parent.mkdir()
    match kind:
        case "folder":
            (path / "more").mkdir(parents=True)
        case "pipe":
            os.mkfifo(path)
        case "link to nothing":
            path.symlink_to("nothing")
        case _:
            path.symlink_to("/dev/zero")
    blobs = Blobs(str(tmp_path), lambda: None)
    assert blobs.drop_damaged(bytes.fromhex(path.name)) == "no file"
    assert blobs.begin(wire.BlobBegin(len(TINY_TFLITE), bytes.fromhex(path.name))).state == wire.BLOB_ABSENT


def test_damaged_copies_are_replaced_before_they_are_used_and_that_is_said(own_cache: Path) -> None:
    copies = {
        "the model": TINY_TFLITE,
        "the inputs": INPUTS,
        "the model's file w.bin": b"weights of an ONNX model" * 100,
    }
    for content in copies.values():
        path = blob(own_cache, content)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(flipped(content, 100))
    events = measured(OUTPUTS, blobs={"beside/w.bin": copies["the model's file w.bin"]})
    (output,) = [event for event in events if isinstance(event, OutputReceived)]
    assert struct.unpack("<4f", output.content) == (2, 4, 6, 8)
    assert all(blob(own_cache, content).read_bytes() == content for content in copies.values())
    assert [text.partition(" on here was damaged")[0] for text in replaced(events)] == [
        f"the copy of {name}" for name in copies
    ]
    (place,) = (own_cache / "runs").glob("*/w.bin")
    assert place.read_bytes() == copies["the model's file w.bin"]


@pytest.mark.slow
def test_a_file_that_is_changed_or_removed_between_two_passes_is_sent_again(own_cache: Path) -> None:
    path = blob(own_cache, TINY_TFLITE)
    changes: list[Callable[[], object]] = [path.unlink, lambda: path.write_bytes(TINY_TFLITE[:-4]), lambda: None]

    def change(event: Event) -> None:
        if isinstance(event, PassEnded):
            changes[event.index]()

    events = measured(OUTPUTS, OUTPUTS, OUTPUTS, after=change)
    assert complete(events) == [True, True, True]
    first, second = replaced(events)
    assert "is not here" in first
    assert f"{len(TINY_TFLITE) - 4} bytes" in second
    assert path.read_bytes() == TINY_TFLITE


def test_a_damaged_hook_is_not_executed(own_cache: Path, tmp_path: Path) -> None:
    hook = b"def postprocess(outputs):\n    return outputs\n"
    path = blob(own_cache, hook)
    path.parent.mkdir(parents=True)
    trace = tmp_path / "executed"
    path.write_text(f"open({str(trace)!r}, 'w')\n{hook.decode()}")
    stages = Pass(kind="stages", runs=3, warmup=0)
    events = measured(stages, blobs={HOOK: hook}, hook="hook.py")
    assert complete(events) == [True]
    assert "the hook on here was damaged" in replaced(events)[0]
    assert not trace.exists()


# ── what a runtime loads is what was hashed ──────────────────────────────────────────────────────────────────────────

SWAPPING = """
import numpy as np, os, sys

class Interpreter:
    def __init__(self, model_path, num_threads):
        swap = {swap!r}
        if "probe." not in model_path and (not os.path.exists({once!r}) or {always}):
            open({once!r}, "w").close()
            with open(swap + ".new", "wb") as file:
                file.write(b"another model")
            os.replace(swap + ".new", swap)
        self.value = np.zeros((1, 4), np.float32)
    def allocate_tensors(self):
        pass
    def get_input_details(self):
        return [{{"name": "a", "index": 0, "dtype": np.float32, "shape": np.array([1, 4])}}]
    def get_output_details(self):
        return [{{"name": "b", "index": 1, "dtype": np.float32, "shape": np.array([1, 4])}}]
    def set_tensor(self, index, value):
        self.value = value
    def get_tensor(self, index):
        return self.value * 2
    def invoke(self):
        pass
"""


@pytest.fixture
def swapping(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Return a function that makes the runtime replace its model's file while it loads it: once, or each time."""
    package = tmp_path / "site" / "ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    swap, once = str(blob(own_cache, TINY_TFLITE)), str(tmp_path / "once")

    def write(always: bool) -> None:  # noqa: FBT001  a test's only choice
        (package / "interpreter.py").write_text(SWAPPING.format(swap=swap, once=once, always=always))

    return write


@pytest.mark.slow
def test_a_file_that_is_replaced_while_it_is_loaded_is_sent_again_and_loaded_anew(
    swapping: Callable[[bool], None], own_cache: Path
) -> None:
    swapping(False)  # noqa: FBT003  its only parameter
    events = measured(LATENCY)
    assert complete(events) == [True]
    assert len(replaced(events)) == 1
    (started,) = [event for event in events if isinstance(event, PassStarted)]
    assert started.model_sha256 == hashlib.sha256(blob(own_cache, TINY_TFLITE).read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_board_that_damages_it_again_is_given_up(swapping: Callable[[bool], None]) -> None:
    swapping(True)  # noqa: FBT003  its only parameter
    with pytest.raises(FileDamaged, match="here damages what is sent to it, twice in the latency pass") as caught:
        measured(LATENCY)
    assert caught.value.exit_code == 3


def test_files_are_looked_at_before_and_after_they_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"one")
    orders = json.loads(json.dumps({"files": {str(path): look(str(path), {})}}))
    check_files(orders)
    os.utime(path)  # touched and the same
    check_files(orders)
    path.write_bytes(b"two")
    with pytest.raises(Damaged, match="model was changed on the board: 3 bytes"):
        check_files(orders)


# ── the agent's folder ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_read_once_in_a_conversation_and_again_when_it_was_touched(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    content = b"a model"
    sha256 = hashlib.sha256(content).digest()
    read: list[str] = []
    blobs = Blobs(str(tmp_path), lambda: read.append("part"))
    path = tmp_path / "blobs" / sha256.hex()
    path.write_bytes(content)
    for _ in range(3):
        assert blobs.found("model", sha256) == str(path)
    assert read == ["part"]
    path.write_bytes(b"A model")
    with pytest.raises(Refused, match="the model on the board is damaged: 7 bytes") as refused:
        blobs.found("model", sha256)
    assert refused.value.code == "blob-corrupt"


def test_what_arrives_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blobs").mkdir()
    done: list[str] = []
    sync, move = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "file")
        sync(descriptor)

    def moved(old: str, new: str) -> None:
        done.append("name")
        move(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved)
    blobs = Blobs(str(tmp_path), lambda: None)
    sha256 = hashlib.sha256(b"content").digest()
    blobs.begin(wire.BlobBegin(7, sha256))
    assert blobs.append(wire.BlobChunk(0, b"content")) == wire.BlobStatus(7, wire.BLOB_PRESENT)
    assert done == ["file", "name", "folder"]


def test_a_part_that_somebody_else_linked_elsewhere_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    blobs = Blobs(str(tmp_path), lambda: None)
    sha256 = hashlib.sha256(b"content").digest()
    (tmp_path / "blobs" / (sha256.hex() + blobs.suffix)).symlink_to(victim)
    blobs.begin(wire.BlobBegin(7, sha256))
    blobs.append(wire.BlobChunk(0, b"content"))
    assert victim.read_bytes() == b"precious"


# ── runtimes that edgeprof installed ─────────────────────────────────────────────────────────────────────────────────


def hollow(folder: Path, module: bytes) -> tuple[str, bytes]:
    path = write_wheel(folder / "wheels", "onnxruntime", "1.0", {"onnxruntime/__init__.py": module})
    return path.name, path.read_bytes()


def put(folder: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    (folder / "blobs").mkdir(exist_ok=True)
    (folder / "blobs" / digest).write_bytes(content)
    return digest


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_an_installed_runtime_that_was_damaged_is_removed_and_named(tmp_path: Path, damage: str) -> None:
    name, content = hollow(tmp_path, b"answer = 42\n")
    install.install(str(tmp_path), {name: put(tmp_path, content)}, 1)
    (module,) = tmp_path.glob("runtimes/*/onnxruntime/__init__.py")
    assert install.drop_damaged(str(tmp_path), "onnxruntime", lambda: None) == ""
    if damage == "missing":
        module.unlink()
    else:
        module.write_bytes(b"answer" if damage == "truncated" else b"answer = 43\n")
    told = install.drop_damaged(str(tmp_path), "onnxruntime", lambda: None)
    assert "onnxruntime was damaged and is removed: onnxruntime/__init__.py" in told
    assert not install.paths(str(tmp_path), "onnxruntime")


def test_a_wheel_that_is_damaged_on_the_board_is_not_unpacked(tmp_path: Path) -> None:
    name, content = hollow(tmp_path, b"")
    digest = put(tmp_path, content)
    (tmp_path / "blobs" / digest).write_bytes(content + b"\0")
    with pytest.raises(Refused, match="is damaged") as refused:
        install.install(str(tmp_path), {name: digest}, 1)
    assert refused.value.code == "blob-corrupt"
    assert not list(tmp_path.glob("runtimes/*"))


@pytest.mark.slow
def test_profile_says_that_a_damaged_copy_was_replaced(kws: Path, tmp_path: Path) -> None:
    path = blob(Path(os.environ["EDGEPROF_CACHE"]), kws.read_bytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(kws.read_bytes()[:20_000])
    command = [sys.executable, "-m", "edgeprof", "profile", str(kws), "--no-memory", "--runs", "20"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "r.json")], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "r.json").read_text())
    (warned,) = [warned for warned in result["warnings"] if warned["code"] == "blob-replaced"]
    assert "20000 bytes" in warned["text"]
    assert "it was sent again" in " ".join(done.stdout.split())
