"""Makes the virtual environments that the Makefile uses, with nothing but Python's standard library.

Debian's `python3` comes without ensurepip, so `python3 -m venv` alone does not give a pip there; then pip's own wheel,
which runs without being installed, installs the rest.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

PIP_WHEEL = "pip-25.3-py3-none-any.whl"
PIP_SHA256 = "9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd"
UV_REQUIREMENT = "uv>=0.5"


def main(folder: Path) -> int:
    """Make `folder` (the project's environment) and `folder`-tools (uv)."""
    if sys.version_info < (3, 11):  # noqa: UP036  the oldest Python that the project takes is not what runs this
        print(f"edgeprof needs Python 3.11 or later, this is {sys.version.split()[0]}; try make PYTHON=python3.12")
        return 1
    tools = folder.with_name(f"{folder.name}-tools")
    for path in (tools, folder):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    install_uv(tools / "bin" / "python")
    return 0


def install_uv(python: Path) -> None:
    """Install uv with the pip of this Python, or with a pip fetched for the purpose."""
    arguments = ["--python", str(python), "install", "--quiet", "--disable-pip-version-check", UV_REQUIREMENT]
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
        subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch_pip(Path(folder))
        subprocess.run([str(python), f"{wheel}/pip", "install", "--quiet", UV_REQUIREMENT], check=True)


def fetch_pip(folder: Path) -> Path:
    """Fetch pip's wheel from the package index and check its hash."""
    with urllib.request.urlopen("https://pypi.org/simple/pip/", timeout=60) as answer:
        page = answer.read().decode()
    found = re.search(rf'href="([^"#]+/{re.escape(PIP_WHEEL)})', page)
    if found is None:
        raise SystemExit(f"the package index has no {PIP_WHEEL}")
    with urllib.request.urlopen(found[1], timeout=60) as answer:  # noqa: S310  https, its hash is checked
        content = answer.read()
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        raise SystemExit(f"{PIP_WHEEL} arrived damaged")
    path = folder / PIP_WHEEL
    path.write_bytes(content)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the project's environment is made")
    sys.exit(main(parser.parse_args().folder))
