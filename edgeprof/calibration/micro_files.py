"""Micro models as files, each under a name of its content."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from edgeprof.calibration.onnx_writer import micro_onnx
from edgeprof.calibration.tflite_writer import micro_tflite

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.calibration.micro import Dtype, Micro
    from edgeprof.records.calibration import ModelFormat


def write_micro(micro: Micro, format_name: ModelFormat, dtype: Dtype, folder: Path) -> Path:
    """Write a micro model into a folder and return where."""
    content = (micro_tflite if format_name == "tflite" else micro_onnx)(micro, dtype)
    path = folder / f"micro-{dtype}-{hashlib.sha256(content).hexdigest()[:16]}.{format_name}"
    path.write_bytes(content)
    return path
