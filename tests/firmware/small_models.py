"""Models of one operator, of any shape and quantisation, as .tflite bytes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

TYPES = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32, "float32": schema.TensorType.FLOAT32}


@dataclass
class SmallModel:
    """Tensors and operators as they are added; buffer 0 is empty by the format's rule."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[Any] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def tensor(self, shape: tuple[int, ...], scale: float = 0.0, zero_point: int = 0, dtype: str = "int8") -> int:
        """Add an activation."""
        quantisation = None
        if scale:
            quantisation = schema.QuantizationParametersT(scale=[np.float32(scale)], zeroPoint=[zero_point])
        self.tensors.append(schema.TensorT(list(shape), TYPES[dtype], 0, f"t{len(self.tensors)}", quantisation))
        return len(self.tensors) - 1

    def constant(
        self, values: NDArray[Any], scales: list[float] | None = None, axis: int = 0, zero_point: int = 0
    ) -> int:
        """Add a constant, with one scale or one a channel."""
        quantisation = None
        if scales is not None:
            quantisation = schema.QuantizationParametersT(
                scale=np.array(scales, np.float32), zeroPoint=[zero_point] * len(scales), quantizedDimension=axis
            )
        self.buffers.append(schema.BufferT(np.frombuffer(values.tobytes(), np.uint8)))
        name = f"c{len(self.tensors)}"
        kind = TYPES[values.dtype.name]
        self.tensors.append(schema.TensorT(list(values.shape), kind, len(self.buffers) - 1, name, quantisation))
        return len(self.tensors) - 1

    def operator(
        self, name: str, inputs: list[int], outputs: list[int], options: tuple[str, dict[str, Any]] | None
    ) -> None:
        """Add an operator; `options` is the name of its table and the fields that are not as by default."""
        code = getattr(schema.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        table, kind = None, 0
        if options is not None:
            table = getattr(schema, f"{options[0]}T")()
            kind = getattr(schema.BuiltinOptions, options[0])
            for key, value in options[1].items():
                assert hasattr(table, key), key
                setattr(table, key, value)
        self.operators.append(schema.OperatorT(self.codes.index(code), inputs, outputs, kind, table))

    def write(self, inputs: list[int], outputs: list[int], *, version: int = 3) -> bytes:
        """Return the file; `version` is that of every operator."""
        graph = schema.SubGraphT(self.tensors, inputs, outputs, self.operators, "main")
        codes = [schema.OperatorCodeT(min(code, 127), None, version, code) for code in self.codes]
        model = schema.ModelT(3, codes, [graph], "one operator", self.buffers)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def randomness(seed: int) -> random.Random:
    """Return numbers that are the same for a seed."""
    return random.Random(seed)  # noqa: S311  reproducible, not secret


class Values:
    """Random constants by a seed."""

    def __init__(self, seed: int) -> None:
        self.random = randomness(seed)

    def int8(self, *shape: int) -> NDArray[np.int8]:
        """Return codes without -128, as weights have them."""
        count = int(np.prod(shape))
        return np.array([self.random.randint(-127, 127) for _ in range(count)], np.int8).reshape(shape)

    def int32(self, count: int, limit: int = 20000) -> NDArray[np.int32]:
        """Return biases."""
        return np.array([self.random.randint(-limit, limit) for _ in range(count)], np.int32)

    def scale(self, low: float = 0.001, high: float = 0.5) -> float:
        """Return a scale as a float32, evenly over its magnitudes."""
        return float(np.float32(low * (high / low) ** self.random.random()))

    def zero_point(self) -> int:
        """Return a zero point."""
        return self.random.randint(-128, 127)
