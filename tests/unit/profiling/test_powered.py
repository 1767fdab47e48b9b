"""The recording that another program makes during a run: when its file is read, and when it is refused."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeprof.api import profile
from edgeprof.errors import UsageError
from edgeprof.power.trace import PowerTrace
from edgeprof.power.windows import sample_windows
from edgeprof.profiling.plan import Options
from edgeprof.profiling.powered import PowerSource, Unread, check_power, with_energy
from edgeprof.records.events import Event, PassEnded
from edgeprof.records.result import ClockReading, Measurement, Pass, PassMeasurement, Plan, SampleColumns
from edgeprof.summary.fold import fold
from edgeprof.wire import WINDOW

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeprof.power.windows import Window
    from edgeprof.records.result import Result

PLAN = Plan(passes=(Pass(kind="latency"), Pass(kind="energy", windows=8, window_s=1.0, idle_s=0.5)))
ROWS = "time_s,power_w\n0,1\n1,2\n2,1\n"
YEAR_2020_S = 1.58e9


def test_a_recording_that_was_finished_before_the_run_began_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(ROWS)
    os.utime(path, (YEAR_2020_S, YEAR_2020_S))
    with PowerSource(str(path), PLAN) as source:
        pass
    found = source.recorded()
    assert isinstance(found, Unread)
    assert "was last written at 2020-01-2" in found.reason
    assert "before this run began" in found.reason


def test_a_recording_that_is_a_little_older_than_the_run_leaves_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(ROWS)
    os.utime(path, (time.time() - 60, time.time() - 60))
    with PowerSource(str(path), PLAN) as source:
        pass
    assert isinstance(source.recorded(), PowerTrace)
    assert [warned.code for warned in source.warnings] == ["recording-older"]


def test_what_is_laid_over_a_simulated_run_was_made_before(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(ROWS)
    os.utime(path, (YEAR_2020_S, YEAR_2020_S))
    with PowerSource(str(path), PLAN, simulated=True) as source:
        pass
    assert isinstance(source.recorded(), PowerTrace)
    assert not source.warnings


def test_a_recording_that_is_written_during_the_run_is_read_when_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("time_s,power_w\n0,1\n")
    os.utime(path, (YEAR_2020_S, YEAR_2020_S))
    with PowerSource(str(path), PLAN) as source:
        path.write_text(ROWS)
    found = source.recorded()
    assert isinstance(found, PowerTrace)
    assert len(found.time_s) == 3


def test_times_of_day_in_a_recording_tell_that_it_is_of_another_run(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    with PowerSource(str(path), PLAN, lambda _: True) as source:
        for began_s, usable in ((YEAR_2020_S, False), (time.time(), True)):
            path.write_text(f"time_s,power_w\n{began_s:.1f},1\n{began_s + 1:.1f},2\n")
            assert isinstance(source.recorded(), PowerTrace) is usable


def test_who_is_there_to_be_asked_may_export_the_recording_when_the_run_is_over(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    asked = []

    def export(question: str) -> bool:
        asked.append(question)
        path.write_text(ROWS)
        return True

    assert check_power(str(path)) == str(path)
    with PowerSource(str(path), PLAN, export) as source:
        assert not asked
    assert isinstance(source.recorded(), PowerTrace)
    assert len(asked) == 1
    assert str(path) in asked[0]


def test_a_recording_that_never_came_leaves_the_rest_of_the_run(tmp_path: Path, small_result: Result) -> None:
    with PowerSource(str(tmp_path / "trace.csv"), PLAN, lambda _: False) as source:
        pass
    found = source.recorded()
    assert isinstance(found, Unread)
    result = with_energy(small_result, Measurement(), found)
    assert result.metrics["energy_per_inference_j"].reason == found.reason
    assert result.metrics["latency_p50_s"] == small_result.metrics["latency_p50_s"]
    assert result.status == small_result.status
    assert [one.code for one in result.warnings][-1] == "recording-refused"


def test_without_anybody_to_ask_a_file_that_is_not_there_is_refused_before_the_board_is_touched(tmp_path: Path) -> None:
    source = PowerSource(str(tmp_path / "trace.csv"), PLAN)
    with pytest.raises(UsageError, match="nor a file that is there") as refused:
        source.__enter__()
    assert "start the recorder first" in refused.value.hint


@pytest.mark.parametrize("name", ["onbord", "nofolder/trace.csv", "trace", "."])
def test_what_can_be_no_recording_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="neither onboard, nor an instrument, nor a file"):
        check_power(name)


@pytest.mark.parametrize(
    ("text", "told"),
    [("time_s,current_a\n0,1\n1,2\n", "has current and no voltage"), ("nothing\n", "has no line of numbers")],
)
def test_a_damaged_recording_does_not_take_the_run_with_it(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    with PowerSource(str(path), PLAN, lambda _: True) as source:
        path.write_text(text)
    found = source.recorded()
    assert isinstance(found, Unread)
    assert told in found.reason
    assert "--voltage" not in found.reason
    assert found.advice.startswith(f"edgeprof energy {path}")


def test_who_stops_at_the_question_keeps_the_run(tmp_path: Path) -> None:
    def stop(_: str) -> bool:
        raise KeyboardInterrupt

    with PowerSource(str(tmp_path / "trace.csv"), PLAN, stop) as source:
        pass
    assert isinstance(source.recorded(), Unread)


def test_a_recording_of_another_run_is_not_drawn_beside_this_one(small_result: Result) -> None:
    trace = PowerTrace(np.arange(100) / 10, np.ones(100), "trace.csv", "instrument", marker=np.tile([0, 1], 50))
    result = with_energy(small_result, energy_pass(), trace)
    assert result.sensors == small_result.sensors
    refused = next(one for one in result.warnings if one.code == "recording-refused")
    assert refused.text == "trace.csv is no recording of this run: the marker bounds 49 windows, the agent ran 1"


def test_an_instrument_that_was_lost_before_its_first_sample_leaves_a_partial_result(small_result: Result) -> None:
    trace = PowerTrace(np.empty(0), np.empty(0), "ppk2:///dev/x", "host", nominal_rate_hz=1e5, lost="unplugged")
    result = with_energy(small_result, energy_pass(), trace)
    assert result.status == "partial"
    lost = next(one for one in result.warnings if one.code == "instrument-lost")
    assert lost.text == "ppk2:///dev/x ended by itself after 0 s: unplugged; no window has an energy"


def test_an_instrument_that_was_lost_when_all_windows_were_over_leaves_a_complete_one(small_result: Result) -> None:
    time_s = np.arange(0, 3, 0.01)
    power_w = np.where((time_s >= 1) & (time_s < 2), 2.0, 1.0)
    trace = PowerTrace(time_s, power_w, "ppk2:///dev/x", "host", nominal_rate_hz=100.0, lost="unplugged")
    result = with_energy(small_result, energy_pass(), trace)
    assert result.status == small_result.status
    assert result.metrics["energy_per_inference_j"].value == pytest.approx(0.2, rel=0.02)
    ended = next(one for one in result.warnings if one.code == "instrument-ended")
    assert ended.text.endswith("all windows were over")


def energy_pass() -> Measurement:
    """Return a measurement with one window of a second, from 1 s on both clocks on."""
    samples = SampleColumns(start=(1.0,), duration=(1.0,), batch=(10,), flags=(WINDOW,))
    clock = tuple(ClockReading(host_before_s=at - 1e-5, agent_s=at, host_after_s=at + 1e-5) for at in (0.5, 1.5, 2.5))
    measured = PassMeasurement(kind="energy", launch=0, complete=True, samples=samples, clock=clock)
    return Measurement(passes=(measured,))


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_recording_of_the_run_itself_gives_its_energy(kws: Path, tmp_path: Path) -> None:
    path, heard = tmp_path / "trace.csv", list[Event]()
    path.touch()

    def record(plan: Plan, event: Event) -> None:
        heard.append(event)
        if isinstance(event, PassEnded) and plan.passes[event.index].kind == "energy":
            ran = next(one for one in fold(heard, plan).passes if one.kind == "energy")
            path.write_text(as_recorded(sample_windows(ran.samples)))

    options = Options(runs=20, memory=False, power=str(path), windows=6, window_s=0.5, idle_s=0.3)
    result = profile(kws, "local", options=options, on_event=record, history=False)
    each = result.metrics["energy_per_inference_j"]
    assert each.value is not None, each.reason
    energy: Any = result.breakdowns["energy"]
    assert energy["alignment"]["quality"] == "paired"
    assert [window["power_average_w"] for window in energy["windows"]] == pytest.approx([0.02] * 6, rel=0.01)
    assert result.status == "complete"
    assert "recording-paired" in {one.code for one in result.warnings}


def as_recorded(windows: Sequence[Window]) -> str:
    """Return what an instrument at 1 kHz, with a clock of its own, writes of these windows: 20 mW, 1 mW between."""
    begin_s = windows[0].start_s - 0.3
    rows = []
    for at in range(round((windows[-1].end_s + 0.3 - begin_s) * 1000)):
        inside = any(window.start_s <= begin_s + at / 1000 < window.end_s for window in windows)
        rows.append(f"{at / 1000 * 1.0001:.6f},{0.02 if inside else 0.001},{int(inside)}")
    return "time_s,power_w,marker\n" + "\n".join(rows) + "\n"
