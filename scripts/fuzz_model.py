"""Damage models at random and read them: nothing but a ModelError may come out, within 2 s.

    python scripts/fuzz_model.py --seconds 60 --seed 1 model.tflite model.onnx ...

Without files it takes the models of EDGEPROF_MODELS and the light models of the onnx wheel. Prints how many
inputs were tried and what was found; a finding's bytes are written beside it. Exits with 1 on a finding.
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import sys
import time
import traceback
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from edgeprof.boards import load_board
from edgeprof.errors import ModelError
from edgeprof.fitting.fit import fit_boards
from edgeprof.inspecting import inspect_graph
from edgeprof.model.cost import model_cost
from edgeprof.model.memory import greedy_arena_plan, liveness
from edgeprof.model.onnx import read_onnx
from edgeprof.model.tflite import is_tflite, read_tflite
from edgeprof.report.fit import render_fit
from edgeprof.report.inspection import render_inspection
from scripts.fuzzing import Finding, Outcome
from scripts.pace import SLOW_REFERENCES, reference_s

BOARD = load_board("jetson-orin-nano")
_numbers = (0, 1, 2, 127, 128, 255, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 2**64 - 1)


def fuzz(corpus: list[bytes], seconds: float, seed: int, tries: int = sys.maxsize) -> Outcome:
    """Mutate and read until the time is over or so often; a seed always makes the same inputs."""
    chance = random.Random(seed)  # noqa: S311 (a reproducible sequence is wanted, not a secret)
    outcomes: Counter[str] = Counter()
    findings: list[Finding] = []
    tried, slowest, end = 0, 0.0, time.monotonic() + seconds
    slow_s = SLOW_REFERENCES * reference_s()
    while tried < tries and time.monotonic() < end:
        sample = mutated(chance, corpus)
        start = time.process_time()
        try:
            outcomes[examine(sample)] += 1
        except Exception:  # noqa: BLE001 (any other exception is what this script looks for)
            findings.append(Finding(traceback.format_exc(), sample))
        taken = time.process_time() - start
        if taken > slow_s:
            findings.append(Finding(f"took {taken:.1f} s of CPU, {slow_s:.1f} are allowed", sample))
        tried, slowest = tried + 1, max(slowest, taken)
    return Outcome(tried, outcomes, findings, slowest)


def examine(sample: bytes) -> str:
    """Read a model and everything that follows from it. Return how that ended."""
    try:
        graph = read_tflite(sample, "fuzz") if is_tflite(sample) else read_onnx(sample, Path("fuzz"))
        facts = (graph, model_cost(graph), liveness(graph), greedy_arena_plan(graph))
        inspection = inspect_graph(graph, Path("fuzz"), BOARD)
        fit = fit_boards(graph, (BOARD,))
    except ModelError as error:
        return type(error).__name__
    for fact in facts:
        msgspec.json.encode(fact)
    for name in ("table", "json"):
        render_inspection(inspection, name)
        render_fit(fit, name)
    return "read"


def mutated(chance: random.Random, corpus: list[bytes]) -> bytes:
    """Return a sample of the corpus with one to eight changes."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        if not data:
            return b""
        place = _place(chance, len(data))
        match chance.randrange(6):
            case 0:
                data[place] ^= 1 << chance.randrange(8)
            case 1:
                data[place] = chance.randrange(256)
            case 2:
                size = chance.choice("BHIQ")
                number = chance.choice(_numbers) & (256 ** struct.calcsize(size) - 1)
                data[place : place + struct.calcsize(size)] = struct.pack(f"<{size}", number)
            case 3:
                word = place & ~3
                data[word : word + 4] = struct.pack("<i", chance.randrange(-64, 4 * len(data)))
            case 4:
                length, source = chance.randrange(1, 65), chance.randrange(len(data))
                piece = data[source : source + length]
                data[place : place + chance.choice((0, len(piece)))] = piece
            case _:
                del data[place : place + chance.choice((1, 4, 16, len(data)))]
    return bytes(data)


def _place(chance: random.Random, length: int) -> int:
    """Return where to change something: more often near the ends, where the tables lie, than inside weights."""
    near = min(length, 4096)
    return chance.choice((chance.randrange(length), chance.randrange(near), length - 1 - chance.randrange(near)))


def default_corpus() -> list[Path]:
    """Return the models that are to be found on this machine, small ones only."""
    home = Path(__file__).resolve().parents[2] / "shared" / "models"
    folder = Path(os.environ.get("EDGEPROF_MODELS", home))
    found = [*folder.rglob("*.tflite")]
    onnx = find_spec("onnx")
    if onnx is not None and onnx.origin is not None:
        found += Path(onnx.origin).parent.glob("backend/test/data/**/*.onnx")
    return [path for path in found if path.stat().st_size < 400_000]  # noqa: PLR2004 (larger ones are mostly weights)


def main() -> int:
    """Run the fuzzer from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    corpus = [path.read_bytes() for path in options.models or default_corpus()]
    if not corpus:
        print("no models to start from; name some", file=sys.stderr)
        return 2
    outcome = fuzz(corpus, options.seconds, options.seed)
    print(f"{outcome.tried} inputs from {len(corpus)} models in {options.seconds:g} s, seed {options.seed}")
    print(f"slowest {outcome.slowest_s:.3f} s; {dict(outcome.outcomes)}")
    for number, finding in enumerate(outcome.findings[:20]):
        path = Path(f"fuzz-{options.seed}-{number}.bin")
        path.write_bytes(finding.input)
        print(f"FOUND {path}: {finding.what}")
    print(f"{len(outcome.findings)} findings")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
