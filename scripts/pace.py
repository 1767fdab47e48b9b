"""How long a known piece of work takes here: a bound on time is a multiple of it, and so holds on any processor."""

from __future__ import annotations

import time

SLOW_REFERENCES = 40
"""What a hostile file may cost, in references: 2 s of CPU on a processor of 2023."""


def reference_s() -> float:
    """Return the CPU seconds of a loop of a million steps in this interpreter: 50 ms on a processor of 2023."""
    began = time.process_time()
    sum(number * number % 7 for number in range(1_000_000))
    return time.process_time() - began
