"""Damage app bundles at random and scan them: nothing but an EdgeprofError may come out, within 2 s.

    python scripts/fuzz_bundle.py --seconds 60 --seed 1 app.apk bundle.tar.gz ...

Without files it assembles a zip, a tar and a tar.gz from the example models. Prints how many inputs were tried and
what was found; a finding's bytes are written beside it. Exits with 1 on a finding.
"""

from __future__ import annotations

import argparse
import gzip
import io
import random
import resource
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from edgeprof.bundle import scan
from edgeprof.errors import EdgeprofError
from scripts.fuzzing import Finding, Outcome
from scripts.pace import SLOW_REFERENCES, reference_s

_numbers = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 2**63, 2**64 - 1)
_marks = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"ustar", b"TFL3")
_models = Path(__file__).resolve().parents[1] / "examples" / "models"


def fuzz(corpus: list[bytes], seconds: float, seed: int, tries: int = sys.maxsize) -> Outcome:
    """Mutate and scan until the time is over or so often; a seed always makes the same inputs."""
    chance = random.Random(seed)  # noqa: S311 (a reproducible sequence is wanted, not a secret)
    outcomes: Counter[str] = Counter()
    findings: list[Finding] = []
    tried, slowest, end = 0, 0.0, time.monotonic() + seconds
    slow_s = SLOW_REFERENCES * reference_s()
    with tempfile.TemporaryDirectory() as folder:
        while tried < tries and time.monotonic() < end:
            sample = mutated(chance, corpus)
            path = Path(folder) / f"fuzz{chance.choice(('.zip', '.apk', '.tar', '.tar.gz', '.tflite', ''))}"
            path.write_bytes(sample)
            began = time.process_time()
            try:
                outcomes[examine(path)] += 1
            except Exception:  # noqa: BLE001 (any other exception is what this script looks for)
                findings.append(Finding(traceback.format_exc(), sample))
            taken = time.process_time() - began
            if taken > slow_s:
                findings.append(Finding(f"took {taken:.1f} s of CPU, {slow_s:.1f} are allowed", sample))
            tried, slowest = tried + 1, max(slowest, taken)
            path.unlink()
    return Outcome(tried, outcomes, findings, slowest)


def examine(path: Path) -> str:
    """Scan a bundle and write down what was found. Return how that ended."""
    try:
        bundle = scan(path)
    except EdgeprofError as error:
        return f"{type(error).__name__} {error.exit_code}"
    msgspec.json.encode(bundle)
    return "scanned" if bundle.models else "scanned, no model"


def mutated(chance: random.Random, corpus: list[bytes]) -> bytes:
    """Return a sample of the corpus with one to eight changes; half of them in what describes the entries."""
    content = bytearray(chance.choice(corpus))
    if content[:2] == b"\x1f\x8b" and chance.random() < 0.7:  # noqa: PLR2004  mostly what is inside
        return gzip.compress(mutated(chance, [gzip.decompress(content)]), 1)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        if content:
            _change(chance, content, _place(chance, content))
    return bytes(content)


def _change(chance: random.Random, content: bytearray, place: int) -> None:
    match chance.randrange(6):
        case 0:
            content[place] ^= 1 << chance.randrange(8)
        case 1:
            content[place] = chance.randrange(256)
        case 2 | 3:
            size = chance.choice("BHIQ")
            number = chance.choice((*_numbers, len(content), chance.randrange(len(content))))
            width = struct.calcsize(size)
            content[place : place + width] = struct.pack(f"<{size}", number & (256**width - 1))
        case 4:
            length, source = chance.randrange(1, 200), chance.randrange(len(content))
            piece = content[source : source + length]
            content[place : place + chance.choice((0, len(piece)))] = piece
        case _:
            del content[place : place + chance.choice((1, 4, 46, 512, len(content)))]


def _place(chance: random.Random, content: bytearray) -> int:
    """Return where to change something: often inside a header, which is what decides."""
    mark = content.find(chance.choice(_marks), chance.randrange(len(content)))
    if mark < 0 or chance.random() < 0.3:  # noqa: PLR2004  sometimes anywhere
        return chance.choice(
            (chance.randrange(len(content)), len(content) - 1 - chance.randrange(min(22, len(content))))
        )
    return min(
        max(0, mark + chance.randrange(-256 if content[mark : mark + 5] == b"ustar" else 0, 64)), len(content) - 1
    )


def default_corpus() -> list[bytes]:
    """Return a zip with an archive inside, a tar and a tar.gz, all small."""
    files = [(path.name, path.read_bytes()) for path in sorted(_models.glob("kws*"))]
    files += [("lib/arm64-v8a/libtensorflowlite_jni.so", b"\x7fELF" + bytes(60)), ("m/net.mlmodelc/a", b"x" * 50)]
    packed, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    inner = packed.getvalue()
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.aar", inner)
        archive.writestr("copy.tflite", files[0][1])
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        for name, content in [*files, ("inner.zip", inner), ("deep/" * 40 + "x", b"x")]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    tiny = io.BytesIO()
    with zipfile.ZipFile(tiny, "w") as archive:
        archive.writestr("a.gguf", b"GGUF" + bytes(20))
        archive.writestr("b/data.pkl", b"x")
        archive.writestr("b/code/x.py", b"x")
    return [packed.getvalue(), tarred.getvalue(), gzip.compress(tarred.getvalue()), tiny.getvalue()]


def main() -> int:
    """Run the fuzzer from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    corpus = [path.read_bytes() for path in options.bundles] or default_corpus()
    outcome = fuzz(corpus, options.seconds, options.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{outcome.tried} inputs from {len(corpus)} bundles in {options.seconds:g} s, seed {options.seed}")
    print(f"slowest {outcome.slowest_s:.3f} s, peak {peak:.0f} MiB; {dict(outcome.outcomes)}")
    for number, finding in enumerate(outcome.findings[:20]):
        path = Path(f"fuzz-bundle-{options.seed}-{number}.bin")
        path.write_bytes(finding.input)
        print(f"FOUND {path}: {finding.what}")
    print(f"{len(outcome.findings)} findings")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
