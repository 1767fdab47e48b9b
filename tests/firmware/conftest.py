"""The tools, the agents built with them, and the models."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.firmware.boards import FIRMWARE, ROOT
from tests.provided import firmware_tools

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.fetch_firmware_tools import FirmwareTools

SANITIZED = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover"


@pytest.fixture(scope="session")
def tools() -> FirmwareTools:
    """Return the emulator and the cross compiler."""
    return firmware_tools()


def build(folder: Path, port: str, environment: dict[str, str], *settings: str) -> Path:
    """Build an agent into a folder and return its file."""
    command = ["make", "-s", "-C", str(FIRMWARE), f"BUILD={folder}", f"PORT={port}", *settings]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr, done.stderr
    return folder / port / "agent.elf"


@pytest.fixture(scope="session")
def agents(tools: FirmwareTools, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that builds the agent of a port, once."""
    folder = tmp_path_factory.mktemp("firmware")
    built: dict[str, Path] = {}

    def agent(port: str) -> Path:
        if port not in built:
            built[port] = build(folder, port, tools.environment())
        return built[port]

    return agent


@pytest.fixture(scope="session")
def native_agent(compiler: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the agent as a program of this machine, which stops at the first undefined or stray access."""
    environment = {**os.environ, "PATH": f"{compiler.parent}:{os.environ['PATH']}"}
    return build(tmp_path_factory.mktemp("native"), "host", environment, f"OPT={SANITIZED}")


@pytest.fixture(scope="session")
def _oracle() -> None:
    if importlib.util.find_spec("tflite_micro") is None:
        pytest.skip("tflite-micro is not installed")


SUITE = Path(os.environ.get("EDGEPROF_MODELS") or ROOT.parent / "shared" / "models") / "mlperf_tiny"
SUITE_MODELS = ("ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8")
EXAMPLES = ("ad_int8", "kws_int8", "resnet8_int8", "vww_int8")


@pytest.fixture(params=[*SUITE_MODELS, *EXAMPLES])
def model(request: pytest.FixtureRequest) -> Path:
    """Return each int8 model of MLPerf Tiny and each example."""
    name: str = request.param
    if name in EXAMPLES:
        return ROOT / "examples" / "models" / f"{name}.tflite"
    path = SUITE / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"{path} is not here; EDGEPROF_MODELS names the folder that holds mlperf_tiny/")
    return path
