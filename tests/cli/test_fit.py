from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

import edgeprof as library
from edgeprof import list_boards
from tests.conftest import REPOSITORY
from tests.unit.model.external_models import elsewhere, product, simple, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


@pytest.mark.parametrize("core", ["Cortex-M4", "CORTEX-M4", "cortex_m4", "Cortex M4", "Cortex-M4F", "ARM Cortex-M4"])
def test_a_core_is_known_in_every_spelling(edgeprof: Cli, core: str) -> None:
    [board] = fitted(edgeprof, VWW, "--core", core, "--clock", "120MHz")["boards"]
    assert (board["board"], board["engine"], board["confidence"]) == ("cortex-m4", "tflm+cmsis-nn", "known")
    assert board["metrics"]["latency_p50_s"]["value"] is not None
    assert library.fit(VWW, core=core, clock="120MHz").boards[0].engine == "tflm+cmsis-nn"


@pytest.mark.parametrize("clock", ["150MHz", "150mhz", "150Mhz", "150 MHZ", "150000KHz", "0.15ghz"])
def test_a_clock_is_known_in_every_case(edgeprof: Cli, clock: str) -> None:
    [board] = fitted(edgeprof, VWW, "--core", "cortex-m4", "--clock", clock)["boards"]
    assert board["name"] == "cortex-m4 at 150 MHz"


def test_thousandths_of_a_hertz_are_no_clock(edgeprof: Cli) -> None:
    done = edgeprof("fit", VWW, "--core", "cortex-m4", "--clock", "150mHz")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'150mHz' is not a frequency" in done.stderr


@pytest.mark.parametrize(
    "engine",
    ["tflm+mvp", "csi-nn2", "onnc+andes-nn", "leip", "self-developed", "stedge-ai", "syntiant-sdk", "hls4ml/finn"],
)
def test_an_engine_that_nothing_was_fitted_of_is_answered_with_why_there_is_no_number(
    edgeprof: Cli, engine: str
) -> None:
    [board] = fitted(edgeprof, VWW, "--board", "nucleo-l4r5zi", "--engine", engine)["boards"]
    metric = board["metrics"]["latency_p50_s"]
    assert (metric["value"], board["confidence"], board["engine"]) == (None, "unknown", engine)
    assert f"of {engine} the data has results on" in metric["reason"]


def test_nothing_is_claimed_of_operators_that_no_list_has(edgeprof: Cli) -> None:
    found = fitted(edgeprof, VWW, "--board", "nucleo-l4r5zi", "--engine", "x-cube-ai9+")
    [board] = found["boards"]
    operators = next(finding for finding in board["findings"] if finding["limit"] == "operators of x-cube-ai9+")
    assert operators["verdict"] == "SKIP"
    assert "which operators x-cube-ai9+ has is not known" in board["reason"]
    for name in ("flash_bytes", "sram_peak_bytes"):
        assert "taken for x-cube-ai9+'s, which is not known" in board["metrics"][name]["method"]
    assert any(text.startswith("what x-cube-ai9+ needs of memory") for text in found["assumptions"])


def test_needs_and_title_name_the_same_engine(edgeprof: Cli) -> None:
    for core in ("cortex-m4", "xtensa-lx7"):
        drawn = edgeprof("fit", VWW, "--core", core).stdout
        assert "64.00 KiB of TFLM code (declared)" in drawn
        assert "of tflm" not in drawn.partition("board ")[0]


def test_an_interval_of_memory_is_whole(edgeprof: Cli) -> None:
    for board in fitted(edgeprof, VWW)["boards"]:
        for metric in board["metrics"].values():
            bounds = {name for name in ("low", "high", "confidence") if metric.get(name) is not None}
            assert bounds in (set(), {"low", "high", "confidence"}), (board["board"], metric)


def test_a_price_that_is_known_is_in_the_table(edgeprof: Cli) -> None:
    lines = edgeprof("fit", VWW).stdout.splitlines()
    assert any(line.startswith("board ") and "price" in line for line in lines)
    assert any(line.startswith("jetson-orin-nano ") and "249 USD" in line for line in lines)


def test_a_price_without_room_for_its_column_is_under_its_board(edgeprof: Cli) -> None:
    battery = ("--every", "60s", "--cell", "cr2032", "--sleep-current", "5uA")
    lines = edgeprof("fit", VWW, *battery).stdout.splitlines()
    place = next(index for index, line in enumerate(lines) if line.startswith("jetson-orin-nano "))
    assert "249 USD" in lines[place] + lines[place + 1]


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


@pytest.fixture
def giant(tmp_path: Path) -> Iterator[Path]:
    """Return an ONNX model of 6.4 GB, all of it in a file of holes beside it; left out, the stub alone is there."""
    side = 40_000
    stored = elsewhere("w", side, side, location="m.data", offset=0, length=4 * side * side)
    path = written(tmp_path / "m.onnx", product(stored, size=side))
    with path.with_name("m.data").open("wb") as file:
        file.truncate(4 * side * side)
    yield path
    path.with_name("m.data").unlink(missing_ok=True)


@pytest.mark.parametrize("there", [True, False])
def test_weights_in_another_file_need_memory_whether_it_is_there_or_not(
    edgeprof: Cli, giant: Path, *, there: bool
) -> None:
    if not there:
        giant.with_name("m.data").unlink()
    boards = ("--board", "raspberry-pi-zero-2w", "--board", "raspberry-pi-3b-plus")
    found = fitted(edgeprof, giant, *boards, exit_code=4)
    assert [board["verdict"] for board in found["boards"]] == ["NOT READY", "NOT READY"]
    assert found["boards"][0]["metrics"]["memory_peak_bytes"]["value"] == giant.stat().st_size + 6_400_320_000
    assert found["model"]["bytes"] == (giant.stat().st_size + 6_400_000_000 if there else None)
    assert any("'m.data', which is not beside the model" in text for text in found["assumptions"]) is not there


def test_a_model_that_would_fit_and_is_not_whole_is_not_called_ready(edgeprof: Cli, tmp_path: Path) -> None:
    found = fitted(edgeprof, simple(tmp_path, None), "--board", "raspberry-pi-5")
    assert found["boards"][0]["verdict"] == "UNKNOWN"
    assert "which is not beside the model (put it beside the model)" in found["boards"][0]["reason"]
