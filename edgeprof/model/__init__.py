"""The model room: a .tflite or .onnx file in, a Graph with its costs and its memory out."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgeprof.errors import ModelInvalid, ModelUnsupported
from edgeprof.file_names import written
from edgeprof.model.data_files import looked_at, needed_bytes, warnings, with_digests
from edgeprof.model.graph import DataFile, Graph, Operator, Quantization, Subgraph, Tensor
from edgeprof.model.reading import mapped

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["DataFile", "Graph", "Operator", "Quantization", "Subgraph", "Tensor", "read_model"]

# What people hand over instead of a model: the first bytes, what it is and what to do.
_others = (
    (b"GGUF", "a GGUF file", "GGUF models run in llama.cpp, which edgeprof does not profile"),
    (
        b"PK\x03\x04",
        "a zip archive",
        "edgeprof check looks into archives; a .pt or .keras file is to be exported first",
    ),
    (b"\x89HDF", "an HDF5 file", "convert Keras models to .tflite first"),
    (b"\x1f\x8b", "gzip-compressed", "unpack it first"),
    (b"version https://git-lfs", "a Git LFS pointer, not the model", "run git lfs pull"),
)


def read_model(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    *,
    digest: bool = True,
    digest_up_to_bytes: float = inf,
    batch: int | None = None,
) -> Graph:
    """Return what is in a .tflite or .onnx file, told apart by content; weights stay in their files.

    `shapes` fixes inputs whose dimensions vary; `batch` the first dimension of those where nothing else varies,
    with a warning. Without `digest`, and of more than `digest_up_to_bytes`, `Graph.sha256` stays empty: hashing is the
    only part whose cost grows with the bytes of the files. Data files that are not as the model declares them are told
    in the warnings; `data_files.refuse_faulty` raises. Raises FileUnreadable, ModelInvalid for what is not a model or
    is damaged, ModelUnsupported for one that is too large to be read safely, and UsageError for shapes that do not fit.
    """
    with mapped(path) as memory, _without_collections():
        graph = _read(memory, path, shapes)
        taken = {} if batch is None else _batches(graph, batch)
        if taken:
            graph = _read(memory, path, {**(shapes or {}), **taken})
            said = f"the batch of {', '.join(map(repr, taken))} varies; taken as {batch}, which --shape changes"
            graph = replace(graph, warnings=(said, *graph.warnings))
    graph = replace(graph, data_files=looked_at(path, graph.data_files))
    graph = replace(graph, warnings=(*graph.warnings, *warnings(graph)))
    return with_digests(graph, path) if digest and needed_bytes(graph) <= digest_up_to_bytes else graph


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep the cyclic garbage collector still: it would look through every tensor again and again, for nothing."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _batches(graph: Graph, batch: int) -> dict[str, tuple[int, ...]]:
    """Return shapes for the inputs that vary in their first dimension; none where one varies in another, too."""
    inputs = [graph.tensors[index] for index in graph.inputs]
    if any(tensor.shape is None or None in tensor.shape[1:] for tensor in inputs):
        return {}
    open_ones = [tensor for tensor in inputs if tensor.shape and tensor.shape[0] is None]
    return {tensor.name: (batch, *(size or 0 for size in (tensor.shape or ())[1:])) for tensor in open_ones}


TOO_MUCH = "is it whole, and a model? The bounds keep what is no model from taking all memory"


def _read(memory: mmap.mmap, path: Path, shapes: Mapping[str, tuple[int, ...]] | None) -> Graph:
    try:
        return _read_format(memory, path, shapes)
    except ModelUnsupported as error:
        raise ModelUnsupported(f"{path} is not read: {error.message}", hint=TOO_MUCH) from None


def _read_format(memory: mmap.mmap, path: Path, shapes: Mapping[str, tuple[int, ...]] | None) -> Graph:
    if memory[4:8] == b"TFL3":
        from edgeprof.model.tflite import read_tflite

        try:
            return read_tflite(memory, written(path.name), shapes)
        except ModelInvalid as error:
            raise ModelInvalid(f"{path} is damaged: {error.message}", hint=error.hint) from None
    for start, what, hint in _others:
        if memory[: len(start)] == start:
            raise ModelInvalid(f"{path} is {what}; a .tflite or .onnx file is wanted", hint=hint)
    if memory[4:8] in {b"ET12", b"ET11"}:
        raise ModelInvalid(f"{path} is an ExecuTorch program; a .tflite or .onnx file is wanted")
    from edgeprof.model.onnx import read_onnx

    return read_onnx(memory, path, shapes)
