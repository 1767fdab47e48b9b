"""How long a charge lasts: closed forms, pure.

Peukert's law is not applied. Its exponent describes lead-acid cells at high rates (lithium: 1.02 to 1.1); loads of
microamperes with short pulses are bounded by the cell's internal resistance, which a cell profile takes into account.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeprof.records.battery import Leak

MONTH_S = 730.5 * 3600
MONTHS_A_YEAR = 12
RATED_CELSIUS = 25.0
DOUBLES_EVERY_K = 10.0


def leak_per_s(monthly_ratio: float, temperature_celsius: float = RATED_CELSIUS) -> float:
    """Return k of dQ/dt = -k Q for a share lost a month at 25 °C.

    k = -ln(1 - s) / month; the rate doubles every 10 °C: k(T) = k(25 °C) 2^((T - 25) / 10).
    """
    return -math.log1p(-monthly_ratio) / MONTH_S * 2 ** ((temperature_celsius - RATED_CELSIUS) / DOUBLES_EVERY_K)


def monthly_of_yearly(yearly_ratio: float) -> float:
    """Return the share lost a month that makes this share in a year."""
    return -math.expm1(math.log1p(-yearly_ratio) / MONTHS_A_YEAR)


def lifetime_s(usable_c: float, current_a: float, leak: float = 0.0, left_c: float = 0.0) -> float:
    """Return how long `usable_c` coulombs last, with `left_c` more that leak but are never drawn.

    From dQ/dt = -I - k Q, from usable + left down to left: t = ln(1 + k usable / (I + k left)) / k, and usable / I
    where nothing leaks. With left = 0 only the usable part leaks. Nothing drawn: without end.
    """
    if usable_c <= 0:
        return 0.0
    drawn_a = current_a + leak * left_c
    if drawn_a <= 0:
        return math.inf
    ratio = leak * usable_c / drawn_a
    if ratio < 1e-12:  # noqa: PLR2004  ln(1 + x) / x is 1 to the last digit; no division by a k of almost nothing
        return usable_c / drawn_a
    return math.log1p(ratio) / leak


def left_behind_c(capacity_c: float, usable_c: float, leak: Leak) -> float:
    """Return the charge that leaks but is not drawn: none, or all of the capacity that is not usable."""
    return capacity_c - usable_c if leak == "whole" else 0.0
