"""Post-training quantisation to int8: one grid for each tensor, one scale for each channel of a convolution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from examples.networks import Floats, Network, Parameters
from examples.topologies import Grid, Kind, Topology

SOFTMAX_GRID = Grid(1 / 256, -128)  # what TensorFlow Lite's kernels demand
STEPS = 255
SNAP = 1024.0  # ten bits: a calibrated range must not depend on the last bits of a processor's sums


@dataclass(frozen=True, slots=True)
class StoredParameters:
    """A layer's int8 weight and int32 bias; one scale for each output channel, or one for all."""

    weight: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: NDArray[np.int32]
    bias_scales: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class QuantisedNetwork:
    """A network whose tensors all lie on int8 grids; `grids[0]` belongs to the input."""

    topology: Topology
    grids: tuple[Grid, ...]
    parameters: tuple[StoredParameters | None, ...]


def quantise(network: Network) -> QuantisedNetwork:
    """Quantise a network on the ranges that its calibration saw."""
    topology = network.topology
    grids = [topology.input_grid]
    for index, layer in enumerate(topology.layers):
        match layer.kind:
            case Kind.SOFTMAX:
                grids.append(SOFTMAX_GRID)
            case Kind.POOL | Kind.FLATTEN:
                grids.append(grids[topology.sources(index)[0]])
            case _:
                grids.append(_fitting_grid(*network.ranges[index + 1]))
    stored = [
        None
        if parameters is None
        else _store(topology.layers[index].kind, parameters, grids[topology.sources(index)[0]])
        for index, parameters in enumerate(network.parameters)
    ]
    return QuantisedNetwork(topology, tuple(grids), tuple(stored))


def _fitting_grid(lowest: float, highest: float) -> Grid:
    """Fit the int8 grid to a range that always includes zero."""
    low, high = (float(np.round(bound * SNAP) / SNAP) for bound in (min(lowest, 0.0), max(highest, 0.0)))
    scale = float(np.float32((high - low) / STEPS))
    return Grid(scale, round(-128 - low / scale))


def _store(kind: Kind, parameters: Parameters, source: Grid) -> StoredParameters:
    """Quantise symmetrically: int8 in -127..127, the bias on the grid of the products."""
    scales = _weight_scales(kind, parameters.weight)
    bias_scales = (scales.astype(np.float64) * source.scale).astype(np.float32)
    aligned = scales if kind is Kind.DEPTHWISE else scales.reshape(-1, *[1] * (parameters.weight.ndim - 1))
    weight = np.rint(parameters.weight / aligned.astype(np.float64)).clip(-127, 127).astype(np.int8)
    bias = np.rint(parameters.bias / bias_scales.astype(np.float64)).astype(np.int32)
    return StoredParameters(weight, scales, bias, bias_scales)


def _weight_scales(kind: Kind, weight: Floats) -> NDArray[np.float32]:
    match kind:
        case Kind.CONV:
            largest = np.abs(weight).max(axis=(1, 2, 3))
        case Kind.DEPTHWISE:
            largest = np.abs(weight).max(axis=(0, 1))
        case _:  # dense layers have one scale, as TensorFlow's converter gives them by default
            largest = np.abs(weight).max(keepdims=True).reshape(1)
    scales: NDArray[np.float32] = (largest / 127).astype(np.float32)
    return scales
