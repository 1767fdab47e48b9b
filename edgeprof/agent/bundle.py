"""Packs the Linux agent into one file that any Python from 3.6 on can run, the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

_PACKAGE = Path(__file__).parents[1]
_START = """import sys
if sys.version_info < (3, 6):
    sys.exit("the edgeprof agent needs Python 3.6 or later, this is " + sys.version.split()[0])
from edgeprof.agent.main import main
sys.exit(main(sys.argv[1:]))
"""


class Bundle(NamedTuple):
    """The agent as a zip application, named by its hash."""

    content: bytes
    sha256: str


@cache
def agent_bundle() -> Bundle:
    """Return the agent: `wire.py` and the agent's own modules, under the package's name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        _add(archive, "__main__.py", _START)
        _add(archive, "edgeprof/__init__.py", "")
        _add(archive, "edgeprof/agent/__init__.py", "")
        for path in (_PACKAGE / "wire.py", *_agent_modules()):
            _add(archive, f"edgeprof/{path.relative_to(_PACKAGE).as_posix()}", path.read_text(encoding="utf-8"))
    content = out.getvalue()
    return Bundle(content, hashlib.sha256(content).hexdigest())


def _agent_modules() -> list[Path]:
    """Return all files of the agent's package but this one, which runs on the host only."""
    paths = sorted((_PACKAGE / "agent").rglob("*.py"))
    ours = {_PACKAGE / "agent" / "__init__.py", _PACKAGE / "agent" / "bundle.py"}
    return [path for path in paths if path not in ours]


def _add(archive: zipfile.ZipFile, name: str, text: str) -> None:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, text)
