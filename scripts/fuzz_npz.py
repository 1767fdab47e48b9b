"""Damage NPZ files at random and read them as inputs, labels and recordings: nothing but a UsageError may come out.

    python scripts/fuzz_npz.py --seconds 60 --seed 1

Bytes of the archive are changed, and those of an array before it is put into one, so that its checksum is right. Prints
how many files were tried and how they ended; a finding's bytes are written here. Exits with 1 on a finding.
"""

from __future__ import annotations

import argparse
import io
import random
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeprof.comparing.output_quality import read_labels
from edgeprof.errors import UsageError
from edgeprof.inputs import file_inputs
from edgeprof.links.mlperf_inputs import firmware_inputs
from edgeprof.model.graph import Graph, Tensor
from edgeprof.power.options import EnergyOptions
from edgeprof.power.recordings import read_trace
from scripts.fuzzing import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

INPUT = Tensor(name="x", dtype="float32", shape=(3,))
GRAPH = Graph(format="tflite", name="fuzz", bytes=0, sha256="", tensors=(INPUT,), operators=(), inputs=(0,), outputs=())
READERS: dict[str, Callable[[Path], object]] = {
    "inputs": lambda path: file_inputs(GRAPH, path),
    "firmware": lambda path: firmware_inputs(path, 0),
    "labels": read_labels,
    "recording": lambda path: read_trace(path, EnergyOptions()),
}
HEADERS = (
    *(
        f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': ({shape}), }}"
        for descr, order, shape in (
            ("'|O'", "False", "3,"), ("[('a', '<f4')]", "False", "3,"), ("'f4,f4'", "False", "3,"),
            ("'<f4'", "False", "1000000000, 1000000000, 1000000000"), ("'<f4'", "False", "-3,"), ("'<f4'", "False", ""),
            ("'<U3'", "True", "3,"), ("'>f4'", "True", "1, 3"), ("'<f4'", "False", "0, 3"), ("'<M8[s]'", "False", "3,"),
            ("'<f4'", "False", "9" * 5000 + ","),
        )
    ),
    "{" * 5000,
    "{'shape': (3,)," + " " * 60_000,
    "__import__('os').abort()",
)  # fmt: skip
NAMES = (["x"], ["x"], ["labels"], ["time_s", "power_w"], ["rate_hz", "power_w"], ["x", "x"], ["\x1b[2J\n"])


def fuzz(seed: int, *, executions: int | None = None, seconds: float = 60.0) -> Outcome:
    """Mutate and read so often, or until the time is over; the same seed makes the same files in the same order."""
    chance = random.Random(seed)  # noqa: S311  reproducible, not secret
    outcomes: Counter[str] = Counter()
    findings: list[Finding] = []
    tried, end = 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.npz"
        while tried < executions if executions is not None else time.monotonic() < end:
            sample = mutated(chance)
            path.write_bytes(sample)
            for name, read in READERS.items():
                outcomes[_ended(name, read, path, findings, sample)] += 1
            tried += 1
    return Outcome(tried, outcomes, findings)


def _ended(name: str, read: Callable[[Path], object], path: Path, findings: list[Finding], sample: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read(path)
    except UsageError as error:
        if "\n" in error.message:
            findings.append(Finding(f"{name}: more than a line: {error.message!r}", sample))
        return type(error).__name__
    except Exception:  # noqa: BLE001  any other exception is what this script looks for
        findings.append(Finding(f"{name}: {traceback.format_exc()}", sample))
        return "found"
    return f"{name} read"


def mutated(chance: random.Random) -> bytes:
    """Return an NPZ of arrays of which some are damaged, or one that is damaged as a whole."""
    method = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in _members(chance):
            archive.writestr(name, content)
    whole = bytearray(buffer.getvalue())
    if chance.random() < 0.6:  # noqa: PLR2004  of all files
        for _ in range(chance.choice((1, 1, 2, 8))):
            _change(chance, whole)
    return bytes(whole)


def _members(chance: random.Random) -> list[tuple[str, bytes]]:
    dtype = chance.choice(("<f4", "<f4", "<f4", ">f4", "<f8", "|i1", "<i8", "|b1", "<c8", "<U2", "|S2"))
    shape = chance.choice(((2, 3), (2, 3), (4,), (4,), (0, 3), (2, 3, 1), ()))
    names = chance.choice(
        (["x"], ["x"], ["labels"], ["time_s", "power_w"], ["rate_hz", "power_w"], ["x", "x"], ["\x1b[2J\n"])
    )
    found = []
    for name in names:
        values = (
            np.zeros(shape, dtype) if dtype[1] in "US" else np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
        )
        content = bytearray(_npy(np.asfortranarray(values) if chance.random() < 0.3 else values))  # noqa: PLR2004  the same
        kind = chance.randrange(6)
        if kind == 0:
            text = chance.choice(HEADERS).encode()
            content = bytearray(b"\x93NUMPY\x01\0" + struct.pack("<H", min(len(text), 0xFFFF)) + text + bytes(12))
        elif kind == 1:
            _change(chance, content)
        suffix = chance.choice((".npy", ".npy", ".npy", ".npy", ""))
        found.append((name + suffix, bytes(content)))
    return found


def _npy(values: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _change(chance: random.Random, data: bytearray) -> None:
    """Change a byte, a number or a piece, more often near the ends, where headers and the directory lie."""
    if not data:
        return
    near = min(len(data), 120)
    place = chance.choice((chance.randrange(len(data)), chance.randrange(near), len(data) - 1 - chance.randrange(near)))
    match chance.randrange(4):
        case 0:
            data[place] ^= 1 << chance.randrange(8)
        case 1:
            data[place] = chance.randrange(256)
        case 2:
            number = chance.choice((0, 1, 0x7F, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
            data[place : place + 4] = struct.pack("<I", number)
        case _:
            del data[place : place + chance.choice((1, 4, 16, len(data)))]


def main() -> int:
    """Run the fuzzer from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    outcome = fuzz(options.seed, seconds=options.seconds)
    print(f"{outcome.tried} files in {options.seconds:g} s, seed {options.seed}; {dict(outcome.outcomes)}")
    for number, finding in enumerate(outcome.findings[:20]):
        path = Path(f"fuzz-{options.seed}-{number}.npz")
        path.write_bytes(finding.input)
        print(f"FOUND {path}: {finding.what}")
    print(f"{len(outcome.findings)} findings")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
