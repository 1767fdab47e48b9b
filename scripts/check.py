"""Runs the checks of the project: style, types, import contracts, the agent's Python version, tests with coverage.

`check.py` runs all of them and goes on after a failure; `check.py quick`, the inner loop, leaves out all tests but the
quick unit tests; `check.py lint` leaves out all tests.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

BIN = Path(sys.executable).parent
AGENT = ["edgeprof/wire.py", *sorted(str(p) for p in Path("edgeprof/agent").rglob("*.py") if p.name != "bundle.py")]


class Check(NamedTuple):
    """A command that has to succeed."""

    name: str
    command: list[str]


DISK = Check("the virtual Pi's disk", [f"{BIN}/python", "scripts/fetch_virtual_pi.py", "--wheels"])
LINT = (
    Check("ruff check", [f"{BIN}/ruff", "check", "--quiet", "."]),
    Check("ruff format", [f"{BIN}/ruff", "format", "--check", "--quiet", "."]),
    Check("mypy", [f"{BIN}/mypy"]),
    Check("import contracts", [f"{BIN}/lint-imports", "--no-cache"]),
    Check("agent runs on Python 3.6", [f"{BIN}/vermin", "-t=3.6-", "--no-tips", "--violations", *AGENT]),
)
# Two files at a time: much of the suite waits for emulators, boards and instruments.
PYTEST = [f"{BIN}/pytest", "-q", "-n", "2", "--dist", "loadfile"]
TESTS = (
    Check("tests", [*PYTEST, "--cov", "--cov-report="]),
    Check("coverage", [f"{BIN}/coverage", "report"]),
)
UNIT_TESTS = (Check("unit tests", [*PYTEST, "-m", "not slow", "tests/unit"]),)
CHECKS = {"all": (*LINT, *TESTS), "quick": (*LINT, *UNIT_TESTS), "lint": LINT}


def main(arguments: list[str]) -> int:
    """Run the checks, print what each took, and fail if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="?", choices=CHECKS, default="all")
    which = parser.parse_args(arguments).which
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as words:
        # It is fetched and unpacked beside the linters, which keep one processor busy.
        disk = subprocess.Popen(DISK.command, stdout=words, stderr=subprocess.STDOUT) if which == "all" else None
        failed = [check.name for check in CHECKS[which][: len(LINT)] if not passes(check)]
        if disk is not None:
            code = disk.wait()
            words.seek(0)
            print(words.read(), end="")
            failed += [] if told(DISK, code, began) else [DISK.name]
    failed += [check.name for check in CHECKS[which][len(LINT) :] if not passes(check)]
    print(f"failed: {', '.join(failed)}" if failed else f"all checks passed in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def passes(check: Check) -> bool:
    """Run a check and say how it went."""
    began = time.monotonic()
    return told(check, subprocess.run(check.command, check=False).returncode, began)


def told(check: Check, code: int, began: float) -> bool:
    """Print how a check went, and return whether it is well."""
    print(f"{'ok    ' if code == 0 else 'FAILED'} {check.name} ({time.monotonic() - began:.1f} s)", flush=True)
    return code == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
