from __future__ import annotations

import os
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeprof.errors import FileUnreadable, ModelError, ModelInvalid, ModelUnsupported
from edgeprof.model import read_model
from edgeprof.model.cost import model_cost
from edgeprof.model.memory import greedy_arena_plan, liveness
from edgeprof.model.onnx import read_onnx
from edgeprof.model.reading import max_operators
from edgeprof.model.tflite import read_tflite
from scripts.pace import SLOW_REFERENCES
from tests.conftest import REPOSITORY
from tests.unit.model.flatbuffer_writer import Table, code, model, operator, small_convolution, subgraph, tensor

if TYPE_CHECKING:
    from edgeprof.model.graph import Graph

# Reads a model in a process of its own and prints what came of it, the CPU time in references, and the megabytes.
_measure = """
import sys, time
from pathlib import Path
from edgeprof.errors import ModelError
from edgeprof.model import read_model
from edgeprof.model.cost import model_cost
from edgeprof.model.memory import greedy_arena_plan, liveness
from scripts.pace import reference_s
start = time.process_time()
try:
    graph = read_model(Path(sys.argv[1]), digest=False)
    model_cost(graph), liveness(graph), greedy_arena_plan(graph)
    end = "read"
except ModelError as error:
    end = type(error).__name__
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))  # ru_maxrss holds the parent's
print(end, (time.process_time() - start) / reference_s(), int(peak.split()[1]) / 1024)
"""


def measured(path: Path) -> tuple[str, float, float]:
    done = subprocess.run(
        [sys.executable, "-c", _measure, str(path)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    end, references, megabytes = done.stdout.split()
    return end, float(references), float(megabytes)


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def onnx(graph: bytes) -> bytes:
    return b"\x08\x08" + field(7, graph) + field(8, b"\x10\x0d")


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="No such file"):
        read_model(tmp_path / "none.tflite")


def test_a_folder_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="is a folder"):
        read_model(tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileUnreadable, match="not a regular file"):
        read_model(tmp_path / "pipe")


def test_a_name_with_a_zero_in_it_is_unreadable() -> None:
    with pytest.raises(FileUnreadable):
        read_model(Path("a\0b"))


def test_an_empty_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ModelInvalid, match="is empty"):
        read_model(tmp_path / "empty.onnx")


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"GGUF\3\0\0\0", "a GGUF file"),
        (b"PK\3\4\0\0\0\0", "a zip archive"),
        (b"version https://git-lfs.github.com/", "LFS"),
    ],
)
def test_other_formats_are_named_with_what_to_do(tmp_path: Path, start: bytes, what: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(start)
    with pytest.raises(ModelInvalid, match=what) as caught:
        read_model(path)
    assert caught.value.hint


@pytest.mark.parametrize("data", [b"hello, I am a text\n", b"\0" * 100, b"\xff" * 100, b"\x08\x08", b"\x1c\0\0\0TFL3"])
def test_what_is_no_model_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model"
    path.write_bytes(data)
    with pytest.raises(ModelInvalid):
        read_model(path)


def test_a_model_cut_short_anywhere_is_refused_or_read() -> None:
    data = small_convolution()
    for length in range(8, len(data)):
        with suppress(ModelError):
            read_tflite(data[:length], "cut")


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_ten_gigabytes_are_refused_before_they_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large.{suffix}"
    with path.open("wb") as file:
        file.write(struct.pack("<I", 16) + b"TFL3")
        file.truncate(10 * 2**30)
    with pytest.raises(ModelInvalid, match=r"10.0 GiB; a model file of at most 4 GiB is wanted"):
        read_model(path)


@pytest.mark.parametrize("start", [b"\x08\x08\x3a", struct.pack("<I", 16) + b"TFL3", b"\x08\x08" * 10_000_000])
def test_gigabytes_of_nothing_are_refused_quickly_and_in_little_memory(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(3 * 2**30)
    end, references, megabytes = measured(path)
    assert end in {"ModelInvalid", "ModelUnsupported"}
    assert references < SLOW_REFERENCES
    assert megabytes < 300


def test_more_nodes_than_any_model_has_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "many.onnx"
    path.write_bytes(onnx(field(1, b"") * (2 * max_operators)))
    end, references, megabytes = measured(path)
    assert (end, references < SLOW_REFERENCES, megabytes < 300) == ("ModelUnsupported", True, True)


def test_many_operators_that_are_one_and_the_same_table_are_refused() -> None:
    data = bytearray(small_convolution())
    count = max_operators + 1
    start = (len(data) + 3) // 4 * 4
    data += bytes(start - len(data)) + struct.pack("<I", count) + bytes(4 * count)
    root = struct.unpack_from("<I", data)[0]
    codes = root + 16
    struct.pack_into("<I", data, codes, start - codes)
    with pytest.raises(ModelError):
        read_tflite(bytes(data), "many")


def test_graphs_in_graphs_in_graphs_are_refused(tmp_path: Path) -> None:
    graph = b""
    for _ in range(5_000):
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))
    path = tmp_path / "deep.onnx"
    path.write_bytes(onnx(graph))
    with pytest.raises(ModelUnsupported, match="32 deep"):
        read_model(path)


