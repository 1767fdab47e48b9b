"""Finds a PostgreSQL server, or unpacks the distribution's into .cache/postgres: nothing is installed, without root."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts.debian import FetchError, download, environment_with, fresh_folder, libraries, program, unpack

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "postgres"
SYSTEM = Path("/usr/lib/postgresql")
PROGRAMS = ("initdb", "postgres")


class Postgres(NamedTuple):
    """A server's programs, and where the libraries are that this machine lacks."""

    initdb: Path
    postgres: Path
    folders: tuple[Path, ...]

    def environment(self) -> dict[str, str]:
        """Return the environment that its programs need."""
        return environment_with(self.folders)


def main() -> int:
    """Fetch it and say where it is."""
    try:
        found = fetch_postgres()
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    print(found.postgres)
    return 0


def fetch_postgres(folder: Path = FOLDER, system: Path = SYSTEM) -> Postgres:
    """Return this machine's server, or the unpacked one."""
    searched = ":".join(str(path) for path in sorted(system.glob("*/bin"), reverse=True)) or "/nowhere"
    if any(program(name, folder, searched) is None for name in PROGRAMS):
        with fresh_folder(folder) as fresh:
            download(["postgresql"], fresh / "debs")
            unpack(fresh / "debs", fresh)
            shutil.rmtree(fresh / "debs")
    found = [program(name, folder, searched) for name in PROGRAMS]
    if found[0] is None or found[1] is None:
        message = "postgresql was fetched and has no initdb or no server"
        raise FetchError(message)
    unpacked = folder in found[1].parents
    return Postgres(found[0], found[1], libraries(folder) if unpacked else ())


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    sys.exit(main())
