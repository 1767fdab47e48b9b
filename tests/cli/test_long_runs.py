"""Long runs, deadlines and sweeps as a person types them, on boards whose clock is their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

THROTTLING = "sim:raspberry-pi-5?seed=1&fault=throttle&after=10000"
COOL = "sim:raspberry-pi-5?seed=1"


def test_ten_minutes_on_a_throttling_board_are_drawn_and_warned_about(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws, "-t", THROTTLING, "--duration", "10m")
    assert run.returncode == 0, run.stderr
    for shown in ("Over time", "80.0 °C", "1,333 MHz", "time to throttle", "80 % slower", "first row against last"):
        assert shown in run.stdout
    assert edgeprof("report", "last").stdout == run.stdout


def test_a_deadline_is_a_pass_of_its_own_and_its_misses_are_a_metric(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws, "-t", COOL, "--period", "33ms", "--runs", 300, "--format", "json")
    result = json.loads(run.stdout)
    assert [asked["kind"] for asked in result["plan"]["passes"]][:2] == ["latency", "deadline"]
    assert result["metrics"]["deadline_miss_ratio"] | {"method": ""} == {
        "value": 0.0, "basis": "simulated", "count": 300, "method": "",
    }  # fmt: skip
    assert result["metrics"]["latency_p50_s"]["count"] == 300
    limit = ("--limit", "deadline_miss_ratio<0.01", "--accept-basis", "simulated")
    assert edgeprof("profile", kws, "-t", COOL, "--period", "33ms", "--runs", 300, *limit).returncode == 0
    assert edgeprof("profile", kws, "-t", THROTTLING, "--period", "100us", "--runs", 300, *limit).returncode == 1


def test_a_sweep_gives_a_result_a_variant_in_a_folder(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    run = edgeprof("profile", kws, "-t", COOL, "--sweep", "threads=1,2", "--sweep", "batch=1,4", "--runs", 50,
                   "-o", folder)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "items/s" in run.stdout
    results = [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    assert sorted(result["variant"] for result in results) == [
        "threads=1 batch=1", "threads=1 batch=4", "threads=2 batch=1", "threads=2 batch=4",
    ]  # fmt: skip
    assert len({result["group"] for result in results}) == 1
    assert {tuple(result["plan"]["shapes"]["input"]) for result in results} == {(1, 49, 10, 1), (4, 49, 10, 1)}
    by_variant = {result["variant"]: result["metrics"] for result in results}
    one, four = (by_variant[f"threads=1 batch={batch}"] for batch in (1, 4))
    assert four["latency_p50_s"]["value"] == pytest.approx(4 * one["latency_p50_s"]["value"], rel=0.1)
    assert four["memory_peak_bytes"]["value"] > one["memory_peak_bytes"]["value"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--sweep", "colour=1"), 2, "none of threads=N"),
        (("--period", "1s", "--duration", "500ms"), 2, "no release within"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_board_is_touched(
    edgeprof: Cli, kws: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    run = edgeprof("profile", kws, "-t", COOL, *arguments)
    assert (run.returncode, run.stdout) == (code, "")
    assert message in run.stderr


def test_the_fixed_batch_of_an_onnx_model_is_refused_with_what_mends_it(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws.with_name("kws_fp32.onnx"), "-t", COOL, "--sweep", "batch=1,8")
    assert run.returncode == 4
    assert "is 1x1x49x10" in run.stderr
    assert "dynamic batch" in run.stderr


def test_a_batch_that_the_runtime_refuses_leaves_the_others(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws, "--sweep", "batch=1,4", "--runs", 20, "--no-memory")
    assert run.returncode == 4
    assert "batch=1" in run.stdout
    assert "batch=4: the runtime on local refuses" in run.stderr
