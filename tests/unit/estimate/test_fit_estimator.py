"""The fit on results that were made up, where the truth is known."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from edgeprof.estimate.features import KINDS, Features, OperatorWork, Work
from edgeprof.estimate.model import estimate_latency
from scripts.estimator_fit import fit, log_ratio
from scripts.estimator_table import TableRow, power_log_sd
from scripts.estimator_validation import leave_out, one_point, weighted_quantile

RATES = Work(1.2, 9.0, 2.5, 30.0, 4.0, 900.0)
MODELS = {
    "a": Work(2e6, 3e5, 1e3, 8e4, 5e3, 13),
    "b": Work(12e6, 0, 1e3, 12e4, 5e5, 16),
    "c": Work(0, 0, 3e5, 2e3, 0, 10),
    "d": Work(6e6, 8e5, 1e3, 24e4, 6e4, 31),
}
FEATURES = {
    name: Features((OperatorWork(name, "CONV_2D", work, work),), dead_channels_known=True)
    for name, work in MODELS.items()
}
BOARDS = {"one": "cortex-m4", "two": "cortex-m4", "three": "cortex-m33", "four": "cortex-m33", "five": "cortex-m7"}
CORES = {"cortex-m4": 1.0, "cortex-m33": 0.8, "cortex-m7": 0.5}
ENGINES = {"x-cube-ai7": 1.0, "x-cube-ai9+": 0.6}


def made_up(**factors: float) -> list[TableRow]:
    """Return results of every model on every board with every engine; `factors` make boards slower."""
    return [
        TableRow(
            board=board, core=core, clock_hz=1e8, engine=engine, release="1", drops=False, model=model, macs=1e6,
            latency_s=sum(map(math.prod, zip(RATES, work, strict=True))) * CORES[core] * factor * factors.get(board, 1)
            / 1e8,
            power_w=None, supply="",
        )
        for board, core in BOARDS.items()
        for engine, factor in ENGINES.items()
        for model, work in MODELS.items()
    ]  # fmt: skip


def test_the_fit_finds_what_results_were_made_from() -> None:
    rows = made_up()
    fitted = fit(rows, FEATURES)
    ratios = [abs(log_ratio(row, FEATURES, fitted) or 9) for row in rows]
    assert max(ratios) < 0.2  # the terms of boards and releases keep some of what is the core's and the engine's
    gain = fitted.engines["x-cube-ai9+"].log_factor - fitted.engines["x-cube-ai7"].log_factor
    assert math.log(0.6) < gain < math.log(0.6) / 2  # one release of each may be unlike its engine: half-believed
    assert fitted.kinds == KINDS


def test_one_slow_board_of_two_is_not_taken_for_its_core_class() -> None:
    fitted = fit(made_up(one=1.5), FEATURES)
    found = estimate_latency(FEATURES["a"], "cortex-m4", 1e8, "x-cube-ai7", coefficients=fitted)
    truth = next(row.latency_s for row in made_up() if (row.board, row.model) == ("two", "a"))
    assert found.latency_s is not None
    assert truth * 0.95 < found.latency_s < truth * 1.45


def test_what_all_models_of_a_core_clock_and_engine_have_in_common_is_their_own_factor() -> None:
    slow = [row._replace(clock_hz=1.2e8) if row.board == "one" else row for row in made_up(one=1.5)]
    fitted = fit(slow, FEATURES)
    own = {(each.core, each.clock_hz, each.engine): each for each in fitted.own}
    assert own["cortex-m4", 1.2e8, "x-cube-ai7"].log_factor > 0.1 > own["cortex-m4", 1e8, "x-cube-ai7"].log_factor
    assert own["cortex-m4", 1.2e8, "x-cube-ai7"].models == tuple(MODELS)
    errors = {}
    for name, coefficients in (("own", fitted), ("common", replace(fitted, own=()))):
        ratios = [log_ratio(row, FEATURES, coefficients) for row in slow if row.board == "one"]
        errors[name] = max(abs(ratio) for ratio in ratios if ratio is not None)
    assert errors["own"] < 0.05
    assert errors["common"] > 0.1


def test_a_board_that_is_left_out_leaves_no_factor_of_its_own() -> None:
    rows = [row._replace(clock_hz=1e8 + 1e7 * list(BOARDS).index(row.board)) for row in made_up(one=1.5)]
    for fitted, answers in leave_out(rows, FEATURES, lambda row: row.board):
        assert answers[0].row.clock_hz not in {own.clock_hz for own in fitted.own}


def test_a_model_that_is_left_out_is_answered_by_the_others_of_its_board() -> None:
    fitted, answers = next(leave_out(made_up(five=1.5), FEATURES, lambda row: row.model))
    assert all("a" not in own.models and len(own.models) == 3 for own in fitted.own)
    assert max(answer.error for answer in answers if answer.row.board == "five") < 0.15


def test_cores_that_the_fit_has_no_prior_for_are_left_aside() -> None:
    odd = [row._replace(core="cortex-a72", board="six") for row in made_up() if row.board == "one"]
    fitted = fit([*made_up(), *odd], FEATURES)
    assert "cortex-a72" not in fitted.cores
    assert fitted.rows == len(made_up())


def test_a_board_that_is_the_only_one_of_its_core_class_is_unknown_without_it() -> None:
    folds = list(leave_out(made_up(), FEATURES, lambda row: row.board))
    five = next(answers for _, answers in folds if answers[0].row.board == "five")
    assert not any(answer.answerable for answer in five)
    assert all(answer.estimate.latency_s is None for answer in five)


def test_a_slow_board_is_predicted_better_once_one_model_was_measured() -> None:
    folds = list(leave_out(made_up(three=1.4), FEATURES, lambda row: row.board))
    fold = next(fold for fold in folds if fold[1][0].row.board == "three")
    before = [answer.error for answer in fold[1] if answer.row.model != "a"]
    after = [answer.error for answer in one_point(fold, "a")]
    assert len(after) == len(before)
    assert max(after) < max(before)


def test_power_differs_by_models_on_one_board_and_supply_only() -> None:
    row = made_up()[0]
    rows = [row._replace(power_w=power, supply=supply) for power, supply in ((1.0, "3v"), (1.1, "3v"), (9.0, "1.8v"))]
    assert power_log_sd(rows) == pytest.approx(math.log(1.1) / math.sqrt(2))
    assert power_log_sd([row]) is None


def test_a_weighted_quantile_counts_weights() -> None:
    assert weighted_quantile([1.0, 2.0, 3.0], [1, 1, 1], 0.5) == 2.0
    assert weighted_quantile([1.0, 2.0, 3.0], [4, 1, 1], 0.5) == 1.0
