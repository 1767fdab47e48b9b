"""Finds a C compiler for this machine, or unpacks the distribution's gcc into .cache/compiler: without root.

An unpacked gcc finds its own parts beside itself; what it compiles against are the headers and libraries unpacked with
it. A script beside it says so to it, so that it is called as any other gcc.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts.debian import FetchError, download, fresh_folder, search_path, unpack

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "compiler"
PACKAGES = ("gcc", "libc6-dev")
WHOLE = ("-o", "Dir::State::status=/dev/null")
"""Also what is installed here: the unpacked headers and libraries have to be a whole system's."""
WRAPPER = """#!/bin/sh
LD_LIBRARY_PATH={libraries} exec {root}/usr/bin/gcc --sysroot={root} -B{root}/usr/bin/ -Wl,-rpath,{libraries} "$@"
"""


def main() -> int:
    """Fetch it and say where it is."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        print(fetch_compiler())
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def fetch_compiler(folder: Path = FOLDER, path: str | None = None) -> Path:
    """Return this machine's gcc, searched for in `path`, or the unpacked one."""
    system = shutil.which("gcc", path=search_path() if path is None else path)
    if system is not None:
        return Path(system)
    wrapper = folder / "bin" / "gcc"
    if not wrapper.is_file():
        with fresh_folder(folder) as fresh:
            root = fresh / "root"
            download(PACKAGES, fresh / "debs", options=WHOLE)
            unpack(fresh / "debs", root)
            shutil.rmtree(fresh / "debs")
            _link_libraries(root, fresh / "libraries", folder / "root")
            text = WRAPPER.format(root=folder / "root", libraries=folder / "libraries")
            (fresh / "bin").mkdir()
            (fresh / "bin" / "gcc").write_text(text, encoding="utf-8")
            (fresh / "bin" / "gcc").chmod(0o755)
    return wrapper


def _link_libraries(root: Path, links: Path, final: Path) -> None:
    """Link the libraries that this machine lacks: its own C library goes with its own loader, and with no other."""
    links.mkdir()
    for library in sorted(root.rglob("lib*.so.[0-9]*")):
        name = library.name
        here = (Path(folder) / library.parent.name / name for folder in ("/lib", "/usr/lib"))
        if not any(found.exists() for found in here) and not (links / name).is_symlink():
            (links / name).symlink_to(final / library.relative_to(root))


if __name__ == "__main__":
    sys.exit(main())
