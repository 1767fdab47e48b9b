from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models() -> Path:
    """Return the folder of the MLPerf Tiny models, or skip."""
    shared = Path(__file__).resolve().parents[4] / "shared" / "models"
    folder = Path(os.environ.get("EDGEPROF_MODELS", shared)) / "mlperf_tiny"
    if not (folder / "models.json").is_file():
        pytest.skip(f"no MLPerf Tiny models in {folder}: set EDGEPROF_MODELS")
    return folder


@pytest.fixture(scope="session")
def light_models() -> Path:
    """Return the folder of the onnx wheel's light models."""
    onnx = pytest.importorskip("onnx")
    return Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
