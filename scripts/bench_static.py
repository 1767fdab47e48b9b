"""What `edgeprof inspect` costs, whole process, side by side with onnx-tool, tigris-ml and ethos-u-vela."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.model import read_model
from edgeprof.model.cost import model_cost
from edgeprof.model.reading import max_operators
from examples.build_models import build_mlp_onnx
from scripts.bench_rows import Row, spread
from scripts.uv import environment, find_uv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "models"
SUITE = Path(os.environ.get("EDGEPROF_MODELS") or ROOT.parent / "shared" / "models") / "mlperf_tiny"
PEERS = ROOT / ".cache" / "peers"
PINNED = ("ethos-u-vela==5.2.0", "onnx-tool==1.0.1", "tigris-ml==0.12.1")
RUNS, SLOW_RUNS = 11, 5
MOST_CPU_S, LEAST_FASTER, MOST_MEMORY_MB, MOST_RATIO, MOST_DIFFERENCE = 0.25, 3.0, 150.0, 1.3, 0.005
LARGEST_S, LARGEST_MB = 2.0, 300.0
LAYERS = 16
LAUNCHER = """
import os, sys
nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=nothing)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""
"""Started by a small process: Linux counts the memory of the one that starts another in that one's peak."""
Commands = dict[str, list[str]]


class Cost(NamedTuple):
    """What one process took."""

    cpu_s: float
    memory_mb: float


def run() -> list[Row]:
    """Install the peers, measure and compare."""
    peers = _peers()
    (ROOT / ".cache").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".cache") as name:
        folder = Path(name)
        return [
            *_small(peers, folder),
            *_large(peers, folder),
            _growth(folder),
            *_ceilings(folder),
            _macs(peers, folder),
        ]


def _small(peers: Path, folder: Path) -> Iterator[Row]:
    """Compare on an 8-layer ResNet of the size of MLPerf Tiny's, 98 KB."""
    model = EXAMPLES / "resnet8_int8.tflite"
    commands = {
        "edgeprof": [*_edgeprof(), "inspect", str(model)],
        "vela": [str(peers / "vela"), str(model), "--output-dir", str(folder / "vela")],
        "tigris": [str(peers / "tigris"), "analyze", str(model)],
    }
    costs = _in_turns(commands, RUNS)
    ours = spread([cost.cpu_s for cost in costs["edgeprof"]])
    size = f"{model.name}, {model.stat().st_size / 1e3:.0f} kB"
    yield Row(
        name="CPU time of edgeprof inspect, small .tflite",
        value=f"{ours.middle:.3f} s",
        target=f"at most {MOST_CPU_S} s",
        ok=ours.middle <= MOST_CPU_S,
        conditions=f"{size}; user + system, {RUNS} runs, quartiles {ours.low:.3f} … {ours.high:.3f} s",
    )
    yield _faster("the quickest peer, small .tflite", costs, size)


def _large(peers: Path, folder: Path) -> Iterator[Row]:
    model = build_mlp_onnx(folder / "large.onnx", 110)
    commands = {
        "edgeprof": [*_edgeprof(), "inspect", str(model)],
        "onnx-tool": [str(peers / "python"), "-m", "onnx_tool", "-m", "profile", "-i", str(model)],
    }
    costs = _in_turns(commands, RUNS)
    memory = {name: max(cost.memory_mb for cost in found) for name, found in costs.items()}
    size = f"{model.stat().st_size / 1e6:.0f} MB of ONNX"
    yield Row(
        name="Peak memory of edgeprof inspect, large .onnx",
        value=f"{memory['edgeprof']:.0f} MB",
        target=f"less than {MOST_MEMORY_MB:.0f} MB",
        ok=memory["edgeprof"] < MOST_MEMORY_MB,
        conditions=f"{size}; peak resident set; onnx-tool {memory['onnx-tool']:.0f} MB",
    )
    yield _faster("onnx-tool, large .onnx", costs, size)
    model.unlink()


def _faster(whom: str, costs: Mapping[str, Sequence[Cost]], size: str) -> Row:
    medians = {name: spread([cost.cpu_s for cost in found]).middle for name, found in costs.items()}
    quickest = min((name for name in medians if name != "edgeprof"), key=medians.__getitem__)
    ratio = medians[quickest] / medians["edgeprof"]
    listed = ", ".join(f"{name} {median:.3f} s" for name, median in medians.items())
    return Row(
        name=f"CPU time of {whom} / edgeprof",
        value=f"{ratio:.1f} ({quickest})",
        target=f"at least {LEAST_FASTER:g}",
        ok=ratio >= LEAST_FASTER,
        conditions=f"{size}; medians of {RUNS} whole processes in turns: {listed}",
    )


def _growth(folder: Path) -> Row:
    commands = {
        name: [*_edgeprof(), "inspect", str(_matrices(folder / f"{name}.onnx", size))]
        for name, size in (("15 MB", 15e6), ("1 GB", 1e9))
    }
    costs = _in_turns(commands, RUNS)
    small, large = (spread([cost.cpu_s for cost in costs[name]]).middle for name in commands)
    memory = max(cost.memory_mb for cost in costs["1 GB"])
    return Row(
        name="CPU time with 1 GB of weights / with 15 MB",
        value=f"{large / small:.2f}",
        target=f"at most {MOST_RATIO}",
        ok=large / small <= MOST_RATIO,
        conditions=f"{LAYERS} matrix products, weights inside the file; medians of {RUNS}: {small:.3f} and"
        f" {large:.3f} s; {memory:.0f} MB of memory with 1 GB",
    )


