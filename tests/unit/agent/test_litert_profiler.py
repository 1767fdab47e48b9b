"""Everything that enters LiteRT's C library runs in a child process, as in the agent."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeprof.agent import litert_profiler
from edgeprof.agent.litert_profiler import OperatorRow, ProfilerUnavailable, operator_times

if TYPE_CHECKING:
    from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
MODELS = Path(os.environ.get("EDGEPROF_MODELS") or REPOSITORY.parent / "shared" / "models") / "mlperf_tiny"
NAMES = (
    "ad01_fp32",
    "ad01_int8",
    "kws_ref_model",
    "kws_ref_model_float32",
    "pretrainedResnet",
    "pretrainedResnet_quant",
    "vww_96_float",
    "vww_96_int8",
)
RUNS = 20

PROFILE = """
import json, sys
from edgeprof.agent.litert_profiler import ProfilerUnavailable, operator_times
path, sizes, runs, threads = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
try:
    rows, method = operator_times(path, [bytes(size) for size in sizes], runs, threads)
    print(json.dumps({"rows": rows, "method": method, "numpy": "numpy" in sys.modules}))
except ProfilerUnavailable as unavailable:
    print(json.dumps({"reason": unavailable.reason}))
"""

INVOKE = """
import json, statistics, sys, time
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
walls_ns = []
for _ in range(50):
    started_ns = time.perf_counter_ns()
    interpreter.invoke()
    walls_ns.append(time.perf_counter_ns() - started_ns)
sizes = [interpreter.get_tensor(tensor["index"]).nbytes for tensor in interpreter.get_input_details()]
print(json.dumps({"wall_ns": statistics.median(walls_ns), "sizes": sizes}))
"""


def child(program: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def profile(path: Path, sizes: list[int], threads: int = 1) -> tuple[list[OperatorRow], str]:
    answer = child(PROFILE, path, json.dumps(sizes), RUNS, threads)
    assert "reason" not in answer, answer["reason"]
    return [OperatorRow(*row) for row in answer["rows"]], answer["method"]


def refusal(path: Path, sizes: list[int]) -> str:
    reason: str = child(PROFILE, path, json.dumps(sizes), RUNS, 1)["reason"]
    return reason


def model(name: str) -> Path:
    path = MODELS / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"{path} is missing; EDGEPROF_MODELS names the folder that holds mlperf_tiny/")
    return path


@pytest.fixture(autouse=True)
def _package_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    # find_spec would give the package that another test has imported.
    monkeypatch.delitem(sys.modules, "ai_edge_litert", raising=False)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out an installed wheel of a verified version, without its library."""
    (tmp_path / "ai_edge_litert").mkdir()
    (tmp_path / "ai_edge_litert" / "__init__.py").write_text("raise AssertionError('imported')")
    (tmp_path / f"ai_edge_litert-{litert_profiler.VERIFIED[-1]}.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


MORE_PASSES = 3
BUSY_FACTOR = 10
"""Tests run beside each other: either pass may share its core with others while the other had it alone."""


@pytest.mark.models
@pytest.mark.parametrize("name", NAMES)
def test_the_operators_of_a_model_add_up_to_about_the_time_of_an_invocation(name: str) -> None:
    invocation = child(INVOKE, model(name))
    rows, method = profile(model(name), invocation["sizes"])
    assert rows
    assert [row.index for row in rows] == list(range(len(rows)))
    assert {row.calls for row in rows} == {RUNS}
    assert all(row.name and row.type for row in rows)
    # One interruption of a run of microseconds is many times the run: the quickest of several passes had the fewest.
    passes = [rows, *(profile(model(name), invocation["sizes"])[0] for _ in range(MORE_PASSES))]
    # A busy host makes either pass slower by a factor; each call loses up to a microsecond to rounding.
    sum_ns = min(sum(row.ticks_ns for row in found) for found in passes) / RUNS
    assert sum_ns <= invocation["wall_ns"] * BUSY_FACTOR
    assert sum_ns + len(rows) * 1000 >= invocation["wall_ns"] / BUSY_FACTOR
    assert "resolution 1 us" in method


@pytest.mark.models
def test_the_package_and_numpy_are_not_imported_and_the_method_names_the_threads() -> None:
    answer = child(PROFILE, model("kws_ref_model"), "[490]", 1, 2)
    assert not answer["numpy"]
    assert "2 threads" in answer["method"]


@pytest.mark.models
def test_operators_outside_the_delegate_are_named_by_the_tensor_that_they_make() -> None:
    rows, _ = profile(model("kws_ref_model"), [490])
    assert (rows[-1].type, rows[-1].name) == ("SOFTMAX", "Identity")


def test_the_body_of_a_loop_counts_once_and_the_loop_itself_not_at_all(tmp_path: Path) -> None:
    rows, _ = profile(counting_loop(tmp_path / "loop.tflite"), [4])
    assert {row.type: row.calls for row in rows} == {"LESS": 11 * RUNS, "Add": 10 * RUNS, "Cosine": RUNS}


@pytest.mark.models
@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ([489], "input 0 takes 490 bytes, but 489 were given"),
        ([], "the model has 1 input tensor(s), but 0 were given"),
        ([490, 1], "the model has 1 input tensor(s), but 2 were given"),
    ],
)
def test_inputs_that_do_not_fit_the_model_are_refused(sizes: list[int], reason: str) -> None:
    assert refusal(model("kws_ref_model"), sizes) == reason


