"""Which wheels fit a board, why the others do not, and fetching them for another machine."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof.installing import (
    BoardPython,
    Choice,
    WheelsUnavailable,
    board_python,
    choose_wheels,
    download,
    explain_crash,
    explained,
    gather,
    install_hint,
    make_offer,
    runtime_matrix,
)
from edgeprof.installing.fetching import find_pip
from edgeprof.records.events import RuntimeFound, RuntimesFound
from tests.wheels import write_wheel

if TYPE_CHECKING:
    from pathlib import Path

BOOKWORM = BoardPython(version=(3, 11), architecture="aarch64", glibc=(2, 36), abi="cp311")
A72 = frozenset({"fp", "asimd", "evtstrm", "crc32", "cpuid"})
A76 = A72 | {"asimdhp", "asimddp", "fphp", "atomics"}


def board(python: str, architecture: str, glibc: str | None = "2.36", **more: Any) -> BoardPython:  # noqa: ANN401  any field
    major, minor = (int(word) for word in python.split("."))
    libc = None if glibc is None else (int(glibc.split(".")[0]), int(glibc.split(".")[1]))
    return BoardPython(version=(major, minor), architecture=architecture, glibc=libc, **more)


def best(format_name: str, python: BoardPython) -> str:
    choices = choose_wheels(format_name, python).choices
    return choices[0].wheel.title if choices else ""


def reasons(format_name: str, python: BoardPython) -> dict[str, str]:
    return {unfit.wheel.title: unfit.reason for unfit in choose_wheels(format_name, python).unfit}


# ── the matrix ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_row_says_where_it_is_from_and_no_version_is_there_twice() -> None:
    rows = runtime_matrix().runtimes
    assert all(row.source.startswith("https://pypi.org/project/") for row in rows)
    assert len({row.title for row in rows}) == len(rows)
    assert all(row.issues for row in rows if row.needs)


FITS = [
    # Python, architecture, glibc, tflite, onnx
    ("3.6", "aarch64", "2.27", "", "onnxruntime 1.10.0"),
    ("3.8", "aarch64", "2.31", "tflite-runtime 2.13.0", "onnxruntime 1.19.2"),  # JetPack 5
    ("3.8", "aarch64", "2.35", "tflite-runtime 2.14.0", "onnxruntime 1.19.2"),
    ("3.9", "aarch64", "2.31", "ai-edge-litert 2.1.0", "onnxruntime 1.19.2"),  # Debian 11
    ("3.9", "x86_64", "2.31", "ai-edge-litert 2.1.0", "onnxruntime 1.19.2"),
    ("3.10", "aarch64", "2.35", "ai-edge-litert 2.3.0", "onnxruntime 1.23.2"),  # JetPack 6, Ubuntu 22.04
    ("3.10", "x86_64", "2.35", "ai-edge-litert 2.3.0", "onnxruntime 1.23.2"),
    ("3.11", "aarch64", "2.36", "ai-edge-litert 2.3.0", "onnxruntime 1.31.1"),  # Raspberry Pi OS of Debian 12
    ("3.11", "aarch64", "2.27", "ai-edge-litert 2.3.0", "onnxruntime 1.23.2"),
    ("3.12", "x86_64", "2.39", "ai-edge-litert 2.3.0", "onnxruntime 1.31.1"),
    ("3.13", "aarch64", "2.41", "ai-edge-litert 2.3.0", "onnxruntime 1.31.1"),  # Raspberry Pi OS of Debian 13
    ("3.14", "aarch64", "2.41", "ai-edge-litert 2.3.0", "onnxruntime 1.31.1"),
    ("3.9", "armv7l", "2.31", "tflite-runtime 2.13.0", ""),  # 32 bits, Debian 11
    ("3.11", "armv7l", "2.36", "tflite-runtime 2.14.0", ""),  # 32 bits, Debian 12
    ("3.13", "armv7l", "2.41", "", ""),  # 32 bits, Debian 13
    ("3.11", "armv6l", "2.36", "", ""),
    ("3.11", "riscv64", "2.36", "", ""),
    ("3.15", "x86_64", "2.41", "", ""),
]


@pytest.mark.parametrize(("python", "architecture", "glibc", "tflite", "onnx"), FITS)
def test_the_best_runtime_for_each_board_is_chosen(
    python: str, architecture: str, glibc: str, tflite: str, onnx: str
) -> None:
    assert best("tflite", board(python, architecture, glibc)) == tflite
    assert best("onnx", board(python, architecture, glibc)) == onnx


def test_each_version_that_does_not_fit_says_why() -> None:
    assert reasons("onnx", board("3.11", "armv7l"))["onnxruntime 1.31.1"] == "no 32-bit wheel (armv7l)"
    assert reasons("tflite", board("3.13", "aarch64"))["tflite-runtime 2.14.0"] == "no wheel for Python 3.13"
    assert reasons("tflite", board("3.9", "aarch64", "2.31"))["tflite-runtime 2.14.0"] == "glibc 2.31 < 2.34"
    assert "musl" in reasons("onnx", board("3.11", "aarch64", None))["onnxruntime 1.31.1"]
    assert "pypy" in reasons("onnx", board("3.11", "aarch64", implementation="pypy"))["onnxruntime 1.31.1"]
    threaded = reasons("tflite", board("3.13", "x86_64", abi="cp313t"))
    assert "free-threaded" in threaded["ai-edge-litert 2.3.0"]
    assert len(reasons("tflite", board("3.13", "armv7l"))) == 5


def test_a_cpu_without_asimddp_is_not_given_the_version_that_needs_it() -> None:
    pi4 = board("3.11", "aarch64", cpu_features=A72)
    assert reasons("onnx", pi4) == {
        "onnxruntime 1.21.0": "needs asimddp, which this CPU does not have",
        "onnxruntime 1.10.0": "no wheel for Python 3.11",
    }
    assert best("onnx", pi4) == "onnxruntime 1.31.1"
    pi5 = board("3.11", "aarch64", cpu_features=A76)
    assert "onnxruntime 1.21.0" in {choice.wheel.title for choice in choose_wheels("onnx", pi5).choices}


def test_features_that_the_kernel_does_not_tell_rule_nothing_out() -> None:
    titles = {choice.wheel.title for choice in choose_wheels("onnx", BOOKWORM).choices}
    assert "onnxruntime 1.21.0" in titles


def test_old_tflite_comes_with_the_numpy_that_it_runs_with() -> None:
    (choice, *_) = choose_wheels("tflite", board("3.8", "aarch64", "2.31")).choices
    assert choice.requirements == ("tflite-runtime==2.13.0", "numpy<2")
    (choice, *_) = choose_wheels("tflite", BOOKWORM).choices
    assert choice.requirements == ("ai-edge-litert==2.3.0", "numpy")


def test_thirty_two_bits_take_the_systems_numpy_where_it_does() -> None:
    (with_numpy, *_) = choose_wheels("tflite", board("3.11", "armv7l", numpy="1.24.2")).choices
    assert with_numpy.requirements == ("tflite-runtime==2.14.0",)
    for version in ("", "2.1.0"):
        (without, *_) = choose_wheels("tflite", board("3.11", "armv7l", numpy=version)).choices
        assert without.requirements == ("tflite-runtime==2.14.0", "numpy<2")
        assert "python3-numpy" in without.remark


def test_the_platforms_are_those_that_run_there_the_newest_first() -> None:
    (choice, *_) = choose_wheels("onnx", board("3.9", "aarch64", "2.31")).choices
    assert choice.platforms[0] == "manylinux_2_31_aarch64"
    assert "manylinux2014_aarch64" in choice.platforms
    assert not [tag for tag in choice.platforms if "2_32" in tag or "x86" in tag or "2_16" in tag]
    (choice, *_) = choose_wheels("onnx", board("3.9", "x86_64", "2.31")).choices
    assert "manylinux1_x86_64" in choice.platforms


def test_a_runtime_that_was_asked_for_is_the_only_one_offered() -> None:
    found = choose_wheels("tflite", BOOKWORM, "tflite_runtime")
    assert {choice.wheel.module for choice in found.choices} == {"tflite_runtime"}


# ── what the agent says ──────────────────────────────────────────────────────────────────────────────────────────────

SAID = {
    "version": [3, 11, 2], "implementation": "cpython", "abi": "cp311", "pointer_bits": 64,
    "platform": "linux-aarch64", "machine": "aarch64", "glibc": "2.36", "numpy": "1.24.2",
}  # fmt: skip


def test_the_facts_come_from_what_the_agent_said() -> None:
    python = board_python({"interpreter": SAID, "state": {"cpu_features": ["asimd"]}})
    assert python == BoardPython(
        version=(3, 11), architecture="aarch64", glibc=(2, 36), abi="cp311", cpu_features=frozenset({"asimd"}),
        numpy="1.24.2",
    )  # fmt: skip
    assert str(python) == "Python 3.11, aarch64, glibc 2.36"


def test_a_32_bit_userland_on_a_64_bit_kernel_is_32_bit() -> None:
    python = board_python({"interpreter": {**SAID, "pointer_bits": 32}})
    assert python is not None
    assert python.architecture == "armv7l"
    assert best("onnx", python) == ""


@pytest.mark.parametrize(
    "identity", [{}, {"interpreter": {}}, {"interpreter": "3.11"}, {"interpreter": {"version": []}}]
)
def test_an_agent_that_says_nothing_of_its_python_is_offered_nothing(identity: dict[str, Any]) -> None:
    assert board_python(identity) is None
    assert "pip install onnxruntime" in install_hint("onnx", identity, ("install",))


def test_the_hint_names_the_option_what_fits_or_why_nothing_does() -> None:
    fits = install_hint("onnx", {"interpreter": SAID}, ("install",))
    assert "--install-runtime" in fits
    assert "onnxruntime 1.31.1" in fits
    cannot = install_hint("onnx", {"interpreter": SAID}, ())
    assert "--install-runtime" not in cannot
    none = install_hint("onnx", {"interpreter": {**SAID, "pointer_bits": 32}}, ("install",))
    assert "no 32-bit wheel" in none


# ── crashes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

DEATH = "the measuring process was ended by SIGILL (an instruction that this CPU does not have)"


def test_a_crash_is_explained_by_the_feature_that_the_cpu_lacks() -> None:
    pi4 = board("3.11", "aarch64", cpu_features=A72)
    told = explain_crash(DEATH, "onnxruntime", "1.21.0", pi4)
    assert told.startswith(DEATH)
    assert "onnxruntime 1.21.0 needs asimddp, which this CPU does not have" in told
    assert "microsoft/onnxruntime/issues/23957" in told


def test_a_crash_that_the_matrix_does_not_explain_is_left_as_it_is() -> None:
    pi4, pi5 = board("3.11", "aarch64", cpu_features=A72), board("3.11", "aarch64", cpu_features=A76)
    assert explain_crash(DEATH, "onnxruntime", "1.31.1", pi4) == DEATH
    assert explain_crash(DEATH, "onnxruntime", "1.21.0", pi5) == DEATH
    assert explain_crash(DEATH, "tflite_runtime", "1.21.0", pi4) == DEATH
    assert explain_crash("No module named 'onnxruntime'", "onnxruntime", "", pi4) == "No module named 'onnxruntime'"


def test_a_probes_answer_is_explained_and_what_works_is_left_alone() -> None:
    pi4 = board("3.11", "aarch64", cpu_features=A72)
    dead = RuntimeFound(name="onnxruntime", works=False, version="1.21.0", reason=DEATH)
    found = RuntimesFound(format="onnx", runtimes=(dead, RuntimeFound(name="other", works=True)))
    first, second = explained(found, pi4).runtimes
    assert "asimddp" in first.reason
    assert second == found.runtimes[1]
    assert explained(found, None) == found


# ── fetching ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def onnx_for(python: str = "3.11") -> Choice:
    return choose_wheels("onnx", board(python, "aarch64", abi=f"cp{python.replace('.', '')}")).choices[0]


def test_wheels_are_taken_from_a_folder_by_name_version_and_tag(tmp_path: Path) -> None:
    tag = "cp311-cp311-manylinux_2_28_aarch64"
    wanted = [
        write_wheel(tmp_path, "onnxruntime", "1.31.1", {}, tag),
        write_wheel(tmp_path, "numpy", "2.4.6", {}, tag),
    ]
    write_wheel(tmp_path, "numpy", "2.3.0", {}, tag)
    write_wheel(tmp_path, "numpy", "9.0.0", {}, "cp311-cp311-manylinux_2_28_x86_64")
    write_wheel(tmp_path, "numpy", "9.0.1", {}, "cp312-cp312-manylinux_2_28_aarch64")
    write_wheel(tmp_path, "numpy", "9.0.2", {}, "cp311-cp311-manylinux_2_40_aarch64")
    (tmp_path / "numpy.whl").write_bytes(b"no wheel's name")
    assert gather(onnx_for(), tmp_path) == wanted


def test_a_folder_without_the_right_wheel_says_which_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    write_wheel(tmp_path, "onnxruntime", "1.31.1", {}, "cp311-cp311-manylinux_2_28_x86_64")
    with pytest.raises(WheelsUnavailable, match=r"no wheel of onnxruntime==1\.31\.1 for Python 3\.11") as missing:
        gather(onnx_for(), tmp_path)
    assert missing.value.hint.startswith("pip download")
    with pytest.raises(WheelsUnavailable, match="is no folder"):
        gather(onnx_for(), tmp_path / "nowhere")


def test_an_index_that_cannot_be_reached_says_how_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_pip() is None:
        pytest.skip("neither pip nor uv is here")
    _only_index(monkeypatch, "http://somebody:secret@127.0.0.1:9/simple")
    with pytest.raises(WheelsUnavailable, match=r"onnxruntime 1\.31\.1 for Python 3\.11") as offline:
        download(onnx_for(), tmp_path / "kept")
    assert "--wheels" in offline.value.hint
    assert "secret" not in offline.value.message + offline.value.hint
    assert not list((tmp_path / "kept").iterdir())


def test_what_was_downloaded_is_kept_and_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_pip() is None:
        pytest.skip("neither pip nor uv is here")
    index = tmp_path / "index"
    tag = "cp311-cp311-manylinux_2_28_aarch64"
    for package, version in (("onnxruntime", "1.31.1"), ("numpy", "2.4.6")):
        path = write_wheel(index / package, package, version, {}, tag)
        (index / package / "index.html").write_text(f'<a href="{path.name}">{path.name}</a>')
    _only_index(monkeypatch, index.as_uri())
    first = download(onnx_for(), tmp_path / "kept")
    assert [path.name.split("-")[0] for path in first] == ["onnxruntime", "numpy"]
    _only_index(monkeypatch, "http://127.0.0.1:9/simple")
    assert download(onnx_for(), tmp_path / "kept") == first


def _only_index(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "2")


# ── offering ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_offered_where_nobody_asked_for_it_and_nobody_can_be_asked() -> None:
    assert make_offer(install=False) is None


def test_a_person_who_says_no_is_asked_once_and_offered_nothing() -> None:
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    offer = make_offer(install=False, ask=no)
    assert offer is not None
    assert offer({"interpreter": SAID}, "onnx") is None
    assert offer({"interpreter": SAID}, "onnx") is None
    assert len(asked) == 1
    assert "onnxruntime 1.31.1" in asked[0]


def test_the_next_candidate_is_offered_each_time_until_none_is_left(tmp_path: Path) -> None:
    tag = "cp311-cp311-manylinux_2_28_aarch64"
    for version in ("1.31.1", "1.23.2"):
        write_wheel(tmp_path, "onnxruntime", version, {}, tag)
    write_wheel(tmp_path, "numpy", "2.4.6", {}, tag)
    offer = make_offer(install=True, wheels=tmp_path)
    assert offer is not None
    offered = [sorted(offer({"interpreter": SAID}, "onnx") or ()) for _ in range(3)]
    assert offered == [
        [f"numpy-2.4.6-{tag}.whl", f"onnxruntime-1.31.1-{tag}.whl"],
        [f"numpy-2.4.6-{tag}.whl", f"onnxruntime-1.23.2-{tag}.whl"],
        [],
    ]


def test_a_board_that_nothing_fits_is_offered_nothing(tmp_path: Path) -> None:
    offer = make_offer(install=True, wheels=tmp_path)
    assert offer is not None
    assert offer({"interpreter": {**SAID, "pointer_bits": 32}}, "onnx") is None


def test_an_empty_folder_of_wheels_is_told_and_the_variable_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEPROF_WHEELS", str(tmp_path))
    offer = make_offer(install=True)
    assert offer is not None
    with pytest.raises(WheelsUnavailable, match=str(tmp_path)):
        offer({"interpreter": SAID}, "onnx")


def test_choosing_loads_nothing_heavy() -> None:
    script = "import sys, edgeprof.installing; print({'numpy', 'packaging', 'asyncssh'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
