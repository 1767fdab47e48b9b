"""The project's own uv, which make puts into .venv-tools; one on PATH does as well."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

OWN = Path(__file__).resolve().parent.parent / ".venv-tools" / "bin"
SYSTEM_CERTIFICATES = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", "NODE_USE_SYSTEM_CA": "1"}
"""Certificates of the system, as pip takes them: behind a company's proxy uv's and node's own do not do."""


def find_uv() -> str | None:
    """Return its path."""
    return shutil.which("uv", path=str(OWN)) or shutil.which("uv")


def environment() -> dict[str, str]:
    """Return the environment that it runs in; what the caller has set stays."""
    return SYSTEM_CERTIFICATES | os.environ
