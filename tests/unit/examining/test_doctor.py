"""What doctor says of runtimes: on this machine's own Pythons, and of boards whose agents said something else."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof import doctor
from edgeprof.examining.doctor import diagnose
from edgeprof.links import framed
from edgeprof.records.events import RuntimeFound, RuntimesFound
from edgeprof.targets import resolve_target

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.records.checks import Check, Diagnosis

pytestmark = pytest.mark.usefixtures("own_cache")
PI4: dict[str, Any] = {
    "interpreter": {
        "version": [3, 13, 5], "implementation": "cpython", "abi": "cp313", "pointer_bits": 64,
        "platform": "linux-aarch64", "machine": "aarch64", "glibc": "2.41",
    },
    "state": {"cpu_features": ["asimd"]},
    "python": "/usr/bin/python3",
}  # fmt: skip
DEATH = "the measuring process was ended by SIGILL (an instruction that this CPU does not have)"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a Python without any packages."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    return str(folder / "bin" / "python")


def check(diagnosis: Diagnosis, name: str) -> Check:
    return next(one for one in diagnosis.checks if one.name == name)


def told(monkeypatch: pytest.MonkeyPatch, identity: dict[str, Any], *found: RuntimeFound) -> Diagnosis:
    """Return the diagnosis of an agent that says this of itself and of its runtimes."""

    def probe(_session: object, format_name: str, *, fresh: bool = False) -> RuntimesFound:  # noqa: ARG001  its signature
        of_format = tuple(one for one in found if (one.name == "onnxruntime") == (format_name == "onnx"))
        return RuntimesFound(format=format_name, runtimes=of_format)

    monkeypatch.setattr(framed.FramedSession, "probe", probe)
    monkeypatch.setattr(framed.FramedSession, "identity", lambda _session: identity)
    return diagnose(resolve_target("local"), None)


def test_a_python_without_runtimes_is_told_what_fits_and_how_to_put_it_there(bare: str) -> None:
    target = f"local:?python={bare}"
    diagnosis = doctor(target)
    for format_name, package in (("tflite", "ai-edge-litert"), ("onnx", "onnxruntime")):
        missing = check(diagnosis, f"runtime {format_name}")
        assert missing.verdict == "MISSING"
        assert missing.remedy == f"edgeprof profile MODEL.{format_name} --target {target} --install-runtime"
        fits = check(diagnosis, f"wheels {format_name}")
        assert fits.seen.startswith(package)
        assert f"fits Python {sys.version_info[0]}.{sys.version_info[1]}" in fits.seen


def test_a_runtime_that_works_needs_no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    litert = RuntimeFound(name="ai_edge_litert", works=True, version="2.3.0", numpy="2.4.6")
    broken = RuntimeFound(name="tflite_runtime", works=False, version="2.14.0", reason="_ARRAY_API not found")
    diagnosis = told(monkeypatch, PI4, litert, broken)
    seen = check(diagnosis, "runtime tflite")
    assert seen.verdict == "OK"
    assert "ai_edge_litert 2.3.0 runs a .tflite model, numpy 2.4.6" in seen.seen
    assert "tflite_runtime is there and does not: _ARRAY_API not found" in seen.seen
    assert not [one for one in diagnosis.checks if one.name == "wheels tflite"]
    assert check(diagnosis, "runtime onnx").verdict == "WARN"


def test_a_crash_is_explained_and_each_version_that_does_not_fit_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = RuntimeFound(name="onnxruntime", works=False, version="1.21.0", reason=DEATH)
    diagnosis = told(monkeypatch, PI4, dead)
    assert "onnxruntime 1.21.0 needs asimddp, which this CPU does not have" in check(diagnosis, "runtime onnx").seen
    wheels = check(diagnosis, "wheels onnx").seen
    assert wheels.startswith("onnxruntime 1.31.1 fits Python 3.13, aarch64, glibc 2.41")
    assert "onnxruntime 1.21.0: needs asimddp" in wheels
    tflite = check(diagnosis, "wheels tflite").seen
    assert tflite.startswith("ai-edge-litert 2.3.0 fits")
    assert "tflite-runtime 2.14.0: no wheel for Python 3.13" in tflite


def test_where_nothing_fits_the_reasons_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = {**PI4, "interpreter": {**PI4["interpreter"], "pointer_bits": 32}}
    diagnosis = told(monkeypatch, narrow)
    assert "nothing fits Python 3.13, armv7l" in check(diagnosis, "wheels onnx").seen
    assert "no 32-bit wheel (armv7l)" in check(diagnosis, "wheels onnx").seen
    assert "--install-runtime" not in check(diagnosis, "runtime onnx").remedy


def test_an_agent_that_cannot_install_gets_the_command_for_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    diagnosis = told(monkeypatch, {"python": "/opt/python"})
    assert check(diagnosis, "runtime onnx").remedy == "/opt/python -m pip install onnxruntime"


def test_a_target_that_cannot_be_reached_is_a_finding(tmp_path: Path) -> None:
    diagnosis = doctor(f"local:?python={tmp_path}/nothing")
    assert [one.name for one in diagnosis.missing] == ["reach"]


def test_a_microcontroller_is_asked_for_programs_and_not_for_packages() -> None:
    diagnosis = diagnose(resolve_target("emu:cortex-m4"), None)
    assert [one.name for one in diagnosis.checks] == ["reach", "basis", "engine"]
    assert not diagnosis.missing
    assert ".tflite and .onnx" in check(diagnosis, "engine").seen


def test_firmware_that_executes_no_program_is_missing_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    other = RuntimeFound(name="their engine", works=False, reason="it executes tflite")
    answer = RuntimesFound(format="program", runtimes=(other,))
    monkeypatch.setattr(framed.FramedSession, "probe", lambda _session, _name, **_: answer)
    missing = check(diagnose(resolve_target("emu:cortex-m4"), None), "engine")
    assert (missing.verdict, missing.seen) == ("MISSING", "their engine: it executes tflite, no packed program")
    assert "pip" not in missing.remedy


@pytest.mark.parametrize(
    ("features", "verdict", "seen"),
    [
        (["avx", "avx2", "fma"], "WARN", "AVX2 without VNNI"),
        (["avx2", "avx512f", "avx512_vnni"], "OK", "AVX512-VNNI"),
        (["avx2", "avx_vnni"], "OK", "AVX-VNNI"),
    ],
)
def test_an_x86_cpu_is_told_whether_int8_kernels_are_exact_there(
    monkeypatch: pytest.MonkeyPatch, features: list[str], verdict: str, seen: str
) -> None:
    monkeypatch.setattr(framed.FramedSession, "board_state", lambda _session: {"cpu_features": features})
    found = check(told(monkeypatch, PI4), "int8 kernels")
    assert (found.verdict, seen in found.seen) == (verdict, True)
    assert ("session.x64quantprecision=1" in found.remedy) is (verdict == "WARN")


def test_an_arm_board_is_told_nothing_of_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framed.FramedSession, "board_state", lambda _session: {"cpu_features": ["asimd"]})
    assert not [one for one in told(monkeypatch, PI4).checks if one.name == "int8 kernels"]
