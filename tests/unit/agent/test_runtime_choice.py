"""Which delegate, provider and CPUs a pass really ran with: real runtimes, and a delegate library built here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from edgeprof.agent import delegates, runtimes
from edgeprof.agent.delegates import BadRequest, Choice, Node
from edgeprof.errors import RuntimeUnusable
from edgeprof.inputs import random_inputs
from edgeprof.links.framed import FramedSession
from edgeprof.links.local import open_local
from edgeprof.model import read_model
from edgeprof.records.events import Noted, OperatorTimed, OutputReceived, PassEnded, PassStarted
from edgeprof.records.result import Pass, Plan, SecondModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.events import Event

MODELS = Path(__file__).resolve().parents[3] / "examples" / "models"
KWS, KWS_ONNX = MODELS / "kws_int8.tflite", MODELS / "kws_fp32.onnx"
KWS_QDQ = MODELS / "kws_qdq_int8.onnx"
SOURCE = Path(__file__).with_name("claiming_delegate.c")
LATENCY = Pass(kind="latency", runs=3, warmup=0)
RESHAPE = 22  # its number among the builtin operators
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux pins a process to CPUs")


@pytest.fixture(scope="module")
def library(compiler: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a delegate library that claims what it is told to, by default nothing."""
    path = tmp_path_factory.mktemp("delegate") / "libclaiming.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, SOURCE], check=True, timeout=60)
    return path


def told(
    model: Path,
    *passes: Pass,
    delegate: str = "",
    providers: tuple[str, ...] = (),
    cpus: tuple[int, ...] = (),
    options: tuple[str, ...] = (),
) -> list[Event]:
    """Run passes here with a choice; return what the agent said."""
    plan = Plan(
        passes=passes or (LATENCY,), format=model.suffix[1:], delegate=delegate, providers=providers, cpus=cpus,
        runtime_options=options,
    )  # fmt: skip
    blobs = {"model": model.read_bytes(), "inputs": random_inputs(read_model(model), 0).blob}
    with FramedSession(open_local(), name="here") as session:
        return list(session.run(plan, blobs))


def detail_of(events: Sequence[Event]) -> dict[str, Any]:
    return next(event.detail for event in events if isinstance(event, PassStarted))


def notes_of(events: Sequence[Event]) -> list[tuple[str, str]]:
    return [(event.code, event.text) for event in events if isinstance(event, Noted)]


def ending_of(events: Sequence[Event]) -> PassEnded:
    return next(event for event in events if isinstance(event, PassEnded))


def operators() -> set[str]:
    return {f"{op.type} {read_model(KWS).tensors[op.outputs[0]].name}" for op in read_model(KWS).operators}


# ── TFLite delegates ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_delegate_that_takes_no_node_is_told_as_a_fallback_with_every_node_in_its_detail(library: Path) -> None:
    events = told(KWS, delegate=str(library))
    (note,) = notes_of(events)
    assert ending_of(events).complete
    assert note[0] == "cpu-fallback"
    assert note[1] == f"the delegate {library} took none of the 13 nodes; all ran without it"
    asked = detail_of(events)["asked"]
    assert (asked["names"], asked["taken"], asked["nodes"]) == ([str(library)], 0, 13)
    assert set(asked["left"]["names"]) == operators()
    assert str(library) not in [taken["name"] for taken in detail_of(events)["delegates"]]


def test_a_delegate_that_takes_one_node_is_told_with_the_names_of_the_others(library: Path) -> None:
    path = f"{library}?take={RESHAPE}"
    events = told(KWS, delegate=path)
    (note,) = notes_of(events)
    assert note[0] == "partial-delegation"
    assert "took 1 of 13 nodes; 12 ran without it" in note[1]
    assert [name for name in operators() if name not in note[1]] == ["RESHAPE flatten_10"]
    assert {"name": path, "nodes": 1, "parts": 1} in detail_of(events)["delegates"]
    asked = detail_of(events)["asked"]
    assert (asked["taken"], asked["nodes"], asked["left"]["count"]) == (1, 13, 12)


