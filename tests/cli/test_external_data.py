"""A model whose weights lie in a file of their own, measured: here, over SSH, on a simulated board."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import edgeprof as library
from edgeprof.profiling.plan import Options
from tests.unit.model.external_models import simple

if TYPE_CHECKING:
    from tests.conftest import Cli

CASE = Path(__file__).parents[1] / "fixtures" / "external-data"
BRIEF = ("--runs", 20, "--no-memory", "--format", "json")


def test_a_limit_on_the_size_is_about_all_files(edgeprof: Cli) -> None:
    done = edgeprof("profile", CASE / "ext.onnx", "--limit", "model_bytes<5kB", *BRIEF)
    found: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, found["findings"][0]["verdict"]) == (1, "FAIL")
    assert found["metrics"]["model_bytes"]["value"] == found["model"]["bytes"] == 16_856


def test_a_simulated_board_keeps_the_weights_in_memory_and_presets_judge_them_all(tmp_path: Path) -> None:
    result = library.profile(
        CASE / "ext.onnx", "sim:raspberry-pi-5", runs=20, limits="edge", output=tmp_path / "r.json"
    )
    assert result.metrics["memory_peak_bytes"].value == 16_856 + 512
    sizes = [finding.value for finding in result.findings if finding.metric == "model_bytes"]
    assert sizes
    assert set(sizes) == {16_856}
    [finding] = library.check(tmp_path / "r.json", "model_bytes<5kB").findings
    assert (finding.verdict, finding.value) == ("FAIL", 16_856)


@pytest.mark.parametrize("command", ["profile", "compare"])
def test_weights_that_are_not_whole_are_refused_before_the_run(edgeprof: Cli, tmp_path: Path, command: str) -> None:
    path = simple(tmp_path, b"version https://git-lfs.github.com/spec/v1\n")
    other = [CASE / "ext.onnx"] if command == "compare" else []
    done = edgeprof(command, *other, path)
    assert (done.returncode, done.stdout) == (4, "")
    assert "m.onnx is not whole: 'm.data' is a Git LFS pointer, not the weights" in done.stderr
    assert "Hint: run git lfs pull" in done.stderr


def test_models_with_weights_of_their_own_under_one_model_file_are_run_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeprof.comparing.interleaving.LAST_LOOK", 3)  # as few launches as make a comparison
    ones, twos = (simple(tmp_path / str(x), struct.pack("<64f", *[x] * 64)) for x in (1.0, 2.0))
    [found] = library.compare(ones, twos, options=Options(runs=30), max_regression=10.0)
    assert found.changes[0].way == "interleaved"
    assert found.techniques != ("none: both are the same file",)
    outputs = next(finding for finding in found.findings if finding.limit == "compare/outputs")
    assert (outputs.verdict, "2 times as large" in outputs.reason) == ("WARN", True)
    assert [finding.verdict for finding in found.findings if finding.metric == "model_bytes"] == ["PASS"]
