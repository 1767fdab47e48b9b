"""How well the estimator predicts what it has not seen, beside the naive rule of cycles a multiply-accumulate.

In a process of its own, because the number of threads of its linear algebra is set before that is loaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from scripts.bench_rows import Row

SCRIPT = Path(__file__).resolve().parent / "fit_estimator.py"
MOST_BOARD_MEDIAN, MOST_BOARD_P90, MOST_MODEL_MEDIAN, MOST_POINT_MEDIAN = 0.16, 0.40, 0.18, 0.12
LEAST_INSIDE, MOST_HALF_WIDTH = 0.80, 1.7


def run() -> list[Row]:
    """Cross-validate and compare with the targets."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--figures"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-1:]
        return [
            Row("Estimator", "not validated", "a table and models to validate with", ok=False, conditions=str(said))
        ]
    found = SimpleNamespace(**json.loads(done.stdout))
    return [*_boards(found), *_models(found), *_points(found)]


def _boards(found: SimpleNamespace) -> list[Row]:
    left_out = f"{found.boards_rows} rows of boards left out whose core class and engine stay in training"
    medians = ", ".join(f"{board} {median:.1%}" for board, median in found.boards_medians.items())
    return [
        _at_most(
            "New board, median error, boards weighted equally", found.boards_median_equal, MOST_BOARD_MEDIAN,
            f"{left_out}; pooled {found.boards_median:.1%}, {medians};"
            f" naive cycles a MAC {found.boards_naive_median_equal:.1%}, pooled {found.boards_naive_median:.1%}",
        ),
        _at_most(
            "New board, p90 of the error, boards weighted equally", found.boards_p90_equal, MOST_BOARD_P90,
            f"pooled {found.boards_p90:.1%}; naive {found.boards_naive_p90_equal:.1%},"
            f" pooled {found.boards_naive_p90:.1%}",
        ),
        Row(
            name="Other rows answered with a number",
            value=f"{found.unknown_answered} of {found.unknown_rows}",
            target="none",
            ok=not found.unknown_answered and not found.boards_unanswered,
            conditions=f"core class or engine not in training; {found.boards_unanswered} of the others unanswered",
        ),
    ]  # fmt: skip


def _models(found: SimpleNamespace) -> list[Row]:
    return [
        _at_most(
            "New model, median error", found.models_median, MOST_MODEL_MEDIAN,
            f"{found.models_rows} rows, each model left out in turn, its board's others stay;"
            f" p90 {found.models_p90:.1%}, the worst model's median {found.models_worst_median:.1%};"
            f" naive {found.models_naive_median:.1%}",
        ),
        Row(
            name="Truth inside the nominal 90 % interval, pooled",
            value=f"{found.inside:.1%}",
            target=f"at least {LEAST_INSIDE:.0%}",
            ok=found.inside >= LEAST_INSIDE,
            conditions=f"new boards {found.boards_inside:.1%}, new models {found.models_inside:.1%}",
        ),
        Row(
            name="Half-width of the interval, median",
            value=f"a factor of {found.half_width:.2f}",
            target=f"at most {MOST_HALF_WIDTH:g}",
            ok=found.half_width <= MOST_HALF_WIDTH,
            conditions="new boards and new models together",
        ),
    ]  # fmt: skip


def _points(found: SimpleNamespace) -> list[Row]:
    return [
        _at_most(
            f"New board with {name} measured, median error of the others", median, MOST_POINT_MEDIAN,
            f"inside the 90 % interval {inside:.1%}; naive, scaled by the same model, {naive:.1%}",
        )
        for name, median, inside, naive in (
            ("kws", found.kws_median, found.kws_inside, found.kws_naive_median),
            ("ic", found.ic_median, found.ic_inside, found.ic_naive_median),
        )
    ]  # fmt: skip


def _at_most(name: str, value: float, most: float, conditions: str) -> Row:
    return Row(name, f"{value:.1%}", f"at most {most:.0%}", ok=value <= most, conditions=conditions)
