"""`profile --power`: the board's own sensors, an instrument on a pty, a recording; and what is none of them."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.sysfs_trees import build
from tests.unit.meters.instruments import fake_instrument

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

QUICK = ("--runs", "50", "--no-memory", "-q", "--windows", "6", "--window", "1s", "--idle", "0.5s")


def told(path: Path) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(path.read_text())
    return whole


@pytest.mark.timeout(180)
def test_a_board_with_a_sensor_gives_its_power_and_the_energy_of_an_inference(
    edgeprof: Cli, kws: Path, tmp_path: Path
) -> None:
    tree = build("jetson-orin-nano", tmp_path / "tree")
    saved = tmp_path / "result.json"
    done = edgeprof(
        "profile",
        kws,
        *QUICK,
        "--power",
        "onboard",
        "--sensors",
        "20ms",
        "--price",
        "0.2",
        "-o",
        saved,
        EDGEPROF_SYSROOT=str(tree),
    )
    assert done.returncode == 0, done.stderr
    result = told(saved)
    metrics, windows = result["metrics"], result["breakdowns"]["energy"]["windows"]
    power_w = metrics["power_average_w"]["value"]
    assert len(windows) == 6
    per_inference = metrics["energy_per_inference_j"]["value"]
    seconds = [(w["end_s"] - w["start_s"]) / w["inferences"] for w in windows]
    assert min(seconds) * power_w * 0.99 <= per_inference <= max(seconds) * power_w * 1.01
    assert metrics["cost_per_inference_usd"]["value"] == pytest.approx(per_inference / 3.6e6 * 0.2)
    assert "the board" in metrics["power_average_w"]["method"]
    assert [s["rail"] for s in result["sensors"] if s.get("role") == "board-total"]


@pytest.mark.timeout(180)
def test_an_instrument_is_recorded_during_the_windows_and_laid_over_them(
    edgeprof: Cli, kws: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "result.json"
    with fake_instrument("fake_ppk2") as fake:
        done = edgeprof("profile", kws, *QUICK, "--power", f"ppk2://{fake.path}?voltage=3300mV", "-o", saved)
    assert done.returncode == 0, done.stderr
    result = told(saved)
    energy = result["breakdowns"]["energy"]
    assert energy["alignment"]["method"] == "clock"
    assert len([w for w in energy["windows"] if w["energy_j"]]) == 6
    assert result["metrics"]["energy_per_inference_j"]["basis"] == "measured"
    drawn = [s for s in result["sensors"] if "PPK2" in s["source"] or "ppk2" in s["source"]]
    assert len(drawn) == 1
    first, last = energy["windows"][0]["start_s"], energy["windows"][-1]["end_s"]
    assert len(drawn[0]["time_s"]) <= 4000
    assert last - first < drawn[0]["time_s"][-1] - drawn[0]["time_s"][0]


@pytest.mark.parametrize(
    ("power", "seen"),
    [
        ("nowhere.csv", "is neither onboard, nor an instrument, nor a file"),
        ("ppk2:///dev/null?voltage=9V", "800"),
        ("ppk2:///dev/ttyNOWHERE?voltage=3300mV", "/dev/ttyNOWHERE"),
        ("ppk3:///dev/ttyACM0", "ppk3"),
    ],
)
def test_what_is_no_source_of_power_is_named_before_the_board_is_touched(
    power: str, seen: str, edgeprof: Cli, kws: Path
) -> None:
    done = edgeprof("profile", kws, *QUICK, "--power", power)
    assert done.returncode in {2, 3}
    assert seen in done.stderr
    assert "Hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_one_instrument_for_two_boards_is_refused(edgeprof: Cli, kws: Path) -> None:
    several = ("--target", "local", "--target", "sim:raspberry-pi-5")
    done = edgeprof("profile", kws, *QUICK, *several, "--power", "ppk2:///dev/ttyACM0?voltage=3300mV")
    assert done.returncode == 2
    assert "several boards at once" in done.stderr


def test_a_board_without_a_sensor_says_so_and_keeps_its_latency(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    tree = build("raspberry-pi-4", tmp_path / "tree")
    saved = tmp_path / "result.json"
    done = edgeprof("profile", kws, *QUICK, "--power", "onboard", "-o", saved, EDGEPROF_SYSROOT=str(tree))
    assert done.returncode == 0, done.stderr
    metrics = told(saved)["metrics"]
    assert metrics["energy_per_inference_j"]["value"] is None
    assert "no sensor of the board gives its power" in metrics["energy_per_inference_j"]["reason"]
    assert metrics["latency_p50_s"]["value"] > 0


HEADER = "time_s,power_w,marker\n"


def recorded(path: Path, *, windows: int = 6, window_s: float = 0.3) -> None:
    """Write a recording with so many marked windows."""
    marks = [*[0] * 500, *[1] * round(window_s * 1000)] * windows + [0] * 500
    rows = (f"{at / 1000},{0.02 if mark else 0.001},{mark}" for at, mark in enumerate(marks))
    path.write_text(HEADER + "\n".join(rows) + "\n")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("old", [True, False])
def test_a_recording_of_another_run_gives_no_energy(edgeprof: Cli, kws: Path, tmp_path: Path, old: bool) -> None:  # noqa: FBT001  a table
    path, saved = tmp_path / "trace.csv", tmp_path / "result.json"
    recorded(path, window_s=1.0 if old else 0.3)
    written_s = 1.58e9 if old else time.time() + 3600  # as if it were written while the run goes on
    os.utime(path, (written_s, written_s))
    done = edgeprof("profile", kws, *QUICK, "--power", path, "-o", saved)
    assert done.returncode == 0, done.stderr
    result = told(saved)
    reason = result["metrics"]["energy_per_inference_j"]["reason"]
    assert ("before this run began" if old else "is no recording of this run: window 1 is 300.0 ms long") in reason
    assert all(result["metrics"][name]["value"] is None for name in ("energy_above_idle_j", "power_average_w"))
    assert result["metrics"]["latency_p50_s"]["value"] > 0
    assert "recording-refused" in {one["code"] for one in result["warnings"]}


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("instrument", "sample"), [("ppk2", 400_000), ("lpm01a", 20_000)])
def test_an_instrument_that_is_unplugged_leaves_a_partial_result_with_the_cause(
    instrument: str, sample: int, edgeprof: Cli, kws: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "result.json"
    with fake_instrument(f"fake_{instrument}", "--fault", f"unplug@{sample}") as fake:
        done = edgeprof("profile", kws, *QUICK, "--power", f"{instrument}://{fake.path}?voltage=3300mV", "-o", saved)
    assert done.returncode == 5, done.stderr
    result = told(saved)
    assert result["status"] == "partial"
    assert result["metrics"]["latency_p50_s"]["value"] > 0
    lost = next(one for one in result["warnings"] if one["code"] == "instrument-lost")
    assert "ended by itself after" in lost["text"]
    assert "unplugged" in lost["text"]
    trace, windows = result["breakdowns"]["energy"]["trace"], result["breakdowns"]["energy"]["windows"]
    assert trace["gaps"] >= 1
    assert trace["gaps_s"] > 2
    assert windows[0]["energy_j"] > 0
    assert windows[-1]["reason"].endswith("the instrument ended by itself")
    assert "ended by itself" in " ".join(done.stdout.split())
