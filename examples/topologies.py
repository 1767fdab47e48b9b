"""Topologies of the example models as plain data: what each layer computes, and what follows from that alone."""

from dataclasses import dataclass
from enum import StrEnum
from math import prod

import numpy as np


class Kind(StrEnum):
    """What a layer computes."""

    CONV = "conv"
    DEPTHWISE = "depthwise"
    DENSE = "dense"
    ADD = "add"
    POOL = "pool"
    FLATTEN = "flatten"
    SOFTMAX = "softmax"


WEIGHTED = (Kind.CONV, Kind.DEPTHWISE, Kind.DENSE)


@dataclass(frozen=True, slots=True)
class Grid:
    """An int8 quantisation grid: real = scale * (stored - zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator.

    Tensor 0 is the network's input, tensor n + 1 the output of layer n; no sources means the tensor before.
    """

    kind: Kind
    channels: int = 0
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    relu: bool = False
    sources: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Topology:
    """A network without its weights."""

    name: str
    input_shape: tuple[int, ...]
    input_grid: Grid
    logit_spread: float  # small enough that a rounding step before a softmax is not many behind it
    layers: tuple[Layer, ...]

    def sources(self, index: int) -> tuple[int, ...]:
        """Name the tensors that a layer reads."""
        return self.layers[index].sources or (index,)


def dscnn(
    channels: int = 64, size: tuple[int, int] = (49, 10), blocks: int = 4, classes: int = 12, name: str = "kws"
) -> Topology:
    """Draw a depthwise-separable keyword spotter; the defaults are MLPerf Tiny's."""
    separable = (
        Layer(Kind.DEPTHWISE, channels, (3, 3), relu=True),
        Layer(Kind.CONV, channels, relu=True),
    )
    layers = (Layer(Kind.CONV, channels, (10, 4), 2, relu=True), *separable * blocks, *classifier(classes))
    return Topology(name, (*size, 1), Grid(1 / 64, -20), 0.6, layers)


def resnet8(classes: int = 10) -> Topology:
    """Draw MLPerf Tiny's image classifier for 32 x 32 pictures."""
    layers = [
        Layer(Kind.CONV, 16, (3, 3), relu=True),
        Layer(Kind.CONV, 16, (3, 3), relu=True),
        Layer(Kind.CONV, 16, (3, 3)),
        Layer(Kind.ADD, relu=True, sources=(1, 3)),
    ]
    for channels in (32, 64):
        entry = len(layers)
        layers += [
            Layer(Kind.CONV, channels, (3, 3), 2, relu=True),
            Layer(Kind.CONV, channels, (3, 3)),
            Layer(Kind.CONV, channels, (1, 1), 2, sources=(entry,)),
            Layer(Kind.ADD, relu=True, sources=(entry + 3, entry + 2)),
        ]
    return Topology("resnet8", (32, 32, 3), Grid(1.0, -128), 0.4, (*layers, *classifier(classes)))


def mobilenet(classes: int = 2) -> Topology:
    """Draw MobileNetV1 at width 0.25 for 96 x 96 pictures, MLPerf Tiny's visual wake words."""
    widths = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *((128, 1),) * 5, (256, 2), (256, 1))
    layers, channels = [Layer(Kind.CONV, 8, (3, 3), 2, relu=True)], 8
    for width, stride in widths:
        layers.append(Layer(Kind.DEPTHWISE, channels, (3, 3), stride, relu=True))
        layers.append(Layer(Kind.CONV, width, relu=True))
        channels = width
    return Topology("vww", (96, 96, 3), Grid(float(np.float32(1 / 255)), -128), 0.15, (*layers, *classifier(classes)))


def autoencoder() -> Topology:
    """Draw MLPerf Tiny's anomaly detector, 640 values in and 640 out."""
    widths = (*(128,) * 4, 8, *(128,) * 4)
    layers = (*(Layer(Kind.DENSE, width, relu=True) for width in widths), Layer(Kind.DENSE, 640))
    return Topology("ad", (640,), Grid(0.375, 89), 1.0, layers)


def classifier(classes: int) -> tuple[Layer, ...]:
    """Draw the usual end: pool, flatten, dense, softmax."""
    return Layer(Kind.POOL), Layer(Kind.FLATTEN), Layer(Kind.DENSE, classes), Layer(Kind.SOFTMAX)


def shapes(topology: Topology) -> list[tuple[int, ...]]:
    """Tell the shape of each tensor, without the batch."""
    found = [topology.input_shape]
    for index, layer in enumerate(topology.layers):
        source = found[topology.sources(index)[0]]
        match layer.kind:
            case Kind.CONV | Kind.DEPTHWISE:
                found.append((*(-(-side // layer.stride) for side in source[:2]), layer.channels))
            case Kind.POOL:
                found.append((1, 1, source[-1]))
            case Kind.DENSE:
                found.append((layer.channels,))
            case Kind.FLATTEN:
                found.append((prod(source),))
            case Kind.ADD | Kind.SOFTMAX:
                found.append(source)
    return found


def weight_shape(topology: Topology, index: int) -> tuple[int, ...]:
    """Tell the shape of a layer's weight."""
    layer = topology.layers[index]
    depth = shapes(topology)[topology.sources(index)[0]][-1]
    match layer.kind:
        case Kind.CONV:
            return layer.channels, *layer.kernel, depth
        case Kind.DEPTHWISE:
            return *layer.kernel, depth
        case Kind.DENSE:
            return layer.channels, depth
        case _:
            return ()


def macs(topology: Topology) -> int:
    """Count the multiply-accumulates of one inference: convolutions and dense layers."""
    outputs = shapes(topology)[1:]
    return sum(
        prod(weight_shape(topology, index)) * prod(outputs[index][:-1])
        for index, layer in enumerate(topology.layers)
        if layer.kind in WEIGHTED
    )


def parameter_count(topology: Topology) -> int:
    """Count weights and biases."""
    return sum(
        prod(weight_shape(topology, index)) + layer.channels
        for index, layer in enumerate(topology.layers)
        if layer.kind in WEIGHTED
    )


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Tell how many zeros "SAME" padding puts before and after a side."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2