@pytest.mark.models
@pytest.mark.parametrize("kept", [0.25, 0.5, 0.999])
def test_a_model_that_was_cut_off_is_refused(tmp_path: Path, kept: float) -> None:
    whole = model("kws_ref_model").read_bytes()
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(whole[: int(len(whole) * kept)])
    assert "status 501" in refusal(cut, [490])


def test_a_file_that_is_missing_or_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tflite").write_text("no model " * 100)
    (tmp_path / "empty.tflite").touch()
    assert "not a valid flatbuffer" in refusal(tmp_path / "text.tflite", [490])
    assert "status" in refusal(tmp_path / "empty.tflite", [490])
    assert "No such file" in refusal(tmp_path / "missing.tflite", [490])


@pytest.mark.parametrize(("runs", "threads"), [(0, 1), (1, 0)])
def test_no_runs_or_no_threads_are_refused(runs: int, threads: int) -> None:
    with pytest.raises(ProfilerUnavailable, match="at least 1"):
        operator_times("model.tflite", [], runs, threads)


def test_a_version_whose_structs_nobody_checked_is_refused(wheel: Path) -> None:
    next(wheel.glob("*.dist-info")).rename(wheel / "ai_edge_litert-99.0.0.dist-info")
    with pytest.raises(ProfilerUnavailable, match=r"ai-edge-litert 99\.0\.0: .*not verified") as refused:
        operator_times("model.tflite", [], 1, 1)
    assert litert_profiler.VERIFIED[-1] in refused.value.reason


def test_a_wheel_without_its_records_is_refused(wheel: Path) -> None:
    next(wheel.glob("*.dist-info")).rmdir()
    with pytest.raises(ProfilerUnavailable, match="of unknown version"):
        operator_times("model.tflite", [], 1, 1)


def test_a_wheel_without_the_library_is_refused(wheel: Path) -> None:
    with pytest.raises(ProfilerUnavailable, match=r"libLiteRt\.so is missing"):
        operator_times("model.tflite", [], 1, 1)
    assert (wheel / "ai_edge_litert").is_dir()


def test_a_library_that_cannot_be_loaded_is_refused(wheel: Path) -> None:
    (wheel / "ai_edge_litert" / "libLiteRt.so").write_text("no library")
    with pytest.raises(ProfilerUnavailable, match=r"libLiteRt\.so: "):
        operator_times("model.tflite", [], 1, 1)


def test_a_library_that_lacks_a_symbol_is_refused(wheel: Path) -> None:
    other = importlib.util.find_spec("_ctypes")
    if other is None or other.origin is None or not Path(other.origin).is_file():
        pytest.skip("this Python has no extension module in a file of its own")
    shutil.copy(other.origin, wheel / "ai_edge_litert" / "libLiteRt.so")
    with pytest.raises(ProfilerUnavailable, match="undefined symbol: LiteRt"):
        operator_times("model.tflite", [], 1, 1)


def test_a_board_without_the_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ProfilerUnavailable, match="not installed"):
        operator_times("model.tflite", [], 1, 1)


def counting_loop(path: Path) -> Path:
    """Write a model that counts from its input to 10 in a WHILE and takes the cosine."""
    import flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    def made(kind: Any, **fields: object) -> Any:  # noqa: ANN401 - generated classes have no types
        table = kind()
        for field, content in fields.items():
            setattr(table, field, content)
        return table

    def scalar(name: str, constant: int = 0, kind: int = schema.TensorType.FLOAT32) -> Any:  # noqa: ANN401 - the same
        return made(schema.TensorT, name=name, shape=[1], type=kind, buffer=constant)

    def operator(code: int, inputs: list[int], output: int, options: object = None, kind: int = 0) -> Any:  # noqa: ANN401 - the same
        fields = {"opcodeIndex": code, "inputs": inputs, "outputs": [output]}
        return made(schema.OperatorT, **fields, builtinOptions=options, builtinOptionsType=kind)

    def subgraph(tensors: list[Any], *operators: object) -> Any:  # noqa: ANN401 - the same
        last = len(tensors) - 1
        return made(schema.SubGraphT, tensors=tensors, inputs=[0], outputs=[last], operators=list(operators))

    loop = made(schema.WhileOptionsT, condSubgraphIndex=1, bodySubgraphIndex=2)
    operators, options = schema.BuiltinOperator, schema.BuiltinOptions
    codes = (operators.WHILE, operators.COS, operators.LESS, operators.ADD)
    less = operator(2, [0, 1], 2, schema.LessOptionsT(), options.LessOptions)
    add = operator(3, [0, 1], 2, schema.AddOptionsT(), options.AddOptions)
    constants = (np.array([number], np.float32).view(np.uint8) for number in (10, 1))
    content = made(
        schema.ModelT,
        version=3,
        operatorCodes=[
            made(schema.OperatorCodeT, builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=1)
            for code in codes
        ],
        subgraphs=[
            subgraph(
                [scalar("from"), scalar("to"), scalar("cosine")],
                operator(0, [0], 1, loop, options.WhileOptions),
                operator(1, [1], 2),
            ),
            subgraph([scalar("count"), scalar("ten", 1), scalar("less", 0, schema.TensorType.BOOL)], less),
            subgraph([scalar("count"), scalar("one", 2), scalar("next")], add),
        ],
        buffers=[schema.BufferT(), *(made(schema.BufferT, data=constant) for constant in constants)],
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(content.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path
