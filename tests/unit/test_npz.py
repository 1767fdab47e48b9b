"""NPZ files: what they declare is checked before anything is unpacked, and damage is one line."""

from __future__ import annotations

import importlib.util
import io
import struct
import sys
import tracemalloc
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from edgeprof.agent.runtimes import read_inputs
from edgeprof.comparing.output_quality import read_labels
from edgeprof.comparing.quality_inputs import matched_inputs
from edgeprof.errors import FileUnreadable, UsageError
from edgeprof.inputs import file_inputs
from edgeprof.links.mlperf_inputs import firmware_inputs
from edgeprof.model import read_model
from edgeprof.model.graph import Graph, Tensor
from edgeprof.npz import array_of, opened_npz
from edgeprof.power.options import EnergyOptions
from edgeprof.power.recordings import read_trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

MOST = 1 << 20


@pytest.fixture
def graph(kws: Path) -> Graph:
    """Return a model with one input `x` of 3 floats."""
    tensors = (Tensor(name="x", dtype="float32", shape=(3,)),)
    return msgspec.structs.replace(read_model(kws), tensors=tensors, inputs=(0,), outputs=(), operators=())


def header(descr: str, shape: str, order: str = "False") -> bytes:
    return array(f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}")


def array(text: str, version: int = 1) -> bytes:
    layout = "<H" if version == 1 else "<I"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(layout, len(text)) + text.encode()


def zipped(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def read(path: Path, most: int = MOST) -> dict[str, np.ndarray[Any, Any]]:
    with opened_npz(path, most, "the inputs") as npz:
        return {name: array_of(npz, name) for name in npz.declared}


# ── what is read ─────────────────────────────────────────────────────────────────────────────────────────────────────

VALUES = np.arange(24).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "values",
    [VALUES.astype("<f4"), VALUES.astype(">f4"), VALUES.astype(">i8"), np.asfortranarray(VALUES), VALUES > 4,
     VALUES[:0], VALUES.astype("<c8"), np.float32(3), np.array(["a", "bc"]),
     VALUES.astype("<f2"), np.zeros((0, 3)), np.array([])],
)  # fmt: skip
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read_as_numpy_reads_it(values: np.ndarray[Any, Any], save: Any, tmp_path: Path) -> None:  # noqa: ANN401
    save(tmp_path / "in.npz", x=values, y=np.int8(1))
    found = read(tmp_path / "in.npz")
    assert list(found) == ["x", "y"]
    with np.load(tmp_path / "in.npz", allow_pickle=False) as loaded:
        np.testing.assert_array_equal(found["x"], loaded["x"])
    assert found["x"].dtype.isnative
    assert found["x"].shape == np.asarray(values).shape


@pytest.mark.parametrize("version", [1, 2, 3])
def test_headers_of_all_versions_and_of_other_programs_are_read(version: int, tmp_path: Path) -> None:
    text = '{"shape":(2L,),"fortran_order":False,"descr":"<i2"}'
    path = zipped(tmp_path / "in.npz", ("x.npy", array(text, version) + struct.pack("<2h", 1, -2)))
    assert read(path)["x"].tolist() == [1, -2]


def test_numbers_of_the_other_byte_order_are_fed_as_the_numbers_that_they_are(graph: Graph, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.array([[1, 2, 3], [4, 5, 6]], ">f4", order="F"))
    inputs = read_inputs(file_inputs(graph, tmp_path / "in.npz").blob)
    assert [np.frombuffer(values[0], "<f4").tolist() for values in inputs.inferences] == [[1, 2, 3], [4, 5, 6]]


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────

