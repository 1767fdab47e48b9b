"""Measures what edgeprof promises of itself, and fails where a target is missed.

    python scripts/bench.py              every section
    python scripts/bench.py help         some of them

Every figure is a ratio or a difference of two things measured side by side in the same run, so that a busy machine
disturbs both. A section is a module `bench_NAME.py` with `run() -> list[Row]` and an entry in SECTIONS.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts import (
    bench_calibrate,
    bench_compare,
    bench_estimator,
    bench_fidelity,
    bench_help,
    bench_meters,
    bench_neighbour,
    bench_sensors,
    bench_ssh,
    bench_static,
)
from scripts.bench_rows import print_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scripts.bench_rows import Row

SECTIONS: dict[str, Callable[[], list[Row]]] = {
    "fidelity": bench_fidelity.run,
    "neighbour": bench_neighbour.run,
    "help": bench_help.run,
    "compare": bench_compare.run,
    "ssh": bench_ssh.run,
    "static": bench_static.run,
    "sensors": bench_sensors.run,
    "meters": bench_meters.run,
    "estimator": bench_estimator.run,
    "calibrate": bench_calibrate.run,
}


def main(arguments: Sequence[str]) -> int:
    """Run the named sections, or all, and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all where none is named")
    names = parser.parse_args(arguments).sections
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    rows = []
    for name in names or SECTIONS:
        began = time.monotonic()
        found = SECTIONS[name]()
        print(f"{name} ({time.monotonic() - began:.0f} s)")
        print_rows(found)
        rows += found
    missed = [row.name for row in rows if not row.ok]
    print(f"{len(rows)} figures, {len(missed)} targets missed{': ' if missed else ''}{', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
