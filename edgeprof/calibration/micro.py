"""The micro models: a few layers each, spread over the kinds and sizes of layer that small networks are made of."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

LayerKind: TypeAlias = Literal[
    "conv", "depthwise", "dense", "add", "relu", "prelu", "max-pool", "mean-pool", "softmax", "logistic", "pad",
    "concat", "flatten",
]  # fmt: skip
Dtype: TypeAlias = Literal["float32", "int8"]


class Layer(NamedTuple):
    """One layer. `add` and `concat` join the last tensor with itself's source; convolutions pad to the same size."""

    kind: LayerKind
    channels: int = 0
    kernel: int = 1
    stride: int = 1


class Micro(NamedTuple):
    """One micro model: its input (rows, columns, channels), or (features,) where it begins with a dense layer."""

    name: str
    shape: tuple[int, ...]
    layers: tuple[Layer, ...]


ENDING = (Layer("mean-pool"), Layer("flatten"), Layer("dense", 10), Layer("softmax"))
"""How classifiers end."""


def micro_models() -> tuple[Micro, ...]:
    """Return all of them."""
    return (*_single(), *_light(), *_chains())


def reference() -> Micro:
    """Return the kernel that everything is a ratio to: a convolution of 19 million MACs.

    It computes long with little memory, so that a large model between two of its runs hardly slows it down.
    """
    return Micro("reference", (32, 32, 64), (Layer("conv", 32, 3),))


def _single() -> tuple[Micro, ...]:
    """Return one layer each, small and large in every direction: rows, channels in, channels out."""
    convolutions = (
        (96, 3, 8, 3, 2), (48, 8, 8, 3, 1), (32, 16, 16, 3, 1), (32, 3, 16, 3, 1), (24, 16, 32, 3, 2),
        (16, 32, 32, 3, 1), (8, 64, 64, 3, 1), (8, 128, 128, 3, 1), (28, 32, 16, 3, 1), (128, 3, 24, 5, 2),
        (20, 24, 24, 3, 1), (64, 16, 16, 3, 1), (128, 16, 16, 3, 1), (12, 48, 64, 3, 2),
        (64, 8, 16, 1, 1), (32, 16, 32, 1, 1), (32, 24, 24, 1, 1), (16, 32, 64, 1, 1), (16, 64, 16, 1, 1),
        (12, 64, 64, 1, 1), (12, 128, 128, 1, 1), (6, 256, 256, 1, 1), (48, 32, 32, 1, 1), (4, 512, 256, 1, 1),
        (128, 24, 24, 1, 1), (128, 32, 64, 1, 1), (20, 40, 56, 1, 1), (8, 96, 2, 1, 1),
    )  # fmt: skip
    depthwise = (
        (48, 8, 3, 1), (48, 16, 3, 2), (32, 32, 3, 1), (24, 32, 3, 1), (12, 64, 3, 1), (12, 128, 3, 1),
        (6, 256, 3, 1), (64, 24, 3, 1), (32, 48, 5, 2),
        (128, 24, 3, 1), (128, 32, 3, 1), (24, 40, 3, 1), (12, 96, 5, 1),
    )  # fmt: skip
    dense = ((640, 128), (128, 128), (128, 12), (64, 1000), (512, 512), (1024, 1024), (2048, 2048), (4096, 256))
    return (
        *(
            Micro(f"conv {k}x{k}/{stride} {side}x{side}x{cin}>{cout}", (side, side, cin),
                  (Layer("conv", cout, k, stride),))
            for side, cin, cout, k, stride in convolutions
        ),
        *(
            Micro(f"depthwise {k}x{k}/{stride} {side}x{side}x{cin}", (side, side, cin),
                  (Layer("depthwise", cin, k, stride),))
            for side, cin, k, stride in depthwise
        ),
        *(Micro(f"dense {cin}>{cout}", (cin,), (Layer("dense", cout),)) for cin, cout in dense),
    )  # fmt: skip


