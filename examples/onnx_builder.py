"""Write `.onnx` files: a network in float32 or in int8 with QDQ nodes, chains of matrix products, a bad one.

The QDQ model carries the same int8 weights and grids as the `.tflite` file of the same network, so the two can be
compared step by step, and its bytes depend on no version of onnxruntime's quantiser.
"""

from math import ceil
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from examples.networks import Network, uniform
from examples.quantisation import QuantisedNetwork, StoredParameters
from examples.topologies import Grid, Kind, Layer, Topology, same_padding, shapes

OPSET = 13  # the first whose QuantizeLinear knows channels
IR_VERSION = 7
PRODUCER = "edgeprof examples"
UNKNOWN_DOMAIN = "edgeprof.unsupported"
MLP_WIDTH = 512

Constants = NDArray[np.float32] | NDArray[np.int32] | NDArray[np.int8]
Values = TypeVar("Values", NDArray[np.float32], NDArray[np.int8])


def float_onnx(network: Network) -> bytes:
    """Write a network in float32, channels first."""
    topology = network.topology
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    tensors = ["input"]
    for index, layer in enumerate(topology.layers):
        name, inputs = f"{layer.kind}_{index}", [tensors[source] for source in topology.sources(index)]
        parameters = network.parameters[index]
        if parameters is not None:
            weight = _channels_first(layer.kind, parameters.weight.astype(np.float32))
            constants += [_constant(f"{name}/weight", weight)]
            constants += [_constant(f"{name}/bias", parameters.bias.astype(np.float32))]
            inputs += [f"{name}/weight", f"{name}/bias"]
        nodes += _layer_nodes(topology, index, inputs, name)
        tensors.append(name)
    return _save(topology, nodes, constants)


def qdq_onnx(network: QuantisedNetwork) -> bytes:
    """Write a network in int8: every tensor passes a QuantizeLinear and a DequantizeLinear; float at both ends."""
    topology = network.topology
    nodes, constants = _quantise("input", network.grids[0])
    tensors = ["input/real"]
    for index, layer in enumerate(topology.layers):
        name, inputs = f"{layer.kind}_{index}", [tensors[source] for source in topology.sources(index)]
        stored = network.parameters[index]
        if stored is not None:
            weight_nodes, weight_constants = _dequantised_weights(name, layer, stored)
            nodes, constants = nodes + weight_nodes, constants + weight_constants
            inputs += [f"{name}/weight", f"{name}/bias"]
        nodes += _layer_nodes(topology, index, inputs, name)
        output_nodes, output_constants = _quantise(name, network.grids[index + 1])
        nodes, constants = nodes + output_nodes, constants + output_constants
        tensors.append(f"{name}/real")
    return _save(topology, nodes, constants)


def build_mlp_onnx(path: Path, megabytes: float, *, external: bool = False, seed: int = 1) -> Path:
    """Write a chain of matrix products with so many MB (10^6 bytes) of float32 weights, inline or in `path`.data."""
    count = max(ceil(megabytes * 1e6 / (MLP_WIDTH * MLP_WIDTH * 4)), 1)
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    for index in range(count):
        weight = uniform((MLP_WIDTH, MLP_WIDTH), (seed, index + 1)) * np.sqrt(6 / MLP_WIDTH)
        constants.append(_constant(f"weight_{index}", weight.astype(np.float32)))
        source = f"relu_{index - 1}" if index else "input"
        nodes.append(helper.make_node("MatMul", [source, f"weight_{index}"], [f"product_{index}"]))
        nodes.append(helper.make_node("Relu", [f"product_{index}"], [f"relu_{index}"]))
    source_info, output_info = _info("input", (MLP_WIDTH,)), _info(f"relu_{count - 1}", (MLP_WIDTH,))
    model = _model("mlp", nodes, constants, source_info, output_info)
    location = f"{path.name}.data" if external else None
    if location is not None:
        path.with_name(location).unlink(missing_ok=True)  # onnx would append to it
    onnx.save_model(model, path, save_as_external_data=external, location=location)
    return path


def unknown_domain_onnx() -> bytes:
    """Write a model of one operator from a domain that no runtime has."""
    node = helper.make_node("Unsupported", ["input"], ["output"], domain=UNKNOWN_DOMAIN)
    model = _model("unsupported", [node], [], _info("input", (8,)), _info("output", (8,)))
    model.opset_import.append(helper.make_opsetid(UNKNOWN_DOMAIN, 1))
    return bytes(model.SerializeToString())


