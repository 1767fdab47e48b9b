from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

MODELS = REPOSITORY / "examples" / "models"


def inspected(edgeprof: Cli, *arguments: object) -> dict[str, Any]:
    done = edgeprof("inspect", *arguments, "--format", "json", "--no-exact")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_json_has_the_documented_keys(edgeprof: Cli, kws: Path) -> None:
    found = inspected(edgeprof, kws)
    assert {"model", "metrics", "operators", "arena"} <= found.keys()
    assert {"name", "format", "bytes", "sha256", "inputs", "outputs"} == found["model"].keys()
    assert {"name", "shape", "dtype", "scale", "zero_point"} == found["model"]["inputs"][0].keys()
    assert found["metrics"].keys() == {
        "model_bytes", "weights_bytes", "parameters_count", "macs_count", "activations_total_bytes",
        "activations_peak_bytes",
    }  # fmt: skip
    assert all(metric["basis"] == "computed" for metric in found["metrics"].values())
    assert {
        "name", "type", "input_shapes", "output_shapes", "dtype", "parameters_count", "macs_count", "weights_bytes",
        "output_bytes", "live_bytes",
    } <= found["operators"][0].keys()  # fmt: skip
    assert {
        "planner_bytes", "liveness_lower_bound_bytes", "recorded_bytes", "peak_operator",
    } <= found["arena"].keys()  # fmt: skip


def test_json_has_the_recorded_arena_where_the_wheel_is_installed(edgeprof: Cli, kws: Path) -> None:
    pytest.importorskip("tflite_micro")
    arena = json.loads(edgeprof("inspect", kws, "--format", "json").stdout)["arena"]
    assert arena["planner_bytes"] == 16_000
    assert arena["recorded_bytes"] > 16_000


def test_the_table_asks_tflm_only_with_exact(edgeprof: Cli, kws: Path) -> None:
    pytest.importorskip("tflite_micro")
    assert "not asked for: --exact" in edgeprof("inspect", kws).stdout
    assert "by TFLM on this 64-bit machine" in edgeprof("inspect", kws, "--exact").stdout


def test_the_table_shows_totals_operators_and_the_memory_curve(edgeprof: Cli, kws: Path) -> None:
    drawn = edgeprof("inspect", kws).stdout
    for text in ("MACs                 2,656,768", "DEPTHWISE_CONV_2D", "Memory alive over operators", "█"):
        assert text in drawn


def test_operators_can_be_sorted_and_cut(edgeprof: Cli, kws: Path) -> None:
    lines = edgeprof("inspect", kws, "--sort", "macs", "--top", 2).stdout.splitlines()
    head = next(index for index, line in enumerate(lines) if "MACs" in line and "live" in line)
    # The four 1x1 convolutions are the largest: 25 * 5 * 64 * 64 MACs.
    assert [line.split()[1] for line in lines[head + 2 : head + 4]] == ["CONV_2D", "CONV_2D"]
    assert all("512,000" in line for line in lines[head + 2 : head + 4])
    assert "more operators; --top" in lines[head + 4]


def test_csv_has_a_line_for_every_operator(edgeprof: Cli, kws: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(edgeprof("inspect", kws, "--format", "csv", "--top", 1).stdout)))
    assert sum(int(row["macs_count"]) for row in rows) == 2_656_768
    assert list(rows[0])[:4] == ["index", "name", "type", "dtype"]


def test_markdown_is_two_tables(edgeprof: Cli, kws: Path) -> None:
    text = edgeprof("inspect", kws, "--format", "markdown").stdout
    assert "| MACs | 2,656,768 |" in text
    assert text.count("| --- |") >= 2


def test_onnx_and_tflite_twins_agree(edgeprof: Cli, kws: Path) -> None:
    found = [
        {name: inspected(edgeprof, model)["metrics"][name]["value"] for name in ("macs_count", "parameters_count")}
        for model in (kws, MODELS / "kws_fp32.onnx", MODELS / "kws_qdq_int8.onnx")
    ]
    assert found == [{"macs_count": 2_656_768, "parameters_count": 22_604}] * 3


def test_a_board_adds_the_roofline(edgeprof: Cli, kws: Path) -> None:
    found = inspected(edgeprof, kws, "--board", "jetson-orin-nano")
    assert found["peak"]["ops_per_s"] == 20e12
    assert {row["roofline"]["bound"] for row in found["operators"]} == {"memory"}
    assert "bound by" in edgeprof("inspect", kws, "--board", "jetson-orin-nano").stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["nowhere.tflite"], 2, "No such file"),
        (["README.md"], 4, "is not a readable ONNX or TFLite model"),
        (["examples/models/kws_int8.tflite", "--board", "jetson-orin-nanoo"], 2, "jetson-orin-nano"),
        (["examples/models/kws_fp32.onnx", "--shape", "nope=1x2"], 2, "no input 'nope'"),
        (["examples/models/kws_fp32.onnx", "--shape", "1x2"], 2, "NAME=1x3x224x224"),
        (["examples/models/kws_fp32.onnx", "--sort", "colour"], 2, "'order'"),
        (["examples/models/kws_fp32.onnx", "--top", "0"], 2, "x>=1"),
    ],
)
def test_bad_input_is_refused_with_what_is_wanted(
    edgeprof: Cli, arguments: list[str], exit_code: int, said: str
) -> None:
    done = edgeprof("inspect", *arguments)
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_operator_that_nothing_runs_is_shown_and_not_counted(edgeprof: Cli) -> None:
    refused = sorted((MODELS / "refused").iterdir())
    assert refused
    for path in refused:
        found = inspected(edgeprof, path)
        assert found["metrics"]["macs_count"]["value"] is None
        assert found["metrics"]["macs_count"]["reason"]
