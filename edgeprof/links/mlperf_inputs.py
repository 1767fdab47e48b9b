"""What MLPerf Tiny firmware is fed: the suite's models say by their name what they take."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

from edgeprof import wire
from edgeprof.agent.runtimes import read_inputs
from edgeprof.errors import ModelInvalid, UsageError
from edgeprof.inputs import LARGEST_INPUT_BYTES, Inputs, check_inferences, pack_arrays

if TYPE_CHECKING:
    from pathlib import Path

BENCHMARK_INPUTS: dict[str, tuple[str, int]] = {
    "ad01": ("float32", 640),
    "kws01": ("int8", 490),
    "ic01": ("uint8", 3072),
    "vww01": ("uint8", 27648),
}
"""What the suite's firmware takes over the wire, by the name that it gives its model."""


def firmware_inputs(path: Path | None, seed: int) -> Inputs:
    """Return what a model that is not here is fed: the user's NPZ of one array, or values for each of the suite's."""
    if path is None:
        return Inputs(benchmark_inputs(seed), f"seeded random values (seed {seed})", {}, ())
    from edgeprof.npz import array_of, opened_npz

    with opened_npz(path, LARGEST_INPUT_BYTES, "the inputs") as npz:
        arrays = tuple(npz.declared.values())
        if len(arrays) != 1 or not arrays[0].shape or not arrays[0].bytes:
            raise UsageError(
                f"{path} holds {sorted(npz.declared)}: the firmware takes one array, its first axis counts inferences",
                hint="its other axes are the bytes that the firmware expects, in its own type",
            )
        check_inferences(path, arrays[0].shape[0])
        values = array_of(npz, arrays[0].name)
    return Inputs(pack_arrays({arrays[0].name: values}), f"{path.name} ({len(values)} inferences)", {}, ())


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
