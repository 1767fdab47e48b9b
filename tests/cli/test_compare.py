"""`edgeprof compare` as a person types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeprof.api import compare
from edgeprof.errors import UsageError
from tests.watching import PATIENCE_S, processes, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

SIM = ("--target", "sim:raspberry-pi-5?seed=1")


def compared(edgeprof: Cli, *arguments: object, code: int = 0) -> dict[str, Any]:
    run = edgeprof("compare", *arguments, "--format", "json")
    assert run.returncode == code, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def latency_of(found: dict[str, Any]) -> dict[str, Any]:
    return next(change for change in found["changes"] if change["metric"] == "latency_p50_s")


def test_two_formats_are_run_in_turns_in_one_process_with_the_same_values(edgeprof: Cli, kws: Path) -> None:
    found = compared(edgeprof, kws, kws.with_name("kws_fp32.onnx"), "--max-regression", "1000%", "--allow", "runtime")
    latency = found["changes"][0]
    assert (latency["metric"], latency["way"]) == ("latency_p50_s", "interleaved")
    assert "ai_edge_litert and onnxruntime in one process" in latency["method"]
    assert len(found["launches"]) >= 7
    assert found["quality"]["distance"]["cosine"] > 0.99
    assert found["quality"]["base_consistent"]
    assert {d["what"] for d in found["differences"]} >= {"runtime"}


def test_a_model_without_labels_for_its_inputs_is_scored_with_them(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(-128, 128, (6, 1, 49, 10, 1), dtype=np.int8)
    np.savez(tmp_path / "in.npz", input=codes)
    (tmp_path / "labels.csv").write_text("1\n" * 6)
    given = ("--inputs", tmp_path / "in.npz", "--labels", tmp_path / "labels.csv")
    found = compared(edgeprof, kws, kws, *given, *SIM, "--guard", "aggressive")
    assert found["quality"].get("base") or found["quality"]["reason"]


def test_two_results_are_compared_coarsely(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert edgeprof("profile", kws, *SIM, "--runs", 30, "-q", "-o", tmp_path / f"{name}.json").returncode == 0
    found = compared(edgeprof, tmp_path / "a.json", tmp_path / "b.json")
    assert found["changes"][0]["verdict"] != "same" or found["changes"][0]["way"] == "exact"
    text = edgeprof("compare", tmp_path / "a.json", tmp_path / "b.json").stdout
    assert "coarse verdicts only" in text
    assert found["techniques"] == ["none: both are the same file"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("{kws}", "{tmp}/none.tflite"), 2, "cannot be read"),
        (("{tmp}/none.json", "{tmp}/none.json"), 2, "cannot read"),
        (("{tmp}", "{kws_folder}/README"), 2, "there is no"),
        (("{kws}", "{tmp}/bad.onnx"), 4, "not a readable"),
        (("{kws}", "{tmp}/bad.json"), 2, "a model and a result"),
        (("{tmp}/bad.json", "{tmp}/bad.json"), 2, "not an edgeprof result"),
        (("{tmp}", "{tmp}"), 2, "not an edgeprof result"),
        (("{kws}", "{kws}", "--labels", "x"), 2, "without --inputs"),
        (("{kws}", "{kws_folder}/vww_int8.tflite", "--quality"), 2, "cannot be given the same inputs"),
        (("{kws}", "{kws_folder}/vww_int8.tflite"), 2, "--allow inputs compares them"),
        (("{kws}", "{kws_folder}/kws_fp32.onnx"), 2, "--allow runtime compares them"),
        (("{kws}",), 2, "edgeprof compare BASE NEW, or edgeprof compare MODEL --target A --target B"),
        (("{kws}", "{kws}", "{kws}", "-t", "local", "-t", "emu:cortex-m4"), 2, "3 models and 2 targets"),
        (("{tmp}/bad.json", "{tmp}/bad.json", "-t", "local", "-t", "emu:cortex-m4"), 2, "not run again"),
        (("{kws}", "{kws}", "--max-regression", "5"), 2, "5 % is written 5%"),
        (("{kws}", "{kws}", "--max-regression", "1"), 2, "1 % is written 1%"),
        (("{kws}", "{kws}", "--price-per-hour", "1"), 2, "without --requests-per-day"),
        (("{kws}", "{kws}", "--new-delegate", "nosuch"), 2, "unknown delegate"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(
    edgeprof: Cli, kws: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"garbage")
    (tmp_path / "bad.json").write_text("[]")
    places = {"kws": kws, "kws_folder": kws.parent, "tmp": tmp_path}
    run = edgeprof("compare", *(argument.format(**places) for argument in arguments))
    assert run.returncode == code, run.stderr
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert "a bug of ours" not in run.stderr


def test_a_model_that_the_runtime_refuses_is_named(edgeprof: Cli, kws: Path) -> None:
    refused = sorted((kws.parent / "refused").glob("*.onnx"))
    if not refused:
        pytest.skip("no example that ONNX Runtime refuses")
    run = edgeprof("compare", kws.with_name("kws_fp32.onnx"), refused[0], "-q")
    assert run.returncode in {2, 4}, run.stderr
    assert "a bug of ours" not in run.stderr


def test_ctrl_c_ends_with_5_and_without_a_trace(kws: Path, own_cache: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeprof", "compare", str(kws), str(kws), "-q"],
        env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: processes(own_cache))
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5, told
    assert "Traceback" not in told


def test_what_is_not_comparable_is_refused_before_anything_runs(edgeprof: Cli, kws: Path, state: Path) -> None:
    assert edgeprof("compare", kws, kws.with_name("vww_int8.tflite")).returncode == 2
    assert edgeprof("compare", kws, kws.with_name("kws_fp32.onnx")).returncode == 2
    assert list(state.iterdir()) == []
    found = compared(edgeprof, kws, kws.with_name("vww_int8.tflite"), *SIM, "--allow", "inputs", code=1)
    assert [difference["what"] for difference in found["differences"]] == ["inputs"]
    assert "BASE takes" in found["quality"]["reason"]


def test_the_library_refuses_what_the_command_refuses(kws: Path) -> None:
    with pytest.raises(UsageError, match="inputs: ") as refused:
        compare(kws, kws.with_name("vww_int8.tflite"))
    assert "--allow inputs" in refused.value.hint


def test_a_comparison_leaves_the_results_of_its_models_and_nothing_half_done(
    edgeprof: Cli, kws: Path, state: Path
) -> None:
    found = compared(edgeprof, kws, kws, "--no-quality", "--max-regression", "1000%")
    assert found["launches"]
    assert sorted(path.name for path in (state / "runs").iterdir()) == [found["base"]["id"], found["new"]["id"]]
    last = edgeprof("report", "last", "--format", "json")
    assert (last.returncode, json.loads(last.stdout)["id"]) == (0, found["new"]["id"])
    assert edgeprof("readiness", "last").returncode != 5


def test_the_last_result_can_be_compared_also_where_it_is_the_journal_of_a_killed_run(
    edgeprof: Cli, state: Path, saved: Path
) -> None:
    assert edgeprof("compare", saved, "last").returncode == 0
    (kept,) = state.glob("runs/*/result.json")
    kept.unlink()
    killed = edgeprof("compare", saved, "last")
    assert killed.returncode == 5, killed.stderr
    assert "NEW: the run did not come to its end" in killed.stdout
    named = edgeprof("compare", saved, kept.with_name("journal.jsonl"))
    assert (named.returncode, named.stdout) == (5, killed.stdout.replace("last)", "journal.jsonl)"))


def test_one_model_is_compared_on_two_targets_with_the_same_inputs(edgeprof: Cli, kws: Path) -> None:
    targets = ("sim:raspberry-pi-5", "sim:raspberry-pi-4b")
    found = compared(edgeprof, kws, "-t", targets[0], "-t", targets[1], code=1)
    assert [found[side]["target"] for side in ("base", "new")] == list(targets)
    assert "board" in {difference["what"] for difference in found["differences"]}
    latency = latency_of(found)
    assert (latency["verdict"], latency["way"]) == ("worse", "saved")
    assert found["quality"]["distance"]["max_abs_error"] == 0


def test_two_models_on_two_targets_are_run_each_on_its_own(edgeprof: Cli, kws: Path) -> None:
    given = (kws, kws.with_name("kws_qdq_int8.onnx"), "-t", "local", "-t", "sim:raspberry-pi-5")
    found = compared(edgeprof, *given)
    assert latency_of(found)["reason"] == "measured against simulated"
    assert "verdict" not in latency_of(found)
    assert found["new"]["model"]["format"] == "onnx"
    assert found["quality"]["basis"] == "simulated"
    assert found["quality"]["distance"]["inferences"] == 16


def test_a_model_on_a_simulated_board_is_the_same_as_itself(edgeprof: Cli, kws: Path) -> None:
    found = compared(edgeprof, kws, kws, *SIM)
    assert {finding["verdict"] for finding in found["findings"]} == {"PASS"}
    assert "7 and 7 launches" in latency_of(found)["method"]


@pytest.fixture
def saved(edgeprof: Cli, kws: Path, tmp_path: Path) -> Path:
    path = tmp_path / "saved.json"
    assert edgeprof("profile", kws, *SIM, "--runs", 30, "-q", "-o", path).returncode == 0
    return path


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--allow", "bord"), "did you mean board"),
        (("--target", "local"), "--target with results, which are not run again"),
        (("--new-runtime", "litert", "--threads", "2"), "--threads, --new-runtime with results"),
        (("--requests-per-day", "nan"), "'nan' is not a finite number"),
    ],
)
def test_what_means_nothing_for_results_is_refused(
    edgeprof: Cli, saved: Path, given: tuple[str, ...], said: str
) -> None:
    done = edgeprof("compare", saved, saved, *given)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_result_whose_run_broke_off_makes_the_comparison_one_that_broke_off(edgeprof: Cli, saved: Path) -> None:
    broken = saved.with_name("broken.json")
    broken.write_text(json.dumps(json.loads(saved.read_text()) | {"status": "partial"}))
    done = edgeprof("compare", saved, broken)
    assert done.returncode == 5
    assert "NEW: the run did not come to its end" in done.stdout


@pytest.mark.parametrize("seed", ["-1", str(2**70)])
def test_a_seed_that_is_none_is_refused(edgeprof: Cli, kws: Path, seed: str) -> None:
    for command in (("profile", kws), ("compare", kws, kws)):
        done = edgeprof(*command, *SIM, "--seed", seed)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{seed} is not in the range" in done.stderr


def test_a_file_name_that_is_no_text_is_shown_with_a_mark_for_what_is_none(
    edgeprof: Cli, kws: Path, tmp_path: Path
) -> None:
    odd = os.fsencode(tmp_path) + b"/bad\xff.tflite"
    with open(odd, "wb") as file:  # noqa: PTH123  a Path cannot be made of bytes
        file.write(kws.read_bytes())
    found = compared(edgeprof, os.fsdecode(odd), kws, *SIM, "--no-quality")
    assert found["base"]["model"]["name"] == "bad\ufffd.tflite"
    for path in (os.fsdecode(odd), tmp_path):
        done = edgeprof("check", path, "--limits", "mobile", "--format", "json")
        assert (done.returncode, done.stderr) == (0, "")
        assert "bad\ufffd.tflite" in done.stdout


def test_on_github_a_failed_comparison_is_an_annotation_and_in_the_summary(
    edgeprof: Cli, kws: Path, tmp_path: Path
) -> None:
    base, new, summary = tmp_path / "base.json", tmp_path / "new.json", tmp_path / "summary.md"
    for path in (base, new):
        assert edgeprof("profile", kws, "-t", "sim:raspberry-pi-5", "--runs", "20", "-q", "-o", path).returncode == 0
    result = json.loads(new.read_text())
    result["metrics"]["model_bytes"]["value"] *= 2
    new.write_text(json.dumps(result))
    done = edgeprof("compare", base, new, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 1
    assert "::error title=FAIL" in done.stderr
    assert "Model file" in summary.read_text()


def test_bytes_that_are_no_text_are_a_usage_error(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    database = str(tmp_path / "history.db")
    done = edgeprof("profile", kws, "-t", "sim:raspberry-pi-5", "-q", "--tag", "t\udcff", EDGEPROF_DB=database)
    assert done.returncode == 2
    assert "is no text in UTF-8" in done.stderr