def _light() -> tuple[Micro, ...]:
    """Return layers that do little with each value, small and large; the smallest show what a call costs."""
    sizes = {"small": (8, 8, 16), "large": (48, 48, 32)}
    kinds: tuple[LayerKind, ...] = (
        "add", "relu", "prelu", "max-pool", "mean-pool", "logistic", "pad", "concat",
    )  # fmt: skip
    return (
        *(Micro(f"{kind} {size}", shape, (Layer(kind),)) for kind in kinds for size, shape in sizes.items()),
        Micro("softmax 12", (12,), (Layer("softmax"),)),
        Micro("softmax 1000", (1000,), (Layer("softmax"),)),
        *(Micro(f"{kind} larger", (128, 128, 32), (Layer(kind),)) for kind in ("add", "relu", "max-pool")),
        Micro("eight adds", (4, 4, 8), (Layer("add"),) * 8),
        Micro("eight dense", (32,), (Layer("dense", 32),) * 8),
    )


def _chains() -> tuple[Micro, ...]:
    """Return small networks, in which one layer finds in the caches what the one before has left there."""
    return (
        Micro("separable", (20, 20, 32), (*_separable(32) * 3, *ENDING)),
        Micro("separable narrow", (32, 32, 16), (*_separable(16) * 4, *ENDING)),
        Micro("separable wide", (24, 24, 64), (*_separable(64, 128, 2), *_separable(128), *ENDING)),
        Micro("separable large", (128, 128, 24), (*_separable(24), Layer("add"), *_separable(24), Layer("add"),
                                                  *_separable(24, 48, 2), *ENDING)),
        Micro("separable uneven", (48, 48, 20), (*_separable(20), Layer("add"), *_separable(20, 28, 2),
                                                 Layer("add"), *ENDING)),
        Micro("bottleneck", (32, 32, 64), (Layer("conv", 32), Layer("depthwise", 32, 3), Layer("conv", 64),
                                           Layer("add"), Layer("prelu"), *ENDING)),
        Micro("residual", (32, 32, 3), (Layer("conv", 16, 3), Layer("conv", 16, 3), Layer("conv", 16, 3),
                                        Layer("add"), Layer("conv", 32, 3, 2), *ENDING)),
        Micro("residual wide", (16, 16, 64), (Layer("conv", 64, 3), Layer("conv", 64, 3), Layer("add"), *ENDING)),
        Micro("convolutions", (64, 64, 3), (Layer("conv", 16, 3, 2), Layer("conv", 24, 3, 2), Layer("conv", 48, 3, 2),
                                            Layer("conv", 64, 3, 2), *ENDING)),
        Micro("pooled", (64, 64, 3), (Layer("conv", 24, 3), Layer("max-pool"), Layer("conv", 32, 3),
                                      Layer("max-pool"), Layer("conv", 48, 3), Layer("max-pool"), *ENDING)),
        Micro("autoencoder", (256,), (Layer("dense", 128), Layer("dense", 128), Layer("dense", 8), Layer("dense", 128),
                                      Layer("dense", 256))),
    )  # fmt: skip


def _separable(channels: int, outputs: int = 0, stride: int = 1) -> tuple[Layer, ...]:
    return Layer("depthwise", channels, 3, stride), Layer("conv", outputs or channels)


def next_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:  # noqa: PLR0911  one a kind of layer
    """Return the shape behind a layer."""
    match layer.kind:
        case "conv" | "depthwise":
            rows, columns, _ = shape
            return -(-rows // layer.stride), -(-columns // layer.stride), layer.channels
        case "dense":
            return (layer.channels,)
        case "max-pool":
            rows, columns, channels = shape
            return rows // 2, columns // 2, channels
        case "mean-pool":
            return 1, 1, shape[-1]
        case "pad":
            rows, columns, channels = shape
            return rows + 2, columns + 2, channels
        case "concat":
            return *shape[:-1], 2 * shape[-1]
        case "flatten":
            return (shape[0] * shape[1] * shape[2],)
        case "add" | "relu" | "prelu" | "softmax" | "logistic":
            return shape
