"""What the model is fed: seeded random values, or the user's own from an NPZ file, as one blob for the agent."""

from __future__ import annotations

import random
import struct
from array import array
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeprof import wire
from edgeprof.errors import FileUnreadable, ModelUnsupported, UsageError
from edgeprof.model.data_files import IN_ONE_FOLDER, leads_elsewhere, refuse_faulty
from edgeprof.model.graph import type_bits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgeprof.model.graph import Graph, Tensor

LARGEST_INPUT_BYTES = 1 << 30
MOST_INFERENCES = 100_000
REAL_BYTES = 8


class Inputs(NamedTuple):
    """The blob, where its values come from, the shapes that were settled, and which dimensions were guessed."""

    blob: bytes
    source: str
    shapes: dict[str, tuple[int, ...]]
    guessed: tuple[str, ...]


def random_inputs(graph: Graph, seed: int, inferences: int = 1) -> Inputs:
    """Return values by a seed: uniform in [-1, 1) for floats, all codes for 8 and 16 bits.

    Inputs of 32 and 64 bit integers are most likely indices, and get 0; unknown sizes are 1. The first inference is
    the same however many follow.
    """
    source = random.Random(seed)  # noqa: S311  reproducible, not secret
    wanted = [(tensor, settled_shape(tensor)) for tensor in model_inputs(graph)]
    guessed = tuple(tensor.name for tensor, _ in wanted if tensor.shape is None or None in tensor.shape)
    rows = [[_random_bytes(tensor, shape, source) for tensor, shape in wanted] for _ in range(inferences)]
    tensors = [
        (tensor.name, tensor.dtype, shape, [row[at] for row in rows]) for at, (tensor, shape) in enumerate(wanted)
    ]
    shapes = {tensor.name: shape for tensor, shape in wanted}
    return Inputs(wire.pack_inputs(tensors), f"seeded random values (seed {seed})", shapes, guessed)


def model_inputs(graph: Graph) -> tuple[Tensor, ...]:
    """Return the tensors that a caller has to give; initialisers that are listed as inputs are none."""
    return tuple(
        graph.tensors[index]
        for index in graph.inputs
        if graph.tensors[index].constant_bytes is None and not graph.tensors[index].variable
    )


