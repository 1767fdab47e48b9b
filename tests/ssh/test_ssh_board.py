"""What boards are like: full disks, read-only homes, chatty shells, old agents, no Python; and what is left on them."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeprof import wire
from tests.ssh.rig import MODEL, ROOT, eventually
from tests.unit.model.external_models import simple

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ssh.rig import Person, Rig

FOREIGN_AGENT = """#!{python}
import os, sys
sys.path.insert(0, {root!r})
from edgeprof import wire
os.read(0, 65536)
line = b'\\0EDGEPROF {{"have": true}}\\n\\0EDGEPROF {{"ready": true}}\\n'
hello = wire.Hello({major}, {minor}, 4096, 4, 0, 0, 10**9, 1, "an agent from elsewhere", "", "tflite", "", "", "")
os.write(1, line + wire.FrameWriter().frame(hello))
while os.read(0, 65536):
    pass
"""


def _foreign_agent(folder: Path, major: int, minor: int = 0) -> str:
    """Return an interpreter that is no interpreter: whatever it is to run, it is an agent of another version."""
    path = folder / f"agent-{major}.{minor}"
    path.write_text(FOREIGN_AGENT.format(python=sys.executable, root=str(ROOT), major=major, minor=minor))
    path.chmod(0o755)
    return str(path)


def test_an_agent_of_another_major_version_is_refused_naming_both(rig: Rig, person: Person, tmp_path: Path) -> None:
    other = wire.MAJOR + 1
    done = person.profile(rig.url(python=_foreign_agent(tmp_path, other, 7)))
    assert done.returncode == 3
    assert f"protocol {other}.7" in done.stderr
    assert f"{wire.MAJOR}.{wire.MINOR}" in done.stderr


def test_both_answers_of_the_bootstrap_may_come_as_one(rig: Rig, person: Person, tmp_path: Path) -> None:
    done = person.profile(rig.url(python=_foreign_agent(tmp_path, wire.MAJOR)), options=("--timeout", "5s"))
    assert "did not answer within" not in done.stderr


def test_a_home_that_cannot_be_written_is_named_with_the_way_out(rig: Rig, person: Person, cache: Path) -> None:
    done = person.profile(rig.url("readonly"))
    assert done.returncode == 3
    assert f"{rig.home('readonly')}/.cache/edgeprof" in done.stderr
    assert "?cache=/another/folder" in done.stderr

    elsewhere = person.profile(rig.url("readonly", cache=str(cache)))
    assert elsewhere.returncode == 0, elsewhere.stderr


def test_a_cache_folder_may_start_with_a_tilde_and_hold_spaces_and_quotes(rig: Rig, person: Person) -> None:
    done = person.profile(rig.url("other", cache="~/my 'own' \"cache\""))
    assert done.returncode == 0, done.stderr
    assert list((rig.home("other") / "my 'own' \"cache\"").glob("agent-*.pyz"))


@pytest.mark.parametrize(("user", "disk"), [("full", "full-disk"), ("nearly-full", "nearly-full-disk")])
def test_a_disk_that_is_full_for_agent_or_model_is_named(rig: Rig, person: Person, user: str, disk: str) -> None:
    done = person.profile(rig.url(user))
    assert done.returncode == 3, done.stderr
    assert f"{rig.folder / disk}/edgeprof" in done.stderr
    assert "No space left" in done.stderr
    left = rig.seen_inside(rig.folder / disk)
    assert not [name for name in left if ".part" in name], left


def test_a_disk_that_is_full_for_the_model_is_said_to_be_full(rig: Rig, person: Person) -> None:
    done = person.profile(rig.url("nearly-full"))
    assert done.returncode == 3, done.stderr
    assert "disk-full" in done.stderr


@pytest.mark.parametrize("user", ["banner", "bash"])
def test_a_shell_that_prints_a_banner_is_no_obstacle(rig: Rig, person: Person, user: str) -> None:
    done = person.profile(rig.url(user))
    assert done.returncode == 0, done.stderr


def test_a_board_without_python_is_told_from_one_with_another_name_for_it(rig: Rig, person: Person) -> None:
    done = person.profile(rig.url(python="/opt/no such/python3"))
    assert done.returncode == 3
    assert "/opt/no such/python3" in done.stderr
    assert "?python=" in done.stderr


def test_an_interpreter_that_fails_is_shown_with_its_last_words(rig: Rig, person: Person, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'libpython3.so: cannot open' >&2\nexit 1\n")
    broken.chmod(0o755)
    done = person.profile(rig.url(python=str(broken)))
    assert done.returncode == 3
    assert "libpython3.so: cannot open" in done.stderr


def test_a_python_without_a_runtime_is_refused_with_what_to_install(rig: Rig, person: Person, cache: Path) -> None:
    bare = "/usr/bin/python3"
    done = person.profile(rig.url(python=bare, cache=str(cache)))
    assert done.returncode == 3
    assert "pip install" in done.stderr


def test_the_second_run_uploads_nothing(rig: Rig, person: Person, cache: Path) -> None:
    url = rig.url(cache=str(cache))
    first = person.profile(url)
    assert first.returncode == 0, first.stderr
    before = _stamps(cache)
    second = person.profile(url)
    assert second.returncode == 0, second.stderr
    assert _stamps(cache) == before


def test_an_agent_that_was_damaged_is_put_there_again(rig: Rig, person: Person, cache: Path) -> None:
    url = rig.url(cache=str(cache))
    person.profile(url)
    (agent,) = cache.glob("agent-*.pyz")
    whole = agent.read_bytes()
    agent.write_bytes(whole[:-100])
    done = person.profile(url)
    assert done.returncode == 0, done.stderr
    assert agent.read_bytes() == whole


def test_nothing_is_written_outside_the_cache_folder(rig: Rig, person: Person, cache: Path) -> None:
    before = rig.names()
    done = person.profile(rig.url(cache=str(cache)), options=("--runs", 20, "--per-op"))
    assert done.returncode == 0, done.stderr
    assert eventually(lambda: not rig.guests())
    assert rig.names() == before
    kept = {path.name.partition("-")[0] for path in cache.iterdir()}
    assert kept == {"agent", "blobs", "probes.json", "turn.lock"}
    assert len(list((cache / "blobs").iterdir())) == 2


def test_the_whole_run_with_every_pass_leaves_no_temporary_file(rig: Rig, person: Person, cache: Path) -> None:
    before = rig.names()
    model = ROOT / "examples" / "models" / "kws_fp32.onnx"
    done = person.edgeprof(
        "profile", model, "--runs", 20, "--per-op", "--outputs", person.home / "out.npz", "--format", "json",
        "--target", rig.url(cache=str(cache)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["operators"]
    assert eventually(lambda: not rig.guests())
    assert rig.names() == before


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Return inode and size of all files; blobs are touched when they are asked for, so times say nothing of them."""
    return {str(path): (path.stat().st_ino, path.stat().st_size) for path in folder.rglob("*") if path.is_file()}


