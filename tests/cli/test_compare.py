"""`edgeprof compare` as a person types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

SIM = ("--target", "sim:raspberry-pi-5?seed=1")


def compared(edgeprof: Cli, *arguments: object, code: int = 0) -> dict[str, Any]:
    run = edgeprof("compare", *arguments, "--format", "json")
    assert run.returncode == code, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_two_formats_are_run_in_turns_in_one_process_with_the_same_values(edgeprof: Cli, kws: Path) -> None:
    found = compared(edgeprof, kws, kws.with_name("kws_fp32.onnx"), "--max-regression", "1000%", "--allow", "all")
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


def test_ctrl_c_ends_with_5_and_without_a_trace(kws: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeprof", "compare", str(kws), str(kws), "-q"],
        env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 5, told
    assert "Traceback" not in told


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
