"""Finds an OpenSSH server, or unpacks the distribution's into .cache/sshd: nothing is installed, no root is needed.

What is unpacked is the newest `openssh-server` that the package sources of this machine have, with the libraries that
it lacks; apt checks their signatures. `ssh-agent` comes the same way where there is none.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts.debian import (
    FetchError,
    download,
    environment_with,
    fresh_folder,
    libraries,
    program,
    run,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "sshd"
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/openssh:/usr/libexec"


class Sshd(NamedTuple):
    """An OpenSSH server that runs here: its programs, and where the libraries are that this machine lacks."""

    sshd: Path
    agent: Path
    helpers: dict[str, Path]
    libraries: tuple[Path, ...]

    def environment(self) -> dict[str, str]:
        """Return the environment that its programs need."""
        return environment_with(self.libraries)


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
        with fresh_folder(folder) as fresh:
            _unpack(fresh)
    return _found(folder)


def _found(folder: Path) -> Sshd:
    sshd, agent = _program("sshd", folder), _program("ssh-agent", folder)
    if sshd is None or agent is None:
        message = f"there is no {'sshd' if sshd is None else 'ssh-agent'} on this machine or in {folder}"
        raise FetchError(message)
    # From 9.8 on a session is a program of its own; an unpacked server must be told where.
    helpers = {name: path for name in ("sshd-session", "sshd-auth") if (path := _program(name, folder)) is not None}
    return Sshd(sshd, agent, helpers if folder in sshd.parents else {}, libraries(folder))


def _complete(folder: Path) -> bool:
    found = _program("sshd", folder), _program("ssh-agent", folder)
    return all(found) and not any(_missing(path, folder) for path in found if path is not None)


def _program(name: str, folder: Path) -> Path | None:
    return program(name, folder, SYSTEM_PATH)


# ── apt ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _unpack(folder: Path) -> None:
    debs = folder / "debs"
    wanted = [package for name, package in _PACKAGES if _program(name, folder) is None]
    download(wanted, debs, dependencies=False)
    unpack(debs, folder)
    sshd = _program("sshd", folder)
    missing = _missing(sshd, folder) if sshd is not None else []
    if missing:
        download(_owners(missing, debs), debs, dependencies=False)
        unpack(debs, folder)
    shutil.rmtree(debs)


_PACKAGES = (("sshd", "openssh-server"), ("ssh-agent", "openssh-client"))


def _missing(path: Path, folder: Path) -> list[str]:
    """Return the libraries that a program asks for and the loader does not find."""
    lines = run(["ldd", str(path)], environment=environment_with(libraries(folder))).splitlines()
    return [line.split()[0] for line in lines if line.endswith("not found")]


def _owners(names: Sequence[str], debs: Path) -> list[str]:
    """Return the packages of these libraries: libwrap.so.0 is in libwrap0, or libwrap0t64."""
    server = next(debs.glob("openssh-server*.deb"))
    depends = [word.split()[0] for word in run(["dpkg-deb", "-f", str(server), "Depends"]).split(",")]
    owners = []
    for name in names:
        stem, _, version = name.partition(".so")
        named = f"{stem}{'-' if stem[-1].isdigit() else ''}{version.lstrip('.').partition('.')[0]}"
        owner = next((package for package in depends if package.startswith(named)), None)
        if owner is None:
            message = f"openssh-server needs {name}, and none of its packages is named {named}"
            raise FetchError(message)
        owners.append(owner)
    return owners


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    sys.exit(main())
