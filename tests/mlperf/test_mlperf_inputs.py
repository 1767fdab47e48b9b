"""What firmware with a model of its own is fed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeprof.errors import FileUnreadable, ModelInvalid, UsageError
from edgeprof.links.mlperf_inputs import BENCHMARK_INPUTS, benchmark_inputs, firmware_inputs, inputs_of

if TYPE_CHECKING:
    from pathlib import Path


def test_the_suite_s_models_get_seeded_values_of_their_size_on_the_wire() -> None:
    blob = benchmark_inputs(3)
    sizes = {name: len(inputs_of(blob, name.upper())[0]) for name in BENCHMARK_INPUTS}
    assert sizes == {"ad01": 2560, "kws01": 490, "ic01": 3072, "vww01": 27648}
    assert blob == benchmark_inputs(3) == firmware_inputs(None, 3).blob
    assert blob != benchmark_inputs(4)
    assert inputs_of(blob, "own") == []


def test_one_array_of_an_npz_is_taken_whatever_its_name(tmp_path: Path) -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.savez(tmp_path / "mine.npz", anything=rows)
    given = firmware_inputs(tmp_path / "mine.npz", 0)
    assert given.source == "mine.npz (3 inferences)"
    assert inputs_of(given.blob, "kws01") == [row.tobytes() for row in rows]


def test_several_arrays_or_no_npz_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.zeros((1, 2)), b=np.zeros((1, 2)))
    with pytest.raises(UsageError, match="takes one array"):
        firmware_inputs(tmp_path / "two.npz", 0)
    (tmp_path / "x.npz").write_text("x")
    with pytest.raises(FileUnreadable, match="cannot read the inputs"):
        firmware_inputs(tmp_path / "x.npz", 0)
    with pytest.raises(ModelInvalid, match="not an input blob"):
        inputs_of(b"junk", "kws01")
