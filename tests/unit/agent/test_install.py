"""Wheels on the board's side: unpacked whole or not at all, inside the agent's own folder and nowhere else."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pytest_mock import MockerFixture  # noqa: TC002  pytest reads it

from edgeprof.agent import install
from edgeprof.installing import BoardPython, explained
from edgeprof.links.framed import FramedSession
from edgeprof.links.local import open_local
from tests.wheels import write_wheel

HELLO = {"hollow/__init__.py": b"VALUE = 1\n"}


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """Return the agent's folder."""
    folder = tmp_path / "board" / "edgeprof"
    (folder / "blobs").mkdir(parents=True)
    return folder


def put(board: Path, *wheels: Path) -> dict[str, str]:
    """Put wheels there as blobs and return what Install says of them."""
    named = {}
    for wheel in wheels:
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (board / "blobs" / sha256).write_bytes(wheel.read_bytes())
        named[wheel.name] = sha256
    return named


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def zipped(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


# ── what is installed ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wheel_is_unpacked_into_a_folder_of_its_own_and_found_there(board: Path, tmp_path: Path) -> None:
    wheels = put(board, write_wheel(tmp_path, "hollow", "1.0", HELLO))
    assert install.install(str(board), wheels, 1) == ["hollow-1.0-py3-none-any.whl"]
    (path,) = install.paths(str(board), "hollow")
    assert Path(path).parent == board / "runtimes"
    assert (Path(path) / "hollow" / "__init__.py").read_bytes() == HELLO["hollow/__init__.py"]
    found = install.find_spec(str(board), "hollow")
    assert found is not None
    assert found.origin == os.path.join(path, "hollow", "__init__.py")  # noqa: PTH118  as the finder joins it


def test_nothing_lies_beside_the_unpacked_wheels_afterwards(board: Path, tmp_path: Path) -> None:
    install.install(str(board), put(board, write_wheel(tmp_path, "hollow", "1.0", HELLO)), 1)
    assert not list((board / "blobs").iterdir())
    assert not [name for name in names(board) if ".part" in name]
    assert {path.name for path in board.parent.iterdir()} == {"edgeprof"}


def test_a_measuring_process_imports_what_was_installed_before_what_the_system_has(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system" / "hollow"
    system.mkdir(parents=True)
    (system / "__init__.py").write_text("VALUE = 'the system'")
    monkeypatch.setenv("PYTHONPATH", str(system.parent))
    install.install(str(board), put(board, write_wheel(tmp_path, "hollow", "1.0", HELLO)), 1)
    script = "import hollow; print(hollow.VALUE)"
    for runtime, wanted in (("hollow", "1"), ("another", "the system")):
        environment = install.environment(str(board), {"runtime": runtime})
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == wanted


def test_two_runtimes_keep_the_numpy_that_each_came_with(board: Path, tmp_path: Path) -> None:
    old = write_wheel(tmp_path, "numpy", "1.26.4", {"numpy/__init__.py": b"__version__ = '1.26.4'"})
    new = write_wheel(tmp_path, "numpy", "2.4.6", {"numpy/__init__.py": b"__version__ = '2.4.6'"})
    tflite = write_wheel(tmp_path, "tflite-runtime", "2.14.0", {"tflite_runtime/__init__.py": b""})
    onnx = write_wheel(tmp_path, "onnxruntime", "1.31.1", {"onnxruntime/__init__.py": b""})
    install.install(str(board), put(board, old, tflite), 1)
    install.install(str(board), put(board, new, onnx), 1)
    for runtime, wanted in (("tflite_runtime", "numpy-1.26.4-"), ("onnxruntime", "numpy-2.4.6-")):
        found = install.find_spec(str(board), "numpy", runtime)
        assert found is not None
        assert wanted in str(found.origin)
        assert install.version(str(board), runtime) in {"2.14.0", "1.31.1"}


def test_replacing_removes_the_older_version_and_what_it_alone_used(board: Path, tmp_path: Path) -> None:
    numpy = write_wheel(tmp_path, "numpy", "2.4.6", {"numpy/__init__.py": b""})
    for version in ("1.21.0", "1.31.1"):
        wheel = write_wheel(tmp_path, "onnxruntime", version, {"onnxruntime/__init__.py": version.encode()})
        there = install.install(str(board), put(board, numpy, wheel), 1)
    assert there == ["numpy-2.4.6-py3-none-any.whl", "onnxruntime-1.31.1-py3-none-any.whl"]
    assert sorted(path.name.rsplit("-", 1)[0] for path in (board / "runtimes").iterdir()) == [
        "numpy-2.4.6", "onnxruntime-1.31.1",
    ]  # fmt: skip


def test_without_replacing_the_older_version_stays_and_the_newest_counts(board: Path, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        wheel = write_wheel(tmp_path, "hollow", version, {"hollow/__init__.py": version.encode()})
        there = install.install(str(board), put(board, wheel), 0)
    assert len(there) == 2
    assert "hollow-2.0-" in install.paths(str(board), "hollow")[0]


def test_what_was_installed_for_another_python_is_not_used_by_this_one(board: Path, tmp_path: Path) -> None:
    install.install(str(board), put(board, write_wheel(tmp_path, "hollow", "1.0", HELLO)), 1)
    listed = json.loads((board / "runtimes.json").read_text())
    listed["sets"][0]["python"] = "cp27 linux-vax 32"
    (board / "runtimes.json").write_text(json.dumps(listed))
    assert install.paths(str(board), "hollow") == []
    install.install(str(board), put(board, write_wheel(tmp_path, "other", "1.0", {"other/__init__.py": b""})), 1)
    assert len(list((board / "runtimes").iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"sets": 3}', b'{"sets": [{}]}'])
def test_a_damaged_list_is_an_empty_one(board: Path, tmp_path: Path, content: bytes) -> None:
    (board / "runtimes.json").write_bytes(content)
    assert install.paths(str(board), "hollow") == []
    install.install(str(board), put(board, write_wheel(tmp_path, "hollow", "1.0", HELLO)), 1)
    assert install.paths(str(board), "hollow")


def test_modules_in_a_data_folder_go_to_the_others_and_scripts_nowhere(board: Path, tmp_path: Path) -> None:
    files = {**HELLO, "hollow-1.0.data/purelib/more/__init__.py": b"", "hollow-1.0.data/scripts/run": b"#!/bin/sh"}
    install.install(str(board), put(board, write_wheel(tmp_path, "hollow", "1.0", files)), 1)
    (path,) = install.paths(str(board), "more")
    assert not [name for name in names(Path(path)) if "run" in name or ".data" in name]


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


HOSTILE: dict[str, tuple[zipfile.ZipInfo | str, bytes]] = {
    "a path upwards": ("../../escaped.py", b"x"),
    "a path upwards in the middle": ("hollow/../../../escaped.py", b"x"),
    "an absolute path": ("/tmp/edgeprof-escaped.py", b"x"),  # noqa: S108  it must not be written
    "a path of another system": ("..\\..\\escaped.py", b"x"),
    "a drive": ("C:/escaped.py", b"x"),
    "an empty part": ("hollow//x.py", b"x"),
    "a data folder that leads upwards": ("hollow-1.0.data/purelib/../../../escaped.py", b"x"),
    "a symbolic link": (entry("hollow/link", stat.S_IFLNK | 0o777), b"/etc/passwd"),
    "a device": (entry("hollow/device", stat.S_IFCHR | 0o666), b""),
    "a file that is there twice": (entry("hollow-1.0.data/platlib/hollow/__init__.py", 0o100644), b"x"),
}


@pytest.mark.parametrize("trick", HOSTILE)
def test_a_wheel_that_reaches_outside_is_refused_whole(board: Path, tmp_path: Path, trick: str) -> None:
    wheel = zipped(tmp_path / "hollow-1.0-py3-none-any.whl", ("hollow/__init__.py", b""), HOSTILE[trick])
    wheels = put(board, wheel)
    before = {path for path in names(tmp_path) if "blobs" not in path}
    with pytest.raises(install.BadWheel, match=r"hollow-1\.0"):
        install.install(str(board), wheels, 1)
    assert {path for path in names(tmp_path) if "blobs" not in path} - before <= {"board/edgeprof/runtimes"}
    assert not Path("/tmp/edgeprof-escaped.py").exists()  # noqa: S108  the same


def test_a_bomb_is_refused_by_what_it_says_and_by_what_it_unpacks(
    board: Path, tmp_path: Path, mocker: MockerFixture
) -> None:
    mocker.patch.object(install, "MOST_BYTES", 1 << 20)
    wheel = zipped(tmp_path / "hollow-1.0-py3-none-any.whl", ("hollow/__init__.py", bytes(8 << 20)))
    with pytest.raises(install.BadWheel, match="more than 1048576 bytes"):
        install.install(str(board), put(board, wheel), 1)
    liar = tmp_path / "liar-1.0-py3-none-any.whl"
    size = (8 << 20).to_bytes(4, "little")
    liar.write_bytes(wheel.read_bytes().replace(size, (9).to_bytes(4, "little")))
    with pytest.raises(install.BadWheel, match="no sound wheel"):
        install.install(str(board), put(board, liar), 1)
    assert not list((board / "runtimes").iterdir())


def test_a_wheel_of_too_many_files_is_refused(board: Path, tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(install, "MOST_FILES", 10)
    wheel = write_wheel(tmp_path, "hollow", "1.0", {f"hollow/{number}.py": b"" for number in range(20)})
    with pytest.raises(install.BadWheel, match="at most 10"):
        install.install(str(board), put(board, wheel), 1)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\0" * 1000])
def test_what_is_no_archive_is_refused(board: Path, tmp_path: Path, content: bytes) -> None:
    wheel = tmp_path / "hollow-1.0-py3-none-any.whl"
    wheel.write_bytes(content)
    with pytest.raises(install.BadWheel, match="no sound wheel"):
        install.install(str(board), put(board, wheel), 1)


def test_a_damaged_file_inside_is_noticed_and_nothing_is_left(board: Path, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "hollow", "1.0", {"hollow/__init__.py": b"here it is whole"})
    wheel.write_bytes(wheel.read_bytes().replace(b"here it is whole", b"here it is holed"))
    with pytest.raises(install.BadWheel, match="no sound wheel"):
        install.install(str(board), put(board, wheel), 1)
    assert not list((board / "runtimes").iterdir())


@pytest.mark.parametrize("name", ["../hollow-1.0-py3-none-any.whl", "hollow.whl", "a/b-1.0-py3-none-any.whl", ""])
def test_a_name_that_is_no_wheels_is_refused(board: Path, name: str) -> None:
    with pytest.raises(install.BadWheel, match="no name of a wheel"):
        install.install(str(board), {name: "0" * 64}, 1)


def test_a_wheel_that_did_not_come_is_named(board: Path) -> None:
    with pytest.raises(install.BadWheel, match=r"hollow-1\.0-py3-none-any\.whl is not here"):
        install.install(str(board), {"hollow-1.0-py3-none-any.whl": "0" * 64}, 1)


def test_one_bad_wheel_takes_the_good_ones_with_it(board: Path, tmp_path: Path) -> None:
    good = write_wheel(tmp_path, "good", "1.0", {"good/__init__.py": b""})
    bad = zipped(tmp_path / "wicked-1.0-py3-none-any.whl", HOSTILE["a path upwards"])
    with pytest.raises(install.BadWheel):
        install.install(str(board), put(board, good, bad), 1)
    assert not list((board / "runtimes").iterdir())
    assert install.paths(str(board), "good") == []


def test_a_disk_without_room_is_noticed_before_anything_is_written(
    board: Path, tmp_path: Path, mocker: MockerFixture
) -> None:
    wheels = put(board, write_wheel(tmp_path, "hollow", "1.0", HELLO))
    mocker.patch.object(shutil, "disk_usage", return_value=mocker.Mock(free=3))
    with pytest.raises(OSError, match="No space left") as refused:
        install.install(str(board), wheels, 1)
    assert refused.value.errno == errno.ENOSPC
    assert not list((board / "runtimes").iterdir())
    assert not list((board / "blobs").iterdir())


def test_a_disk_that_fills_while_a_wheel_is_unpacked_leaves_nothing_of_it(
    board: Path, tmp_path: Path, mocker: MockerFixture
) -> None:
    first = write_wheel(tmp_path, "first", "1.0", {"first/__init__.py": b""})
    second = write_wheel(tmp_path, "second", "1.0", {"second/__init__.py": b"", "second/more.py": b""})
    wheels = put(board, first, second)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    mocker.patch.object(install, "_write", side_effect=[0, 0, 0, full])
    with pytest.raises(OSError, match="No space left"):
        install.install(str(board), wheels, 1)
    assert not list((board / "runtimes").iterdir())
    assert not (board / "runtimes.json").exists()


def test_a_folder_that_no_pythonpath_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(install.BadWheel, match="PYTHONPATH"):
        install.install(str(tmp_path / "a:b"), {}, 1)


# ── what the host hears ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("own_cache")
def test_a_system_runtime_that_dies_of_an_illegal_instruction_is_named_with_its_version_and_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system"
    crash = b"import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"
    for package in ("onnxruntime", "numpy"):
        content = crash if package == "onnxruntime" else b""
        wheel = write_wheel(tmp_path, package, "1.21.0", {f"{package}/__init__.py": content})
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(system)
    monkeypatch.setenv("PYTHONPATH", str(system))
    with FramedSession(open_local(sys.executable), name="here") as session:
        assert "install" in session.identify().capabilities
        found = session.probe("onnx", fresh=True)
    (dead,) = found.runtimes
    assert (dead.works, dead.version) == (False, "1.21.0")
    assert "SIGILL" in dead.reason
    pi4 = BoardPython(version=(3, 11), architecture="aarch64", cpu_features=frozenset({"asimd"}))
    assert "needs asimddp, which this CPU does not have" in explained(found, pi4).runtimes[0].reason


# ── what decides which wheels fit ────────────────────────────────────────────────────────────────────────────────────


def test_the_interpreter_says_what_decides_which_wheels_fit() -> None:
    known = install.interpreter()
    assert known["version"][:2] == list(sys.version_info[:2])
    assert known["implementation"] == "cpython"
    assert known["abi"] == f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert known["pointer_bits"] in {32, 64}
    assert known["platform"].startswith("linux-")
    libc = subprocess.run(["getconf", "GNU_LIBC_VERSION"], capture_output=True, text=True, check=False).stdout
    assert known.get("glibc", "") == libc.removeprefix("glibc ").strip()


@pytest.mark.parametrize("name", ["numpy-1.24.2.dist-info", "numpy-1.24.2.egg-info", "numpy-1.24.2-py3.11.egg-info"])
def test_the_systems_numpy_is_known_by_its_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr(sys, "path", ["/nowhere", str(tmp_path)])
    assert install.interpreter()["numpy"] == "1.24.2"
