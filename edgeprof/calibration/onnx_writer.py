"""Writes a micro model as an .onnx file, in float32 or in int8 with QDQ nodes, straight in protobuf's wire format.

https://protobuf.dev/programming-guides/encoding/ describes the format, onnx/onnx.proto the messages. The package that
generates them is no dependency of edgeprof, and few messages are needed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from edgeprof.calibration.micro import next_shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from edgeprof.calibration.micro import Dtype, Layer, Micro

OPSET, IR_VERSION = 13, 7
SCALE, WEIGHT_SCALE, BOUNDED_SCALE = 0.05, 0.005, 1 / 256
TYPES = {"float32": 1, "int8": 3, "int32": 6, "int64": 7}
FLOAT_ATTRIBUTE, INT_ATTRIBUTE, INTS_ATTRIBUTE = 1, 2, 7
OPERATORS = {
    "conv": "Conv", "depthwise": "Conv", "dense": "Gemm", "add": "Add", "relu": "Relu", "prelu": "PRelu",
    "max-pool": "MaxPool", "mean-pool": "GlobalAveragePool", "softmax": "Softmax", "logistic": "Sigmoid",
    "pad": "Pad", "concat": "Concat", "flatten": "Flatten",
}  # fmt: skip


def micro_onnx(micro: Micro, dtype: Dtype, seed: int = 0) -> bytes:
    """Return the file. Weights are seeded random values; inputs and outputs are float32 in both."""
    return _Draft(dtype, seed).written(micro)


class _Draft:
    """The nodes and initialisers so far, encoded."""

    def __init__(self, dtype: Dtype, seed: int) -> None:
        import numpy as np

        self.dtype = dtype
        self.random = np.random.default_rng(seed)
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []

    def written(self, micro: Micro) -> bytes:
        shape, last = micro.shape, "input"
        if self.dtype == "int8":
            last = self.quantised(last, SCALE)
        for index, layer in enumerate(micro.layers):
            behind = next_shape(layer, shape)
            last = self.layer(f"{layer.kind}_{index}", layer, last, shape)
            shape = behind
        graph = b"".join((
            *(_bytes(1, node) for node in self.nodes),
            _bytes(2, b"micro"),
            *(_bytes(5, constant) for constant in self.constants),
            _bytes(11, _value_info("input", _channels_first(micro.shape))),
            _bytes(12, _value_info(last, _channels_first(shape))),
        ))  # fmt: skip
        opset = _bytes(1, b"") + _number(2, OPSET)
        return _number(1, IR_VERSION) + _bytes(2, b"edgeprof") + _bytes(7, graph) + _bytes(8, opset)

    def layer(self, name: str, layer: Layer, source: str, shape: tuple[int, ...]) -> str:
        """Add one layer and, where weights are in it, the ReLU behind it; return the name of its output."""
        inputs = [source, source] if layer.kind in {"add", "concat"} else [source]
        attributes = _attributes(layer, shape)
        inputs += self.parameters(name, layer, shape[-1])
        weighted = layer.kind in {"conv", "depthwise", "dense"}
        product = f"{name}/product" if weighted else name
        self.node(OPERATORS[layer.kind], inputs, product, attributes)
        if weighted:
            self.node("Relu", [product], name)
        bounded = layer.kind in {"softmax", "logistic"}
        scale, zero = BOUNDED_SCALE if bounded else SCALE, -128 if bounded or weighted else 0
        return self.quantised(name, scale, zero) if self.dtype == "int8" else name

    def parameters(self, name: str, layer: Layer, channels: int) -> list[str]:
        import numpy as np

        match layer.kind:
            case "conv":
                return self.weighted(name, (layer.channels, channels, layer.kernel, layer.kernel))
            case "depthwise":
                return self.weighted(name, (channels, 1, layer.kernel, layer.kernel))
            case "dense":
                return self.weighted(name, (layer.channels, channels))
            case "prelu":
                return [self.constant(f"{name}/slopes", np.full((channels, 1, 1), 0.25, np.float32))]
            case "pad":
                return [self.constant(f"{name}/sides", np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))]
            case _:
                return []

    def weighted(self, name: str, shape: tuple[int, ...]) -> list[str]:
        import numpy as np

        outputs = shape[0]
        if self.dtype == "float32":
            fan_in = np.float32(np.prod(shape) / outputs)
            values = self.random.standard_normal(shape).astype(np.float32) / fan_in**0.5
            bias = np.full(outputs, 0.01, np.float32)
            return [self.constant(f"{name}/weight", values), self.constant(f"{name}/bias", bias)]
        stored = self.random.integers(-127, 128, shape).astype(np.int8)
        weight = self.dequantised(f"{name}/weight", stored, WEIGHT_SCALE)
        return [weight, self.dequantised(f"{name}/bias", np.zeros(outputs, np.int32), SCALE * WEIGHT_SCALE)]

    def dequantised(self, name: str, stored: NDArray[Any], scale: float) -> str:
        """Add a constant that is stored on a grid of each output channel."""
        import numpy as np

        scales = np.full(stored.shape[0], scale, np.float32)
        zeros = np.zeros(stored.shape[0], stored.dtype)
        inputs = [self.constant(f"{name}/stored", stored), self.constant(f"{name}/scale", scales),
                  self.constant(f"{name}/zero", zeros)]  # fmt: skip
        self.node("DequantizeLinear", inputs, name, {"axis": 0})
        return name

    def quantised(self, name: str, scale: float, zero: int = 0) -> str:
        """Put a tensor on a grid and back."""
        import numpy as np

        grid = [self.constant(f"{name}/scale", np.array(scale, np.float32)),
                self.constant(f"{name}/zero", np.array(zero, np.int8))]  # fmt: skip
        self.node("QuantizeLinear", [name, *grid], f"{name}/stored")
        self.node("DequantizeLinear", [f"{name}/stored", *grid], f"{name}/real")
        return f"{name}/real"

    def node(
        self, kind: str, inputs: Sequence[str], output: str, attributes: dict[str, int | Sequence[int]] | None = None
    ) -> None:
        encoded = [_bytes(1, name.encode()) for name in inputs]
        encoded += [_bytes(2, output.encode()), _bytes(3, output.encode()), _bytes(4, kind.encode())]
        encoded += [_bytes(5, _attribute(name, value)) for name, value in (attributes or {}).items()]
        self.nodes.append(b"".join(encoded))

    def constant(self, name: str, values: NDArray[Any]) -> str:
        little_endian = values.astype(values.dtype.newbyteorder("<"), copy=False)
        dims = b"".join(_number(1, size) for size in values.shape)
        kind = _number(2, TYPES[values.dtype.name])
        self.constants.append(dims + kind + _bytes(8, name.encode()) + _bytes(9, little_endian.tobytes()))
        return name


def _attributes(layer: Layer, shape: tuple[int, ...]) -> dict[str, int | Sequence[int]]:
    match layer.kind:
        case "conv" | "depthwise":
            before, after = zip(*(_same(side, layer) for side in shape[:2]), strict=True)
            return {
                "kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2, "pads": [*before, *after],
                "group": shape[-1] if layer.kind == "depthwise" else 1,
            }  # fmt: skip
        case "dense":
            return {"transB": 1}
        case "max-pool":
            return {"kernel_shape": [2, 2], "strides": [2, 2]}
        case "softmax" | "concat":
            return {"axis": 1}
        case _:
            return {}


def _same(side: int, layer: Layer) -> tuple[int, int]:
    total = max((-(-side // layer.stride) - 1) * layer.stride + layer.kernel - side, 0)
    return total // 2, total - total // 2


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[-1], *shape[:-1])


# ── protobuf ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _attribute(name: str, value: float | Sequence[int]) -> bytes:
    named = _bytes(1, name.encode())
    if isinstance(value, float):
        return named + _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, FLOAT_ATTRIBUTE)
    if isinstance(value, int):
        return named + _number(3, value) + _number(20, INT_ATTRIBUTE)
    return named + b"".join(_number(8, size) for size in value) + _number(20, INTS_ATTRIBUTE)


def _value_info(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(_bytes(1, _number(1, size)) for size in (1, *shape))
    tensor = _number(1, TYPES["float32"]) + _bytes(2, dims)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004  seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
