"""Two saved results: exact figures exactly, times coarsely, and the gate on both."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof.comparing.results import compared, differences
from edgeprof.comparing.saved_changes import changes
from edgeprof.comparing.saved_results import names_apart, refuse
from edgeprof.records.result import BoardUsed, InputTensor, Metric, Samples

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.records.comparison import Change
    from edgeprof.records.result import Basis, Result

from edgeprof.errors import UsageError


def having(result: Result, basis: Basis = "measured", **figures: float) -> Result:
    metrics = {name: Metric(value=value, basis=basis, count=1, method="") for name, value in figures.items()}
    return replace(result, metrics=metrics)


def timed(result: Result, least_s: float, launches: int = 1, spread: float = 0.0, basis: Basis = "measured") -> Result:
    found = having(result, basis, latency_min_s=least_s, latency_p50_s=least_s * 1.1)
    durations = [least_s * (1.1 + spread * launch) for launch in range(launches) for _ in range(3)]
    columns = Samples(
        launch=tuple(launch for launch in range(launches) for _ in range(3)), start_s=tuple(durations),
        duration_s=tuple(durations), batch=(1,) * len(durations), flags=(0,) * len(durations),
    )  # fmt: skip
    return replace(found, samples=columns, id=next(IDS))


IDS = (f"20260101T{number:012}-aaaaaa" for number in itertools.count())


def change_of(name: str, base: Result, new: Result) -> Change:
    return next(change for change in changes(base, new) if change.metric == name)


@pytest.mark.parametrize(
    ("factor", "said"),
    [(1.0, "cannot tell"), (1.05, "cannot tell"), (1.3, "cannot tell"), (2.0, "worse"), (0.5, "better")],
)
def test_single_launches_tell_a_factor_of_two_and_nothing_fine(small_result: Result, factor: float, said: str) -> None:
    assert change_of("latency_p50_s", timed(small_result, 1e-3), timed(small_result, factor * 1e-3)).verdict == said


@pytest.mark.parametrize(
    ("factor", "said"), [(1.0, "cannot tell"), (1.05, "cannot tell"), (1.5, "worse"), (0.6, "better")]
)
def test_five_launches_tell_more_but_never_that_two_runs_are_the_same(
    small_result: Result, factor: float, said: str
) -> None:
    base, new = timed(small_result, 1e-3, 6, 0.01), timed(small_result, factor * 1e-3, 6, 0.01)
    found = change_of("latency_p50_s", base, new)
    assert found.verdict == said
    assert "6 launches or more each" in found.method


def test_launches_that_something_else_slowed_are_no_change(small_result: Result) -> None:
    base = timed(small_result, 1e-3, 6, 0.01)
    slowed = tuple(duration * 1.5 for duration in base.samples.duration_s)
    new = replace(base, id="other", samples=replace(base.samples, duration_s=slowed))
    assert change_of("latency_p50_s", base, new).verdict == "cannot tell"


def test_a_launch_far_off_does_not_hide_a_factor_of_two(small_result: Result) -> None:
    base, new = timed(small_result, 1e-3, 6, 0.01), timed(small_result, 2e-3, 6, 1.0)
    assert change_of("latency_p50_s", base, new).verdict == "worse"
    assert change_of("latency_p50_s", new, base).verdict == "better"


@pytest.mark.parametrize(
    ("factor", "said", "gate"),
    [(1.0, "same", "PASS"), (1.025, "worse", "PASS"), (1.05, "worse", "FAIL"), (0.9, "better", "PASS")],
)
def test_launches_of_a_simulated_board_are_judged_by_their_interval_alone(
    small_result: Result, factor: float, said: str, gate: str
) -> None:
    base, new = (timed(small_result, least, 7, 1e-4, "simulated") for least in (1e-3, factor * 1e-3))
    assert change_of("latency_p50_s", base, new).verdict == said
    assert [finding.verdict for finding in compared(base, new, "now").findings] == [gate]


def test_a_result_is_the_same_as_itself_exactly(small_result: Result) -> None:
    result = replace(
        timed(small_result, 1e-3), metrics=having(small_result, latency_p50_s=1e-3, throughput_hz=9).metrics
    )
    assert {(change.way, change.verdict, change.change_ratio) for change in changes(result, result)} == {
        ("exact", "same", 0.0)
    }


def test_what_tells_more_is_said_where_two_runs_cannot_tell(small_result: Result) -> None:
    base, new = timed(small_result, 1e-3), timed(small_result, 1e-3)
    told = {change.reason for change in changes(base, new, "run them in turns")}
    assert any(reason.endswith("; run them in turns") for reason in told)
    assert not any("--target" in change.reason for change in changes(base, new))


def test_counted_instructions_are_compared_exactly(small_result: Result) -> None:
    base, new = (having(small_result, "emulated", instructions_count=count) for count in (1_000_000, 1_000_001))
    found = change_of("instructions_count", base, new)
    assert (found.way, found.verdict) == ("exact", "worse")


def test_memory_of_a_process_moves_by_pages_and_that_of_a_microcontroller_does_not(small_result: Result) -> None:
    linux = [having(small_result, memory_peak_bytes=size) for size in (900 * 1024, 960 * 1024)]
    assert change_of("memory_peak_bytes", *linux).verdict == "same"
    board = [having(small_result, arena_bytes=size) for size in (20_000, 40_000)]
    assert change_of("arena_bytes", *board).verdict == "worse"


def test_what_one_side_lacks_is_shown_with_its_reason(small_result: Result) -> None:
    absent = Metric(value=None, basis="measured", count=None, method="", reason="no meter")
    new = replace(small_result, metrics={"energy_per_inference_j": absent})
    found = change_of("energy_per_inference_j", having(small_result, energy_per_inference_j=1e-3), new)
    assert (found.new, found.reason, found.verdict) == (None, "no meter", "cannot tell")
    whole = compared(having(small_result, energy_per_inference_j=1e-3), new, "now")
    assert whole.findings[0].verdict == "INCONCLUSIVE"


def test_from_nothing_to_something_fails_the_gate(small_result: Result) -> None:
    found = compared(
        having(small_result, "computed", flash_bytes=0), having(small_result, "computed", flash_bytes=9), ""
    )
    assert [finding.verdict for finding in found.findings] == ["FAIL"]


def test_figures_of_two_bases_are_not_compared(small_result: Result) -> None:
    base, new = having(small_result, latency_p50_s=1e-3), having(small_result, "estimated", latency_p50_s=2e-3)
    found = change_of("latency_p50_s", base, new)
    assert (found.change_ratio, found.verdict) == (None, "cannot tell")
    assert "measured against estimated" in found.reason


def test_another_board_is_refused_unless_it_is_allowed(small_result: Result) -> None:
    other = replace(small_result, board=BoardUsed(id="pi", name="Raspberry Pi", kind="linux"))
    with pytest.raises(UsageError, match="board: a board against pi") as refused:
        refuse(small_result, other, ())
    assert "--allow board" in refused.value.hint
    refuse(small_result, other, ("board",))
    refuse(small_result, other, ("all",))
    assert [difference.what for difference in differences(small_result, other)] == ["board"]


@pytest.mark.parametrize(
    ("base", "new", "differ"),
    [
        ((1, 49, 10, 1), (1, 49, 10, 1), False),
        ((None, 49, 10, 1), (1, 49, 10), False),
        ((1, 96, 96, 3), (1, 3, 96, 96), False),
        ((1, 96, 96, 3), (1, 3, 96, 64), True),
        ((1, 49, 10), (1, 10, 49), True),
    ],
)
def test_inputs_differ_where_their_values_do_and_not_where_their_layout_does(
    small_result: Result, base: tuple[int | None, ...], new: tuple[int, ...], *, differ: bool
) -> None:
    one, other = (
        replace(
            small_result, model=replace(small_result.model, inputs=(InputTensor(name=name, shape=s, dtype="int8"),))
        )
        for name, s in (("x", base), ("y", new))
    )
    found = [difference for difference in differences(one, other) if difference.what == "inputs"]
    assert bool(found) == differ
    if differ:
        with pytest.raises(UsageError, match="inputs: ") as refused:
            refuse(one, other, ())
        assert "--allow inputs" in refused.value.hint


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    assert names_apart([tmp_path / "a" / "m.json", tmp_path / "b" / "m.json"]) == ["a/m.json", "b/m.json"]
    assert names_apart([tmp_path / "m.json", tmp_path / "m.json"]) == ["m.json", "m.json"]
