"""The main job as a person types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

SIM = ("--target", "sim:raspberry-pi-5?seed=1")
AS_JSON = ("--format", "json")


def profiled(edgeprof: Cli, *arguments: object) -> dict[str, Any]:
    run = edgeprof("profile", *arguments, *AS_JSON)
    assert run.returncode == 0, run.stderr
    result: dict[str, Any] = json.loads(run.stdout)
    return result


# ── a good run ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["kws_int8.tflite", "kws_fp32.onnx", "kws_qdq_int8.onnx"])
def test_an_example_model_is_profiled_on_this_machine(edgeprof: Cli, kws: Path, name: str) -> None:
    result = profiled(edgeprof, kws.with_name(name), "--runs", 120)
    metrics = result["metrics"]
    assert result["status"] == "complete"
    assert result["model"]["format"] == name.rpartition(".")[2]
    for figure in ("latency_load_s", "latency_first_s", "latency_p50_s", "latency_p99_s", "memory_average_bytes"):
        assert metrics[figure]["value"] > 0, figure
        assert metrics[figure]["basis"] == "measured"
    assert metrics["latency_min_s"]["value"] <= metrics["latency_p50_s"]["value"] <= metrics["latency_max_s"]["value"]
    assert metrics["latency_p50_s"]["count"] == 120
    assert result["runtime"]["version"]


def test_a_simulated_board_says_on_every_figure_that_it_is_one(edgeprof: Cli, kws: Path) -> None:
    metrics = profiled(edgeprof, kws, *SIM, "--runs", 50)["metrics"]
    assert {m["basis"] for name, m in metrics.items() if name.startswith(("latency", "memory"))} == {"simulated"}
    assert {m["basis"] for name, m in metrics.items() if name.startswith(("macs", "weights"))} == {"computed"}


def test_the_same_seed_gives_the_same_samples_and_another_gives_others(edgeprof: Cli, kws: Path) -> None:
    one, again, other = (
        profiled(edgeprof, kws, "-t", f"sim:raspberry-pi-5?seed={seed}", "--runs", 50)["samples"]["duration_s"]
        for seed in (1, 1, 2)
    )
    assert one == again != other


def test_five_launches_give_intervals_across_launches(edgeprof: Cli, kws: Path) -> None:
    result = profiled(edgeprof, kws, *SIM, "--runs", 30, "--launches", 5)
    assert result["metrics"]["latency_p50_s"]["scope"] == "across-launches"
    assert set(result["samples"]["launch"]) == {0, 1, 2, 3, 4}


def test_single_operators_are_timed_in_a_pass_of_their_own(edgeprof: Cli, kws: Path) -> None:
    result = profiled(edgeprof, kws, "--runs", 20, "--per-op")
    assert [asked["kind"] for asked in result["plan"]["passes"]] == ["latency", "memory", "operators"]
    assert result["operators"]
    assert sum(row["share_ratio"] for row in result["operators"]) == pytest.approx(1)


def test_outputs_come_as_npz_the_same_from_this_machine_and_from_the_simulator(
    edgeprof: Cli, kws: Path, tmp_path: Path
) -> None:
    found = []
    for name, target in (("here.npz", "local"), ("sim.npz", SIM[1])):
        profiled(edgeprof, kws, "-t", target, "--runs", 1, "--no-memory", "--outputs", tmp_path / name)
        with np.load(tmp_path / name) as arrays:
            found.append({key: arrays[key].tolist() for key in arrays.files})
    assert found[0] == found[1]
    assert next(iter(found[0].values()))


def test_inputs_from_a_file_give_an_output_each(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    values = np.arange(3 * 490, dtype=np.int64).reshape(3, 1, 49, 10, 1) % 127
    np.savez(tmp_path / "in.npz", input=values.astype(np.int8))
    arguments = ("--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz", "--runs", 1, "--no-memory")
    assert profiled(edgeprof, kws, *arguments)["plan"]["inputs"] == "in.npz (3 inferences)"
    with np.load(tmp_path / "out.npz") as arrays:
        (outputs,) = (arrays[name] for name in arrays.files)
    assert len(outputs) == 3
    assert len({row.tobytes() for row in outputs}) > 1


def test_several_targets_give_a_folder_of_results_that_share_a_group(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    targets = ("sim:raspberry-pi-5", "sim:nucleo-l4r5zi")
    words = [word for target in targets for word in ("--target", target)]
    results = profiled(edgeprof, kws, *words, "--runs", 20, "-o", tmp_path / "out")
    assert [result["target"]["name"] for result in results] == list(targets)  # type: ignore[index]  # a list here
    files = [json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()]
    assert len(files) == 2
    assert len({result["group"] for result in files}) == 1
    assert files[0]["group"]


def test_a_time_limit_on_the_run_keeps_what_came_before_it(edgeprof: Cli, kws: Path) -> None:
    for timeout in ("2s", "8s", "32s"):  # on a busy machine the first sample may come later
        run = edgeprof("profile", kws, "--duration", "10m", "--timeout", timeout, *AS_JSON)
        if run.returncode != 3:
            break
    assert run.returncode == 5, run.stderr
    result = json.loads(run.stdout)
    assert result["samples"]["start_s"]
    assert "--timeout" in " ".join(warned["advice"] for warned in result["warnings"])


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────

PASSING, FAILING = "latency_mean_s<10", "latency_mean_s<1ns"
UNKNOWN = "energy_per_inference_j<1"
ACCEPT = ("--accept-basis", "simulated")


@pytest.mark.parametrize(
    ("limits", "options", "code", "verdicts"),
    [
        ((PASSING,), ACCEPT, 0, ["PASS"]),
        ((PASSING,), (*ACCEPT, "--strict"), 0, ["PASS"]),
        ((FAILING,), ACCEPT, 1, ["FAIL"]),
        ((PASSING, FAILING), ACCEPT, 1, ["PASS", "FAIL"]),
        ((PASSING,), (), 0, ["INCONCLUSIVE"]),
        ((PASSING,), ("--strict",), 6, ["INCONCLUSIVE"]),
        ((FAILING,), (), 0, ["INCONCLUSIVE"]),
        ((FAILING,), ("--accept-basis", "emulated"), 0, ["INCONCLUSIVE"]),
        ((UNKNOWN,), ACCEPT, 0, ["INCONCLUSIVE"]),
        ((UNKNOWN, FAILING), (*ACCEPT, "--strict"), 1, ["INCONCLUSIVE", "FAIL"]),
        (("latency_p99_s<10",), ACCEPT, 0, ["INCONCLUSIVE"]),
        (("model_bytes<50kB",), (), 0, ["PASS"]),
        (("model_bytes<40kB",), (), 1, ["FAIL"]),
    ],
)
def test_the_exit_code_is_the_limits_verdict(
    edgeprof: Cli, kws: Path, limits: tuple[str, ...], options: tuple[str, ...], code: int, verdicts: list[str]
) -> None:
    words = [word for limit in limits for word in ("--limit", limit)]
    run = edgeprof("profile", kws, *SIM, "--runs", 120, *words, *options, *AS_JSON)
    assert [finding["verdict"] for finding in json.loads(run.stdout)["findings"]] == verdicts
    assert run.returncode == code


@pytest.mark.parametrize(("limit", "code"), [("latency_mean_s<10", 0), ("latency_mean_s<1ns", 1)])
def test_what_was_measured_here_counts_without_being_accepted(edgeprof: Cli, kws: Path, limit: str, code: int) -> None:
    assert edgeprof("profile", kws, "--runs", 20, "--no-memory", "--limit", limit).returncode == code


def test_from_299_samples_on_a_p99_can_pass(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws, *SIM, "--runs", 299, "--limit", "latency_p99_s<10", *ACCEPT, *AS_JSON)
    assert [finding["verdict"] for finding in json.loads(run.stdout)["findings"]] == ["PASS"]


# ── what is written where ────────────────────────────────────────────────────────────────────────────────────────────


def test_standard_output_is_the_result_alone(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws, "--runs", 20, "--per-op", "--verbose", *AS_JSON)
    assert json.loads(run.stdout)["schema"] == "edgeprof.result/1"
    assert "latency pass" in run.stderr


def test_without_a_terminal_there_is_no_progress(edgeprof: Cli, kws: Path) -> None:
    assert edgeprof("profile", kws, *SIM, "--runs", 20).stderr == ""


def test_the_file_and_what_is_printed_are_the_same_result(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    printed = profiled(edgeprof, kws, *SIM, "--runs", 20, "-o", tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == printed
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_the_help_and_the_version_need_nothing(edgeprof: Cli) -> None:
    assert edgeprof("--help").stdout.startswith("Usage: edgeprof")
    assert "Exit codes" in edgeprof("-h").stdout
    assert edgeprof("--version").stdout.startswith("edgeprof 0.")
    assert "--limit" in edgeprof("profile", "--help").stdout
