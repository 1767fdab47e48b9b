"""The history in SQLite: kept, listed, the best found, trends with steps, writers at once."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof.api import profile
from edgeprof.errors import EdgeprofError, UnknownName, UsageError
from edgeprof.history.database import database_url, engine_for
from edgeprof.history.keeping import Filter, best, entries, kept, remember, series_of, trend
from edgeprof.records.result import Metric
from edgeprof.report.history import render_entries

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.records.result import Result

WRITERS, EACH = 8, 25
WRITE_MANY = """
import sys
from msgspec.structs import replace
from edgeprof.history.keeping import remember
from edgeprof.store import read_result
from pathlib import Path
result = read_result(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    remember(replace(result, id=f"{sys.argv[2]}-{number:03}"))
"""


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "data" / "history.db"
    monkeypatch.setenv("EDGEPROF_DB", str(path))
    return path


@pytest.fixture(scope="module")
def real(kws: Path) -> Result:
    return profile(kws, "sim:raspberry-pi-5", runs=20, memory=False, history=False)


def at(result: Result, number: int, latency_s: float) -> Result:
    metric = Metric(value=latency_s, basis="simulated", count=20, method="a test's own")
    created = f"2026-01-{number + 1:02}T00:00:00+00:00"
    metrics = {**result.metrics, "latency_p50_s": metric}
    return replace(result, id=f"run-{number:03}", created=created, metrics=metrics)


def test_what_is_kept_comes_back_whole_but_its_raw_samples(real: Result) -> None:
    assert remember(real, tag="first")
    back = kept(real.id)
    assert back.metrics == real.metrics
    assert back.model == real.model
    assert back.samples.start_s == ()


def test_the_same_result_is_kept_once(real: Result) -> None:
    assert remember(real)
    assert remember(real)
    assert [entry.id for entry in entries(Filter())] == [real.id]


def test_off_keeps_nothing_and_says_so_when_asked(real: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPROF_DB", "off")
    assert not remember(real)
    with pytest.raises(EdgeprofError, match="the history is off"):
        entries(Filter())


def test_filters_look_for_words_and_take_percent_signs_for_what_they_are(real: Result) -> None:
    remember(real, tag="release 1")
    assert entries(Filter(tag="release"))
    assert entries(Filter(model="kws"))
    assert not entries(Filter(model="%"))
    assert not entries(Filter(board="nucleo"))


def test_the_best_is_the_least_latency_and_the_most_throughput(real: Result) -> None:
    for number, latency_s in enumerate((3e-3, 1e-3, 2e-3)):
        remember(at(real, number, latency_s))
    assert [figure for _, figure in best("latency_p50_s", Filter())] == [1e-3, 2e-3, 3e-3]
    found = [figure for _, figure in best("throughput_hz", Filter())]
    assert found == sorted(found, reverse=True)


def test_a_trend_holds_one_series_in_order_of_time(real: Result) -> None:
    for number in (2, 0, 1):
        remember(at(real, number, 1e-3 * (number + 1)))
    other = at(real, 5, 9.0)
    remember(replace(other, board=replace(other.board, id="jetson-nano")))
    points = trend("latency_p50_s", series_of(real))
    assert [point.value for point in points] == [1e-3, 2e-3, 3e-3]


def test_partial_results_are_listed_and_never_the_best(real: Result) -> None:
    remember(replace(at(real, 0, 1e-9), status="partial"))
    assert entries(Filter())
    assert not best("latency_p50_s", Filter())
    assert not trend("latency_p50_s", series_of(real))


def test_an_unknown_id_and_an_unknown_metric_are_named(real: Result) -> None:
    remember(real)
    with pytest.raises(UnknownName, match="no kept result has the id 'nothing'"):
        kept("nothing")
    with pytest.raises(UnknownName, match="unknown metric 'latency_p51_s'"):
        best("latency_p51_s", Filter())


@pytest.mark.parametrize("url", ["nothing://here", "postgresql+nodriver://me:secret@host/x", "sqlite://host:port/x"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        engine_for(url)
    assert "secret" not in str(caught.value)
    assert "EDGEPROF_DB" in caught.value.message


def test_a_path_is_taken_for_a_sqlite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPROF_DB", str(tmp_path / "x.db"))
    assert database_url() == f"sqlite:///{tmp_path}/x.db"


@pytest.mark.slow
def test_eight_writers_at_once_lose_nothing(real: Result, tmp_path: Path, database: Path) -> None:
    from edgeprof.store import write_result

    saved = tmp_path / "result.json"
    write_result(saved, real)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE_MANY, str(saved), f"writer-{number}", str(EACH)], env=os.environ)
        for number in range(WRITERS)
    ]
    assert [writer.wait(120) for writer in writers] == [0] * WRITERS
    assert len(entries(Filter(limit=1000))) == WRITERS * EACH
    assert database.exists()


def test_a_profile_whose_history_cannot_be_written_keeps_its_result(
    kws: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("EDGEPROF_DB", str(blocked / "history.db"))
    result = profile(kws, "sim:raspberry-pi-5", runs=5, memory=False)
    assert result.status == "complete"
    assert any(warned.code == "history-unwritten" for warned in result.warnings)


def test_a_list_that_nothing_matches_does_not_say_that_nothing_is_kept() -> None:
    assert render_entries((), (), "table") == "no result has been kept yet"
    assert render_entries((), (), "table", chosen=True) == "no kept result is like that"
