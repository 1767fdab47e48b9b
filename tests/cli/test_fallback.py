"""A provider that is not there, and one that is there and takes nothing: in every command and format, on real runs."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # of our own writing

import onnxruntime
import pytest
from msgspec.structs import replace

from edgeprof import Options, check, load_result, profile
from edgeprof.api import exit_code
from edgeprof.errors import RuntimeUnusable
from edgeprof.folders import state_folder
from edgeprof.records.events import AgentIdentified, RuntimesFound, SamplesReceived
from edgeprof.report import render
from edgeprof.report.github import workflow_commands
from edgeprof.store import write_result
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.records.events import Event
    from edgeprof.records.result import Finding, Plan, Result
    from tests.conftest import Cli

MODELS = REPOSITORY / "examples" / "models"
KWS, KWS_ONNX = MODELS / "kws_int8.tflite", MODELS / "kws_fp32.onnx"
QUICK = Options(runs=5, warmup=0, memory=False)
SAID = "AzureExecutionProvider took none of the 22 nodes; all ran without it"
here = onnxruntime.get_available_providers()
needs_azure = pytest.mark.skipif("AzureExecutionProvider" not in here, reason="no second provider is in this wheel")
without_cuda = pytest.mark.skipif("CUDAExecutionProvider" in here, reason="CUDA is here")


def of(findings: tuple[Finding, ...], limit: str) -> Finding:
    return next(finding for finding in findings if finding.limit == limit)


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Return a real run with a provider that ONNX Runtime lists on every Linux and that takes no node."""
    if "AzureExecutionProvider" not in here:
        pytest.skip("no second provider is in this wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEPROF_STATE", str(tmp_path_factory.mktemp("state")))
        options = QUICK._replace(providers=("azure",), launches=2, require_delegated_ratio=0.5, per_op=True)
        return profile(KWS_ONNX, options=options, limits=["latency_max_s<1s", "model_bytes<1MB"])


def test_a_run_that_fell_back_fails_and_its_figures_keep_no_limit(fallen: Result) -> None:
    verdicts = {finding.limit: finding.verdict for finding in fallen.findings}
    assert verdicts == {
        "run/fallback": "FAIL",
        "latency_max_s<1s": "INCONCLUSIVE",
        "model_bytes<1MB": "PASS",
        "run/delegated": "FAIL",
    }
    assert of(fallen.findings, "run/fallback").reason == SAID
    assert (exit_code([fallen]), fallen.passed) == (1, False)
    assert fallen.metrics["delegated_ratio"].value == 0
    assert fallen.metrics["delegated_ratio"].count == 22


def test_every_format_that_shows_findings_shows_the_fallback(fallen: Result) -> None:
    for name in ("table", "json", "markdown", "html"):
        drawn = render([fallen], name)
        assert "run/fallback" in drawn
        assert SAID in " ".join(drawn.split())
    junit = ET.fromstring(render([fallen], "junit"))  # noqa: S314  our own
    case = junit.find(".//testcase[@name='run/fallback']/failure")
    assert case is not None
    assert SAID in case.attrib["message"]
    assert f"::error title=FAIL run/fallback%3A x::{SAID}" in list(workflow_commands("x", fallen.findings))


def test_a_sweep_names_the_fallback_of_its_variants(fallen: Result) -> None:
    drawn = render([replace(fallen, variant="threads=1"), replace(fallen, variant="threads=2")], "table")
    assert "FAIL run/fallback (every variant)" in drawn


def test_check_judges_a_kept_result_by_its_fallback(fallen: Result, tmp_path: Path) -> None:
    write_result(tmp_path / "result.json", fallen)
    findings = check(tmp_path / "result.json", ["latency_max_s<1s"]).findings
    assert [(one.limit, one.verdict) for one in findings] == [
        ("run/fallback", "FAIL"),
        ("latency_max_s<1s", "INCONCLUSIVE"),
    ]


@needs_azure
def test_a_fallback_survives_a_run_that_was_killed(tmp_path: Path) -> None:
    kept = tmp_path / "killed"

    def kill(_plan: Plan, event: Event) -> None:
        if isinstance(event, SamplesReceived) and not kept.exists():
            (journal,) = (state_folder() / "runs").glob("*/journal.jsonl")
            shutil.copytree(journal.parent, kept)

    profile(KWS_ONNX, options=QUICK._replace(providers=("azure",)), on_event=kill, history=False)
    result = load_result(kept / "journal.jsonl")
    assert result.status == "partial"
    assert [(finding.limit, finding.verdict) for finding in result.findings] == [("run/fallback", "FAIL")]


@without_cuda
def test_a_provider_that_is_not_there_is_refused_by_the_probe_and_starts_no_pass() -> None:
    heard: list[Event] = []
    options = QUICK._replace(providers=("cpu", "cuda"))
    with pytest.raises(RuntimeUnusable, match="CUDAExecutionProvider is not on local: onnxruntime") as refused:
        profile(KWS_ONNX, options=options, on_event=lambda _plan, event: heard.append(event))
    assert [type(event) for event in heard] == [AgentIdentified, RuntimesFound]
    assert all(name in refused.value.message for name in here)
    assert "pip install onnxruntime-gpu" in refused.value.hint


def test_a_delegate_that_took_a_part_warns_with_the_nodes_and_the_macs() -> None:
    options = QUICK._replace(delegate="xnnpack", runtime="litert", require_delegated_ratio=0.8)
    result = profile(KWS, options=options, limits=["latency_max_s<10s"])
    assert {finding.limit: finding.verdict for finding in result.findings} == {
        "run/fallback": "WARN",
        "latency_max_s<10s": "PASS",
        "run/delegated": "PASS",
    }
    said = of(result.findings, "run/fallback").reason
    assert "the delegate xnnpack took 11 of 13 nodes; 2 ran without it: AVERAGE_POOL_2D pool_9, SOFTMAX" in said
    assert said.endswith("of the MACs")
    assert (exit_code([result]), exit_code([result], strict=True), result.passed) == (0, 1, True)


def test_the_cpu_that_is_named_alone_is_no_fallback() -> None:
    result = profile(KWS_ONNX, options=QUICK._replace(providers=("cpu",)), limits=["latency_max_s<10s"])
    assert [finding.verdict for finding in result.findings] == ["PASS"]
    assert "delegated_ratio" not in result.metrics


@without_cuda
def test_the_command_refuses_what_is_not_there_and_fails_what_took_nothing(edgeprof: Cli) -> None:
    common = ("profile", KWS_ONNX, "--limit", "latency_max_s<1s", "--runs", "5", "--warmup", "0", "--no-memory", "-q")
    absent = edgeprof(*common, "--provider", "tensorrt")
    assert (absent.returncode, absent.stdout) == (3, "")
    assert "TensorrtExecutionProvider is not on local" in absent.stderr
    if "AzureExecutionProvider" in here:
        fell = edgeprof(*common, "--provider", "azure", "--format", "json")
        assert fell.returncode == 1
        assert json.loads(fell.stdout)["findings"][0]["limit"] == "run/fallback"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--require-delegated", "50%"), "--require-delegated: nothing is named to delegate to"),
        (("--provider", "azure", "--require-delegated", "95"), "95 is more than the whole; 95 % is written 95%"),
    ],
)
def test_a_share_that_cannot_be_required_is_refused_as_usage(
    edgeprof: Cli, given: tuple[str, ...], message: str
) -> None:
    refused = edgeprof("profile", KWS_ONNX, *given, "-q")
    assert refused.returncode == 2
    assert message in " ".join(refused.stderr.split())