def test_a_model_that_was_damaged_on_the_board_is_put_there_again_and_that_is_said(
    rig: Rig, person: Person, cache: Path
) -> None:
    url = rig.url(cache=str(cache))
    person.profile(url)
    copy = cache / "blobs" / hashlib.sha256(MODEL.read_bytes()).hexdigest()
    copy.write_bytes(copy.read_bytes()[:20_000])
    done = person.profile(url)
    assert done.returncode == 0, done.stderr
    assert copy.read_bytes() == MODEL.read_bytes()
    warned = {warning["code"]: warning["text"] for warning in json.loads(done.stdout)["warnings"]}
    assert "20000 bytes" in warned["blob-replaced"]


def test_weights_beside_a_model_are_sent_with_it_and_others_do_not_take_their_place(
    rig: Rig, person: Person, cache: Path, tmp_path: Path
) -> None:
    """Both models are the same file and differ in their weights alone, which are all ones or all twos."""
    outputs, digests = [], set()
    for name, factor in (("ones", 1.0), ("twos", 2.0)):
        model = simple(tmp_path / name, struct.pack("<64f", *[factor] * 64))
        given, given_back = tmp_path / "in.npz", tmp_path / f"{name}.npz"
        np.savez(given, x=np.ones((1, 1, 8), np.float32))
        done = person.edgeprof(
            "profile", model, "--runs", 20, "--no-memory", "--inputs", given, "--outputs", given_back,
            "--format", "json", "--limit", "model_bytes<300B", "--target", rig.url(cache=str(cache)),
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        found = json.loads(done.stdout)
        assert found["metrics"]["model_bytes"]["value"] == model.stat().st_size + 256
        digests.add(found["model"]["sha256"])
        with np.load(given_back) as loaded:
            outputs.append(float(loaded["y"].max()))
    assert (outputs, len(digests)) == ([8.0, 16.0], 2)
    assert len(list((cache / "runs").iterdir())) == 2