GOOD = header("<f4", "1, 3") + bytes(12)
MEMBERS: dict[str, tuple[tuple[tuple[str, bytes], ...], str]] = {
    "a member that is no array": ((("x", b"hello"),), r"it holds 'x', which is no array \(\.npy\)"),
    "text in place of an array": ((("x.npy", b"hello, this is text"),), "no array in numpy's format"),
    "nothing in an array": ((("x.npy", b""),), "no array in numpy's format"),
    "a header that is cut": ((("x.npy", GOOD[:40]),), "no array in numpy's format"),
    "five thousand braces": ((("x.npy", array("{" * 5000)),), "not that of a plain array"),
    "sixty thousand blanks": ((("x.npy", array("{'shape': (3,)," + " " * 60_000)),), "not that of a plain array"),
    "a header as long as the file": ((("x.npy", b"\x93NUMPY\x02\0\xff\xff\xff\x7f" + bytes(99)),), "no array in"),
    "code in the header": ((("x.npy", array("__import__('os').abort()")),), "not that of a plain array"),
    "a structured type": ((("x.npy", array("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }")),),
                          "not that of a plain array"),
    "a type of two": ((("x.npy", header("f4,f4", "1,") + bytes(8)),), "of type 'f4,f4', which is not read"),
    "a type of nothing": ((("x.npy", header("<q77", "1,") + bytes(8)),), "of type '<q77', which is not read"),
    "Python objects": ((("x.npy", header("|O", "1,") + b"cos\nsystem\n."),), "holds Python objects, and nothing"),
    "a shape of 10^27": ((("x.npy", header("|i1", ", ".join(["1000000000"] * 3)) + b"1"),), r"declares 1,000,.* 1"),
    "a size of 5000 digits": ((("x.npy", header("|i1", "9" * 5000 + ",")),), "a shape that no array has"),
    "forty axes": ((("x.npy", header("|i1", "1, " * 40) + b"1"),), "a shape that no array has"),
    "a size below nothing": ((("x.npy", header("|i1", "-3,") + bytes(3)),), "not that of a plain array"),
    "values that are cut": ((("x.npy", GOOD[:-1]),), "declares 12 bytes of values and holds 11"),
    "values that go on": ((("x.npy", GOOD + b"1"),), "declares 12 bytes of values and holds 13"),
    "the same name twice": ((("x.npy", GOOD), ("x.npy", GOOD)), "it holds 'x' twice"),
    "a name with control characters": ((("\x1b[2J\n::error::x", GOOD),), "it holds '�"),
    "too many arrays": (tuple((f"{at}.npy", b"") for at in range(1001)), "1,001 entries; at most 1,000"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", MEMBERS)
def test_what_is_no_plain_array_is_refused_in_one_line_wherever_it_is_read(
    case: str, graph: Graph, tmp_path: Path
) -> None:
    members, told = MEMBERS[case]
    path = zipped(tmp_path / "in.npz", *members)
    for reader in (lambda: file_inputs(graph, path), lambda: firmware_inputs(path, 0), lambda: read_labels(path),
                   lambda: read_trace(path, EnergyOptions())):  # fmt: skip
        with pytest.raises(FileUnreadable, match=told) as refused:
            reader()
        assert refused.value.message.isprintable()
        assert refused.value.exit_code == 2


def changed(path: Path, at: int, *content: int, last: bytes = b"") -> Path:
    """Write bytes over a file, from its beginning or from where a mark is last found."""
    whole = bytearray(path.read_bytes())
    start = whole.rfind(last) + at if last else at
    whole[start : start + len(content)] = content
    path.write_bytes(whole)
    return path


DIRECTORY = b"PK\x01\x02"
DAMAGE: dict[str, Callable[[Path], object]] = {
    "encrypted": lambda path: changed(path, 8, 1, last=DIRECTORY),
    "of an unknown method": lambda path: changed(path, 10, 99, last=DIRECTORY),
    "of an unknown version": lambda path: changed(path, 6, 99, last=DIRECTORY),
    "with a damaged stream": lambda path: changed(path, 120, *[255] * 30),
    "with a wrong checksum": lambda path: changed(path, 16, 1, 2, 3, 4, last=DIRECTORY),
    "that claims to be small": lambda path: changed(path, 24, 70, 0, 0, 0, last=DIRECTORY),
    "that claims to be large": lambda path: changed(path, 24, 0, 0, 0, 0x7F, last=DIRECTORY),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "empty": lambda path: path.write_bytes(b""),
    "of text": lambda path: path.write_bytes(b"no archive"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_archive_is_refused_in_one_line(case: str, graph: Graph, tmp_path: Path) -> None:
    path = zipped(tmp_path / "in.npz", ("x.npy", header("<f4", "400, 3") + np.arange(1200, dtype="<f4").tobytes()))
    DAMAGE[case](path)
    with pytest.raises(FileUnreadable, match=r"cannot read the inputs .*in\.npz: ") as refused:
        file_inputs(graph, path)
    assert refused.value.message.isprintable()


def test_files_of_random_damage_end_in_one_line() -> None:
    outcome = script().fuzz(seed=5, executions=250)
    assert [finding.what for finding in outcome.findings] == []
    assert outcome.outcomes["FileUnreadable"] > 100
    assert outcome.outcomes["labels read"]
    assert outcome.outcomes["firmware read"]


@cache
def script() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "scripts" / "fuzz_npz.py"
    spec = importlib.util.spec_from_file_location("fuzz_npz", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_npz"] = module
    spec.loader.exec_module(module)
    return module


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def zeros(path: Path, name: str, descr: str, shape: tuple[int, ...], count: int) -> Path:
    """Write an array of zeros that takes a thousandth of its size, without ever holding it."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as member,
    ):
        member.write(header(descr, ", ".join(map(str, shape)) + ","))
        for _ in range(count >> 22):
            member.write(bytes(1 << 22))
        member.write(bytes(count % (1 << 22)))
    return path


def peak_bytes(act: Any) -> int:  # noqa: ANN401  a callable
    tracemalloc.start()
    try:
        with pytest.raises(UsageError):
            act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_small_file_that_unpacks_to_much_is_refused_before_it_is_unpacked(graph: Graph, tmp_path: Path) -> None:
    path = zeros(tmp_path / "in.npz", "x", "<f4", (12_000_000, 3), 144_000_000)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UsageError, match=r"in\.npz holds 12,000,000 inferences; at most 100,000 are taken"):
        file_inputs(graph, path)
    with pytest.raises(UsageError, match="at most 100,000 are taken"):
        firmware_inputs(path, 0)
    with pytest.raises(FileUnreadable, match=r"unpacks to 144,000,0.. bytes; at most 67,108,864 are read"):
        read_labels(path)
    assert peak_bytes(lambda: file_inputs(graph, path)) < 10_000_000
    assert peak_bytes(lambda: read_labels(path)) < 10_000_000


def test_what_the_model_does_not_want_is_refused_before_it_is_unpacked(graph: Graph, tmp_path: Path) -> None:
    path = zeros(tmp_path / "in.npz", "x", "<f4", (10, 3_600_000), 144_000_000)
    with pytest.raises(UsageError, match=r"has the shape \[3600000\] an inference, the model wants \[3\]"):
        file_inputs(graph, path)
    assert peak_bytes(lambda: file_inputs(graph, path)) < 10_000_000


def test_a_directory_that_claims_gigabytes_is_refused_with_the_bound(graph: Graph, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.zeros((10, 3), np.float32))
    (tmp_path / "in.npz").write_bytes(buffer.getvalue())
    path = changed(tmp_path / "in.npz", 24, 0, 0, 0, 0xEE, last=DIRECTORY)
    with pytest.raises(FileUnreadable, match="cannot hold the 3,992,977,408 that its header claims") as refused:
        file_inputs(graph, path)
    assert "at most 1,073,741,824 bytes" in refused.value.hint


def test_samples_beyond_what_fits_into_memory_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = zeros(tmp_path / "trace.npz", "power_w", "|i1", (300_000_000,), 300_000_000)
    with pytest.raises(UsageError, match="has 300,000,000 samples; at most 100,000,000 of 1 columns are read"):
        read_trace(path, EnergyOptions())
    assert peak_bytes(lambda: read_trace(path, EnergyOptions())) < 10_000_000


def test_inputs_that_are_compared_have_to_fit_as_real_numbers(
    kws: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeprof.inputs.LARGEST_INPUT_BYTES", 20_000)
    model = read_model(kws)
    name = model.tensors[model.inputs[0]].name
    arrays: dict[str, Any] = {name: np.zeros((6, 1, 49, 10, 1), np.int8)}
    np.savez(tmp_path / "in.npz", **arrays)
    assert len(read_inputs(file_inputs(model, tmp_path / "in.npz").blob).inferences) == 6
    with pytest.raises(UsageError, match="takes 23,520 bytes as real numbers; at most 20,000 are compared"):
        matched_inputs(model, [model], 0, tmp_path / "in.npz")
