"""Files: none is ever half there, and a full disk loses nothing."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec.structs import replace

from edgeprof import store
from edgeprof.errors import EdgeprofError, FileUnreadable, Interrupted, OutputUnwritable, ResultInvalid
from edgeprof.records.events import Event, Noted, OutputReceived
from edgeprof.records.result import Samples
from edgeprof.store import (
    RUNS_KEPT,
    Journal,
    check_writable,
    keep_result,
    last_result,
    read_journal,
    read_result,
    write_atomically,
    write_result,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

    from edgeprof.records.result import Result

EVENTS: tuple[Event, ...] = (
    Noted(index=0, code="a", text="Grüße\n"),
    OutputReceived(index=0, inference=0, tensor=0, name="o", dtype="int8", shape=(2,), content=b"\0\xff"),
    Noted(index=0, code="b", text="x" * 10_000),
)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_written_whole_with_the_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    mask = os.umask(0o027)
    try:
        write_atomically(path, b"content")
    finally:
        os.umask(mask)
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_when_the_disk_is_full_the_old_file_stays_and_nothing_else(tmp_path: Path, mocker: MockerFixture) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    mocker.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_regular_file_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    """As root `-o /dev/stdout` or `-o /dev/null` would otherwise leave a regular file in place of the device."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(path, b"content")
        assert path.is_fifo()
        assert os.read(reading, 100) == b"content"
    finally:
        os.close(reading)


