from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof import list_boards
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from tests.conftest import Cli

VWW = REPOSITORY / "examples" / "models" / "vww_int8.tflite"
ONNX = REPOSITORY / "examples" / "models" / "kws_fp32.onnx"


def fitted(edgeprof: Cli, *arguments: object, exit_code: int = 0) -> dict[str, Any]:
    done = edgeprof("fit", *arguments, "--format", "json")
    assert (done.returncode, done.stderr) == (exit_code, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_json_has_the_documented_keys(edgeprof: Cli) -> None:
    found = fitted(edgeprof, VWW, "--board", "raspberry-pi-pico")
    assert {"model", "boards"} <= found.keys()
    [board] = found["boards"]
    assert {"board", "verdict", "metrics", "findings"} <= board.keys()
    assert board["findings"][0].keys() == {
        "limit", "metric", "verdict", "tier", "value", "threshold", "unit", "basis", "source", "reason",
    }  # fmt: skip
    assert board["metrics"].keys() == {
        "flash_bytes", "sram_peak_bytes", "latency_p50_s", "energy_per_inference_j",
    }  # fmt: skip


def test_every_known_board_has_a_verdict(edgeprof: Cli) -> None:
    found = fitted(edgeprof, VWW)
    assert [board["board"] for board in found["boards"]] == list(list_boards())
    verdicts = {board["verdict"] for board in found["boards"]}
    assert verdicts <= {"READY", "READY WITH WARNINGS", "NOT READY", "UNKNOWN"}
    assert "READY" in verdicts
    assert all(board["reason"] for board in found["boards"])


def test_the_exit_code_is_4_when_every_named_board_is_not_ready(edgeprof: Cli) -> None:
    found = fitted(edgeprof, ONNX, "--board", "raspberry-pi-pico", "--board", "nrf52840-dk", exit_code=4)
    assert [board["verdict"] for board in found["boards"]] == ["NOT READY", "NOT READY"]


def test_the_exit_code_is_0_when_one_of_them_is_ready(edgeprof: Cli) -> None:
    fitted(edgeprof, ONNX, "--board", "raspberry-pi-pico", "--board", "raspberry-pi-5", exit_code=0)


def test_the_exit_code_is_0_when_no_board_is_named(edgeprof: Cli) -> None:
    assert "NOT READY" in {board["verdict"] for board in fitted(edgeprof, ONNX, exit_code=0)["boards"]}


def test_unknown_is_not_not_ready(edgeprof: Cli) -> None:
    [board] = fitted(edgeprof, VWW, "--board", "jetson-tx2", exit_code=0)["boards"]
    assert board["verdict"] == "UNKNOWN"


def test_a_core_and_a_clock_are_a_board_without_a_file(edgeprof: Cli) -> None:
    [board] = fitted(edgeprof, VWW, "--core", "cortex-m4", "--clock", "150MHz")["boards"]
    assert (board["board"], board["name"], board["verdict"]) == ("cortex-m4", "cortex-m4 at 150 MHz", "UNKNOWN")
    assert board["metrics"]["sram_peak_bytes"]["value"] == 77_824


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "tensorrt-micro"], "unknown engine 'tensorrt-micro'"),
        (["--clock", "150MHz"], "--clock without --core"),
        (["--core", "cortex-m4", "--clock", "fast"], "'fast' is not a frequency"),
        (["--board", "rasberry-pi-pico"], "did you mean raspberry-pi-pico"),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_known(edgeprof: Cli, arguments: list[str], said: str) -> None:
    done = edgeprof("fit", VWW, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_an_engine_is_named_in_the_findings(edgeprof: Cli) -> None:
    found = fitted(edgeprof, VWW, "--board", "raspberry-pi-pico", "--engine", "tflm+cmsis-nn")
    assert found["engine"] == "tflm+cmsis-nn"
    assert "tflm+cmsis-nn has every operator" in found["boards"][0]["reason"]


def test_the_table_fits_a_page_and_shows_reasons(edgeprof: Cli) -> None:
    drawn = edgeprof("fit", VWW).stdout.splitlines()
    assert max(map(len, drawn)) <= 110
    assert any("max78000fthr" in line and "WARNINGS" in line for line in drawn)
    assert any("needs 76.00 KiB to 177.2 KiB of 128.0 KiB: tight" in line for line in drawn)


def test_csv_has_a_line_for_every_finding(edgeprof: Cli) -> None:
    text = edgeprof("fit", VWW, "--board", "raspberry-pi-pico", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["metric"], row["needs"], row["has"]) for row in rows[:2]] == [
        ("flash_bytes", "361824", "2097152"),
        ("sram_peak_bytes", "77824", "270336"),
    ]


def test_markdown_has_a_line_for_every_board(edgeprof: Cli) -> None:
    text = edgeprof("fit", VWW, "--board", "max78000fthr", "--format", "markdown").stdout
    assert "| max78000fthr | READY WITH WARNINGS |" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--npu", "ethos-u55-129"), "did you mean ethos-u55-128"),
        (("--max-price", "nan"), "'nan' is not a finite number"),
        (("--max-price", "-1"), "-1.0 is not in the range x>=0"),
        (("--max-latency", "-5ms"), "'-5ms' is not a duration"),
        (("--every", "0s", "--cell", "cr2032", "--sleep-current", "5uA"), "--every has to be above 0, it is 0"),
        (("--every", "1s", "--cell", "cr2032", "--sleep-current", "-5uA"), "'-5uA' is not a current"),
    ],
)
def test_values_that_mean_nothing_are_refused(edgeprof: Cli, given: tuple[str, ...], said: str) -> None:
    done = edgeprof("fit", VWW, "--board", "nucleo-l4r5zi", *given)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_board_that_is_named_twice_is_answered_once(edgeprof: Cli) -> None:
    found = fitted(edgeprof, VWW, "--board", "nrf52840-dk", "--board", "nrf52840-dk")
    assert [board["board"] for board in found["boards"]] == ["nrf52840-dk"]
