"""Write `.tflite` files without TensorFlow: quantised networks, and one whose operator no runtime has."""

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from examples.quantisation import QuantisedNetwork, StoredParameters
from examples.topologies import Grid, Kind, Layer, shapes

SCHEMA_VERSION = 3
FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16  # schema.fbs: force_align, which the Python generator leaves to its user
LAST_DEPRECATED_CODE = 127  # operators up to here are also named in the older, one-byte field
UNSUPPORTED_OPERATOR = "EdgeprofUnsupported"

OPERATORS = {
    Kind.CONV: (schema.BuiltinOperator.CONV_2D, 3, schema.BuiltinOptions.Conv2DOptions),
    Kind.DEPTHWISE: (schema.BuiltinOperator.DEPTHWISE_CONV_2D, 3, schema.BuiltinOptions.DepthwiseConv2DOptions),
    Kind.DENSE: (schema.BuiltinOperator.FULLY_CONNECTED, 4, schema.BuiltinOptions.FullyConnectedOptions),
    Kind.ADD: (schema.BuiltinOperator.ADD, 2, schema.BuiltinOptions.AddOptions),
    Kind.POOL: (schema.BuiltinOperator.AVERAGE_POOL_2D, 2, schema.BuiltinOptions.Pool2DOptions),
    Kind.FLATTEN: (schema.BuiltinOperator.RESHAPE, 1, schema.BuiltinOptions.ReshapeOptions),
    Kind.SOFTMAX: (schema.BuiltinOperator.SOFTMAX, 2, schema.BuiltinOptions.SoftmaxOptions),
}
TYPES = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32, "float32": schema.TensorType.FLOAT32}

Constant = NDArray[np.int8] | NDArray[np.int32]


class AlignedBuffer(schema.BufferT):  # type: ignore[misc]  # the schema publishes no types
    """A buffer whose bytes start at a multiple of 16 in the file."""

    def Pack(self, builder: Any) -> int:  # noqa: N802, ANN401  # the generator's name; flatbuffers has no types
        """Write the bytes, padded so that they are aligned."""
        if self.data is not None:
            builder.Prep(BUFFER_ALIGNMENT, len(self.data))
        return int(super().Pack(builder))


@dataclass(slots=True)
class Draft:
    """What has been put into the model so far; buffer 0 is empty by the format's rule."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[Any] = field(default_factory=list)
    codes: list[Any] = field(default_factory=list)


def tflite_model(network: QuantisedNetwork) -> bytes:
    """Write a quantised network."""
    topology, draft = network.topology, Draft()
    sizes = shapes(topology)
    tensors = [_activation(draft, "input", sizes[0], network.grids[0])]
    for index, layer in enumerate(topology.layers):
        sources = [tensors[source] for source in topology.sources(index)]
        name, grid, size = f"{layer.kind}_{index}", network.grids[index + 1], sizes[index + 1]
        constants = _constants(draft, name, layer, network.parameters[index], size)
        tensors.append(_activation(draft, name, size, grid))
        options = _options(layer, sizes[topology.sources(index)[0]], size)
        _operator(draft, layer.kind, [*sources, *constants], tensors[-1], options)
    return _pack(draft, topology.name, tensors[0], tensors[-1])


def unsupported_model() -> bytes:
    """Write a model of one custom operator that no runtime has."""
    draft = Draft()
    source, output = (_activation(draft, name, (8,), Grid(0.5, 0)) for name in ("input", "output"))
    custom = schema.BuiltinOperator.CUSTOM
    draft.codes.append(schema.OperatorCodeT(min(custom, LAST_DEPRECATED_CODE), UNSUPPORTED_OPERATOR, 1, custom))
    draft.operators.append(schema.OperatorT(0, [source], [output]))
    return _pack(draft, "unsupported", source, output)


def _activation(draft: Draft, name: str, shape: tuple[int, ...], grid: Grid) -> int:
    quantisation = schema.QuantizationParametersT(scale=[grid.scale], zeroPoint=[grid.zero_point])
    draft.tensors.append(schema.TensorT([1, *shape], TYPES["int8"], 0, name, quantisation))
    return len(draft.tensors) - 1


def _constants(
    draft: Draft, name: str, layer: Layer, stored: StoredParameters | None, size: tuple[int, ...]
) -> list[int]:
    """Add a layer's constants: weight and bias, or the shape that a reshape yields."""
    if layer.kind is Kind.FLATTEN:
        return [_constant(draft, f"{name}/shape", np.array([1, *size], np.int32))]
    if stored is None:
        return []
    depthwise = layer.kind is Kind.DEPTHWISE
    weight = stored.weight[np.newaxis] if depthwise else stored.weight
    return [
        _constant(draft, f"{name}/weight", weight, stored.scales, 3 if depthwise else 0),
        _constant(draft, f"{name}/bias", stored.bias, stored.bias_scales),
    ]


def _constant(
    draft: Draft, name: str, values: Constant, scales: NDArray[np.float32] | None = None, axis: int = 0
) -> int:
    quantisation = None
    if scales is not None:
        zeros = np.zeros(len(scales), np.int64)
        quantisation = schema.QuantizationParametersT(scale=scales, zeroPoint=zeros, quantizedDimension=axis)
    little_endian = values.astype(values.dtype.newbyteorder("<"))
    draft.buffers.append(AlignedBuffer(np.frombuffer(little_endian.tobytes(), np.uint8)))
    kind = TYPES[values.dtype.name]
    draft.tensors.append(schema.TensorT(list(values.shape), kind, len(draft.buffers) - 1, name, quantisation))
    return len(draft.tensors) - 1


def _operator(draft: Draft, kind: Kind, inputs: list[int], output: int, options: object) -> None:
    builtin, version, options_type = OPERATORS[kind]
    known = [code.builtinCode for code in draft.codes]
    if builtin not in known:
        known.append(builtin)
        draft.codes.append(schema.OperatorCodeT(min(builtin, LAST_DEPRECATED_CODE), None, version, builtin))
    draft.operators.append(schema.OperatorT(known.index(builtin), inputs, [output], options_type, options))


def _options(  # noqa: PLR0911  # one return for each kind of layer
    layer: Layer, source: tuple[int, ...], size: tuple[int, ...]
) -> object:
    padding = schema.Padding
    activation = schema.ActivationFunctionType.RELU if layer.relu else schema.ActivationFunctionType.NONE
    match layer.kind:
        case Kind.CONV:
            return schema.Conv2DOptionsT(padding.SAME, layer.stride, layer.stride, activation)
        case Kind.DEPTHWISE:
            return schema.DepthwiseConv2DOptionsT(padding.SAME, layer.stride, layer.stride, 1, activation)
        case Kind.DENSE:
            return schema.FullyConnectedOptionsT(activation)
        case Kind.ADD:
            return schema.AddOptionsT(activation)
        case Kind.POOL:
            rows, columns = source[:2]
            return schema.Pool2DOptionsT(padding.VALID, columns, rows, columns, rows, activation)
        case Kind.FLATTEN:
            return schema.ReshapeOptionsT([1, *size])
        case Kind.SOFTMAX:
            return schema.SoftmaxOptionsT(1.0)


def _pack(draft: Draft, name: str, source: int, output: int) -> bytes:
    graph = schema.SubGraphT(draft.tensors, [source], [output], draft.operators, name)
    description = "edgeprof example: random weights"
    model = schema.ModelT(SCHEMA_VERSION, draft.codes, [graph], description, draft.buffers)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())
