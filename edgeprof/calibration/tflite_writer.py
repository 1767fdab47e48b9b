"""Writes a micro model as a .tflite file, in float32 or in int8 with a scale for each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeprof.calibration.micro import next_shape
from edgeprof.errors import RuntimeUnusable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeprof.calibration.micro import Dtype, Layer, Micro

SCALE, WEIGHT_SCALE, BOUNDED_SCALE = 0.05, 0.005, 1 / 256
LAST_DEPRECATED_CODE = 127
ALIGNMENT = 16
BUILTINS = {
    "conv": ("CONV_2D", 3, "Conv2DOptions"),
    "depthwise": ("DEPTHWISE_CONV_2D", 3, "DepthwiseConv2DOptions"),
    "dense": ("FULLY_CONNECTED", 4, "FullyConnectedOptions"),
    "add": ("ADD", 2, "AddOptions"),
    "relu": ("RELU", 2, ""),
    "prelu": ("PRELU", 1, ""),
    "max-pool": ("MAX_POOL_2D", 2, "Pool2DOptions"),
    "mean-pool": ("AVERAGE_POOL_2D", 2, "Pool2DOptions"),
    "softmax": ("SOFTMAX", 2, "SoftmaxOptions"),
    "logistic": ("LOGISTIC", 2, ""),
    "pad": ("PAD", 2, "PadOptions"),
    "concat": ("CONCATENATION", 2, "ConcatenationOptions"),
    "flatten": ("RESHAPE", 1, "ReshapeOptions"),
}


def micro_tflite(micro: Micro, dtype: Dtype, seed: int = 0) -> bytes:
    """Return the file. Weights are seeded random values."""
    return _Draft(dtype, seed).written(micro)


def _schema() -> Any:  # noqa: ANN401  the schema publishes no types
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise RuntimeUnusable(
            "micro models of .tflite cannot be written here: ai-edge-litert is not installed",
            hint="pip install ai-edge-litert; or calibrate .onnx alone: --model-format onnx",
        ) from error
    return schema_py_generated


class _Draft:
    """What has been put into the model so far; buffer 0 is empty by the format's rule."""

    def __init__(self, dtype: Dtype, seed: int) -> None:
        import numpy as np

        self.schema = _schema()
        self.dtype = dtype
        self.random = np.random.default_rng(seed)
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [self.schema.BufferT()]
        self.operators: list[Any] = []
        self.codes: list[Any] = []

    def written(self, micro: Micro) -> bytes:
        import flatbuffers

        shape = micro.shape
        first = last = self.activation("input", shape, SCALE)
        zero = 0
        for index, layer in enumerate(micro.layers):
            behind = next_shape(layer, shape)
            bounded = layer.kind in {"softmax", "logistic"}
            constants = self.constants(f"{layer.kind}_{index}", layer, shape, behind)
            weighted = layer.kind in {"conv", "depthwise", "dense"}
            zero = -128 if bounded or weighted else zero  # as a quantiser puts values that are never negative
            output = self.activation(f"{layer.kind}_{index}", behind, BOUNDED_SCALE if bounded else SCALE, zero)
            twice = [last, last] if layer.kind in {"add", "concat"} else [last]
            self.operator(layer, [*twice, *constants], output, shape, behind)
            last, shape = output, behind
        graph = self.schema.SubGraphT(self.tensors, [first], [last], self.operators, micro.name)
        model = self.schema.ModelT(3, self.codes, [graph], "edgeprof calibration", self.buffers)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def activation(self, name: str, shape: tuple[int, ...], scale: float, zero: int = 0) -> int:
        quantised = self.schema.QuantizationParametersT(scale=[scale], zeroPoint=[zero])
        stored = self.type_of(self.dtype)
        self.tensors.append(
            self.schema.TensorT([1, *shape], stored, 0, name, quantised if self.dtype == "int8" else None)
        )
        return len(self.tensors) - 1

    def type_of(self, dtype: str) -> int:
        return int(getattr(self.schema.TensorType, dtype.upper()))

    def constants(  # noqa: PLR0911  one a kind of layer
        self, name: str, layer: Layer, shape: tuple[int, ...], behind: tuple[int, ...]
    ) -> list[int]:
        import numpy as np

        channels = shape[-1]
        match layer.kind:
            case "conv":
                return self.weighted(name, (layer.channels, layer.kernel, layer.kernel, channels), 0)
            case "depthwise":
                return self.weighted(name, (1, layer.kernel, layer.kernel, channels), 3)
            case "dense":
                return self.weighted(name, (layer.channels, channels), 0)
            case "prelu":
                slopes = np.full((1, 1, channels), 25)
                stored = slopes.astype(np.int8) if self.dtype == "int8" else (slopes * 0.01).astype(np.float32)
                return [self.constant(f"{name}/slopes", stored, [0.01] if self.dtype == "int8" else [])]
            case "pad":
                return [self.constant(f"{name}/sides", np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))]
            case "flatten":
                return [self.constant(f"{name}/shape", np.array([1, *behind], np.int32))]
            case _:
                return []

    def weighted(self, name: str, shape: tuple[int, ...], axis: int) -> list[int]:
        import numpy as np

        outputs = shape[axis]
        if self.dtype == "float32":
            values = self.random.standard_normal(shape).astype(np.float32) / np.float32(np.prod(shape) / outputs) ** 0.5
            return [
                self.constant(f"{name}/weight", values),
                self.constant(f"{name}/bias", np.full(outputs, 0.01, np.float32)),
            ]
        stored = self.random.integers(-127, 128, shape).astype(np.int8)
        return [
            self.constant(f"{name}/weight", stored, [WEIGHT_SCALE] * outputs, axis),
            self.constant(f"{name}/bias", np.zeros(outputs, np.int32), [SCALE * WEIGHT_SCALE] * outputs),
        ]

    def constant(self, name: str, values: NDArray[Any], scales: list[float] | None = None, axis: int = 0) -> int:
        import numpy as np

        quantised = None
        if scales:
            zeros = [0] * len(scales)
            quantised = self.schema.QuantizationParametersT(scale=scales, zeroPoint=zeros, quantizedDimension=axis)
        little_endian = values.astype(values.dtype.newbyteorder("<"))
        self.buffers.append(_aligned(self.schema)(np.frombuffer(little_endian.tobytes(), np.uint8)))
        kind = self.type_of(values.dtype.name)
        self.tensors.append(self.schema.TensorT(list(values.shape), kind, len(self.buffers) - 1, name, quantised))
        return len(self.tensors) - 1

    def operator(
        self, layer: Layer, inputs: list[int], output: int, shape: tuple[int, ...], behind: tuple[int, ...]
    ) -> None:
        name, version, options_type = BUILTINS[layer.kind]
        builtin = getattr(self.schema.BuiltinOperator, name)
        known = [code.builtinCode for code in self.codes]
        if builtin not in known:
            known.append(builtin)
            self.codes.append(self.schema.OperatorCodeT(min(builtin, LAST_DEPRECATED_CODE), None, version, builtin))
        kind = getattr(self.schema.BuiltinOptions, options_type) if options_type else 0
        self.operators.append(
            self.schema.OperatorT(known.index(builtin), inputs, [output], kind, self.options(layer, shape, behind))
        )

    def options(self, layer: Layer, shape: tuple[int, ...], behind: tuple[int, ...]) -> Any:  # noqa: ANN401  the same
        schema, stride = self.schema, layer.stride
        same, valid = schema.Padding.SAME, schema.Padding.VALID
        none, relu = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU
        made = {
            "conv": lambda: schema.Conv2DOptionsT(same, stride, stride, relu),
            "depthwise": lambda: schema.DepthwiseConv2DOptionsT(same, stride, stride, 1, relu),
            "dense": lambda: schema.FullyConnectedOptionsT(relu),
            "add": lambda: schema.AddOptionsT(none),
            "max-pool": lambda: schema.Pool2DOptionsT(valid, 2, 2, 2, 2, none),
            "mean-pool": lambda: schema.Pool2DOptionsT(valid, shape[1], shape[0], shape[1], shape[0], none),
            "softmax": lambda: schema.SoftmaxOptionsT(1.0),
            "pad": schema.PadOptionsT,
            "concat": lambda: schema.ConcatenationOptionsT(len(shape), none),
            "flatten": lambda: schema.ReshapeOptionsT([1, *behind]),
        }
        return made[layer.kind]() if layer.kind in made else None


def _aligned(schema: Any) -> Any:  # noqa: ANN401  the same
    """Return the class of a buffer whose bytes start at a multiple of 16: schema.fbs says force_align."""

    class AlignedBuffer(schema.BufferT):  # type: ignore[misc]  # the schema publishes no types
        def Pack(self, builder: Any) -> int:  # noqa: N802, ANN401  the generator's name
            if self.data is not None:
                builder.Prep(ALIGNMENT, len(self.data))
            return int(super().Pack(builder))

    return AlignedBuffer
