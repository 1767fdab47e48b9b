"""Runs every check of the project: style, types, import contracts, the agent's Python version, tests with coverage.

`check.py` runs all of them and goes on after a failure; `check.py lint` leaves the tests out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
AGENT = ["edgeprof/wire.py", *sorted(str(p) for p in Path("edgeprof/agent").rglob("*.py") if p.name != "bundle.py")]

LINT: tuple[tuple[str, list[str]], ...] = (
    ("ruff check", [f"{BIN}/ruff", "check", "--quiet", "."]),
    ("ruff format", [f"{BIN}/ruff", "format", "--check", "--quiet", "."]),
    ("mypy", [f"{BIN}/mypy"]),
    ("import contracts", [f"{BIN}/lint-imports", "--no-cache"]),
    ("agent runs on Python 3.6", [f"{BIN}/vermin", "-t=3.6-", "--no-tips", "--violations", *AGENT]),
)
TESTS: tuple[tuple[str, list[str]], ...] = (
    ("the virtual Pi's disk", [f"{BIN}/python", "scripts/fetch_virtual_pi.py", "--wheels"]),
    # Two files at a time: much of the suite waits for emulators, boards and instruments.
    ("tests", [f"{BIN}/pytest", "-q", "-n", "2", "--dist", "loadfile", "--cov", "--cov-report="]),
    ("coverage", [f"{BIN}/coverage", "report"]),
)


def main(arguments: list[str]) -> int:
    """Run the checks, print what each took, and fail if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("lint",), help="only this part; all where none is named")
    failed = []
    for name, command in LINT if parser.parse_args(arguments).part == "lint" else (*LINT, *TESTS):
        began = time.monotonic()
        code = subprocess.run(command, check=False).returncode
        print(f"{'ok    ' if code == 0 else 'FAILED'} {name} ({time.monotonic() - began:.1f} s)", flush=True)
        if code:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