def _ceilings(folder: Path) -> Iterator[Row]:
    for count, name in ((max_operators, "the most operators that are read"), (200_001, "200,001 operators, refused")):
        model = _chain(folder / f"{count}.onnx", count)
        [found] = _in_turns({"edgeprof": [*_edgeprof(), "inspect", str(model)]}, SLOW_RUNS).values()
        seconds, memory = spread([cost.cpu_s for cost in found]).middle, max(cost.memory_mb for cost in found)
        yield Row(
            name=f"CPU time of edgeprof inspect, {name}",
            value=f"{seconds:.2f} s, {memory:.0f} MB",
            target=f"at most {LARGEST_S:g} s and {LARGEST_MB:.0f} MB",
            ok=seconds <= LARGEST_S and memory <= LARGEST_MB,
            conditions=f"a chain of {count:,} additions; median of {SLOW_RUNS} whole processes",
        )


def _macs(peers: Path, folder: Path) -> Row:
    """Compare with vela, which counts poolings and softmaxes, too."""
    models = [*sorted(EXAMPLES.glob("*_int8.tflite")), *(SUITE / f"{name}.tflite" for name in _suite())]
    differences = {}
    for model in (model for model in models if model.is_file()):
        ours, theirs = model_cost(read_model(model, digest=False)).macs_count, _vela_macs(peers, model, folder)
        differences[model.name] = abs((ours or 0) - theirs) / theirs
    worst = max(differences, key=differences.__getitem__)
    return Row(
        name="MACs, largest difference from vela",
        value=f"{differences[worst]:.2%} ({worst})",
        target=f"at most {MOST_DIFFERENCE:.1%}",
        ok=differences[worst] <= MOST_DIFFERENCE,
        conditions=f"{len(differences)} int8 models: {', '.join(f'{n} {d:.3%}' for n, d in differences.items())}",
    )


def _suite() -> tuple[str, ...]:
    return "ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8"


def _vela_macs(peers: Path, model: Path, folder: Path) -> int:
    target = folder / "macs" / model.stem
    command = [str(peers / "vela"), str(model), "--output-dir", str(target)]
    subprocess.run(command, check=True, capture_output=True)
    [summary] = target.glob("*_summary_*.csv")
    with summary.open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    return int(float(row["nn_macs"]))


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _edgeprof() -> list[str]:
    return [str(Path(sys.executable).with_name("edgeprof"))]


def _in_turns(commands: Commands, runs: int) -> dict[str, list[Cost]]:
    """Run every command so often, in an order that chance changes; the first round only warms up."""
    chance = random.Random(0)  # noqa: S311  an order, no secret
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for index in range(runs + 1):
        for name in chance.sample(sorted(commands), len(commands)):
            cost = _cost(commands[name], may_fail=name == "edgeprof")
            if index:
                costs[name].append(cost)
    return costs


def _cost(command: list[str], *, may_fail: bool) -> Cost:
    done = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *command], capture_output=True, text=True, check=True)
    code, cpu_s, memory_kib = done.stdout.split()
    refused = 4
    if int(code) and not (may_fail and int(code) == refused):
        raise subprocess.CalledProcessError(int(code), command)
    return Cost(float(cpu_s), int(memory_kib) * 1024 / 1e6)


def _peers() -> Path:
    """Return the folder of the peers' programs, installed in an environment of their own unless they are there."""
    stamp = PEERS / "pinned.txt"
    if not stamp.is_file() or stamp.read_text(encoding="ascii").split() != list(PINNED):
        uv = find_uv() or "uv"
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(PEERS)], env=environment(), check=True
        )
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", str(PEERS / "bin" / "python"), *PINNED],
            env=environment(),
            check=True,
        )
        stamp.write_text("\n".join(PINNED), encoding="ascii")
    return PEERS / "bin"


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _matrices(path: Path, weights_bytes: float) -> Path:
    """Write a chain of matrix products with so many bytes of zeros as weights inside the file, as holes in it."""
    width = round((weights_bytes / LAYERS / 4) ** 0.5)
    size = 4 * width * width
    nodes = b"".join(_node(b"MatMul", [b"t%d" % n, b"w%d" % n], b"t%d" % (n + 1)) for n in range(LAYERS))
    heads = [
        b"\x08"
        + _varint(width)
        + b"\x08"
        + _varint(width)
        + b"\x10\x01"
        + _field(8, b"w%d" % n)
        + b"\x4a"
        + _varint(size)
        for n in range(LAYERS)
    ]
    heads = [b"\x2a" + _varint(len(head) + size) + head for head in heads]
    ends = _field(11, _info(b"t0", width)) + _field(12, _info(b"t%d" % LAYERS, width))
    length = len(nodes) + len(ends) + sum(map(len, heads)) + LAYERS * size
    with path.open("wb") as file:
        file.write(b"\x08\x08" + _field(8, b"\x10\x0d") + b"\x3a" + _varint(length) + nodes + ends)
        for head in heads:
            file.write(head)
            file.seek(size, os.SEEK_CUR)
        file.truncate()
    return path


def _chain(path: Path, count: int) -> Path:
    nodes = b"".join(_node(b"Add", [b"t%d" % n, b"t%d" % max(n - 1, 0)], b"t%d" % (n + 1)) for n in range(count))
    graph = nodes + _field(11, _info(b"t0", 64)) + _field(12, _info(b"t%d" % count, 64))
    path.write_bytes(b"\x08\x08" + _field(8, b"\x10\x0d") + _field(7, graph))
    return path


def _node(kind: bytes, inputs: list[bytes], output: bytes) -> bytes:
    return _field(1, b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind))


def _info(name: bytes, width: int) -> bytes:
    sizes = b"".join(_field(1, b"\x08" + _varint(size)) for size in (1, width))
    return _field(1, name) + _field(2, _field(1, b"\x08\x01" + _field(2, sizes)))


def _field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf's wire format that holds bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:  # noqa: PLR2004  seven bits a byte
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])
