"""Writes the chart library of the HTML report into edgeprof/report/html/assets, or checks that it is what it should be.

Observable Plot and D3 as their projects publish them, minified; `charts.LICENSE` holds the licences of all that is in
them (Plot's file has isoformat, interval-tree-1d and binary-search-bounds built in).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts.npm import NpmError, Package, read_package

ASSETS = Path(__file__).resolve().parent.parent / "edgeprof" / "report" / "html" / "assets"
PLOT = Package(
    "@observablehq/plot",
    "0.6.17",
    "sha512-/qaXP/7mc4MUS0s4cPPFASDRjtsWp85/TbfsciqDgU1HwYixbSbbytNuInD8AcTYC3xaxACgVX06agdfQy9W+g==",
)
D3 = Package(
    "d3",
    "7.9.0",  # the one that Plot's file was built against
    "sha512-e1U46jVP+w7Iut8Jt8ri1YsPOvFpg46k+K8TpCb0P+zjCkjkPnV7WzfDJzMHy1LnA+wj5pLT1wjO901gLXeEhA==",
)
BUILT_IN = (
    Package(
        "interval-tree-1d",
        "1.0.4",
        "sha512-wY8QJH+6wNI0uh4pDQzMvl+478Qh7Rl4qLmqiluxALlNvl+I+o5x38Pw3/z7mDPTPS1dQalZJXsmbvxx5gclhQ==",
    ),
    Package(
        "binary-search-bounds",
        "2.0.5",
        "sha512-H0ea4Fd3lS1+sTEB2TgcLoK21lLhwEJzlQv3IN47pJS976Gx4zoWe0ak3q+uYh60ppQxg9F16Ri4tS1sfD4+jA==",
    ),
    Package(
        "isoformat",
        "0.2.1",
        "sha512-tFLRAygk9NqrRPhJSnNGh7g7oaVWDwR0wKh/GM2LgmPa50Eg4UfyaCO4I8k6EqJHl1/uh2RAD6g06n5ygEnrjQ==",
    ),
)


def main(arguments: list[str]) -> int:
    """Write the files; with --check only compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file differs")
    check = parser.parse_args(arguments).check
    try:
        wanted = chart_files()
    except NpmError as error:
        print(error, file=sys.stderr)
        return 1
    different = [name for name, content in wanted.items() if not _is(ASSETS / name, content)]
    if check:
        print("\n".join(f"{name} is not what npm has" for name in different) or "the chart library is what npm has")
        return 1 if different else 0
    for name in different:
        (ASSETS / name).write_bytes(wanted[name])
    print(", ".join(different) or "nothing to do")
    return 0


def chart_files() -> dict[str, bytes]:
    """Return the files by name."""
    plot = read_package(PLOT, ("dist/plot.umd.min.js", "LICENSE"))
    d3 = read_package(D3, ("dist/d3.min.js", "LICENSE"))
    licences = [_titled(PLOT, plot["LICENSE"]), _titled(D3, d3["LICENSE"])]
    licences += [_titled(package, read_package(package, ("LICENSE",))["LICENSE"]) for package in BUILT_IN]
    return {
        "plot.umd.min.js": plot["dist/plot.umd.min.js"],
        "d3.min.js": d3["dist/d3.min.js"],
        "charts.LICENSE": b"\n".join(licences),
    }


def _titled(package: Package, text: bytes) -> bytes:
    return f"{package.name} {package.version}\n\n".encode() + text.strip().replace(b"\r\n", b"\n") + b"\n"


def _is(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
