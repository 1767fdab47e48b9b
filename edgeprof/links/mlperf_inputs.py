"""What MLPerf Tiny firmware is fed: the suite's models say by their name what they take."""

from __future__ import annotations

import random
import struct

from edgeprof import wire
from edgeprof.agent.runtimes import read_inputs
from edgeprof.errors import ModelInvalid

BENCHMARK_INPUTS: dict[str, tuple[str, int]] = {
    "ad01": ("float32", 640),
    "kws01": ("int8", 490),
    "ic01": ("uint8", 3072),
    "vww01": ("uint8", 27648),
}
"""What the suite's firmware takes over the wire, by the name that it gives its model."""


def benchmark_inputs(seed: int) -> bytes:
    """Return an input blob with seeded random values for each of the suite's models."""
    source = random.Random(seed)  # noqa: S311  reproducible, not secret
    tensors: list[tuple[str, str, tuple[int, ...], list[bytes]]] = []
    for name, (dtype, count) in BENCHMARK_INPUTS.items():
        if dtype == "float32":
            content = struct.pack(f"<{count}f", *[source.random() * 2 - 1 for _ in range(count)])
        else:
            content = source.randbytes(count)
        tensors.append((name, dtype, (count,), [content]))
    return wire.pack_inputs(tensors)


def inputs_of(blob: bytes, model: str) -> list[bytes]:
    """Return the bytes of each inference: the tensor named like the model, else the only one there is, else nothing."""
    try:
        inputs = read_inputs(blob)
    except (ValueError, KeyError, struct.error) as error:
        raise ModelInvalid(f"the inputs cannot be read: {error}") from error
    names = [facts.name.lower() for facts in inputs.tensors]
    if model.lower() in names:
        at = names.index(model.lower())
    elif len(names) == 1:
        at = 0
    else:
        return []
    return [values[at] for values in inputs.inferences]
