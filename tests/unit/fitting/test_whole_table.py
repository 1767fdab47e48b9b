"""Every question that the table of published results can ask, asked as a user would, and how the answers do."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import edgeprof as library
from scripts.estimator_table import MODEL_FILES, MODELS, RESULTS

if TYPE_CHECKING:
    from edgeprof.records.inspection import BoardFit

needs_table = pytest.mark.skipif(
    not RESULTS.is_file() or not MODELS.is_dir(),
    reason=f"no {RESULTS} or no {MODELS}: EDGEPROF_RESULTS and EDGEPROF_MODELS name them",
)
LEAST_INSIDE = 0.9


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with RESULTS.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["model"] in MODEL_FILES]


def asked(row: dict[str, str]) -> BoardFit:
    clock = f"{row['clock_mhz']}MHz" if row["clock_mhz"] else None
    path = MODELS / MODEL_FILES[row["model"]]
    [board] = library.fit(path, core=row["core"], clock=clock, engine=row["runtime_gen"]).boards
    return board


@pytest.mark.slow
@needs_table
def test_every_row_of_the_table_is_answered_and_the_numbers_hold_the_truth(
    rows: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    answers: dict[tuple[str, ...], BoardFit] = {}
    inside, unknown = [], 0
    for row in rows:
        key = (row["core"], row["clock_mhz"], row["runtime_gen"], row["model"])
        if key not in answers:
            answers[key] = asked(row)
        board, metric = answers[key], answers[key].metrics["latency_p50_s"]
        if metric.value is None:
            assert (board.confidence, bool(metric.reason)) == ("unknown", True), key
            unknown += 1
            continue
        assert metric.low is not None, key
        assert metric.high is not None, key
        assert metric.low < metric.value < metric.high, key
        if row["use_for_fit"] == "1":
            inside.append(metric.low <= float(row["latency_ms"]) / 1e3 <= metric.high)
    share = sum(inside) / len(inside)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(rows)} rows, {len(answers)} questions: {unknown} unknown, {share:.1%} of {len(inside)} inside\n"
        )
    assert share >= LEAST_INSIDE


@needs_table
def test_the_reference_rows_of_a_known_board_are_inside(rows: list[dict[str, str]]) -> None:
    reference = [row for row in rows if (row["version"], row["submitter"]) == ("v0.5", "reference")]
    assert len(reference) == len(MODEL_FILES)
    for row in reference:
        metric = (
            library.fit(MODELS / MODEL_FILES[row["model"]], boards="nucleo-l4r5zi").boards[0].metrics["latency_p50_s"]
        )
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= float(row["latency_ms"]) / 1e3 <= metric.high, row["model"]
        assert f"this very model ({row['model']}) was timed so" in metric.method
        assert "github.com/mlcommons/tiny_results_v0.5" in metric.method
