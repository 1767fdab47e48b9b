"""One launch of a comparison in a process of its own, B slowed down by a busy-wait: for `bench_compare.py`.

    python scripts/bench_compare_launch.py MODEL RUNTIME PAIRS SLOWER THREADS

It runs the agent's own pair pass. The busy-wait is inside B's timed region alone, and what it really took is read from
the clock around it. Answer, as JSON: the launch, and the achieved slowdown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from edgeprof import wire
from edgeprof.agent.loading import load
from edgeprof.agent.pair import pair_pass
from edgeprof.agent.timing import Speaker, clock
from edgeprof.comparing.interleaving import launch_of
from edgeprof.inputs import random_inputs
from edgeprof.model import read_model
from edgeprof.records.result import SampleColumns

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.agent.runtimes import Loaded


def main(arguments: list[str]) -> int:
    """Run one launch and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, kind in (("model", Path), ("runtime", str), ("pairs", float), ("slower", float), ("threads", float)):
        parser.add_argument(name, type=kind)
    asked = parser.parse_args(arguments)
    model, runtime, pairs, slower, threads = asked.model, asked.runtime, asked.pairs, asked.slower, asked.threads
    graph = read_model(model)
    inputs = Path(f"{os.environ['BENCH_FOLDER']}/{model.stem}-{os.getpid()}.inputs")
    inputs.write_bytes(random_inputs(graph, 0).blob)
    orders = {
        "path": str(model), "inputs": str(inputs), "format": graph.format, "runtime": runtime, "shapes": {},
        "threads": int(threads), "warmup": wire.AUTO, "batch": wire.AUTO, "runs": int(pairs), "sha256": "00",
        "settings": {"second": {"model": str(model), "inputs": str(inputs), "format": graph.format, "name": "B"}},
    }  # fmt: skip
    slowed = Slowed(slower)
    with tempfile.TemporaryFile() as said:
        pair_pass(orders, Speaker(os.dup(said.fileno()), 1, 65535), slowed.load)
        said.seek(0)
        found = launch_of(_columns(said.read()))
    inputs.unlink()
    print(json.dumps({**{name: getattr(found, name) for name in found.__struct_fields__}, "slower": slowed.achieved()}))
    return 0


class Slowed:
    """Loads models; the invoke of B waits busily after each inference, that of A is wrapped alike without a wait."""

    def __init__(self, slower: float) -> None:
        self._slower = slower
        self._new: Waiting | None = None

    def load(self, orders: dict[str, Any]) -> Loaded:
        """Load a model; B is the one that the settings do not speak of."""
        loaded = load(orders)
        if not self._slower:
            return loaded
        if "second" in orders["settings"]:
            return loaded._replace(invoke=Waiting(loaded.invoke, 0.0))
        self._new = Waiting(loaded.invoke, self._slower)
        return loaded._replace(invoke=self._new)

    def achieved(self) -> float:
        """Return the slowdown that there was, by its own clock."""
        return self._new.achieved() if self._new else 0.0


class Waiting:
    """An invoke that then waits busily for a share of what it took, and remembers both."""

    def __init__(self, invoke: Callable[[], Any], share: float) -> None:
        self._invoke = invoke
        self._share = share
        self._ran: list[int] = []
        self._waited: list[int] = []

    def __call__(self) -> None:
        """Run once and wait."""
        start = clock()
        self._invoke()
        end = done = clock()
        until = done + (done - start) * self._share
        while end < until:
            end = clock()
        self._ran.append(done - start)
        self._waited.append(end - done)

    def achieved(self) -> float:
        """Return the median of the waits' shares."""
        return statistics.median(waited / ran for waited, ran in zip(self._waited, self._ran, strict=True))


def _columns(content: bytes) -> SampleColumns:
    """Return the samples that the pass sent."""
    columns: list[list[int]] = [[], [], [], []]
    at = 0
    while at < len(content):
        size, kind = int.from_bytes(content[at : at + 4], "little"), content[at + 4]
        message = wire.read(wire.Frame(kind, 0, content[at + 5 : at + 5 + size]))
        at += 5 + size
        if isinstance(message, wire.Samples):
            begun, took, flagged = wire.unpack_columns(message)
            for at_column, values in enumerate((begun, took, [message.batch] * len(flagged), flagged)):
                columns[at_column] += values
    starts, durations, batch, flags = columns
    return SampleColumns(
        start=tuple(x * 1e-9 for x in starts), duration=tuple(x * 1e-9 for x in durations), batch=tuple(batch),
        flags=tuple(flags),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