@pytest.mark.slow
def test_what_a_delegate_has_taken_really_runs_there(library: Path) -> None:
    def outputs(take: int) -> list[bytes]:
        events = told(KWS, Pass(kind="outputs"), delegate=f"{library}?take={take}")
        return [event.content for event in events if isinstance(event, OutputReceived)]

    softmax = 25
    assert outputs(RESHAPE) == outputs(-1)  # it copies, as a reshape does
    assert outputs(softmax) != outputs(-1)  # and copies where a softmax should be


def test_a_delegate_that_cannot_be_loaded_is_refused_with_its_path_and_the_reason() -> None:
    ended = ending_of(told(KWS, delegate="/nowhere/libedgetpu.so.1"))
    assert ended.failure == "bad-request"
    assert "the delegate /nowhere/libedgetpu.so.1 cannot be loaded" in ended.text
    assert "No such file" in ended.text


def test_a_library_that_is_no_delegate_is_refused_with_what_it_lacks() -> None:
    ended = ending_of(told(KWS, delegate="libm.so.6"))
    assert (ended.failure, "tflite_plugin_create_delegate" in ended.text) == ("bad-request", True)


def test_a_delegate_that_refuses_its_options_is_told_with_its_own_words(library: Path) -> None:
    ended = ending_of(told(KWS, delegate=f"{library}?refuse=no+device+found"))
    assert (ended.failure, "no device found" in ended.text) == ("bad-request", True)


def test_the_default_delegate_that_leaves_nodes_out_is_detail_and_no_warning() -> None:
    events = told(KWS)
    detail = detail_of(events)
    assert detail["delegate"] == "default"
    assert detail["nodes"] == sum(taken["nodes"] for taken in detail["delegates"]) + detail["not_delegated"]["count"]
    assert not notes_of(events)


def test_xnnpack_that_was_asked_for_and_leaves_nodes_out_is_told() -> None:
    events = told(KWS, delegate="xnnpack")
    (note,) = notes_of(events)
    detail = detail_of(events)
    assert note[0] == "partial-delegation"
    assert not [name for name in detail["not_delegated"]["names"] if name not in note[1]]


def test_without_a_delegate_no_node_is_delegated_and_nothing_is_told() -> None:
    events = told(KWS, delegate="none")
    assert (detail_of(events)["delegate"], detail_of(events)["delegates"], notes_of(events)) == ("none", [], [])


def test_the_memory_pass_loads_the_delegate_and_leaves_the_telling_to_the_others(library: Path) -> None:
    events = told(KWS, Pass(kind="memory"), delegate=str(library))
    assert ending_of(events).complete
    assert not [code for code, _ in notes_of(events) if code == "cpu-fallback"]


def test_operators_are_not_timed_with_a_delegate_that_the_profiler_does_not_have() -> None:
    (note,) = notes_of(told(KWS, Pass(kind="operators", runs=1), delegate="none"))
    assert note[0] == "operators-unavailable"
    assert "the delegate none" in note[1]


def test_a_runtime_without_a_switch_for_its_default_delegate_says_so() -> None:
    with pytest.raises(BadRequest, match="json is too old to leave its default delegate out"):
        delegates.interpreter_options(__import__("json"), Choice(delegate="none"))


@pytest.mark.slow
def test_execution_providers_are_refused_by_litert_and_delegates_by_onnx_runtime() -> None:
    assert "belong to ONNX Runtime" in ending_of(told(KWS, providers=("CPUExecutionProvider",))).text
    assert "belong to LiteRT" in ending_of(told(KWS_ONNX, delegate="xnnpack")).text


def test_the_nodes_of_a_delegate_are_those_between_its_inputs_and_outputs() -> None:
    nodes = [
        Node("CONV_2D", "a", [0, 1], [2]),
        Node("RELU", "b", [2], [3]),
        Node("LOGISTIC", "c", [2], [4]),
        Node("MUL", "d", [3, 4], [5]),
        Node("SOFTMAX", "e", [5], [6]),
        Node(delegates.DELEGATE_NODE, "", [2], [5]),
        Node(delegates.DELEGATE_NODE, "", [0, 1], [2]),
    ]
    assert delegates.taken_nodes(nodes) == [{1, 2, 3}, {0}]


