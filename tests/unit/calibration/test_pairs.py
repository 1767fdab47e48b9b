from __future__ import annotations

from edgeprof.calibration.measuring import FEWEST_PAIRS, undisturbed_pairs
from edgeprof.records.result import SampleColumns
from edgeprof.wire import AFTER_SEND, PREEMPTED, SECOND, WARMUP

CUT_S = 5e-3


def columns(rows: list[tuple[float, int]]) -> SampleColumns:
    durations, flags = zip(*rows, strict=True)
    return SampleColumns(
        start=tuple(float(place) for place in range(len(rows))), duration=durations, batch=(1,) * len(rows), flags=flags
    )


def pair(kernel_s: float, model_s: float, flags: int = 0, *, model_first: bool = False) -> list[tuple[float, int]]:
    rows = [(kernel_s, flags), (model_s, SECOND | flags)]
    return rows[::-1] if model_first else rows


def test_pairs_are_kernel_and_model_whichever_came_first() -> None:
    rows = [row for place in range(20) for row in pair(1e-3, 2e-3, model_first=place % 2 == 0)]
    assert undisturbed_pairs(columns(rows)) == [(1e-3, 2e-3)] * 20


def test_pairs_that_were_cut_warm_up_and_what_follows_a_sending_are_left_out() -> None:
    clean = [row for _ in range(FEWEST_PAIRS) for row in pair(1e-3, 2e-3)]
    cut = [row for _ in range(100) for row in ((CUT_S, PREEMPTED), (2e-3, SECOND))]
    others = [(CUT_S, WARMUP), *pair(CUT_S, CUT_S, AFTER_SEND)]
    assert undisturbed_pairs(columns([*others, *clean, *cut])) == [(1e-3, 2e-3)] * FEWEST_PAIRS


def test_where_nearly_all_were_cut_all_count() -> None:
    rows = [row for _ in range(FEWEST_PAIRS - 1) for row in pair(1e-3, 2e-3)]
    rows += [(CUT_S, PREEMPTED), (2e-3, SECOND)]
    assert len(undisturbed_pairs(columns(rows))) == FEWEST_PAIRS
