"""Which model is run where, and what makes no sense to ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeprof.comparing.request import Wanted, are_models, sides_of
from edgeprof.errors import UsageError

A, B, RESULT = Path("a.tflite"), Path("b.onnx"), Path("r.json")


@pytest.mark.parametrize(
    ("paths", "targets", "wanted"),
    [
        ([A, B], ["local"], [(A, "local"), (B, "local")]),
        ([A, B], [], [(A, "local"), (B, "local")]),
        ([A], ["local", "emu:cortex-m4"], [(A, "local"), (A, "emu:cortex-m4")]),
        ([A, B], ["local", "emu:cortex-m4"], [(A, "local"), (B, "emu:cortex-m4")]),
        ([A], ["x", "y", "z"], [(A, "x"), (A, "y"), (A, "z")]),
        ([RESULT, RESULT], ["local"], [(RESULT, "local"), (RESULT, "local")]),
    ],
)
def test_each_side_has_its_model_and_its_target(
    paths: list[Path], targets: list[str], wanted: list[tuple[Path, str]]
) -> None:
    assert list(zip(*sides_of(paths, targets), strict=True)) == wanted


@pytest.mark.parametrize(
    ("paths", "targets", "said"),
    [
        ([A], ["local"], "one thing"),
        ([RESULT], ["x", "y"], "not run again"),
        ([RESULT, RESULT], ["x", "y"], "not run again"),
        ([A, B, A], ["x", "y"], "3 models and 2 targets"),
    ],
)
def test_what_cannot_be_told_is_refused(paths: list[Path], targets: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        sides_of(paths, targets)


@pytest.mark.parametrize("ratio", [-0.1, 50.0, float("nan")])
def test_a_regression_that_is_no_share_is_refused(ratio: float) -> None:
    with pytest.raises(UsageError, match="no share"):
        are_models([A, B], Wanted(max_regression=ratio))
