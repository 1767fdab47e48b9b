"""Fetches the schema of JUnit XML that Jenkins' xUnit plugin publishes (MIT) into .cache/junit.

It comes with pytest's source distribution, whose own reports are tested against it.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts.uv import environment, find_uv

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "junit"
PACKAGE = "pytest==8.3.5"
MEMBER = "pytest-8.3.5/testing/example_scripts/junit-10.xsd"
SHA256 = "a1a816f58d1bf95ebabf371994df0b9246dee66ea9572fbec4f9296f1b2c0ff6"
TIMEOUT_S = 120


class SchemaError(Exception):
    """The schema is not here and could not be had; the text says why."""


def main() -> int:
    """Fetch it and say where it is."""
    try:
        print(fetch_junit_schema())
    except SchemaError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def fetch_junit_schema(folder: Path = FOLDER) -> Path:
    """Return the path of the schema."""
    path = folder / Path(MEMBER).name
    if not path.is_file():
        content = _downloaded()
        if hashlib.sha256(content).hexdigest() != SHA256:
            message = f"{MEMBER} of {PACKAGE} is not the one that is meant"
            raise SchemaError(message)
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


def _downloaded() -> bytes:
    uv = find_uv()
    if uv is None:
        message = "there is no uv to fetch pytest's source with; make test installs it"
        raise SchemaError(message)
    pip = [uv, "tool", "run", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", PACKAGE]
    with tempfile.TemporaryDirectory() as where:
        try:
            subprocess.run(pip, cwd=where, env=environment(), check=True, capture_output=True, timeout=TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            message = f"pip download {PACKAGE}: {error}"
            raise SchemaError(message) from error
        with tarfile.open(next(Path(where).glob("*.tar.gz"))) as archive:
            file = archive.extractfile(MEMBER)
            return file.read() if file is not None else b""


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    sys.exit(main())
