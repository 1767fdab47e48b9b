"""Finds QEMU for Arm boards and a cross compiler, or unpacks the distribution's into .cache/firmware-tools.

Nothing is installed and no root is needed: apt downloads the packages that this machine lacks and checks their
signatures, dpkg unpacks them. About 60 MB are downloaded, once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "firmware-tools"
TIMEOUT_S = 600
PACKAGES = {"qemu-system-arm": "qemu-system-arm", "arm-none-eabi-gcc": "gcc-arm-none-eabi"}


class FetchError(Exception):
    """A tool is missing and could not be had; the text says why."""


class FirmwareTools(NamedTuple):
    """The emulator and the compiler, and where the libraries are that this machine lacks."""

    qemu: Path
    gcc: Path
    libraries: tuple[Path, ...]

    def environment(self) -> dict[str, str]:
        """Return the environment that they need."""
        found = dict(os.environ)
        found["PATH"] = f"{self.gcc.parent}:{self.qemu.parent}:{found.get('PATH', '')}"
        if self.libraries:
            found["LD_LIBRARY_PATH"] = ":".join(map(str, self.libraries))
        return found


def main() -> int:
    """Fetch them and say where they are."""
    try:
        tools = fetch_firmware_tools()
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{tools.qemu}\n{tools.gcc}")
    for folder in tools.libraries:
        print(f"LD_LIBRARY_PATH={folder}")
    return 0


def fetch_firmware_tools(
    folder: Path = FOLDER, *, apt_options: Sequence[str] = (), path: str | None = None
) -> FirmwareTools:
    """Return this machine's tools, or the unpacked ones. `path` is searched for those that are installed."""
    missing = [name for name in PACKAGES if _program(name, folder, path) is None]
    if missing:
        fresh = folder.with_name(f"{folder.name}.{os.getpid()}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            _unpack([PACKAGES[name] for name in missing], fresh, apt_options)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    qemu, gcc = (_program(name, folder, path) for name in PACKAGES)
    if qemu is None or gcc is None:
        raise FetchError(f"{'qemu-system-arm' if qemu is None else 'arm-none-eabi-gcc'} is not in its package")
    unpacked = folder in qemu.parents or folder in gcc.parents
    return FirmwareTools(qemu, gcc, _libraries(folder) if unpacked else ())


def _program(name: str, folder: Path, path: str | None) -> Path | None:
    system = shutil.which(name, path=path)
    if system is not None:
        return Path(system)
    found = folder / "usr" / "bin" / name
    return found if found.is_file() else None


def _libraries(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted({path.parent for path in folder.rglob("*.so.*") if "qemu" not in path.parent.parts}))


def _unpack(packages: Sequence[str], folder: Path, apt_options: Sequence[str]) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise FetchError(f"there is no apt-get to fetch {' and '.join(packages)} with; install them")
    debs = folder / "debs"
    debs.mkdir()
    options = ["-qq", "-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", *apt_options]
    try:
        _download(packages, debs, options)
    except FetchError:
        # The lists of this machine are missing or old: with lists of our own.
        (folder / "apt" / "lists" / "partial").mkdir(parents=True)
        options += ["-o", f"Dir::State::lists={folder}/apt/lists", "-o", f"Dir::Cache={folder}/apt"]
        _run(["apt-get", *options, "update"], debs)
        _download(packages, debs, options)
    for deb in debs.glob("*.deb"):
        _run(["dpkg", "-x", str(deb), str(folder)], debs)
    shutil.rmtree(debs)
    shutil.rmtree(folder / "apt", ignore_errors=True)


def _download(packages: Sequence[str], debs: Path, options: Sequence[str]) -> None:
    """Download packages with all that they need and this machine lacks."""
    plan = _run(["apt-get", *options, "--no-install-recommends", "--simulate", "install", *packages], debs)
    wanted = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    _run(["apt-get", *options, "download", *wanted], debs)


def _run(command: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(str(error)) from error
    if done.returncode:
        raise FetchError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
