"""Float networks for the example models: seeded weights, and a forward pass in numpy.

The weights are random. Each layer is scaled on seeded inputs, so that signals neither die out nor blow up, no channel
is dead, and the outputs differ between inputs and between classes.

The same seed gives the same weights on every machine: raw bits come from PCG64, whose stream numpy guarantees, and
whatever a matrix product yields (its last bits depend on the processor) is rounded to a coarse grid before it becomes
part of a model.
"""

import math
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
from numpy.typing import NDArray

from examples.topologies import WEIGHTED, Grid, Kind, Layer, Topology, macs, same_padding, weight_shape

Floats = NDArray[np.float64]

POSITIVE_SHIFT = 2.0  # standard deviations: most values pass the ReLU; no channel is dead
ROUGHNESS = 1.0  # of a kernel, around its mean
LOUDNESS = 0.5  # how much the channels of a convolution differ, and with them their scales
SNAP = 1024.0  # calibrated figures are rounded to ten bits
CALIBRATION_MACS = 400_000_000
CALIBRATION_INPUTS = (4, 64)  # at least, at most


@dataclass(frozen=True, slots=True)
class Parameters:
    """A layer's weight, output channels first (a depthwise one: height, width, channels), and its bias."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class Network:
    """A topology with weights, and the range of each tensor over the calibration inputs."""

    topology: Topology
    parameters: tuple[Parameters | None, ...]
    ranges: tuple[tuple[float, float], ...]


def initialise(topology: Topology, seed: int) -> Network:
    """Give a topology seeded weights, scaled layer by layer on seeded inputs."""
    fewest, most = CALIBRATION_INPUTS
    count = min(max(CALIBRATION_MACS // macs(topology), fewest), most)
    tensors = [real(seeded_inputs(topology, seed, count), topology.input_grid)]
    parameters: list[Parameters | None] = []
    for index, layer in enumerate(topology.layers):
        sources = [tensors[source] for source in topology.sources(index)]
        if layer.kind in WEIGHTED:
            scaled, output = _scale(topology, index, sources[0], seed)
            parameters.append(scaled)
            tensors.append(output)
        else:
            parameters.append(None)
            tensors.append(apply(layer, None, sources))
    return Network(topology, tuple(parameters), tuple((float(t.min()), float(t.max())) for t in tensors))


def run(network: Network, inputs: Floats) -> Floats:
    """Compute the output of a network for a batch of real inputs."""
    tensors = [inputs]
    for index, layer in enumerate(network.topology.layers):
        sources = [tensors[source] for source in network.topology.sources(index)]
        tensors.append(apply(layer, network.parameters[index], sources))
    return tensors[-1]


def apply(layer: Layer, parameters: Parameters | None, sources: list[Floats]) -> Floats:
    """Compute one layer."""
    first = sources[0]
    match layer.kind:
        case Kind.ADD:
            output = first + sources[1]
        case Kind.POOL:
            output = first.mean(axis=(1, 2), keepdims=True)
        case Kind.FLATTEN:
            output = first.reshape(len(first), -1)
        case Kind.SOFTMAX:
            powers = np.exp(first - first.max(axis=-1, keepdims=True))
            output = powers / powers.sum(axis=-1, keepdims=True)
        case _:
            if parameters is None:
                raise ValueError(f"a layer of kind {layer.kind} needs parameters")
            output = _product(layer, parameters.weight, first) + parameters.bias
    return np.maximum(output, 0) if layer.relu else output


def seeded_inputs(topology: Topology, seed: int, count: int) -> NDArray[np.int8]:
    """Draw int8 inputs, uniform over all 256 values."""
    return _random_words((count, *topology.input_shape), (seed,)).astype(np.int8)


def real(stored: NDArray[np.int8], grid: Grid) -> Floats:
    """Turn stored values into real ones."""
    return (stored.astype(np.float64) - grid.zero_point) * grid.scale


def uniform(shape: tuple[int, ...], seed: tuple[int, ...]) -> Floats:
    """Draw numbers in [-1, 1), each an exact multiple of 2**-15."""
    return _random_words(shape, seed) / 32768.0


def _random_words(shape: tuple[int, ...], seed: tuple[int, ...]) -> NDArray[np.int16]:
    count = prod(shape)
    raw = np.random.PCG64(seed).random_raw(-(-count // 4))
    return np.asarray(raw).astype("<u8").view("<i2")[:count].reshape(shape)


def _scale(topology: Topology, index: int, source: Floats, seed: int) -> tuple[Parameters, Floats]:
    """Draw a weight, scale it so that the output has the wanted mean and spread, and compute that output.

    One gain serves the whole layer: lifting weak channels would lift their rounding noise, from layer to layer.
    """
    layer = topology.layers[index]
    weight = _drawn_weight(topology, index, seed)
    sums = _product(layer, weight, source)
    channels = sums.reshape(-1, layer.channels)
    spread = topology.logit_spread if layer.kind is Kind.DENSE and not layer.relu else 1.0
    gain = _snap(spread / math.sqrt(float(channels.var(axis=0).mean())))
    bias = np.round(((POSITIVE_SHIFT if layer.relu else 0.0) - channels.mean(axis=0) * gain) * SNAP) / SNAP
    output = sums * gain + bias
    return Parameters(weight * gain, bias), np.maximum(output, 0) if layer.relu else output


def _drawn_weight(topology: Topology, index: int, seed: int) -> Floats:
    """Draw a weight; a kernel wider than one pixel is smooth, so that differences survive the pooling.

    No seed ends in zero: numpy's seeds ignore zeros at the end.
    """
    layer, shape = topology.layers[index], weight_shape(topology, index)
    drawn = uniform(shape, (seed, index + 1, 1))
    loudness = 1.0 + LOUDNESS * uniform((layer.channels,), (seed, index + 1, 3))
    match layer.kind:
        case Kind.DEPTHWISE:
            return (np.copysign(1.0, uniform(shape[-1:], (seed, index + 1, 2))) + ROUGHNESS * drawn) * loudness
        case Kind.CONV if layer.kernel != (1, 1):
            means = uniform((shape[0], 1, 1, shape[3]), (seed, index + 1, 2))
            return (means + ROUGHNESS * drawn) * loudness.reshape(-1, 1, 1, 1)
        case Kind.CONV:
            return drawn * loudness.reshape(-1, 1, 1, 1)
        case _:
            return drawn


def _snap(gain: float) -> float:
    mantissa, exponent = math.frexp(gain)
    return math.ldexp(round(mantissa * SNAP) / SNAP, exponent)


def _product(layer: Layer, weight: Floats, source: Floats) -> Floats:
    if layer.kind is Kind.DENSE:
        return source @ weight.T
    windows = _windows(layer, source)
    if layer.kind is Kind.DEPTHWISE:
        return reduce(np.add, (window * weight[y, x] for y, x, window in windows))
    return reduce(np.add, (window @ weight[:, y, x].T for y, x, window in windows))


def _windows(layer: Layer, source: Floats) -> list[tuple[int, int, Floats]]:
    """Cut a picture into one strided view for each position of the kernel."""
    sides = source.shape[1:3]
    padding = [same_padding(side, kernel, layer.stride) for side, kernel in zip(sides, layer.kernel, strict=True)]
    padded = np.pad(source, ((0, 0), *padding, (0, 0)))
    rows, columns = (layer.stride * (-(-side // layer.stride)) for side in sides)
    return [
        (y, x, padded[:, y : y + rows : layer.stride, x : x + columns : layer.stride])
        for y in range(layer.kernel[0])
        for x in range(layer.kernel[1])
    ]
