"""Debian packages without root: apt downloads them and checks their signatures, dpkg unpacks them into a folder.

Nothing is installed. What is fetched is the newest that the package sources of this machine have.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TIMEOUT_S = 600
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a distribution has its programs, whatever PATH says."""
OPTIONS = ("-qq", "-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1")


class FetchError(Exception):
    """Something is not here and could not be had; the text says why."""


class Programs(NamedTuple):
    """Programs that run here, and where the libraries are that this machine lacks."""

    paths: dict[str, Path]
    libraries: tuple[Path, ...]

    def environment(self) -> dict[str, str]:
        """Return the environment that they need."""
        return environment_with(self.libraries)


def fetch_programs(
    packages: Mapping[str, str], folder: Path, *, apt_options: Sequence[str] = (), path: str | None = None
) -> Programs:
    """Return this machine's programs, or those of `packages` (program to package) unpacked into `folder`.

    `path` is searched for those that are installed.
    """
    missing = [name for name in packages if program(name, folder, path) is None]
    if missing:
        with fresh_folder(folder) as fresh:
            download([packages[name] for name in missing], fresh / "debs", options=apt_options)
            unpack(fresh / "debs", fresh)
            shutil.rmtree(fresh / "debs")
    found = {name: program(name, folder, path) for name in packages}
    paths = {name: where for name, where in found.items() if where is not None}
    lacking = [f"{name} is not in {package}" for name, package in packages.items() if name not in paths]
    if lacking:
        raise FetchError("; ".join(lacking))
    unpacked = any(folder in where.parents for where in paths.values())
    return Programs(paths, libraries(folder) if unpacked else ())


def program(name: str, folder: Path, path: str | None = None) -> Path | None:
    """Return where a program is: on this machine, else below `folder`."""
    system = shutil.which(name, path=search_path() if path is None else path)
    if system is not None:
        return Path(system)
    return next((found for found in sorted(folder.rglob(name)) if found.is_file() and os.access(found, os.X_OK)), None)


def system_program(name: str) -> str:
    """Return the path of a program of the system, its name alone where it has none: starting that fails and says so."""
    return shutil.which(name, path=search_path()) or name


def search_path() -> str:
    """Return PATH, and behind it where the system's programs are."""
    return f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}".lstrip(":")


def libraries(folder: Path) -> tuple[Path, ...]:
    """Return the folders of shared libraries below a folder; QEMU's own modules are none.

    A library may bear its version before the suffix and lie in a folder of its own (libpulsecommon-16.1.so).
    """
    return tuple(sorted({path.parent for path in folder.rglob("lib*.so*") if "qemu" not in path.parent.parts}))


def environment_with(folders: Sequence[Path]) -> dict[str, str]:
    """Return this process's environment, with these folders of libraries in it."""
    found = dict(os.environ)
    if folders:
        found["LD_LIBRARY_PATH"] = ":".join(map(str, folders))
    return found


@contextlib.contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder that takes the place of `folder` when all went well."""
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def download(packages: Sequence[str], debs: Path, *, options: Sequence[str] = (), dependencies: bool = True) -> None:
    """Download packages into a folder, with what they need and this machine lacks when `dependencies`.

    The lists that this machine has are used; where those are missing or old, lists of our own.
    """
    _require_apt(packages)
    debs.mkdir(exist_ok=True)
    chosen = [*OPTIONS, *options]
    try:
        _download(packages, debs, chosen, dependencies=dependencies)
    except FetchError:
        apt = debs.parent / "apt"
        (apt / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        chosen += ["-o", f"Dir::State::lists={apt}/lists", "-o", f"Dir::Cache={apt}"]
        run(["apt-get", *chosen, "update"], debs)
        _download(packages, debs, chosen, dependencies=dependencies)
        shutil.rmtree(apt)


def _require_apt(packages: Sequence[str]) -> None:
    """Refuse a machine that has no apt and dpkg."""
    if any(shutil.which(name, path=search_path()) is None for name in ("apt-get", "dpkg")):
        raise FetchError(f"there is no apt-get to fetch {' and '.join(packages)} with; install them")


def _download(packages: Sequence[str], debs: Path, options: Sequence[str], *, dependencies: bool) -> None:
    wanted = planned(packages, debs, options) if dependencies else packages
    run(["apt-get", *options, "download", *wanted], debs)


def planned(packages: Sequence[str], folder: Path, options: Sequence[str]) -> list[str]:
    """Return what apt would install for these packages: themselves and all that they need."""
    plan = run(["apt-get", *options, "--no-install-recommends", "--simulate", "install", *packages], folder)
    return [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]


def unpack(debs: Path, folder: Path) -> None:
    """Unpack all packages of a folder into another."""
    for deb in sorted(debs.glob("*.deb")):
        run(["dpkg", "-x", str(deb), str(folder)], debs)


def run(command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a program of the system to its end and return what it wrote; FetchError when it fails."""
    found = dict(environment or os.environ) | {"PATH": search_path()}  # dpkg calls tar, and apt dpkg
    try:
        done = subprocess.run(
            command, cwd=folder, env=found, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(str(error)) from error
    if done.returncode:
        raise FetchError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
