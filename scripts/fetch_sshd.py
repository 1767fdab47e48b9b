"""Finds an OpenSSH server, or unpacks the distribution's into .cache/sshd: nothing is installed, no root is needed.

What is unpacked is the newest `openssh-server` that the package sources of this machine have, with the libraries that
it lacks; apt checks their signatures. `ssh-agent` comes the same way where there is none.
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

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "sshd"
TIMEOUT_S = 300
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/openssh:/usr/libexec"


class FetchError(Exception):
    """There is no sshd and it could not be had; the text says why."""


class Sshd(NamedTuple):
    """An OpenSSH server that runs here: its programs, and where the libraries are that this machine lacks."""

    sshd: Path
    agent: Path
    helpers: dict[str, Path]
    libraries: tuple[Path, ...]

    def environment(self) -> dict[str, str]:
        """Return the environment that its programs need."""
        found = dict(os.environ)
        if self.libraries:
            found["LD_LIBRARY_PATH"] = ":".join(map(str, self.libraries))
        return found


def main() -> int:
    """Fetch it and say where it is."""
    try:
        found = fetch_sshd()
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{found.sshd}\n{found.agent}")
    return 0


def fetch_sshd(folder: Path = FOLDER) -> Sshd:
    """Return this machine's OpenSSH server, or the unpacked one."""
    if not _complete(folder):
        fresh = folder.with_name(f"{folder.name}.{os.getpid()}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            _unpack(fresh)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return _found(folder)


def _found(folder: Path) -> Sshd:
    sshd, agent = _program("sshd", folder), _program("ssh-agent", folder)
    if sshd is None or agent is None:
        message = f"there is no {'sshd' if sshd is None else 'ssh-agent'} on this machine or in {folder}"
        raise FetchError(message)
    # From 9.8 on a session is a program of its own; an unpacked server must be told where.
    helpers = {name: path for name in ("sshd-session", "sshd-auth") if (path := _program(name, folder)) is not None}
    return Sshd(sshd, agent, helpers if folder in sshd.parents else {}, _libraries(folder))


def _complete(folder: Path) -> bool:
    found = _program("sshd", folder), _program("ssh-agent", folder)
    return all(found) and not any(_missing(path, folder) for path in found if path is not None)


def _program(name: str, folder: Path) -> Path | None:
    system = shutil.which(name, path=SYSTEM_PATH)
    if system is not None:
        return Path(system)
    return next((path for path in sorted(folder.rglob(name)) if path.is_file() and os.access(path, os.X_OK)), None)


def _libraries(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted({path.parent for path in folder.rglob("*.so.*")}))


# ── apt ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _unpack(folder: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        message = "there is no sshd here and no apt-get to fetch one with; install openssh-server"
        raise FetchError(message)
    wanted = [package for name, package in _PACKAGES if _program(name, folder) is None]
    _download(wanted, folder)
    program = _program("sshd", folder)
    missing = _missing(program, folder) if program is not None else []
    if missing:
        _download(_owners(missing, folder), folder)
    shutil.rmtree(folder / "debs")


_PACKAGES = (("sshd", "openssh-server"), ("ssh-agent", "openssh-client"))


def _missing(program: Path, folder: Path) -> list[str]:
    """Return the libraries that a program asks for and the loader does not find."""
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, _libraries(folder)))}
    lines = _run(["ldd", str(program)], env=environment).splitlines()
    return [line.split()[0] for line in lines if line.endswith("not found")]


def _owners(libraries: Sequence[str], folder: Path) -> list[str]:
    """Return the packages of these libraries: libwrap.so.0 is in libwrap0, or libwrap0t64."""
    server = next((folder / "debs").glob("openssh-server*.deb"))
    depends = [word.split()[0] for word in _run(["dpkg-deb", "-f", str(server), "Depends"]).split(",")]
    owners = []
    for library in libraries:
        stem, _, version = library.partition(".so")
        named = f"{stem}{'-' if stem[-1].isdigit() else ''}{version.lstrip('.').partition('.')[0]}"
        owner = next((name for name in depends if name.startswith(named)), None)
        if owner is None:
            message = f"openssh-server needs {library}, and none of its packages is named {named}"
            raise FetchError(message)
        owners.append(owner)
    return owners


def _download(packages: Sequence[str], folder: Path) -> None:
    """Download packages with the lists that this machine has; where those are missing or old, with lists of our own."""
    debs = folder / "debs"
    debs.mkdir(exist_ok=True)
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User="]
    try:
        _run([*command, "download", *packages], cwd=debs)
    except FetchError:
        (folder / "apt" / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        command += ["-o", f"Dir::State::lists={folder}/apt/lists", "-o", f"Dir::Cache={folder}/apt"]
        _run([*command, "update"], cwd=debs)
        _run([*command, "download", *packages], cwd=debs)
    shutil.rmtree(folder / "apt", ignore_errors=True)
    for deb in debs.glob("*.deb"):
        _run(["dpkg", "-x", str(deb), str(folder)])


def _run(command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(str(error)) from error
    if done.returncode:
        raise FetchError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
