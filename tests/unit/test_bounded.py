"""Files from outside are regular and bounded: a device or a pipe is refused before it is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeprof.battery.profile import read_cell_profile
from edgeprof.boards import read_board_file
from edgeprof.bounded import read_bounded
from edgeprof.comparing.output_quality import read_labels
from edgeprof.errors import FileUnreadable
from edgeprof.firmware.elf import read_elf
from edgeprof.links.mlperf_inputs import firmware_inputs
from edgeprof.power import energy_of_file
from edgeprof.power.marker_file import read_markers
from edgeprof.profiling.runtime_choice import read_hook
from edgeprof.store import kept_result, read_result

if TYPE_CHECKING:
    from collections.abc import Callable

READERS: dict[str, Callable[[Path], object]] = {
    "result": read_result, "last result": kept_result, "recording": energy_of_file, "markers": read_markers,
    "labels": read_labels, "inputs": lambda path: firmware_inputs(path, 0), "board": read_board_file,
    "cell": read_cell_profile, "image": read_elf, "hook": read_hook,
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_a_device_a_pipe_and_a_folder_are_refused_at_once(reader: str, tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link.npz"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    for path, kind in ((Path("/dev/zero"), "not a regular file"), (pipe, "not a regular file"),
                       (link, "not a regular file"), (tmp_path, "a folder")):  # fmt: skip
        with pytest.raises(FileUnreadable, match=f"it is {kind}"):
            READERS[reader](path)


def test_a_file_beyond_the_bound_is_refused_with_both_sizes(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(101))
    with pytest.raises(FileUnreadable, match=r"cannot read the labels .*large: it has 101 bytes, larger than the 100"):
        read_bounded(path, 100, "the labels")
    assert read_bounded(path, 101, "the labels") == bytes(101)


def test_a_result_of_a_terabyte_is_refused_without_reading_it(tmp_path: Path) -> None:
    with (tmp_path / "result.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FileUnreadable, match="it has 1,099,511,627,776 bytes, larger than the 268,435,456"):
        read_result(tmp_path / "result.json")


def test_a_file_that_hides_its_size_is_read_to_the_bound_and_no_further() -> None:
    path = Path("/proc/self/status")
    if not path.is_file():
        pytest.skip("there is no /proc")
    assert path.stat().st_size == 0
    with pytest.raises(FileUnreadable, match="larger than the 10 bytes"):
        read_bounded(path, 10, "the result")


def test_a_missing_file_and_a_name_that_is_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match=r"cannot read the result .*none: No such file"):
        read_bounded(tmp_path / "none", 10, "the result")
    with pytest.raises(FileUnreadable, match="cannot read the result"):
        read_bounded(Path("a\0b"), 10, "the result")
