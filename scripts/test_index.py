"""Checks every row of edgeprof/data/runtimes.toml against the package index that pip is configured for.

    make test-index

A row is right when its version has a wheel for each Python and architecture that it names and for no other Python of
those known, and needs the glibc that it says; and when numpy has wheels where the matrix says so, and nowhere else.
Nothing is downloaded but the index's answers. A version that is newer than the best row is told; that is no error.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from edgeprof.installing import runtime_matrix
from edgeprof.installing.choosing import wheel_platforms
from edgeprof.installing.fetching import find_pip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.installing import RuntimeWheel

PYTHONS = ("3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
NEWEST_GLIBC = 60
THREADS = 4
MANYLINUX = re.compile(r"manylinux_2_(\d+)_")
LEGACY = {"manylinux2014_": 17, "manylinux2010_": 12, "manylinux1_": 5}


class Question(NamedTuple):
    """Is there a wheel? `glibc` is the least that it may need, empty where none is expected, None where any will do."""

    requirement: str
    python: str
    architecture: str
    glibc: str | None


class Answer(NamedTuple):
    """The wheel's file name, empty when there is none, and what is wrong with it."""

    question: Question
    wheel: str
    fault: str


def main() -> int:
    """Ask everything; print what is wrong; return how many answers were."""
    questions = list(dict.fromkeys([*_of_rows(), *_of_numpy()]))
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(_ask, questions))
        newer = [text for text in pool.map(_newer, _best_rows()) if text]
    faults = [answer for answer in answers if answer.fault]
    for question, wheel, fault in faults:
        print(f"{question.requirement} for Python {question.python} on {question.architecture}: {fault} {wheel}")
    for text in newer:
        print(f"newer on the index: {text}")
    rows = len(runtime_matrix().runtimes)
    wheels = sum(bool(answer.wheel) for answer in answers)
    print(f"{rows} rows, {len(questions)} questions: {wheels} wheels, {len(answers) - wheels} without one")
    print(f"{len(answers) - len(faults)} passed, {len(faults)} failed")
    return int(bool(faults))


def _of_rows() -> Iterator[Question]:
    for row in runtime_matrix().runtimes:
        for architecture, glibc in row.glibc.items():
            for python in PYTHONS:
                expected = glibc if python in row.pythons else ""
                yield Question(f"{row.package}=={row.version}", python, architecture, expected)


def _of_numpy() -> Iterator[Question]:
    for row in runtime_matrix().runtimes:
        for architecture in row.glibc:
            there = architecture in runtime_matrix().numpy.architectures
            for python in row.pythons:
                yield Question(f"numpy{row.numpy}", python, architecture, None if there else "")


def _ask(question: Question) -> Answer:
    wheel = _wheel(question.requirement, question.python, question.architecture)
    seen = _least_glibc(wheel)
    if question.glibc == "":
        return Answer(question, wheel, "there is one, the matrix has none:" if wheel else "")
    if not wheel:
        return Answer(question, wheel, "there is none")
    if question.glibc is not None and f"2.{seen}" != question.glibc:
        return Answer(question, wheel, f"needs glibc 2.{seen}, the matrix says {question.glibc}:")
    return Answer(question, wheel, "")


def _wheel(requirement: str, python: str, architecture: str) -> str:
    """Return the file name of the wheel that pip would take; empty when there is none."""
    major, minor = (int(word) for word in python.split("."))
    abi = f"cp{major}{minor}" + ("m" if (major, minor) < (3, 8) else "")
    tags = [word for tag in wheel_platforms(architecture, (2, NEWEST_GLIBC)) for word in ("--platform", tag)]
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run(
            [*_pip(), "install", "--dry-run", "--quiet", "--report", "-", "--no-deps", "--only-binary=:all:",
             "--ignore-installed", "--no-input", "--disable-pip-version-check", "--target", nowhere,
             "--python-version", python, "--implementation", "cp", "--abi", abi, *tags, requirement],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    if done.returncode == 0:
        return str(json.loads(done.stdout)["install"][0]["download_info"]["url"].rsplit("/", 1)[1])
    if "No matching distribution" in done.stderr:
        return ""
    raise SystemExit(f"pip cannot ask the index: {done.stderr.strip()[-400:]}")


def _pip() -> list[str]:
    found = find_pip()
    if found is None:
        raise SystemExit("neither pip nor uv is here")
    return found


def _least_glibc(wheel: str) -> int:
    found = [int(minor) for minor in MANYLINUX.findall(wheel)]
    found += [minor for name, minor in LEGACY.items() if name in wheel]
    return min(found, default=0)


def _best_rows() -> list[RuntimeWheel]:
    rows: dict[str, RuntimeWheel] = {}
    for row in runtime_matrix().runtimes:
        rows.setdefault(row.package, row)
    return list(rows.values())


def _newer(row: RuntimeWheel) -> str:
    wheel = _wheel(row.package, row.pythons[-1], next(iter(row.glibc)))
    version = wheel.split("-")[1] if wheel else ""
    return f"{row.package} {version}, the matrix has {row.version}" if version not in {"", row.version} else ""


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    sys.exit(main())