def test_the_file_behind_a_link_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_bytes(b"old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    write_atomically(tmp_path / "link.json", b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_bytes() == b"new"


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "missing" / "a.json", tmp_path / "file" / "a.json"):
        with pytest.raises(OutputUnwritable) as refused:
            check_writable(path)
        assert refused.value.exit_code == 2
    check_writable(tmp_path / "a.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_without_permission_is_refused(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("tempfile.mkstemp", side_effect=PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(OutputUnwritable, match="Permission denied"):
        check_writable(tmp_path / "a.json")


# ── results ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_result_comes_back_from_its_file(tmp_path: Path, small_result: Result) -> None:
    write_result(tmp_path / "r.json", small_result)
    assert read_result(tmp_path / "r.json") == small_result


def many(count: int) -> Samples:
    zeros = (0,) * count
    return Samples(launch=zeros, start_s=(0.0,) * count, duration_s=(0.5,) * count, batch=(1,) * count, flags=zeros)


def test_many_samples_go_to_a_file_beside_the_result(
    tmp_path: Path, small_result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SIDECAR_ABOVE", 100)
    write_result(tmp_path / "few.json", replace(small_result, samples=many(100)))
    assert len(read_result(tmp_path / "few.json").samples.duration_s) == 100
    write_result(tmp_path / "many.json", replace(small_result, samples=many(101)))
    kept = read_result(tmp_path / "many.json").samples
    assert (kept.duration_s, kept.count) == ((), 101)
    assert kept.sidecar is not None
    beside = msgspec.json.decode((tmp_path / kept.sidecar).read_bytes(), type=Samples)
    assert beside == many(101)


def test_the_documented_number_of_samples_stays_in_the_result() -> None:
    assert store.SIDECAR_ABOVE == 200_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an edgeprof result"),
        (b"{}", "missing required field `schema`"),
        (b"[1]", "Expected `object`"),
        (b'{"schema": "edgeprof.result/2"}', r"edgeprof\.result/2"),
        (b"\xff\xfe", "is not an edgeprof result"),
    ],
)
def test_a_file_that_is_no_result_is_refused_with_the_place_that_is_wrong(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(ResultInvalid, match=message) as refused:
        read_result(path)
    assert "r.json" in refused.value.message
    assert refused.value.hint


def test_a_result_with_a_field_of_a_wrong_type_is_refused_with_its_path(tmp_path: Path, small_result: Result) -> None:
    path = tmp_path / "r.json"
    write_result(path, small_result)
    path.write_bytes(path.read_bytes().replace(b'"basis": "measured"', b'"basis": "guessed"'))
    with pytest.raises(ResultInvalid, match=r"\$\.metrics"):
        read_result(path)


def test_a_result_of_a_later_minor_version_with_more_fields_can_be_read(tmp_path: Path, small_result: Result) -> None:
    path = tmp_path / "r.json"
    write_result(path, small_result)
    path.write_bytes(path.read_bytes().replace(b'"status"', b'"later": [1], "status"', 1))
    assert read_result(path) == small_result


def test_the_last_result_is_the_newest_one(small_result: Result) -> None:
    ids = ["20260102T000000000000-aaaaaa", "20260103T000000000000-bbbbbb", "20260101T000000000000-cccccc"]
    for run_id in ids:
        keep_result(replace(small_result, id=run_id))
    assert read_result(last_result()).id == ids[1]


def test_without_a_result_there_is_no_last_one() -> None:
    with pytest.raises(FileUnreadable, match="no last result") as refused:
        last_result()
    assert "edgeprof profile" in refused.value.hint


def test_the_oldest_results_are_forgotten(state: Path, small_result: Result) -> None:
    for day in range(RUNS_KEPT + 3):
        keep_result(replace(small_result, id=f"20260101T{day:06}000000-aaaaaa"))
    kept = sorted(path.name for path in (state / "runs").iterdir())
    assert len(kept) == RUNS_KEPT
    assert kept[0] == "20260101T000003000000-aaaaaa"


def test_runs_that_failed_push_no_result_out(state: Path, small_result: Result) -> None:
    keep_result(replace(small_result, id="20260101T000000000000-aaaaaa"))
    for day in range(1, RUNS_KEPT + 3):
        (state / "runs" / f"20260101T{day:06}000000-bbbbbb").mkdir()
    keep_result(replace(small_result, id="20260102T000000000000-aaaaaa"))
    assert (state / "runs" / "20260101T000000000000-aaaaaa" / "result.json").is_file()


# ── the journal ──────────────────────────────────────────────────────────────────────────────────────────────────────


def written(result: Result) -> Path:
    with Journal(result) as journal:
        for event in EVENTS:
            journal.append(event)
    return journal.path


def test_events_come_back_from_the_journal(small_result: Result) -> None:
    assert tuple(read_journal(written(small_result))) == EVENTS


def test_each_event_is_on_disk_as_soon_as_it_is_appended(small_result: Result) -> None:
    with Journal(small_result) as journal:
        for count, event in enumerate(EVENTS, 1):
            journal.append(event)
            assert len(list(read_journal(journal.path))) == count


def test_a_journal_that_ends_anywhere_gives_the_whole_lines_before(small_result: Result) -> None:
    path = written(small_result)
    content = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(content) if byte == ord("\n")]
    for cut in (0, 1, ends[0] - 1, ends[0], ends[0] + 1, ends[1] - 1, ends[1], len(content) - 1):
        path.write_bytes(content[:cut])
        assert tuple(read_journal(path)) == EVENTS[: sum(end <= cut for end in ends)]


def test_a_full_disk_stops_the_run_and_keeps_what_came_before(small_result: Result) -> None:
    with Journal(small_result) as journal:
        journal.append(EVENTS[0])
        with open("/dev/full", "wb") as full:  # noqa: PTH123  the device that is always full
            os.dup2(full.fileno(), journal._file.fileno())  # noqa: SLF001  the disk fills up under the open file
        with pytest.raises(Interrupted, match="No space left") as stopped:
            journal.append(EVENTS[1])
    assert stopped.value.exit_code == 5
    assert "EDGEPROF_STATE" in stopped.value.hint
    assert tuple(read_journal(journal.path)) == EVENTS[:1]


def test_a_state_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_result: Result
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEPROF_STATE", str(tmp_path / "file"))
    journal = Journal(small_result)
    with pytest.raises(EdgeprofError, match="journal") as refused, journal:
        raise AssertionError
    assert "EDGEPROF_STATE" in refused.value.hint
