"""A real provider that ONNX Runtime lists and that runs nothing: Qualcomm's, where nothing of Qualcomm's is."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof import Options, profile
from edgeprof.errors import RuntimeUnusable
from scripts.fetch_models import PROVIDERS, PROVIDERS_FOLDER, IndexUnreachable, fetch_packages
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(
        (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="elsewhere the provider may have its parts"
    ),
]
KWS_ONNX = REPOSITORY / "examples" / "models" / "kws_fp32.onnx"
QNN = Options(runs=5, warmup=0, memory=False, providers=("qnn",))


@pytest.fixture(scope="module")
def package() -> Path:
    try:
        return fetch_packages(PROVIDERS, PROVIDERS_FOLDER)
    except IndexUnreachable as error:
        pytest.skip(f"no package index answers: {error}")


def test_a_provider_that_is_listed_and_takes_no_node_fails_the_run(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]))
    result = profile(KWS_ONNX, options=QNN, limits=["latency_max_s<10s"], history=False)

    assert result.runtime is not None
    assert "QNNExecutionProvider" in result.runtime.found[0].providers
    assert {finding.limit: finding.verdict for finding in result.findings} == {
        "run/fallback": "FAIL",
        "latency_max_s<10s": "INCONCLUSIVE",
    }
    assert "QNNExecutionProvider could not be used and every node ran on the CPU" in result.findings[0].reason


def test_without_its_package_the_same_provider_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPROF_CACHE", str(tmp_path))
    with pytest.raises(RuntimeUnusable, match="QNNExecutionProvider is not on local") as refused:
        profile(KWS_ONNX, options=QNN, history=False)
    assert "pip install onnxruntime-qnn" in refused.value.hint


BY_BACKEND = """
import json, sys
import onnxruntime, onnxruntime_qnn
from edgeprof.agent import delegates
name = onnxruntime_qnn.get_ep_name()
onnxruntime.register_execution_provider_library(name, onnxruntime_qnn.get_library_path())
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name][:1]
options.add_provider_for_devices(devices, {"backend_path": sys.argv[1]})
session = onnxruntime.InferenceSession(sys.argv[2], options)
assigned = delegates.assigned_nodes(session)
with open(sys.argv[3], "w") as file:  # the package's own libraries write to standard output
    json.dump(delegates.describe_onnx([name], [name], session.get_providers(), assigned), file)
"""


def described(package: Path, backend: str, folder: Path) -> tuple[dict[str, Any], list[list[str]]]:
    """Return what the agent says of a session with one of Qualcomm's backends; in a process, as it stays registered."""
    library = package / "onnxruntime_qnn" / backend
    path = os.pathsep.join([str(package), str(REPOSITORY)])
    said = folder / "said.json"
    subprocess.run(
        [sys.executable, "-c", BY_BACKEND, library, KWS_ONNX, said],
        env={**os.environ, "PYTHONPATH": path}, cwd=folder, capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    detail, notes = json.loads(said.read_text())
    return detail, notes


def test_a_provider_of_a_package_that_takes_every_node_did_not_fall_back(package: Path, tmp_path: Path) -> None:
    detail, notes = described(package, "libQnnHtp.so", tmp_path)  # a simulator of the Hexagon processor
    assert detail["asked"]["taken"] == detail["asked"]["nodes"] > 0
    assert notes == []


def test_a_provider_that_is_in_the_session_and_takes_no_node_is_told_as_a_fallback(
    package: Path, tmp_path: Path
) -> None:
    detail, notes = described(package, "libQnnGpu.so", tmp_path)  # for a GPU that is not here
    assert "QNNExecutionProvider" in detail["providers"]
    assert (detail["asked"]["taken"], detail["asked"]["nodes"]) == (0, 22)
    assert notes == [["cpu-fallback", "QNNExecutionProvider took none of the 22 nodes; all ran without it"]]
