"""What `edgeprof --help` costs: its CPU time against that of a bare Click program."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.bench_rows import Row, spread

RUNS = 25
TARGET_RATIO = 1.4
BARE = '''
import click


@click.group()
def group():
    """A bare program."""


@group.command()
def command():
    """Do nothing."""


group()
'''


def run() -> list[Row]:
    """Run both in turns, chance deciding which goes first."""
    with tempfile.TemporaryDirectory(prefix="edgeprof-bench-") as folder:
        program = Path(folder) / "bare.py"
        program.write_text(BARE, encoding="utf-8")
        bare = [sys.executable, str(program), "--help"]
        edgeprof = [str(Path(sys.executable).with_name("edgeprof")), "--help"]
        pairs = _alternate(edgeprof, bare)
    ours, theirs = (spread([pair[side] for pair in pairs]) for side in (0, 1))
    ratio = ours.middle / theirs.middle
    return [
        Row(
            name="CPU time of edgeprof --help / a bare Click program",
            value=f"{ratio:.2f}: {ours.middle * 1e3:.1f} ms, {theirs.middle * 1e3:.1f} ms",
            target=f"at most {TARGET_RATIO}",
            ok=ratio <= TARGET_RATIO,
            conditions=f"user + system time, medians of {RUNS} runs each in turns; quartiles"
            f" {ours.low * 1e3:.1f} … {ours.high * 1e3:.1f} and {theirs.low * 1e3:.1f} … {theirs.high * 1e3:.1f} ms",
        )
    ]


def _alternate(ours: list[str], theirs: list[str]) -> list[tuple[float, float]]:
    chance = random.Random(0)  # noqa: S311  an order, no secret
    pairs = []
    for index in range(RUNS + 1):
        if chance.random() < 0.5:  # noqa: PLR2004  a coin
            first = _cpu_s(ours)
            pair = (first, _cpu_s(theirs))
        else:
            first = _cpu_s(theirs)
            pair = (_cpu_s(ours), first)
        if index:  # the first writes the bytecode
            pairs.append(pair)
    return pairs


def _cpu_s(command: list[str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime
