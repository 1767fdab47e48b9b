"""tflite-micro as the oracle: random inputs and the outputs that TFLM computes from them, byte for byte."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgeprof import wire

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeprof.model.graph import Graph


class Example(NamedTuple):
    """Inputs for some inferences, as the agent's blob, and TFLM's outputs, inference by inference."""

    blob: bytes
    outputs: list[bytes]


def with_oracle(graph: Graph, content: bytes, inferences: int, seed: int) -> Example:
    """Return random inputs and what TFLM makes of them."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(content, arena_size=2_000_000)
    values = random.Random(seed)  # noqa: S311  reproducible, not secret
    given: list[list[NDArray[np.generic]]] = []
    outputs = []
    for _ in range(inferences):
        row = [_random(interpreter.get_input_details(i), values) for i in range(len(graph.inputs))]
        for index, value in enumerate(row):
            interpreter.set_input(value, index)
        interpreter.invoke()
        outputs += [interpreter.get_output(i).tobytes() for i in range(len(graph.outputs))]
        given.append(row)
    tensors = [
        (
            graph.tensors[index].name,
            graph.tensors[index].dtype,
            tuple(int(n) for n in given[0][i].shape),
            [row[i].tobytes() for row in given],
        )
        for i, index in enumerate(graph.inputs)
    ]
    return Example(wire.pack_inputs(tensors), outputs)


def _random(details: dict[str, object], values: random.Random) -> NDArray[np.generic]:
    shape = tuple(int(size) for size in details["shape"])  # type: ignore[attr-defined]
    count = int(np.prod(shape))
    if details["dtype"] is np.float32:
        return np.array([values.uniform(-4, 4) for _ in range(count)], np.float32).reshape(shape)
    assert re.search("int8", str(details["dtype"]))
    return np.frombuffer(values.randbytes(count), np.int8).reshape(shape)
