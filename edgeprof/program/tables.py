"""Unary operators as tables over all 256 codes, in TFLM's exact arithmetic, and the tables of softmax and of floats."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.program.fixed import (
    Scale,
    clamp8,
    exp_on_negative_values,
    float32,
    high_mul,
    high_mul_16,
    input_radius,
    int32_max,
    logistic,
    multiply,
    quantize_multiplier,
    round_half_away,
    round_shift,
    tanh,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CODES = range(-128, 128)
_most_steps = 0x7F800000  # the bits of infinity: no float32 is above


class Grid(NamedTuple):
    """How an int8 tensor stands for real numbers."""

    scale: float
    zero_point: int


def unary_table(of: Callable[[int], int]) -> bytes:
    """Return the value for each code from -128 to 127."""
    return struct.pack("<256b", *[of(code) for code in CODES])


def relu(source: Grid, target: Grid) -> bytes:
    """Return RELU: ReluQuantized with no upper end."""
    scale = quantize_multiplier(float32(source.scale / target.scale))
    low = max(-128, target.zero_point)
    return unary_table(lambda code: clamp8(max(target.zero_point + multiply(code - source.zero_point, scale), low)))


def relu6(source: Grid, _: Grid) -> bytes:
    """Return RELU6: TFLM clamps the codes and does not rescale."""
    six = source.zero_point + round_half_away(float32(6.0 / source.scale))
    return unary_table(lambda code: min(max(code, source.zero_point), clamp8(six)))


def leaky_relu(source: Grid, target: Grid, alpha: float) -> bytes:
    """Return LEAKY_RELU: one factor above zero and one below."""
    above = quantize_multiplier(float32(source.scale / target.scale))
    below = quantize_multiplier(float32(float32(source.scale * alpha) / target.scale))

    def of(code: int) -> int:
        value = code - source.zero_point
        return clamp8(target.zero_point + multiply(value, above if value >= 0 else below))

    return unary_table(of)


def requantize(source: Grid, target: Grid) -> bytes:
    """Return QUANTIZE from int8 to int8."""
    scale = quantize_multiplier(source.scale / target.scale)
    return unary_table(lambda code: clamp8(multiply(code - source.zero_point, scale) + target.zero_point))


def _sigmoid_scale(source: Grid) -> tuple[Scale, int]:
    mantissa, shift = math.frexp(source.scale * 2**27)
    return Scale(round_half_away(mantissa * 2**31), shift), input_radius(4, shift)


def logistic_table(source: Grid, _: Grid) -> bytes:
    """Return LOGISTIC; its output has the scale 1/256 and the zero point -128."""
    scale, radius = _sigmoid_scale(source)

    def of(code: int) -> int:
        value = code - source.zero_point
        if abs(value) >= radius:
            return -128 if value < 0 else 127
        return clamp8(round_shift(logistic(multiply(value, scale), 4), 23) - 128)

    return unary_table(of)


def tanh_table(source: Grid, _: Grid) -> bytes:
    """Return TANH; its output has the scale 1/128 and the zero point 0."""
    scale, radius = _sigmoid_scale(source)

    def of(code: int) -> int:
        value = code - source.zero_point
        if abs(value) >= radius:
            return -128 if value < 0 else 127
        return clamp8(round_shift(tanh(multiply(value, scale), 4), 24))

    return unary_table(of)


def hard_swish(source: Grid, target: Grid) -> bytes:
    """Return HARD_SWISH: x * relu6(x + 3) / 6 in 16 bits, as reference/hard_swish.h."""
    fine = float32(source.scale / 128)
    out = quantize_multiplier(float32(fine / target.scale))
    gate = quantize_multiplier(float32(fine / float32(3.0 / 32768.0)))
    out_factor, gate_factor = _in_16_bits(out.multiplier), _in_16_bits(gate.multiplier)

    def of(code: int) -> int:
        value = (code - source.zero_point) * 128
        ahead = high_mul_16(value, out_factor)
        opened = value
        if gate.shift > 0:
            opened = _shifted_16(opened, gate.shift - 1)
        opened = high_mul_16(opened, gate_factor)
        if gate.shift > 0:
            opened = _shifted_16(opened, 1)
        elif gate.shift < 0:
            opened = round_shift(opened, -gate.shift)
        opened = (opened + 2**15) >> 1
        product = abs(opened * ahead) >> 15
        return clamp8(round_shift(product if ahead >= 0 else -product, -out.shift) + target.zero_point)

    return unary_table(of)


def _in_16_bits(multiplier: int) -> int:
    """Return DownScaleInt32ToInt16Multiplier."""
    return 2**15 - 1 if multiplier >= int32_max - 2**15 else (multiplier + 2**15) >> 16


def _shifted_16(value: int, by: int) -> int:
    return min(max(value << by, -(2**15)), 2**15 - 1)


def softmax_exponentials(source: Grid, beta: float) -> bytes:
    """Return e^-(scaled difference) in Q0.31 for each difference from the row's largest code; 0 where it is ignored."""
    scale = quantize_multiplier(min(beta * source.scale * 2**26, 2**31 - 1.0))
    least = -input_radius(5, scale.shift)
    values = [
        exp_on_negative_values(high_mul(wrapped(-code << scale.shift), scale.multiplier), 5) if -code >= least else 0
        for code in range(256)
    ]
    return struct.pack("<256i", *values)


def dequantize(source: Grid) -> bytes:
    """Return the float32 that each code stands for."""
    return struct.pack("<256f", *[source.scale * (code - source.zero_point) for code in CODES])


def quantize_steps(target: Grid) -> bytes:
    """Return where each code from -127 to 127 begins, as the bits of a float32 in the order of their values."""

    def code_of(ordered: int) -> int:
        bits = ordered if ordered >= 0 else ordered ^ 0x7FFFFFFF
        value: float = struct.unpack("<f", struct.pack("<I", bits & 0xFFFFFFFF))[0]
        if math.isinf(value):
            return 127 if value > 0 else -128
        quotient = value / target.scale
        near = 2.0**30
        quotient = float32(min(max(quotient, -near), near))
        return clamp8(round_half_away(quotient) + target.zero_point)

    steps = []
    low = -_most_steps - 1
    for code in range(-127, 128):
        high = _most_steps
        while low < high:
            middle = (low + high) // 2
            if code_of(middle) >= code:
                high = middle
            else:
                low = middle + 1
        steps.append(low)
    return struct.pack("<255ii", *steps, int32_max)
