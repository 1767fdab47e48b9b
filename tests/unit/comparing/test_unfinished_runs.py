"""What `last` is where runs left a journal and no result: the turns of a comparison, a failure, a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof.errors import FileUnreadable, ResultInvalid
from edgeprof.records.events import Event, Noted, PassStarted, SamplesReceived
from edgeprof.records.result import SecondModel
from edgeprof.store import Journal, forget_run, keep_result, kept_result, last_result, recover_result

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.records.result import Result
    from tests.conftest import Cli

STARTED = PassStarted(index=0, kind="latency", launch=0, model_sha256="", runtime="r")
SAMPLES = SamplesReceived(index=0, first=0, batch=1, start_ticks=(1,), duration_ticks=(1,), flags=(0,))
LATER = "20990101T000000000000-aaaaaa"


@pytest.fixture
def complete(small_result: Result) -> Path:
    return keep_result(replace(small_result, id="20260101T000000000000-aaaaaa"))


def journal_of(result: Result, *events: Event) -> Path:
    with Journal(replace(result, id=LATER)) as journal:
        for event in events:
            journal.append(event)
    return journal.path


def in_turns(result: Result) -> Result:
    second = SecondModel(name="b.tflite", format="tflite", runtime="r")
    return replace(result, plan=replace(result.plan, second=second))


def test_a_run_that_was_killed_after_its_first_sample_is_the_last_one(complete: Path, small_result: Result) -> None:
    assert last_result() == complete
    journal = journal_of(small_result, STARTED, SAMPLES)
    assert last_result() == journal
    assert kept_result(journal).status == "partial"
    forget_run(LATER)
    assert last_result() == complete


@pytest.mark.parametrize("events", [(), (STARTED,), (Noted(index=0, code="a", text="b"),)])
def test_a_run_that_failed_before_its_first_sample_is_not(
    complete: Path, small_result: Result, events: tuple[Event, ...]
) -> None:
    journal_of(small_result, *events)
    assert last_result() == complete


def test_nor_are_the_turns_of_two_models(complete: Path, small_result: Result) -> None:
    journal = journal_of(in_turns(small_result), STARTED, SAMPLES)
    assert last_result() == complete
    with pytest.raises(ResultInvalid, match="the turns of two models"):
        recover_result(journal)


def test_nor_is_a_journal_that_is_damaged_or_alone(complete: Path, small_result: Result) -> None:
    journal = journal_of(small_result, STARTED, SAMPLES)
    journal.write_bytes(b'["no event"]\n' + journal.read_bytes())
    assert last_result() == complete
    with pytest.raises(ResultInvalid, match="not the journal of a run"):
        kept_result(journal)
    journal_of(small_result, STARTED, SAMPLES).with_name("begun.json").unlink()
    assert last_result() == complete
    with pytest.raises(FileUnreadable):
        kept_result(journal)


@pytest.mark.slow
def test_after_a_run_that_gave_nothing_the_last_report_is_the_one_before(edgeprof: Cli, kws: Path) -> None:
    assert edgeprof("profile", kws, "-t", "sim:raspberry-pi-5", "--runs", 20, "-q").returncode == 0
    before = edgeprof("report", "last").stdout
    assert edgeprof("profile", kws, "-t", "sim:raspberry-pi-5?fault=oom", "-q").returncode == 4
    after = edgeprof("report", "last")
    assert (after.returncode, after.stdout) == (0, before)
