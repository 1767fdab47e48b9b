"""Runs a model on another runtime's reference kernels, in a process of its own: `child.py ENGINE MODEL`.

It stands alone, so that any interpreter with such a runtime can run it by its path. A line of JSON and the inputs'
bytes come in on standard input; a line of JSON and the outputs' bytes go out. What runtimes print goes to standard
error, and where they abort, only this process ends.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_INSTALLED = 3
SMALLEST_ARENA_BYTES = 16 * 2**20


class Engine(NamedTuple):
    """A model that is ready, its inputs and outputs in the model's own order."""

    version: str
    set_input: Callable[[int, bytes], None]
    invoke: Callable[[], Any]
    output: Callable[[int], Any]


def main(arguments: list[str]) -> int:
    """Answer one request."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the runtimes' C++ prints to 1
    name, path = arguments
    asked = json.loads(sys.stdin.buffer.readline())
    try:
        engine = ENGINES[name](path, asked["inputs"])
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return NOT_INSTALLED
    outputs = []
    contents = []
    for inference in range(asked["inferences"]):
        for index, tensor in enumerate(asked["inputs"]):
            engine.set_input(index, sys.stdin.buffer.read(tensor["bytes"]))
        engine.invoke()
        for index in range(asked["outputs"]):
            array = engine.output(index)
            content = array.tobytes()
            outputs.append(
                {"inference": inference, "dtype": str(array.dtype), "shape": array.shape, "bytes": len(content)}
            )
            contents.append(content)
    answers.write(json.dumps({"version": engine.version, "outputs": outputs}).encode() + b"\n")
    answers.write(b"".join(contents))
    answers.close()
    return 0


def tflite_micro(path: str, _inputs: list[dict[str, Any]]) -> Engine:
    """Load a model into TFLM, as it runs on microcontrollers."""
    import numpy as np
    from tflite_micro import runtime

    arena_bytes = max(SMALLEST_ARENA_BYTES, 4 * os.stat(path).st_size)  # noqa: PTH116  quicker than pathlib's import
    interpreter = runtime.Interpreter.from_file(path, arena_size=arena_bytes)

    def set_input(index: int, content: bytes) -> None:
        details = interpreter.get_input_details(index)
        interpreter.set_input(np.frombuffer(content, details["dtype"]).reshape(details["shape"]), index)

    return Engine(_version("tflite-micro"), set_input, interpreter.invoke, interpreter.get_output)


def litert(path: str, inputs: list[dict[str, Any]]) -> Engine:
    """Load a model into LiteRT with its reference kernels: no XNNPACK, no optimised ones."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(model_path=path, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1)
    for entry, tensor in zip(interpreter.get_input_details(), inputs, strict=True):
        if list(entry["shape"]) != tensor["shape"]:
            interpreter.resize_tensor_input(entry["index"], tensor["shape"])
    interpreter.allocate_tensors()
    entries, results = interpreter.get_input_details(), interpreter.get_output_details()

    def set_input(index: int, content: bytes) -> None:
        entry = entries[index]
        interpreter.set_tensor(entry["index"], np.frombuffer(content, entry["dtype"]).reshape(entry["shape"]))

    def output(index: int) -> Any:  # noqa: ANN401  an array of numpy, which is not imported here
        return interpreter.get_tensor(results[index]["index"])

    return Engine(_version("ai-edge-litert"), set_input, interpreter.invoke, output)


ENGINES: dict[str, Callable[[str, list[dict[str, Any]]], Engine]] = {"tflite-micro": tflite_micro, "litert": litert}


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "of unknown version"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
