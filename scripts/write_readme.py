"""Rewrites the output blocks of README.md, or checks that they still look like what the commands print.

    python scripts/write_readme.py            run the commands and replace the blocks
    python scripts/write_readme.py --check    exit 1 where a block has another shape than what is printed now

A block is a marker and a fence below it:

    <!-- generated: edgeprof boards show cortex-m4 (first 5 lines) -->
    ```text
    $ edgeprof boards show cortex-m4
    …
    ```

The commands run in the order of the file, in an empty folder that sees only the examples, with a state of their own.
Figures differ from run to run, so the check compares rows, titles, units of text and bases with every number masked,
and leaves out the warnings, which depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
TIMEOUT_S = 120
BUG = 70
TERMINAL = ("COLUMNS", "LINES", "FORCE_COLOR")
"""What would make a program believe that it writes to a terminal of some kind."""
BLOCK = re.compile(
    r"<!-- generated: (?P<command>[^\n]+?)(?P<part> \(first (?P<lines>\d+) lines\))? -->\n+```text\n(?P<text>.*?)```\n",
    re.DOTALL,
)

MASKS = (
    # Warnings, and the advice on preemption: what else the machine does.
    (re.compile(r"^! .*?(?=^sensors:|^noise band|\Z)", re.MULTILINE | re.DOTALL), ""),
    (re.compile(r"^  · [^·]*were interrupted by other work.*?(?=^  ·|^$|\Z)", re.MULTILINE | re.DOTALL), ""),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.+Z-]+"), "TIME"),
    (re.compile(r"(?<= on local) \(.*?\)(?=, )"), " (PROCESSOR)"),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)?x(?= )"), "Nx"),
    (re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?: (?:ns|µs|ms|s|bytes|KiB|MiB|GiB))?(?!\w)"), "N"),
    (re.compile(r"─+"), "─"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r"\n{2,}"), "\n"),
)


class Block(NamedTuple):
    """One generated block: its command, how many lines of it are shown (None: all), and the text in its fence."""

    command: str
    lines: int | None
    text: str


class CommandFailedError(Exception):
    """A command of the README met a bug; its output is no example."""


def main(arguments: list[str]) -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a block is out of date")
    asked = parser.parse_args(arguments)
    readme = README.read_text(encoding="utf-8")
    if asked.check:
        stale = stale_blocks(readme)
        print("".join(stale) or "README.md is up to date\n", end="")
        return 1 if stale else 0
    README.write_text(replace_blocks(readme, run_blocks(readme)), encoding="utf-8")
    print(f"{len(blocks(readme))} blocks written")
    return 0


def blocks(readme: str) -> list[Block]:
    """Return the generated blocks of a text."""
    return [
        Block(found["command"], int(found["lines"]) if found["lines"] else None, found["text"])
        for found in BLOCK.finditer(readme)
    ]


def stale_blocks(readme: str) -> list[str]:
    """Return a difference for each block whose command prints something of another shape now."""
    differences = []
    for block, printed in zip(blocks(readme), run_blocks(readme), strict=True):
        old, new = masked(block.text).splitlines(keepends=True), masked(printed).splitlines(keepends=True)
        differences.append("".join(difflib.unified_diff(old, new, f"README.md: {block.command}", "printed now")))
    return [difference for difference in differences if difference]


def masked(text: str) -> str:
    """Return a text without what may differ from one run to the next."""
    for pattern, replacement in MASKS:
        text = pattern.sub(replacement, text)
    return text.strip() + "\n"


def replace_blocks(readme: str, printed: list[str]) -> str:
    """Return the text with each block's fence filled anew."""
    fresh = iter(printed)
    return BLOCK.sub(
        lambda found: f"<!-- generated: {found['command']}{found['part'] or ''} -->\n```text\n{next(fresh)}```\n",
        readme,
    )


def run_blocks(readme: str) -> list[str]:
    """Run the command of every block, in order, and return what a person would see."""
    with tempfile.TemporaryDirectory(prefix="edgeprof-readme-") as name:
        folder = Path(name)
        (folder / "examples").symlink_to(ROOT / "examples")
        return [_seen(block, folder) for block in blocks(readme)]


def _seen(block: Block, folder: Path) -> str:
    own = {f"EDGEPROF_{kind.upper()}": str(folder / f".{kind}") for kind in ("state", "cache", "config")}
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("EDGEPROF_", *TERMINAL))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        shlex.split(block.command),
        cwd=folder,
        env={**plain, **own, "HOME": str(folder), "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode == BUG:
        raise CommandFailedError(f"{block.command}\n{done.stdout}")
    lines = [line.rstrip() for line in done.stdout.strip("\n").splitlines()]
    if block.lines is not None:
        lines = [*lines[: block.lines], "…"]
    if done.returncode:
        lines.append(f"(exit code {done.returncode})")
    return "\n".join([f"$ {block.command}", *lines, ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
