"""Wheels made on the spot: hollow ones, hostile ones, and the runtimes of these tests packed up again."""

from __future__ import annotations

import platform
import sys
import zipfile
from importlib.metadata import distribution
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ANY = "py3-none-any"
_CP = f"cp{sys.version_info[0]}{sys.version_info[1]}"
OURS = f"{_CP}-{_CP}-linux_{platform.machine()}"


def write_wheel(folder: Path, package: str, version: str, files: Mapping[str, bytes], tag: str = ANY) -> Path:
    """Write a wheel with these files and the metadata that it must have."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{package.replace('-', '_')}-{version}"
    path = folder / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{stem}.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def repacked(folder: Path, package: str, version: str) -> Path:
    """Pack an installed package as a wheel of the named version, for this Python and machine."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{package.replace('-', '_')}-{version}-{OURS}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in distribution(package).files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                archive.write(str(file.locate()), file.as_posix())
    return path
