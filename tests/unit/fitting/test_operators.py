"""Which operators a board's engine or runtime has, and what is said of those that it has not."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ai_edge_litert.interpreter as litert
import numpy as np
import onnx
import onnxruntime
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper

import edgeprof as library
from edgeprof.boards import load_board
from edgeprof.fitting.engines import ENGINES, TFLM
from edgeprof.fitting.fit import fit_board, made_up_board
from edgeprof.fitting.operator_lists import operator_lists
from edgeprof.model import read_model
from edgeprof.records.board import Accelerator, Board, MemoryRegion
from scripts.write_operator_lists import CUSTOM, Asked, custom_alone
from tests.firmware.small_models import SmallModel

if TYPE_CHECKING:
    from edgeprof.records.inspection import BoardFit
    from tests.conftest import Cli

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "operators"
EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "models"
LITERT, ORT = f"LiteRT {operator_lists().litert.version}", f"ONNX Runtime {operator_lists().onnxruntime.version}"
PI, MCU, CORAL, ETHOS = "raspberry-pi-5", "nucleo-l4r5zi", "coral-dev-board", "kit-pse84-eval"
Case = tuple[str, str, str]


def custom(folder: Path, name: str) -> Path:
    path = folder / "custom.tflite"
    path.write_bytes(custom_alone(Asked(CUSTOM, name)))
    return path


def fitted(path: Path, board: str | Board) -> BoardFit:
    found = load_board(board) if isinstance(board, str) else board
    return fit_board(read_model(path, digest=False), found, ENGINES["tflm+cmsis-nn"])


def judged(path: Path, board: str | Board) -> tuple[str, str]:
    finding = next(each for each in fitted(path, board).findings if each.limit.startswith("operators of "))
    return finding.verdict, finding.reason


# ── TFLite models ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["detpost", "dynamic_update_slice", "reduce_min"])
@pytest.mark.parametrize("board", [PI, MCU, CORAL, ETHOS])
def test_what_tflm_and_litert_run_is_ready_everywhere(model: str, board: str) -> None:
    assert fitted(FIXTURES / f"{model}.tflite", board).verdict == "READY"


@pytest.mark.parametrize(
    ("model", "board", "verdict", "reason"),
    [
        ("pow", MCU, "NOT READY", "tflm+cmsis-nn has no POW"),
        ("pow", PI, "READY", f"{LITERT} has every operator"),
        # A custom operator does not hide the builtin that is missing beside it.
        ("mixed_pow_custom", MCU, "NOT READY",
         "tflm+cmsis-nn has no POW; MyOp needs a kernel of your own in tflm+cmsis-nn"),
        ("mixed_pow_custom", PI, "READY WITH WARNINGS", "MyOp needs a library of custom operators"),
    ],
)  # fmt: skip
def test_a_missing_builtin_is_refused_and_a_custom_one_is_named(
    model: str, board: str, verdict: str, reason: str
) -> None:
    found = fitted(FIXTURES / f"{model}.tflite", board)
    assert found.verdict == verdict
    assert judged(FIXTURES / f"{model}.tflite", board)[1] == reason


@pytest.mark.parametrize(
    ("name", "board", "verdict", "reason"),
    [
        ("edgetpu-custom-op", CORAL, "WARN", "edgetpu-custom-op needs Coral's delegate libedgetpu"),
        ("edgetpu-custom-op", PI, "FAIL", "edgetpu-custom-op needs an Edge TPU, which Raspberry Pi 5 does not have"),
        ("edgetpu-custom-op", ETHOS, "FAIL", "needs an Edge TPU, which"),
        ("ethos-u", ETHOS, "PASS", "tflm+cmsis-nn has every operator"),
        ("ethos-u", MCU, "FAIL", "ethos-u needs an Ethos-U, which ST NUCLEO-L4R5ZI does not have"),
        ("ethos-u", "mps3-an547", "FAIL", "needs an Ethos-U"),
        ("ethos-u", CORAL, "FAIL", "needs an Ethos-U"),
        ("NeutronGraph", "frdm-mcxn947", "WARN", "NeutronGraph needs NXP's Neutron kernel"),
        ("NeutronGraph", MCU, "FAIL", "needs an eIQ Neutron"),
        ("FlexErf", PI, "WARN", "FlexErf needs TensorFlow's Flex delegate"),
        ("FlexErf", MCU, "FAIL", "FlexErf needs TensorFlow's Flex delegate, which tflm+cmsis-nn does not have"),
        ("MyOp", PI, "WARN", "MyOp needs a library of custom operators"),
        ("MyOp", MCU, "WARN", "MyOp needs a kernel of your own in tflm+cmsis-nn"),
        ("Mfcc", PI, "PASS", f"{LITERT} has every operator"),
        ("Mfcc", MCU, "WARN", "Mfcc needs a kernel of your own"),
        ("SignalFftAutoScale", MCU, "PASS", "has every operator"),
        ("SignalFftAutoScale", PI, "WARN", "SignalFftAutoScale needs a library of custom operators"),
        ("CIRCULAR_BUFFER", MCU, "PASS", "has every operator"),
    ],
)  # fmt: skip
def test_a_custom_operator_is_judged_by_who_can_run_it_on_the_board(
    tmp_path: Path, name: str, board: str, verdict: str, reason: str
) -> None:
    found = judged(custom(tmp_path, name), board)
    assert found[0] == verdict
    assert reason in found[1]


@pytest.mark.parametrize("name", ["edgetpu-custom-op", "FlexErf", "MyOp", "ethos-u"])
def test_litert_refuses_what_is_said_to_need_something_beside_it(tmp_path: Path, name: str) -> None:
    interpreter = litert.Interpreter(model_path=str(custom(tmp_path, name)))
    with pytest.raises(RuntimeError, match=r"custom op|Flex delegate"):
        interpreter.allocate_tensors()


@pytest.mark.parametrize(
    "accelerator",
    [Accelerator(name="npu", description="Arm Ethos-U65, 256 MACs"), Accelerator(name="Ethos_U85")],
)
def test_an_accelerator_is_known_by_its_name_or_description(tmp_path: Path, accelerator: Accelerator) -> None:
    flash = MemoryRegion(name="flash", kind="flash", bytes=10**7)
    board = Board(id="own", name="Own", vendor="", kind="mcu", memory=(flash,), accelerators=(accelerator,))
    assert judged(custom(tmp_path, "ethos-u"), board)[0] == "PASS"
    assert judged(custom(tmp_path, "ethos-u"), replace(board, accelerators=()))[0] == "FAIL"


def test_an_engine_without_a_list_does_not_run_what_was_compiled_for_another_chip(tmp_path: Path) -> None:
    graph = read_model(custom(tmp_path, "edgetpu-custom-op"), digest=False)
    assert fit_board(graph, load_board(MCU), ENGINES["x-cube-ai9+"]).verdict == "NOT READY"


def test_of_a_board_made_up_of_a_core_no_accelerator_is_known(tmp_path: Path) -> None:
    verdict, reason = judged(custom(tmp_path, "ethos-u"), made_up_board("cortex-m55", 400e6))
    assert (verdict, reason) == (
        "INCONCLUSIVE",
        "ethos-u needs an Ethos-U, and whether cortex-m55 at 400 MHz has one is not known",
    )


def with_version(folder: Path, number: int) -> Path:
    model = SmallModel()
    source, out = model.tensor((1, 4), dtype="float32"), model.tensor((1, 4), dtype="float32")
    model.operator("RELU", [source], [out], None)
    path = folder / "versioned.tflite"
    path.write_bytes(model.write([source], [out], version=number))
    return path


def test_a_version_of_an_operator_that_litert_does_not_have_yet_is_refused(tmp_path: Path) -> None:
    newest = operator_lists().litert.builtins["RELU"]
    assert judged(with_version(tmp_path, newest), PI)[0] == "PASS"
    path = with_version(tmp_path, newest + 1)
    told = f"{LITERT} has RELU up to version {newest}, the model's is {newest + 1}"
    assert judged(path, PI) == ("FAIL", told)
    if version("ai-edge-litert") != operator_lists().litert.version:
        pytest.skip("another version of LiteRT is installed than the list is of")
    with pytest.raises(ValueError, match="Didn't find op"):
        litert.Interpreter(model_path=str(path))


def test_the_bodies_of_a_loop_are_looked_into() -> None:
    graph = read_model(FIXTURES / "pow.tflite", digest=False)
    looped = replace(read_model(EXAMPLES / "kws_int8.tflite", digest=False), subgraphs=(_body(graph),))
    found = fit_board(looped, load_board(MCU), TFLM)
    assert (found.verdict, found.reason) == ("NOT READY", "tflm has no POW")


def _body(graph: Any) -> Any:  # noqa: ANN401  a graph's parts are a subgraph's
    from edgeprof.model.graph import Subgraph

    return Subgraph(
        name="body", tensors=graph.tensors, operators=graph.operators, inputs=graph.inputs, outputs=graph.outputs
    )


# ── ONNX models ──────────────────────────────────────────────────────────────────────────────────────────────────────


def model(
    folder: Path,
    nodes: list[Any],
    opsets: dict[str, int] | None = None,
    ir_version: int = 8,
    functions: list[Any] | None = None,
) -> Path:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    imports = [helper.make_opsetid(domain, number) for domain, number in (opsets or {"": 17}).items()]
    path = folder / "model.onnx"
    made = helper.make_model(graph, opset_imports=imports, ir_version=ir_version, functions=functions or [])
    path.write_bytes(made.SerializeToString())
    return path


def one(kind: str, domain: str = "", **attributes: Any) -> list[Any]:  # noqa: ANN401  onnx's own
    return [helper.make_node(kind, ["x"], ["y"], domain=domain, **attributes)]


def loads(path: Path) -> bool:
    """Say whether the runtime of the lists takes a model; another version of it is not asked."""
    if version("onnxruntime") != operator_lists().onnxruntime.version:
        pytest.skip("another version of ONNX Runtime is installed than the list is of")
    onnxruntime.set_default_logger_severity(4)
    state = onnxruntime.capi.onnxruntime_pybind11_state
    try:
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except (state.Fail, state.InvalidGraph, state.NotImplemented):
        return False
    return True


NEWEST = operator_lists().onnxruntime.opsets["ai.onnx"]


@pytest.mark.parametrize(
    ("kind", "domain", "opsets", "verdict", "reason"),
    [
        ("Relu", "", {"": 17}, "PASS", f"{ORT} has every operator"),
        ("Relu", "ai.onnx", {"ai.onnx": 17}, "PASS", "has every operator"),
        ("Gelu", "", {"": 20}, "PASS", "has every operator"),
        ("Gelu", "", {"": 19}, "FAIL", f"{ORT} has no Gelu in operator set 19"),
        ("Mish", "", {"": 18}, "PASS", "has every operator"),
        ("NoSuch", "", {"": 17}, "FAIL", f"{ORT} has no NoSuch in operator set 17"),
        ("Relu", "", {"": NEWEST}, "PASS", "has every operator"),
        ("Relu", "", {"": NEWEST + 1}, "FAIL",
         f"{ORT} has operator set {NEWEST} of ai.onnx at most, the model's is {NEWEST + 1}"),
        ("Relu", "", {"": 17, "ai.onnx.ml": 60}, "FAIL", "of ai.onnx.ml at most, the model's is 60"),
        ("Gelu", "com.microsoft", {"": 17, "com.microsoft": 1}, "PASS", "has every operator"),
        ("NoSuch", "com.microsoft", {"": 17, "com.microsoft": 1}, "FAIL", "no com.microsoft::NoSuch in operator set 1"),
        ("GroupNorm", "com.microsoft", {"": 17, "com.microsoft": 1}, "WARN",
         "com.microsoft::GroupNorm needs another execution provider than the CPU's"),
        ("MyNMS", "my.ops", {"": 17, "my.ops": 1}, "WARN", "my.ops::MyNMS needs a library of custom operators"),
        ("BertTokenizer", "ai.onnx.contrib", {"": 17, "ai.onnx.contrib": 1}, "WARN", "needs onnxruntime-extensions"),
        ("Adagrad", "ai.onnx.preview.training", {"": 17, "ai.onnx.preview.training": 1}, "FAIL", "has no"),
    ],
)  # fmt: skip
def test_an_onnx_operator_is_judged_as_the_runtime_takes_it(
    tmp_path: Path, kind: str, domain: str, opsets: dict[str, int], verdict: str, reason: str
) -> None:
    path = model(tmp_path, one(kind, domain), opsets)
    found = judged(path, PI)
    assert found[0] == verdict
    assert reason in found[1]
    assert loads(path) == (verdict == "PASS")


def test_an_ir_version_that_is_too_new_is_refused(tmp_path: Path) -> None:
    newest = operator_lists().onnxruntime.ir_version
    assert loads(model(tmp_path, one("Relu"), ir_version=newest))
    assert judged(tmp_path / "model.onnx", PI)[0] == "PASS"
    path = model(tmp_path, one("Relu"), ir_version=newest + 1)
    told = f"{ORT} reads IR version {newest} at most, the model's is {newest + 1}"
    assert judged(path, PI) == ("FAIL", told)
    assert fitted(path, PI).verdict == "NOT READY"
    assert not loads(path)


def function(*nodes: Any, name: str = "Swiglet", domain: str = "own") -> Any:  # noqa: ANN401  onnx's own
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my.ops", 1), helper.make_opsetid("own", 1)]
    return helper.make_function(domain, name, ["x"], ["y"], list(nodes), opsets)


@pytest.mark.parametrize(
    ("inner", "verdict", "reason"),
    [
        (one("Relu"), "PASS", f"{ORT} has every operator"),
        (one("Gelu"), "FAIL", f"{ORT} has no Gelu in operator set 17"),
        (one("MyNMS", "my.ops"), "WARN", "my.ops::MyNMS needs a library of custom operators"),
    ],
)
def test_a_function_of_the_models_own_is_no_foreign_operator_and_is_looked_into(
    tmp_path: Path, inner: list[Any], verdict: str, reason: str
) -> None:
    outer = function(*one("Inner", "own"))
    path = model(tmp_path, one("Swiglet", "own"), {"": 17, "own": 1}, 9, [outer, function(*inner, name="Inner")])
    assert judged(path, PI) == (verdict, reason)
    assert loads(path) == (verdict == "PASS")


def test_the_branches_of_an_if_are_looked_into(tmp_path: Path) -> None:
    out = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4])
    branches = [
        helper.make_graph([helper.make_node(kind, ["x"], ["z"], domain=domain)], kind, [], [out])
        for kind, domain in (("Relu", ""), ("MyNMS", "my.ops"))
    ]
    condition = helper.make_tensor("c", TensorProto.BOOL, [], np.array([True]))
    nodes = [
        helper.make_node("Constant", [], ["c"], value=condition),
        helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    path = model(tmp_path, nodes, {"": 17, "my.ops": 1})
    assert judged(path, PI) == ("WARN", "my.ops::MyNMS needs a library of custom operators")
    assert not loads(path)


def test_many_foreign_operators_are_told_in_few_words(tmp_path: Path) -> None:
    names = ["x", *(f"v{index}" for index in range(11)), "y"]
    nodes = [
        helper.make_node(f"Op{index:02}", [names[index]], [names[index + 1]], domain="my.ops") for index in range(12)
    ]
    reason = judged(model(tmp_path, nodes, {"": 17, "my.ops": 1}), PI)[1]
    assert reason.endswith("my.ops::Op07 and 4 more need a library of custom operators")


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.onnx")))
def test_the_example_models_have_no_foreign_operator(name: str) -> None:
    onnx.checker.check_model(str(EXAMPLES / name))
    assert judged(EXAMPLES / name, PI) == ("PASS", f"{ORT} has every operator")


# ── as it is told ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_ends_with_4_and_its_json_names_the_runtime_and_the_reason(edgeprof: Cli) -> None:
    path = FIXTURES / "mixed_pow_custom.tflite"
    done = edgeprof("fit", path, "--board", MCU, "--board", PI, "--format", "json")
    boards = {each["board"]: each for each in json.loads(done.stdout)["boards"]}
    assert {name: each["verdict"] for name, each in boards.items()} == {MCU: "NOT READY", PI: "READY WITH WARNINGS"}
    assert boards[PI]["findings"][-1] == {
        "limit": f"operators of {LITERT}", "metric": "macs_count", "verdict": "WARN", "tier": "hard", "value": None,
        "threshold": None, "unit": "", "basis": "computed", "source": f"what {LITERT} registers",
        "reason": "MyOp needs a library of custom operators",
    }  # fmt: skip
    assert done.returncode == 0
    alone = edgeprof("fit", path, "--board", MCU)
    assert alone.returncode == 4
    assert "tflm+cmsis-nn has no POW; MyOp needs a kernel of your own" in alone.stdout


def test_the_library_answers_as_the_command_does() -> None:
    found = library.fit(FIXTURES / "customdomain.onnx", boards=[PI])
    assert [(board.verdict, board.reason) for board in found.boards] == [
        ("READY WITH WARNINGS", "my.ops::MyNMS needs a library of custom operators")
    ]
