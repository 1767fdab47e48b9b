"""Each Raspberry Pi with each Python: memory, energy, ONNX models, a runtime that its processor cannot run, heat."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

import pytest

from edgeprof.installing import BoardPython, choose_wheels, download
from scripts.fetch_virtual_pi import WHEELS
from tests.ssh.rig import eventually
from tests.virtual_pi.models import COOL_MILLICELSIUS
from tests.virtual_pi.owner import KWS, KWS_ONNX, PATIENCE_S, RUNS, Owner, Profiled

if TYPE_CHECKING:
    from tests.virtual_pi.boot import VirtualPi

pytestmark = pytest.mark.timeout(1500)
ONNXRUNTIME = {"3.11": "1.31.1", "3.9": "1.19.2"}
CRASHING = "1.21.0"  # its wheel takes the dot product instructions for granted
COOL_S, HOT_S = 15, 30
UNREAD = (*RUNS, "--sensors", "0s")  # where sensors do not matter: reading them takes half of an emulated processor
BRIEF = (*UNREAD, "--no-memory")
# A window needs 30 readings. One a second is what an emulated processor keeps up with: vcgencmd takes it 0.3 s.
WINDOWED = ("--power", "onboard", "--windows", 1, "--window", "36s", "--idle", "1s", "--sensors", "1s")
THROTTLES_MILLICELSIUS = 80_000
ZONE = "/sys/class/thermal/thermal_zone0/temp"


@pytest.fixture(scope="session")
def onnx(owner: Owner) -> Profiled:
    """Profile an ONNX model; the first time a runtime is put on the board."""
    return owner.profiled(KWS_ONNX, *UNREAD, "--install-runtime")


@pytest.fixture(scope="session")
def crashing(pi: VirtualPi, python: str) -> dict[str, str]:
    """Put an older ONNX Runtime on the board, as its owner had it, and return which Python has it."""
    if python != "3.11":
        pytest.skip(f"onnxruntime {CRASHING} has no wheel for Python {python}")
    board = BoardPython(version=(3, 11), architecture="aarch64", glibc=(2, 36))
    choices = choose_wheels("onnx", board).choices
    (choice,) = [choice for choice in choices if choice.wheel.version == CRASHING]
    pi.put(download(choice, WHEELS), "old")
    interpreter = '#!/bin/sh\nPYTHONPATH=/home/pi/old/lib exec /usr/bin/python3 "$@"\n'
    pi.run(
        "cd old && for wheel in *.whl; do python3 -m zipfile -e $wheel lib; done"
        f" && printf %s {shlex.quote(interpreter)} >python3 && chmod +x python3"
    )
    return {"python": "/home/pi/old/python3", "cache": "~/old/cache"}


def test_the_memory_of_the_model_is_in_the_result(owner: Owner) -> None:
    kws = owner.profiled(KWS, *RUNS, "--install-runtime")
    assert kws.ended.returncode == 0, kws.ended.stderr
    assert 50_000 < kws.result["metrics"]["memory_peak_bytes"]["value"] < 50_000_000


def test_energy_is_taken_from_the_boards_own_sensors(owner: Owner, pi: VirtualPi) -> None:
    if pi.model.pmic:
        pytest.skip("its rails are read by vcgencmd, for which an emulated processor takes too long to fill a window")
    kws = owner.profiled(KWS, *RUNS, "--no-memory", "--install-runtime", *WINDOWED)
    assert kws.ended.returncode == 0, kws.ended.stderr
    power, energy = (kws.result["metrics"][name] for name in ("power_average_w", "energy_per_inference_j"))
    assert power["value"] == pytest.approx(pi.model.power_w, rel=1e-3), power["reason"]
    (window,) = kws.result["breakdowns"]["energy"]["windows"]
    each_s = (window["end_s"] - window["start_s"]) / window["inferences"]
    assert energy["value"] == pytest.approx(pi.model.power_w * each_s, rel=0.02)  # the rails stand still
    assert {power["basis"], energy["basis"]} == {"emulated"}


def test_an_onnx_model_is_profiled_with_the_version_that_fits(onnx: Profiled, python: str) -> None:
    assert onnx.ended.returncode == 0, onnx.ended.stderr
    assert onnx.result["status"] == "complete"
    assert onnx.result["runtime"]["name"] == "onnxruntime"
    assert onnx.result["runtime"]["version"] == ONNXRUNTIME[python]


def test_both_runtimes_stay_on_the_board(onnx: Profiled, owner: Owner) -> None:
    assert onnx.ended.returncode == 0, onnx.ended.stderr
    assert owner.edgeprof("profile", KWS, "--target", owner.pi.url(), *BRIEF).returncode == 0


def test_a_runtime_that_the_processor_cannot_run_is_told_with_the_feature_that_it_lacks(
    owner: Owner, crashing: dict[str, str]
) -> None:
    done = owner.profiled(KWS_ONNX, *BRIEF, **crashing)
    if owner.pi.model.cpu == "cortex-a76":
        assert done.ended.returncode == 0, done.ended.stderr
        assert done.result["runtime"]["version"] == CRASHING
        return
    assert done.ended.returncode == 3
    assert "SIGILL" in done.ended.stderr
    assert "asimddp" in done.ended.stderr
    assert "--install-runtime" in done.ended.stderr


def test_doctor_tells_it_too_and_what_mends_it(owner: Owner, crashing: dict[str, str]) -> None:
    if owner.pi.model.cpu == "cortex-a76":
        pytest.skip("this processor has the dot product instructions")
    said = " ".join(owner.edgeprof("doctor", "--target", owner.pi.url(**crashing)).stdout.split())
    assert "SIGILL" in said
    assert "asimddp" in said
    assert "onnxruntime 1.31.1" in said


def test_a_runtime_beside_the_one_that_crashes_is_used_instead(owner: Owner, crashing: dict[str, str]) -> None:
    done = owner.profiled(KWS_ONNX, *BRIEF, "--install-runtime", **crashing)
    assert done.ended.returncode == 0, done.ended.stderr
    wanted = CRASHING if owner.pi.model.cpu == "cortex-a76" else ONNXRUNTIME["3.11"]
    assert done.result["runtime"]["version"] == wanted


def test_a_board_that_throttles_during_the_run_is_told_with_its_curve(owner: Owner, pi: VirtualPi) -> None:
    """Heat the board in the middle of a run, and let it run a tenth of the time from then on."""
    runs_before = owner.runs()
    process = owner.start(
        *("profile", KWS, "--target", pi.url(), "--install-runtime", "--no-memory", "--format", "json"),
        *("--duration", f"{COOL_S + HOT_S}s"),
    )
    try:
        assert eventually(lambda: owner.runs() > runs_before and owner.samples() > 0, PATIENCE_S)
        time.sleep(COOL_S)
        pi.run("touch /run/virtual-pi/heat")
        _wait_for_temperature(pi, f"-ge {THROTTLES_MILLICELSIUS}")
        with pi.slowed():
            assert eventually(lambda: "pass-ended" in owner.events(), PATIENCE_S)
        done = Profiled.of(owner.ended(process, timeout_s=PATIENCE_S))
    finally:
        process.kill()
        process.communicate()
        pi.run("rm -f /run/virtual-pi/heat")
        _wait_for_temperature(pi, f"-eq {COOL_MILLICELSIUS}")  # as the next test expects it
    assert done.ended.returncode == 0, done.ended.stderr
    assert "throttled" in done.warned()
    (curve,) = done.result["breakdowns"]["sustained"].values()
    assert curve["time_to_throttle_s"] > 0
    assert curve["first_against_last"]["ratio"] > 1.2
    assert curve["rows"][0]["throttled_ratio"] == 0
    assert curve["rows"][-1]["throttled_ratio"] == 1
    celsius = [row["temperature_celsius"] for row in curve["rows"] if row["temperature_celsius"] is not None]
    assert celsius[0] * 1000 == COOL_MILLICELSIUS
    assert celsius[-1] * 1000 >= THROTTLES_MILLICELSIUS


def _wait_for_temperature(pi: VirtualPi, is_: str) -> None:
    """Wait there: each connection takes an emulated processor a second."""
    pi.run(f"timeout {PATIENCE_S} sh -c 'until [ $(cat {ZONE}) {is_} ]; do sleep 0.2; done'")
