"""A board without a runtime gets one over SSH, from wheels on this side: it needs no internet and no pip.

The wheels are the packages of these tests, packed up again for the same Python.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgeprof.installing import BoardPython, choose_wheels, runtime_matrix
from tests.ssh.rig import MODEL, eventually
from tests.wheels import repacked, write_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ssh.rig import Person, Rig

ONNX = MODEL.with_name("kws_qdq_int8.onnx")
CRASHES = b"import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"
OPTIONS = ("--runs", 20, "--no-memory", "--format", "json")


def versions(format_name: str) -> list[str]:
    """Return the versions that fit this Python, the best first."""
    here = BoardPython(version=(sys.version_info[0], sys.version_info[1]), architecture="x86_64", glibc=(2, 36))
    choices = choose_wheels(format_name, here).choices
    return [choice.wheel.version for choice in choices if choice.wheel.module in {"ai_edge_litert", "onnxruntime"}]


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a Python of this version without any packages."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    return str(folder / "bin" / "python")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the runtimes of these tests as wheels, under the versions that the matrix asks for."""
    folder = tmp_path_factory.mktemp("wheels")
    repacked(folder, "ai-edge-litert", versions("tflite")[0])
    repacked(folder, "onnxruntime", versions("onnx")[0])
    repacked(folder, "numpy", "2.4.6")
    return folder


def test_a_runtime_is_put_on_the_board_and_the_model_profiled_in_the_same_session(
    rig: Rig, person: Person, cache: Path, bare: str, wheels: Path
) -> None:
    before = rig.names()
    url = rig.url(python=bare, cache=str(cache))
    done = person.edgeprof("profile", MODEL, "-t", url, *OPTIONS, "--install-runtime", "--wheels", wheels)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout) if done.stdout.lstrip().startswith("[") else [json.loads(done.stdout)]
    assert "ai_edge_litert" in json.dumps(result)
    assert sorted(path.name.split("-")[0] for path in (cache / "runtimes").iterdir()) == ["ai_edge_litert", "numpy"]
    assert eventually(lambda: not rig.guests())
    assert rig.names() == before
    again = person.edgeprof("profile", MODEL, "-t", url, *OPTIONS)
    assert again.returncode == 0, again.stderr


def test_without_being_asked_to_nothing_is_installed_and_the_hint_names_the_option(
    rig: Rig, person: Person, cache: Path, bare: str
) -> None:
    done = person.edgeprof("profile", ONNX, "-t", rig.url(python=bare, cache=str(cache)), *OPTIONS)
    assert done.returncode == 3
    assert "--install-runtime" in done.stderr
    assert f"onnxruntime {versions('onnx')[0]}" in done.stderr
    assert not (cache / "runtimes").exists()


def test_a_runtime_that_dies_of_an_illegal_instruction_gives_way_to_the_next_one(
    rig: Rig, person: Person, cache: Path, bare: str, tmp_path: Path
) -> None:
    best, second = versions("onnx")[:2]
    write_wheel(tmp_path / "wheels", "onnxruntime", best, {"onnxruntime/__init__.py": CRASHES})
    repacked(tmp_path / "wheels", "onnxruntime", second)
    repacked(tmp_path / "wheels", "numpy", "2.4.6")
    url = rig.url(python=bare, cache=str(cache))
    done = person.edgeprof("profile", ONNX, "-t", url, *OPTIONS, "--install-runtime", "--wheels", tmp_path / "wheels")
    assert done.returncode == 0, done.stderr
    there = {path.name.rsplit("-", 1)[0] for path in (cache / "runtimes").iterdir()}
    assert there == {"numpy-2.4.6", f"onnxruntime-{second}"}


def test_when_all_of_them_crash_the_last_ones_end_is_told(
    rig: Rig, person: Person, cache: Path, bare: str, tmp_path: Path
) -> None:
    for row in runtime_matrix().runtimes:
        if row.module == "onnxruntime":
            write_wheel(tmp_path / "wheels", "onnxruntime", row.version, {"onnxruntime/__init__.py": CRASHES})
    write_wheel(tmp_path / "wheels", "numpy", "1.26.4", {"numpy/__init__.py": b""})
    url = rig.url(python=bare, cache=str(cache))
    done = person.edgeprof("profile", ONNX, "-t", url, *OPTIONS, "--install-runtime", "--wheels", tmp_path / "wheels")
    assert done.returncode == 3
    assert "SIGILL" in done.stderr


def test_a_wheel_that_reaches_outside_is_refused_by_the_board(
    rig: Rig, person: Person, cache: Path, bare: str, tmp_path: Path
) -> None:
    wicked = {"onnxruntime/__init__.py": b"", "../../../escaped.py": b"x"}
    write_wheel(tmp_path / "wheels", "onnxruntime", versions("onnx")[0], wicked)
    write_wheel(tmp_path / "wheels", "numpy", "2.4.6", {"numpy/__init__.py": b""})
    url = rig.url(python=bare, cache=str(cache))
    done = person.edgeprof("profile", ONNX, "-t", url, *OPTIONS, "--install-runtime", "--wheels", tmp_path / "wheels")
    assert done.returncode == 3
    assert "points outside" in done.stderr
    assert not list((cache / "runtimes").iterdir())
    assert not list(tmp_path.rglob("escaped.py"))


def test_a_disk_that_is_full_for_the_wheels_is_named_and_nothing_is_left(
    rig: Rig, person: Person, bare: str, wheels: Path
) -> None:
    url = rig.url("nearly-full", python=bare)
    done = person.edgeprof("profile", MODEL, "-t", url, *OPTIONS, "--install-runtime", "--wheels", wheels)
    assert done.returncode == 3
    assert "disk-full" in done.stderr
    assert eventually(lambda: not rig.guests())
    left = rig.seen_inside(rig.folder / "nearly-full-disk")
    assert not [name for name in left if ".part" in name or "runtimes/" in name], left