def settled_shape(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape with 1 for each unknown size."""
    return tuple(1 if size is None else size for size in tensor.shape or ())


def _random_bytes(tensor: Tensor, shape: tuple[int, ...], source: random.Random) -> bytes:
    count = prod(shape)
    bits = type_bits.get(tensor.dtype)
    if bits is None or bits < 8:  # noqa: PLR2004  a byte
        raise ModelUnsupported(
            f"the input {tensor.name!r} is of type {tensor.dtype}, for which no value can be made up",
            hint="--inputs FILE.npz gives your own values",
        )
    if count * bits // 8 > LARGEST_INPUT_BYTES:
        raise ModelUnsupported(
            f"the input {tensor.name!r} has the shape {list(shape)}: {count * bits // 8} bytes,"
            f" more than {LARGEST_INPUT_BYTES}",
            hint=f"--shape {tensor.name}=… sets a smaller one",
        )
    match tensor.dtype:
        case "float32" | "float64":
            code = "f" if tensor.dtype == "float32" else "d"
            return array(code, [source.random() * 2 - 1 for _ in range(count)]).tobytes()
        case "float16":
            return struct.pack(f"<{count}e", *[source.random() * 2 - 1 for _ in range(count)])
        case "int8" | "uint8" | "int16" | "uint16":
            return source.randbytes(count * bits // 8)
        case "bool":
            return bytes(source.getrandbits(1) for _ in range(count))
        case _:
            return bytes(count * bits // 8)


def read_beside(model: Path, graph: Graph) -> dict[str, bytes]:
    """Return the files of weights beside a model as blobs; what is not whole or leads elsewhere is refused."""
    refuse_faulty(graph)
    found = {}
    for name in (file.name for file in graph.data_files):
        path = model.parent / name
        if leads_elsewhere(name) or "/" in name:
            raise ModelUnsupported(
                f"{model.name} keeps weights in {name!r}; only files in its own folder are taken", hint=IN_ONE_FOLDER
            )
        try:
            found[f"beside/{name}"] = path.read_bytes()
        except OSError as error:
            raise FileUnreadable(
                f"{model.name} keeps weights in {path}, which cannot be read: {error.strerror}"
            ) from error
    return found


def file_inputs(graph: Graph, path: Path) -> Inputs:
    """Read inputs from an NPZ file keyed by tensor name, first axis: inferences."""
    arrays = input_arrays(graph, path)
    tensors = [(name, values.dtype.name, values.shape[1:]) for name, values in arrays.items()]
    shapes = {name: tuple(int(size) for size in shape) for name, _, shape in tensors}
    count = len(next(iter(arrays.values())))
    return Inputs(pack_arrays(arrays), f"{path.name} ({count} inferences)", shapes, ())


def input_arrays(graph: Graph, path: Path, *, as_reals: bool = False) -> dict[str, NDArray[Any]]:
    """Return the arrays of an NPZ file that fit the model's inputs, in the model's order.

    Names, types, shapes and sizes are checked by what the file declares, before values are read. `as_reals`: they are
    going to be made 64 bit floats, and have to fit as such.
    """
    from edgeprof.npz import array_of, opened_npz

    wanted = model_inputs(graph)
    with opened_npz(path, LARGEST_INPUT_BYTES, "the inputs") as npz:
        names = {tensor.name for tensor in wanted}
        if set(npz.declared) != names:
            raise UsageError(f"{path} holds {sorted(npz.declared)}, the model wants {sorted(names)}")
        counts = {array.shape[0] if array.shape else 0 for array in npz.declared.values()}
        if len(counts) != 1 or not min(counts, default=0):
            raise UsageError(f"{path}: the first axis counts inferences and must agree: {sorted(counts)}")
        check_inferences(path, counts.pop())
        for tensor in wanted:
            array = npz.declared[tensor.name]
            _check_values(path, tensor, array.dtype.name, array.shape[1:])
        reals_bytes = sum(REAL_BYTES * prod(array.shape) for array in npz.declared.values()) if as_reals else 0
        if reals_bytes > LARGEST_INPUT_BYTES:
            raise UsageError(
                f"{path} takes {reals_bytes:,} bytes as real numbers; at most {LARGEST_INPUT_BYTES:,} are compared",
                hint="give fewer inferences",
            )
        return {tensor.name: array_of(npz, tensor.name) for tensor in wanted}


def check_inferences(path: Path, count: int) -> None:
    """Raise UsageError for more inferences than a run is given."""
    if count > MOST_INFERENCES:
        raise UsageError(
            f"{path} holds {count:,} inferences; at most {MOST_INFERENCES:,} are taken", hint="give a part of them"
        )


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the input blob of arrays whose first axis counts inferences, without a copy of each inference."""
    import numpy as np

    count = len(next(iter(arrays.values())))
    rows = [np.ascontiguousarray(values).reshape(count, -1).view(np.uint8) for values in arrays.values()]
    head = wire.inputs_head(count, [(name, values.dtype.name, values.shape[1:]) for name, values in arrays.items()])
    merged = rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)
    return b"".join([head, merged.data])


def _check_values(path: Path, tensor: Tensor, dtype: str, shape: tuple[int, ...]) -> None:
    if dtype != tensor.dtype:
        raise UsageError(f"{path}: {tensor.name!r} is {dtype}, the model wants {tensor.dtype}")
    known = tensor.shape if tensor.shape is not None else shape
    if len(known) != len(shape) or any(a not in {None, b} for a, b in zip(known, shape, strict=True)):
        wanted = ["?" if size is None else size for size in known]
        raise UsageError(f"{path}: {tensor.name!r} has the shape {list(shape)} an inference, the model wants {wanted}")