def _layer_nodes(topology: Topology, index: int, inputs: list[str], output: str) -> list[NodeProto]:
    """Write a layer's own operator, and the ReLU behind it."""
    layer = topology.layers[index]
    product = f"{output}/product" if layer.relu else output
    match layer.kind:
        case Kind.CONV | Kind.DEPTHWISE:
            node = _convolution(layer, shapes(topology)[topology.sources(index)[0]], inputs, product)
        case Kind.DENSE:
            node = helper.make_node("Gemm", inputs, [product], name=output, transB=1)
        case Kind.ADD:
            node = helper.make_node("Add", inputs, [product], name=output)
        case Kind.POOL:
            node = helper.make_node("GlobalAveragePool", inputs, [product], name=output)
        case Kind.FLATTEN:
            node = helper.make_node("Flatten", inputs, [product], name=output)
        case Kind.SOFTMAX:
            node = helper.make_node("Softmax", inputs, [product], name=output, axis=-1)
    return [node, helper.make_node("Relu", [product], [output], name=f"{output}/relu")] if layer.relu else [node]


def _convolution(layer: Layer, source: tuple[int, ...], inputs: list[str], output: str) -> NodeProto:
    padding = [same_padding(side, kernel, layer.stride) for side, kernel in zip(source[:2], layer.kernel, strict=True)]
    return helper.make_node(
        "Conv",
        inputs,
        [output],
        name=output,
        kernel_shape=list(layer.kernel),
        strides=[layer.stride, layer.stride],
        pads=[before for before, _ in padding] + [after for _, after in padding],
        group=layer.channels if layer.kind is Kind.DEPTHWISE else 1,
    )


def _quantise(name: str, grid: Grid) -> tuple[list[NodeProto], list[TensorProto]]:
    """Put tensor `name` on its grid and back: the result is `name`/real."""
    scale, zero, stored = f"{name}/scale", f"{name}/zero_point", f"{name}/stored"
    nodes = [
        helper.make_node("QuantizeLinear", [name, scale, zero], [stored], name=f"{name}/quantize"),
        helper.make_node("DequantizeLinear", [stored, scale, zero], [f"{name}/real"], name=f"{name}/dequantize"),
    ]
    constants = [
        _constant(scale, np.array(grid.scale, np.float32)),
        _constant(zero, np.array(grid.zero_point, np.int8)),
    ]
    return nodes, constants


def _dequantised_weights(
    name: str, layer: Layer, stored: StoredParameters
) -> tuple[list[NodeProto], list[TensorProto]]:
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    weight = _channels_first(layer.kind, stored.weight)
    for part, values, scales in (("weight", weight, stored.scales), ("bias", stored.bias, stored.bias_scales)):
        whole = f"{name}/{part}"
        names = [f"{whole}/stored", f"{whole}/scale", f"{whole}/zero_point"]
        scale = scales if len(scales) > 1 else scales.reshape(())
        zeros = np.zeros(scale.shape, values.dtype)
        constants += [_constant(*pair) for pair in zip(names, (values, scale, zeros), strict=True)]
        node = helper.make_node("DequantizeLinear", names, [whole], name=f"{whole}/dequantize")
        if len(scales) > 1:
            node.attribute.append(helper.make_attribute("axis", 0))
        nodes.append(node)
    return nodes, constants


def _channels_first(kind: Kind, weight: Values) -> Values:
    match kind:
        case Kind.CONV:
            return weight.transpose(0, 3, 1, 2)
        case Kind.DEPTHWISE:
            return weight.transpose(2, 0, 1)[:, np.newaxis]
        case _:
            return weight


def _constant(name: str, values: Constants) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, order="C"), name)


def _info(name: str, shape: tuple[int, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *shape])


def _save(topology: Topology, nodes: list[NodeProto], constants: list[TensorProto]) -> bytes:
    *sides, depth = topology.input_shape
    source, output = _info("input", (depth, *sides)), _info("output", shapes(topology)[-1])
    nodes[-1].output[0] = output.name
    return bytes(_model(topology.name, nodes, constants, source, output).SerializeToString())


def _model(
    name: str, nodes: list[NodeProto], constants: list[TensorProto], source: ValueInfoProto, output: ValueInfoProto
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, name, [source], [output], initializer=constants)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, producer_name=PRODUCER, ir_version=IR_VERSION, opset_imports=opsets)
