"""Fetches axe-core, which the tests look for faults of accessibility with, into .cache/axe."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts.npm import NpmError, Package, read_package

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "axe"
AXE = Package(
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)


def main() -> int:
    """Fetch it and say where it is."""
    try:
        print(fetch_axe())
    except NpmError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def fetch_axe(folder: Path = FOLDER) -> Path:
    """Return the path of the minified script."""
    path = folder / f"axe-{AXE.version}.min.js"
    if not path.is_file():
        content = read_package(AXE, ("axe.min.js",))["axe.min.js"]
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    sys.exit(main())