def test_a_chain_of_calls_is_refused_before_python_runs_out_of_stack() -> None:
    count = 200
    graphs = [
        subgraph([tensor("x", [1])], [operator(0, [], [], 103, Table({0: ("i", index + 1)}))], [0], [0])
        for index in range(count)
    ]
    with pytest.raises(ModelUnsupported, match="32 deep"):
        read_tflite(model([code(129)], [*graphs, subgraph([], [], [], [])], []), "calls")


def test_calls_that_double_at_every_level_are_worked_out_once(tmp_path: Path) -> None:
    count = 30
    graphs = [
        subgraph(
            [tensor("x", [1])], [operator(0, [], [], 92, Table({0: ("i", index + 1), 1: ("i", index + 1)}))], [0], [0]
        )
        for index in range(count)
    ]
    path = tmp_path / "doubling.tflite"
    path.write_bytes(model([code(118)], [*graphs, subgraph([tensor("x", [1])], [], [0], [0])], []))
    end, references, _ = measured(path)
    assert (end, references < SLOW_REFERENCES) == ("read", True)
    assert greedy_arena_plan(read_model(path)).reason == "the graph is too large for TFLM's planner, which is quadratic"


@pytest.mark.parametrize(
    ("shape", "what"), [([2**31 - 1] * 4, "elements"), ([1] * 40, "40 dimensions"), ([-5, 3], r"the shape \[-5, 3\]")]
)
def test_shapes_that_no_tensor_has_are_refused_by_name(shape: list[int], what: str) -> None:
    with pytest.raises(ModelInvalid, match=what):
        read_tflite(model([], [subgraph([tensor("vast", shape)], [], [0], [0])], []), "shapes")


def test_tensors_operators_and_codes_that_are_not_there_are_refused() -> None:
    def read(*nodes: Table) -> Graph:
        return read_tflite(model([code(0)], [subgraph([tensor("x", [1])], list(nodes), [0], [0])], []), "indices")

    with pytest.raises(ModelInvalid, match=r"input of operator 0 \(ADD\) is tensor 7; the graph has 1"):
        read(operator(0, [7], [0]))
    with pytest.raises(ModelInvalid, match="is of code 3, the file has 1"):
        read(operator(3, [0], [0]))
    with pytest.raises(ModelInvalid, match="buffer 9 is wanted, the file has 1"):
        read_tflite(model([], [subgraph([tensor("x", [1], buffer=9)], [], [], [])], []), "buffers")


def test_data_that_does_not_fit_its_shape_is_refused() -> None:
    stored = field(5, b"\x08\x04\x10\x01" + field(8, b"w") + field(9, bytes(12)))
    with pytest.raises(ModelInvalid, match=r"'w' has 12 bytes of data, its shape wants 16"):
        read_onnx(onnx(stored), Path("short.onnx"))


def test_a_graph_without_operators_is_read(tmp_path: Path) -> None:
    path = tmp_path / "nothing.tflite"
    path.write_bytes(model([], [subgraph([tensor("x", [8])], [], [0], [0])], []))
    graph = read_model(path)
    assert (model_cost(graph).macs_count, liveness(graph).lower_bound_bytes) == (0, 8)
    assert (liveness(graph).live_bytes, liveness(graph).peak_operator) == ((), None)
    assert greedy_arena_plan(graph).planner_bytes == 16
