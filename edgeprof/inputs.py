"""What the model is fed: seeded random values, or the user's own from an NPZ file, as one blob for the agent."""

from __future__ import annotations

import random
import struct
import zipfile
import zlib
from array import array
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from edgeprof import wire
from edgeprof.errors import FileUnreadable, ModelUnsupported, UsageError
from edgeprof.model.data_files import IN_ONE_FOLDER, leads_elsewhere, refuse_faulty
from edgeprof.model.graph import type_bits

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.model.graph import Graph, Tensor

LARGEST_INPUT_BYTES = 1 << 30


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
    import numpy as np  # noqa: PLC0415  only for the user's own inputs

    try:
        with zipfile.ZipFile(path) as archive:  # its CRCs first: what numpy raises for damage has no common class
            damaged = archive.testzip()
        if damaged is not None:
            raise FileUnreadable(f"cannot read the inputs {path}: {damaged} in it is damaged")
        with np.load(path, allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise FileUnreadable(f"cannot read the inputs {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise FileUnreadable(
            f"cannot read the inputs {path}: {error}", hint="numpy.savez writes such a file"
        ) from error
    wanted = model_inputs(graph)
    names = {tensor.name for tensor in wanted}
    if set(arrays) != names:
        raise UsageError(f"{path} holds {sorted(arrays)}, the model wants {sorted(names)}")
    counts = {array.shape[0] if array.ndim else 0 for array in arrays.values()}
    if len(counts) != 1 or not min(counts, default=0):
        raise UsageError(f"{path}: the first axis counts inferences and must agree: {sorted(counts)}")
    tensors = []
    for tensor in wanted:
        values = arrays[tensor.name]
        _check_values(path, tensor, values.dtype.name, values.shape[1:])
        tensors.append(
            (tensor.name, tensor.dtype, values.shape[1:], [np.ascontiguousarray(v).tobytes() for v in values])
        )
    shapes = {name: tuple(int(size) for size in shape) for name, _, shape, _ in tensors}
    return Inputs(wire.pack_inputs(tensors), f"{path.name} ({counts.pop()} inferences)", shapes, ())


def _check_values(path: Path, tensor: Tensor, dtype: str, shape: tuple[int, ...]) -> None:
    if dtype != tensor.dtype:
        raise UsageError(f"{path}: {tensor.name!r} is {dtype}, the model wants {tensor.dtype}")
    known = tensor.shape if tensor.shape is not None else shape
    if len(known) != len(shape) or any(a not in {None, b} for a, b in zip(known, shape, strict=True)):
        wanted = ["?" if size is None else size for size in known]
        raise UsageError(f"{path}: {tensor.name!r} has the shape {list(shape)} an inference, the model wants {wanted}")
