"""`edgeprof profile` with a runtime, a delegate, providers, CPUs and a hook of the user's choice."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof.diagnosis.int8_kernels import lacks_vnni
from edgeprof.errors import AgentMismatch, RuntimeUnusable
from edgeprof.links.conversation import Conversation
from edgeprof.links.framed import FramedSession, choose_runtime
from edgeprof.links.local import open_local
from edgeprof.records.events import RuntimeFound, RuntimesFound
from edgeprof.records.result import Plan

if TYPE_CHECKING:
    from tests.conftest import Cli

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KWS, KWS_ONNX = EXAMPLES / "models" / "kws_int8.tflite", EXAMPLES / "models" / "kws_fp32.onnx"
QUICK = ("--runs", "5", "--warmup", "0", "--no-memory", "-q")


def result_of(edgeprof: Cli, *arguments: object) -> dict[str, Any]:
    done = edgeprof("profile", *arguments, *QUICK, "--format", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_nodes_outside_the_delegate_that_was_asked_for_are_named(edgeprof: Cli) -> None:
    result = result_of(edgeprof, KWS, "--runtime", "litert", "--delegate", "xnnpack")
    (warned,) = [warned for warned in result["warnings"] if warned["code"] == "partial-delegation"]
    assert "SOFTMAX softmax_12" in warned["text"]
    assert result["runtime"]["name"] == "ai_edge_litert"


def test_a_delegate_that_is_not_on_the_board_ends_with_3_and_its_path(edgeprof: Cli) -> None:
    done = edgeprof("profile", KWS, "--delegate", "/nowhere/libx.so", *QUICK)
    assert done.returncode == 3
    assert "local cannot run kws_int8.tflite as asked: the delegate /nowhere/libx.so cannot be loaded" in done.stderr
    assert "xnnpack and none are part of the runtime" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux pins a process to CPUs")
def test_cpus_are_in_the_result_and_too_many_threads_on_them_a_warning(edgeprof: Cli) -> None:
    cpu = max(os.sched_getaffinity(0))
    result = result_of(edgeprof, KWS, "--cpus", str(cpu), "--threads", "2")
    assert result["runtime"]["detail"]["cpus"] == [cpu]
    assert "threads-over-cpus" in [warned["code"] for warned in result["warnings"]]


def test_an_int8_model_is_warned_of_where_the_cpu_has_no_vnni_until_exact_kernels_are_asked_for(edgeprof: Cli) -> None:
    model, precise = KWS_ONNX.with_name("kws_qdq_int8.onnx"), "session.x64quantprecision=1"
    plain, exact = result_of(edgeprof, model), result_of(edgeprof, model, "--runtime-option", precise)
    codes = [[warned["code"] for warned in result["warnings"]].count("int8-saturates") for result in (plain, exact)]
    assert codes == [int(lacks_vnni(plain["environment"]["before"].get("cpu_features", ()))), 0]
    assert exact["plan"]["runtime_options"] == exact["runtime"]["detail"]["options"] == [precise]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((KWS, "--provider", "cuda"), "--provider cuda is for .onnx models"),
        ((KWS_ONNX, "--delegate", "xnnpack"), "--delegate xnnpack is for .tflite models"),
        ((KWS, "--runtime-option", "session.x64quantprecision=1"), "is for .onnx models"),
        ((KWS_ONNX, "--runtime-option", "session.x64quant=1"), "no session option 'session.x64quant'"),
        ((KWS, "--runtime", "litertt"), "unknown runtime 'litertt'"),
        ((KWS, "--cpus", "3-1"), "--cpus '3-1'"),
        ((KWS, "--hook", "/nowhere/hook.py"), "cannot read the hook /nowhere/hook.py"),
        ((KWS, "--target", "sim:raspberry-pi-5", "--delegate", "none"), "cannot be done on sim:raspberry-pi-5"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_board(
    edgeprof: Cli, arguments: tuple[object, ...], message: str
) -> None:
    done = edgeprof("profile", *arguments, *QUICK)
    assert done.returncode == 2
    assert message in done.stderr


def test_the_whole_path_is_split_into_its_stages(edgeprof: Cli) -> None:
    model = EXAMPLES / "models" / "vww_int8.tflite"
    result = result_of(edgeprof, model, "--hook", EXAMPLES / "hook_image.py")
    stages = {name: metric["value"] for name, metric in result["metrics"].items() if name.startswith("stage_")}
    assert stages["stage_total_p99_s"] is None
    assert stages["stage_total_p50_s"] >= max(stages["stage_preprocessing_p50_s"], stages["stage_postprocessing_p50_s"])
    assert sum(part["share_ratio"] for part in result["breakdowns"]["stages"].values()) == pytest.approx(1)


def test_a_hook_that_fails_leaves_the_latency_and_is_told_with_its_line(edgeprof: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def preprocess(raw):\n    return raw.missing\n")
    done = edgeprof("profile", KWS, "--hook", tmp_path / "broken.py", *QUICK, "--format", "json")
    result = json.loads(done.stdout)
    assert done.returncode == 5
    assert result["metrics"]["latency_p50_s"]["value"] > 0
    assert "broken.py:2: AttributeError" in result["metrics"]["stage_total_p50_s"]["reason"]


def test_a_runtime_that_was_asked_for_and_is_not_there_is_told_with_those_that_are() -> None:
    found = RuntimesFound(
        format="tflite",
        runtimes=(
            RuntimeFound(name="ai_edge_litert", works=True),
            RuntimeFound(name="tflite_runtime", works=False, reason="No module named 'tflite_runtime'"),
        ),
    )
    with pytest.raises(RuntimeUnusable, match="tflite_runtime was asked for") as refused:
        choose_runtime(found, "lab-pi", "tflite_runtime")
    assert "No module named 'tflite_runtime'); ai_edge_litert does" in refused.value.message


def test_an_agent_that_cannot_be_told_the_choice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conversation, "capabilities", ("latency", "state", "probe"))
    with (
        FramedSession(open_local(), name="here") as session,
        pytest.raises(AgentMismatch, match="the agent on here cannot be told its delegate"),
    ):
        list(session.run(Plan(passes=(), format="tflite", delegate="none"), {}))
