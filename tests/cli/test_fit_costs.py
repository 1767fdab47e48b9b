from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

import edgeprof as library
from edgeprof.boards import load_board
from edgeprof.model import read_model
from edgeprof.records.result import BoardUsed, Metric
from edgeprof.store import write_result
from edgeprof.summary.static import model_facts
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeprof import Result
    from tests.conftest import Cli

MODELS = REPOSITORY / "examples" / "models"
KWS = MODELS / "kws_int8.tflite"
BOARDS = ("--board", "nucleo-u575zi-q", "--board", "nucleo-l4r5zi")
BATTERY = ("--every", "60s", "--cell", "cr2032", "--sleep-current", "5uA")


def fitted(edgeprof: Cli, *arguments: object, exit_code: int = 0) -> dict[str, Any]:
    done = edgeprof("fit", KWS, *arguments, "--format", "json")
    assert (done.returncode, done.stderr) == (exit_code, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_an_estimate_has_an_interval_its_confidence_and_what_it_stands_on(edgeprof: Cli) -> None:
    [board, _] = fitted(edgeprof, *BOARDS)["boards"]
    for name in ("latency_p50_s", "energy_per_inference_j"):
        metric = board["metrics"][name]
        assert metric["low"] < metric["value"] < metric["high"]
        assert (metric["basis"], metric["confidence"]) == ("estimated", 0.9)
        assert "published latencies" in metric["method"]
    assert (board["confidence"], board["engine"]) == ("known", "tflm+cmsis-nn")
    assert "battery_life_s" not in board["metrics"]


def test_battery_life_is_told_where_energy_is_known_and_the_cell_gives_it(edgeprof: Cli) -> None:
    boards = {board["board"]: board for board in fitted(edgeprof, *BOARDS, *BATTERY)["boards"]}
    life = boards["nucleo-u575zi-q"]["metrics"]["battery_life_s"]
    assert life["low"] < life["value"] < life["high"]
    assert 100 * 86400 < life["value"] < 1000 * 86400
    assert any("--regulator" in text for text in life["assumptions"])
    beyond = boards["nucleo-l4r5zi"]["metrics"]["battery_life_s"]
    assert beyond["value"] is None
    assert "15.00 mA at most" in beyond["reason"]


def test_every_board_is_answered_and_what_is_not_known_has_its_reason(edgeprof: Cli) -> None:
    boards = fitted(edgeprof, *BATTERY)["boards"]
    assert {board["board"] for board in boards} == set(library.list_boards())
    for board in boards:
        for name in ("latency_p50_s", "energy_per_inference_j", "battery_life_s"):
            metric = board["metrics"][name]
            assert (metric["value"] is None) == bool(metric.get("reason"))


def test_the_library_answers_the_same_question(edgeprof: Cli) -> None:
    found = library.fit(
        KWS, boards=["nucleo-u575zi-q", "nucleo-l4r5zi"], every="60s", cell="cr2032", sleep_current="5uA"
    )
    told = {board["board"]: board["metrics"] for board in fitted(edgeprof, *BOARDS, *BATTERY)["boards"]}
    assert {board.board for board in found.boards} == told.keys()
    for board in found.boards:
        for name, metric in board.metrics.items():
            assert told[board.board][name]["value"] == metric.value


def test_a_core_outside_the_data_has_no_latency(edgeprof: Cli) -> None:
    [board] = fitted(edgeprof, "--core", "cortex-m55", "--clock", "200MHz")["boards"]
    assert (board["metrics"]["latency_p50_s"]["value"], board["confidence"]) == (None, "unknown")
    assert "cortex-m55 is not in the data" in board["metrics"]["latency_p50_s"]["reason"]


def test_the_engine_decides_on_the_latency(edgeprof: Cli) -> None:
    times = [
        fitted(edgeprof, "--core", "cortex-m4", "--clock", "150MHz", "--engine", engine)["boards"][0]["metrics"][
            "latency_p50_s"
        ]["value"]
        for engine in ("x-cube-ai9+", "tflm+cmsis-nn")
    ]
    assert times[0] < 0.7 * times[1]


# ── wishes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wish_leaves_out_what_may_not_keep_it_and_says_why(edgeprof: Cli) -> None:
    found = fitted(edgeprof, *BOARDS, "--max-latency", "150ms")
    assert [board["board"] for board in found["boards"]] == ["nucleo-u575zi-q"]
    [left] = found["left_out"]
    assert (left["board"], left["does_it"]) == ("nucleo-l4r5zi", None)
    assert "which may be either" in left["unmet"][0]
    assert found["wishes"] == ["latency at most 150.0 ms"]
    assert "no price is known" in found["answer"]


def test_a_wish_that_even_the_better_end_misses_is_not_kept(edgeprof: Cli) -> None:
    found = fitted(edgeprof, *BOARDS, "--max-latency", "10ms")
    assert found["boards"] == []
    assert {board["does_it"] for board in found["left_out"]} == {False}
    assert found["answer"].startswith("no board is known to do it")


def test_the_cheapest_board_that_does_it_is_named(edgeprof: Cli) -> None:
    found = fitted(edgeprof, "--max-price", "1000")
    assert found["cheapest"] in {"jetson-orin-nano", "jetson-orin-nano-super"}
    assert "at 249 USD" in found["answer"]
    assert load_board(found["cheapest"]).price_usd == 249


def test_boards_are_sorted_by_what_was_asked(edgeprof: Cli) -> None:
    boards = fitted(edgeprof, *BOARDS, "--board", "ek-ra6m4", "--sort", "latency")["boards"]
    times = [board["metrics"]["latency_p50_s"]["value"] for board in boards]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--min-life", "1y"], "--min-life without a battery"),
        (["--every", "1s"], "a battery's life needs --cell or --capacity, --sleep-current"),
        (["--every", "1s", "--sleep-current", "5uA", "--cell", "cr9999"], "cr9999"),
        (["--every", "soon", "--sleep-current", "5uA", "--cell", "cr2032"], "'soon' is not"),
        (["--engine", "x-cube-ai9"], "did you mean x-cube-ai9+"),
        (["--calibrate-with", "none.json"], "cannot read the result none.json"),
    ],
)
def test_half_a_question_is_refused(edgeprof: Cli, arguments: list[str], said: str) -> None:
    done = edgeprof("fit", KWS, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


# ── formats ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Page(HTMLParser):
    """Collects the tags of a page and checks that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows = 0
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        self.rows += tag == "tr"
        self.loaded += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_loads_nothing_and_has_a_row_a_board(edgeprof: Cli) -> None:
    done = edgeprof("fit", KWS, *BATTERY, "--max-latency", "200ms", "--format", "html")
    page = Page()
    page.feed(done.stdout)
    assert (page.open, page.loaded) == ([], [])
    assert page.rows == 1 + len(library.list_boards())


def test_names_in_the_page_are_escaped(edgeprof: Cli, tmp_path: Path) -> None:
    model = tmp_path / "a<script>alert(1)<!--.tflite"
    model.write_bytes(KWS.read_bytes())
    drawn = edgeprof("fit", model, "--board", "nucleo-l4r5zi", "--format", "html").stdout
    assert "<script>" not in drawn
    assert "a&lt;script&gt;" in drawn


def test_markdown_and_csv_have_the_estimates(edgeprof: Cli) -> None:
    markdown = edgeprof("fit", KWS, *BOARDS, *BATTERY, "--format", "markdown").stdout
    assert "| board | verdict | latency | energy | life | price | why |" in markdown
    csv = edgeprof("fit", KWS, *BOARDS, "--format", "csv").stdout
    assert "nucleo-u575zi-q,READY,latency_p50_s,estimated,0.07" in csv


def test_the_table_fits_the_page_with_all_that_can_be_asked(edgeprof: Cli) -> None:
    drawn = edgeprof("fit", KWS, *BATTERY, "--max-latency", "200ms", "--min-life", "6mo").stdout.splitlines()
    assert max(map(len, drawn)) <= 110
    assert any("1 board does it (ST NUCLEO-U575ZI-Q)" in line for line in drawn)


# ── one measured point ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def measured(small_result: Result, tmp_path: Path) -> Callable[..., Path]:
    """Return a way to write the result of a measured example on a board."""

    def write(latency_s: float, **changes: Any) -> Path:  # noqa: ANN401  fields of a result
        facts = model_facts(read_model(MODELS / "resnet8_int8.tflite"))
        metric = Metric(value=latency_s, basis="measured", count=100, method="median")
        board = BoardUsed(id="nucleo-l4r5zi", name="L4R5", kind="mcu")
        fields: dict[str, Any] = {"model": facts, "metrics": {"latency_p50_s": metric}, "board": board, **changes}
        path = tmp_path / "result.json"
        write_result(path, replace(small_result, **fields))
        return path

    return write


def test_one_measured_model_rescales_its_board(edgeprof: Cli, measured: Callable[..., Path]) -> None:
    [before] = fitted(edgeprof, "--board", "nucleo-l4r5zi")["boards"]
    asked = library.fit(MODELS / "resnet8_int8.tflite", boards=["nucleo-l4r5zi"]).boards[0].metrics["latency_p50_s"]
    path = measured((asked.value or 0) * 1.3)
    found = fitted(edgeprof, "--board", "nucleo-l4r5zi", "--calibrate-with", path)
    one, other = (board["metrics"]["latency_p50_s"] for board in (before, found["boards"][0]))
    assert 1.1 < other["value"] / one["value"] < 1.35
    assert other["high"] / other["low"] < one["high"] / one["low"]
    assert any("rescaled by resnet8_int8.tflite" in text for text in found["assumptions"])


def test_a_result_that_can_rescale_nothing_is_refused(edgeprof: Cli, measured: Callable[..., Path]) -> None:
    simulated = Metric(value=0.1, basis="simulated", count=1, method="")
    for changes, said in (
        ({"metrics": {"latency_p50_s": simulated}}, "it is simulated"),
        ({"board": BoardUsed(id="raspberry-pi-5", name="Pi", kind="linux")}, "which is not asked about"),
        ({"model": replace(model_facts(read_model(KWS)), sha256="0" * 64)}, "was not found"),
    ):
        done = edgeprof("fit", KWS, "--board", "nucleo-l4r5zi", "--calibrate-with", measured(0.1, **changes))
        assert done.returncode == 2
        assert said in done.stderr


def test_the_history_rescales_when_asked(edgeprof: Cli, measured: Callable[..., Path], tmp_path: Path) -> None:
    from edgeprof.history.keeping import remember
    from edgeprof.store import read_result

    database = f"sqlite:///{tmp_path / 'history.db'}"
    remember(read_result(measured(0.8)), url=database)
    arguments = ("fit", KWS, "--board", "nucleo-l4r5zi", "--format", "json")
    times = []
    for more in ((), ("--use-history",)):
        done = edgeprof(*arguments, *more, EDGEPROF_DB=database)
        assert done.returncode == 0, done.stderr
        times.append(json.loads(done.stdout)["boards"][0]["metrics"]["latency_p50_s"]["value"])
    assert times[1] > 1.05 * times[0]


def test_the_very_model_that_was_measured_on_a_board_is_answered_with_the_measurement(
    edgeprof: Cli, measured: Callable[..., Path]
) -> None:
    taken = Metric(value=0.1819, basis="measured", count=100, method="median", low=0.18, high=0.184, confidence=0.95)
    facts = model_facts(read_model(KWS))
    path = measured(0.1819, model=facts, metrics={"latency_p50_s": taken})
    arguments = ("--board", "nucleo-l4r5zi", "--calibrate-with", path)
    metric = fitted(edgeprof, *arguments)["boards"][0]["metrics"]["latency_p50_s"]
    assert (metric["value"], metric["low"], metric["high"]) == (0.1819, 0.18, 0.184)
    assert (metric["basis"], metric["confidence"], metric["count"]) == ("measured", 0.95, 100)
    assert "this very model, measured on this board" in metric["method"]
    assert "181.9 ms measured" in edgeprof("fit", KWS, *arguments).stdout


def test_a_measured_model_is_no_measurement_of_another(edgeprof: Cli, measured: Callable[..., Path]) -> None:
    [board] = fitted(edgeprof, "--board", "nucleo-l4r5zi", "--calibrate-with", measured(0.6))["boards"]
    assert board["metrics"]["latency_p50_s"]["basis"] == "estimated"


# ── a cell that cannot drive the board ───────────────────────────────────────────────────────────────────────────────


CELL = ("--every", "1s", "--cell", "cr2032", "--sleep-current", "5uA")


def test_a_cell_that_cannot_drive_a_board_fails_it(edgeprof: Cli) -> None:
    [board] = fitted(edgeprof, "--board", "nucleo-l4r5zi", *CELL, exit_code=4)["boards"]
    failed = [finding for finding in board["findings"] if finding["verdict"] == "FAIL"]
    assert {finding["metric"] for finding in failed} == {"battery_life_s"}
    assert {finding["limit"] for finding in failed} >= {"CR2032/rated load", "CR2032/pulse current"}
    assert (board["verdict"], board["does_it"]) == ("NOT READY", False)
    assert board["metrics"]["battery_life_s"]["value"] is None
    assert board["metrics"]["latency_p50_s"]["value"] is not None
    assert "15.00 mA at most" in board["reason"]


def test_the_boards_own_line_says_that_its_cell_cannot_drive_it(edgeprof: Cli) -> None:
    lines = edgeprof("fit", KWS, *CELL).stdout.splitlines()
    place = next(index for index, line in enumerate(lines) if line.startswith("nucleo-l4r5zi"))
    assert "NOT READY" in lines[place]
    assert " ms (" in lines[place]
    assert "CR2032: a mean of" in lines[place + 1]
    assert not any("no life: beyond what the cell gives" in line for line in lines)


def test_a_wished_life_is_refused_once_where_the_cell_cannot_drive_the_board(edgeprof: Cli) -> None:
    arguments = ("--board", "nucleo-l4r5zi", *CELL, "--min-life", "1y")
    [board] = fitted(edgeprof, *arguments, exit_code=4)["left_out"]
    assert (board["does_it"], board["unmet"]) == (False, ["its cell cannot drive it"])
    assert edgeprof("fit", KWS, *arguments).stdout.count("stated for up to") == 1


def test_a_board_that_its_cell_drives_is_ready_and_leaves_the_exit_code_0(edgeprof: Cli) -> None:
    boards = {board["board"]: board for board in fitted(edgeprof, *BOARDS, *BATTERY)["boards"]}
    assert boards["nucleo-u575zi-q"]["verdict"] == "READY"
    assert boards["nucleo-l4r5zi"]["verdict"] == "NOT READY"


def test_a_rating_that_only_the_worse_end_breaks_is_a_warning(edgeprof: Cli) -> None:
    def verdict(every: str) -> tuple[str, str]:
        [board] = fitted(edgeprof, "--board", "nucleo-u575zi-q", "--every", every, *CELL[2:])["boards"]
        found = next(finding for finding in board["findings"] if finding["limit"] == "CR2032/rated load")
        return board["verdict"], found["verdict"]

    assert verdict("6s") == ("READY WITH WARNINGS", "WARN")
    assert verdict("60s") == ("READY", "PASS")


# ── published results of the very core, clock and engine ─────────────────────────────────────────────────────────────


def test_a_board_with_published_results_of_its_own_is_estimated_from_them(edgeprof: Cli) -> None:
    [board] = fitted(edgeprof, "--board", "nucleo-l4r5zi")["boards"]
    metric = board["metrics"]["latency_p50_s"]
    assert "rescaled by ad, ic, kws, vww at this very core, clock and engine" in metric["method"]
    assert "v0.5 reference" in metric["method"]
    elsewhere = fitted(edgeprof, "--core", "cortex-m4", "--clock", "100MHz")["boards"][0]["metrics"]["latency_p50_s"]
    assert "this very core" not in elsewhere["method"]
    assert metric["value"] > 1.1 * elsewhere["value"] * 100 / 120