# ── ONNX Runtime's providers ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(
    "AzureExecutionProvider" not in onnxruntime.get_available_providers(), reason="no second provider is in this wheel"
)
def test_a_provider_that_takes_no_node_is_told_as_a_fallback_with_the_nodes_in_its_detail() -> None:
    events = told(KWS_ONNX, providers=("AzureExecutionProvider",))
    (note,) = notes_of(events)
    detail = detail_of(events)
    assert note[0] == "cpu-fallback"
    assert detail["providers"] == ["AzureExecutionProvider", "CPUExecutionProvider"]
    assert detail["on_cpu"]["count"] == detail["nodes"] == len(read_model(KWS_ONNX).operators)
    assert detail["asked"]["taken"] == 0
    assert detail["asked"]["left"] == detail["on_cpu"]
    names = [name.partition(" ")[2] for name in detail["on_cpu"]["names"]]
    assert names == [op.name for op in read_model(KWS_ONNX).operators]


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is here")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_onnx_runtime_drops_without_an_error_is_told_as_a_fallback() -> None:
    loaded = runtimes.load("onnxruntime", str(KWS_ONNX), 1, {}, choice=Choice(providers=("CUDAExecutionProvider",)))
    (note,) = loaded.describe().notes
    assert note[0] == "cpu-fallback"
    assert "CUDAExecutionProvider could not be used and every node ran on the CPU" in note[1]
    assert loaded.detail["providers"] == ["CPUExecutionProvider"]
    assert loaded.detail["asked"] == {"names": ["CUDAExecutionProvider"], "taken": 0}


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is here")
def test_a_provider_that_is_not_there_is_refused_before_the_model_is_sent() -> None:
    with pytest.raises(
        RuntimeUnusable, match=r"CUDAExecutionProvider is not on here: onnxruntime .* there has"
    ) as told_so:
        told(KWS_ONNX, providers=("CPUExecutionProvider", "CUDAExecutionProvider"))
    assert "CPUExecutionProvider" in told_so.value.message.partition(" has ")[2]
    assert "onnxruntime-gpu" in told_so.value.hint


def test_the_cpu_that_was_asked_for_is_no_fallback() -> None:
    events = told(KWS_ONNX, providers=("CPUExecutionProvider",))
    assert (detail_of(events), notes_of(events)) == ({"providers": ["CPUExecutionProvider"]}, [])


def test_an_older_onnx_runtime_is_asked_by_its_profile() -> None:
    loaded = runtimes.load("onnxruntime", str(KWS_ONNX), 1, {})
    zeros = {facts.name: np.zeros(facts.shape, facts.dtype) for facts in loaded.inputs}
    found = delegates.profiled_nodes(onnxruntime, str(KWS_ONNX), ["CPUExecutionProvider"], zeros)
    assert found
    assert {provider for provider, _ in found} == {"CPUExecutionProvider"}
    assert [name for _, name in found if name.startswith("Conv ")]


def test_a_model_that_refuses_the_profiled_run_leaves_its_nodes_unknown() -> None:
    assert delegates.profiled_nodes(onnxruntime, str(KWS_ONNX), ["CPUExecutionProvider"], {"nothing": 0}) is None


CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


def test_nodes_that_fell_to_the_cpu_beside_a_provider_are_named_up_to_fifty() -> None:
    assigned = [(CUDA, "Conv first"), *((CPU, f"NonZero {at}") for at in range(60))]
    found = delegates.describe_onnx([CUDA], [CUDA, CPU], [CUDA, CPU], assigned)
    ((code, text),) = found.notes
    assert code == "partial-delegation"
    assert "CUDAExecutionProvider took 1 of 61 nodes; 60 ran without it" in text
    assert text.endswith("NonZero 49 and 10 more")
    assert (found.detail["on_cpu"]["count"], len(found.detail["on_cpu"]["names"])) == (60, 50)


def test_a_provider_that_is_missing_beside_one_that_works_is_told_apart() -> None:
    found = delegates.describe_onnx([TENSORRT, CUDA], [CUDA, CPU], [CUDA, CPU], [(CUDA, "Conv a")])
    assert [code for code, _ in found.notes] == ["provider-missing"]


