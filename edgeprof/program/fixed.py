"""Fixed-point arithmetic as gemmlowp and TFLM do it, in exact integers: what a kernel's constants are computed with.

The functions are those of gemmlowp's fixedpoint.h and of tensorflow/lite/kernels/internal (quantization_util.cc,
common.h) at tflite-micro 0.dev20261023; double rounding, as TFLM is built by default.
"""

from __future__ import annotations

import math
import struct
from typing import Final, NamedTuple

int32_max: Final = 2**31 - 1
int32_min: Final = -(2**31)


class Scale(NamedTuple):
    """A real factor: multiplier * 2^(shift - 31)."""

    multiplier: int
    shift: int


def float32(value: float) -> float:
    """Round to the nearest float32. A sum, product or quotient of two float32 is rounded right this way."""
    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded


def round_half_away(value: float) -> int:
    """Round as C's round does."""
    return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)


def quantize_multiplier(real: float) -> Scale:
    """Return the factor as TFLM's QuantizeMultiplier does."""
    if real == 0:
        return Scale(0, 0)
    mantissa, shift = math.frexp(real)
    multiplier = round_half_away(mantissa * 2**31)
    if multiplier == 2**31:
        multiplier, shift = multiplier // 2, shift + 1
    return Scale(0, 0) if shift < -31 else Scale(multiplier, shift)  # the bits of a word


def high_mul(a: int, b: int) -> int:
    """Return a * b / 2^31, rounded to nearest and ties up: SaturatingRoundingDoublingHighMul."""
    if a == b == int32_min:
        return int32_max
    return (a * b + (1 << 30)) >> 31


def high_mul_16(a: int, b: int) -> int:
    """Return a * b / 2^15, the same for 16 bits."""
    if a == b == -(2**15):
        return 2**15 - 1
    return (a * b + (1 << 14)) >> 15


def round_shift(value: int, by: int) -> int:
    """Return value / 2^by, rounded to nearest and ties away from zero: RoundingDivideByPOT."""
    if by == 0:
        return value
    return (value + (1 << (by - 1)) - (value < 0)) >> by


def multiply(value: int, scale: Scale) -> int:
    """Return MultiplyByQuantizedMultiplier; a left shift that leaves 32 bits wraps."""
    if scale.shift > 0:
        return high_mul(wrapped(value << scale.shift), scale.multiplier)
    return round_shift(high_mul(value, scale.multiplier), -scale.shift)


def wrapped(value: int) -> int:
    """Return what is left of a number in 32 bits."""
    return (value + 2**31) % 2**32 - 2**31


def saturated(value: int) -> int:
    """Return the nearest number that 32 bits hold."""
    return min(max(value, int32_min), int32_max)


def clamp8(value: int) -> int:
    """Return the nearest number that an int8 holds."""
    return min(max(value, -128), 127)


def input_radius(integer_bits: int, left_shift: int) -> int:
    """Return the largest input that stays in range: CalculateInputRadius for 31 bits."""
    return math.floor(1.0 * ((1 << integer_bits) - 1) * (1 << (31 - integer_bits)) / (1 << left_shift))


# ── functions of fixed-point numbers; `bits` of them are left of the point ──────────────────────────────────────────


def exp_on_negative_values(value: int, bits: int) -> int:
    """Return e^value in Q0.31 for a value <= 0."""
    if value == 0:
        return int32_max
    fraction = 31 - bits
    quarter = 1 << (fraction - 2)
    rest = (value & (quarter - 1)) - quarter
    result = _exp_on_a_quarter(rest << bits)
    remainder = rest - value
    for exponent, factor in _exp_barrel:
        if bits > exponent and remainder & (1 << (fraction + exponent)):
            result = high_mul(result, factor)
    return result


_exp_barrel: Final = (
    (-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242),
)  # fmt: skip


def _exp_on_a_quarter(value: int) -> int:
    """Return e^value in Q0.31 for -1/4 <= value < 0 in Q0.31: Taylor's series about -1/8."""
    x = value + (1 << 28)
    x2 = high_mul(x, x)
    x3 = high_mul(x2, x)
    x4 = high_mul(x2, x2)
    tail = round_shift(high_mul(round_shift(x4, 2) + x3, 715827883) + x2, 1)
    return 1895147668 + high_mul(1895147668, x + tail)


def logistic(value: int, bits: int) -> int:
    """Return 1 / (1 + e^-value) in Q0.31."""
    if value == 0:
        return 1 << 30
    positive = _newton(exp_on_negative_values(-abs(value), bits))
    result = saturated(positive * 2)  # half of it, read with one bit less before the point
    return result if value > 0 else int32_max - result


def tanh(value: int, bits: int) -> int:
    """Return the hyperbolic tangent in Q0.31: (1 - e^-2x) / (1 + e^-2x)."""
    if value == 0:
        return 0
    ratio = _newton(exp_on_negative_values(-abs(value), bits + 1)) - (1 << 29)
    result = saturated(ratio * 4)
    return result if value > 0 else -result


def _newton(value: int) -> int:
    """Return 2 / (1 + value) in Q2.29 for a value from 0 to 1 in Q0.31, by three steps of Newton's method."""
    half = (value + int32_max + 1) >> 1
    guess = 1515870810 + high_mul(half, -1010580540)
    for _ in range(3):
        rest = (1 << 29) - high_mul(half, guess)
        guess = wrapped(guess + saturated(high_mul(guess, rest) * 4))
    return guess