def test_the_preferred_provider_that_takes_nothing_beside_one_that_does_is_told() -> None:
    found = delegates.describe_onnx(
        [TENSORRT, CUDA], [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU], [(CUDA, "Conv a"), (CUDA, "Relu b")]
    )
    ((code, text),) = found.notes
    assert code == "provider-unused"
    assert text == f"{TENSORRT}, which was to be preferred, took none of the 2 nodes; {CUDA} took 2"


def test_a_provider_to_which_the_preferred_ones_left_nothing_did_not_fall_back() -> None:
    found = delegates.describe_onnx(
        [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU], [(TENSORRT, "Conv a")]
    )
    assert found.notes == []
    assert found.detail["asked"] == {"names": [TENSORRT, CUDA], "taken": 1, "nodes": 1,
                                     "left": {"count": 0, "names": []}}  # fmt: skip


def test_kernels_that_may_stand_for_several_nodes_are_no_share_of_them() -> None:
    both = [(CUDA, "fused a"), (CPU, "NonZero b")]
    assert "asked" not in delegates.describe_onnx([CUDA], [CUDA, CPU], [CUDA, CPU], both, fused=True).detail
    for some, taken in ((both[:1], 1), (both[1:], 0)):
        detail = delegates.describe_onnx([CUDA], [CUDA, CPU], [CUDA, CPU], some, fused=True).detail
        assert detail["asked"]["taken"] == taken


# ── options of ONNX Runtime's session ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("precise", ["0", "1"])
def test_a_session_is_made_with_the_options_that_were_asked_for(precise: str) -> None:
    key = "session.x64quantprecision"
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(key, precise)
    session = onnxruntime.InferenceSession(KWS_QDQ, options, providers=[CPU])
    given = runtimes.read_inputs(random_inputs(read_model(KWS_QDQ), 0).blob)
    (facts,) = given.tensors
    value = np.frombuffer(given.inferences[0][0], facts.dtype).reshape(facts.shape)
    events = told(KWS_QDQ, Pass(kind="outputs"), options=(f"{key}={precise}",))
    (output,) = [event.content for event in events if isinstance(event, OutputReceived)]
    assert output == session.run(None, {facts.name: value})[0].tobytes()
    assert detail_of(events)["options"] == [f"{key}={precise}"]


def test_an_option_turns_what_onnx_runtime_makes_of_the_model() -> None:
    events = told(KWS_QDQ, Pass(kind="operators", runs=1), options=("session.disable_quant_qdq=1",))
    assert {"Conv"} <= {event.type for event in events if isinstance(event, OperatorTimed)}


def test_each_model_of_a_pair_has_its_own_options() -> None:
    content, inputs = KWS_QDQ.read_bytes(), random_inputs(read_model(KWS_QDQ), 0).blob
    second = SecondModel(name="new", format="onnx", runtime_options=("session.x64quantprecision=1",))
    plan = Plan(passes=(Pass(kind="pair", runs=3, warmup=0),), format="onnx", second=second)
    blobs = {"model": content, "inputs": inputs, "second/model": content, "second/inputs": inputs}
    with FramedSession(open_local(), name="here") as session:
        detail = detail_of(list(session.run(plan, blobs)))
    assert "options" not in detail["base"]
    assert detail["new"]["options"] == ["session.x64quantprecision=1"]


def test_litert_has_no_session_options() -> None:
    ended = ending_of(told(KWS, options=("session.x64quantprecision=1",)))
    assert (ended.failure, "belong to ONNX Runtime" in ended.text) == ("bad-request", True)


# ── CPUs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@linux_only
def test_a_pass_is_pinned_to_the_cpus_that_were_asked_for() -> None:
    wanted = max(os.sched_getaffinity(0))
    assert detail_of(told(KWS, cpus=(wanted,)))["cpus"] == [wanted]


@linux_only
def test_a_cpu_that_is_not_there_is_refused_with_those_that_are() -> None:
    ended = ending_of(told(KWS, cpus=(0, 4000)))
    allowed = ", ".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))
    assert ended.failure == "bad-request"
    assert ended.text == f"CPU 4000 cannot be used here; a process may run on {allowed}"
