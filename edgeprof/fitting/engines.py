"""What executes a model on a microcontroller, and what it adds to flash and SRAM."""

from __future__ import annotations

from typing import NamedTuple

from edgeprof.estimate.engines import ENGINE_NAMES

KIB = 1024


class Engine(NamedTuple):
    """What an engine adds to a model on a microcontroller. All of it is declared, none measured.

    The sizes are TFLM's. `listed` is False for an engine of another family: its own sizes are not known then, nor is a
    list of its operators.
    """

    name: str
    formats: tuple[str, ...]
    code_bytes: int
    stack_bytes: int
    tail_bytes_per_operator: int
    source: str
    listed: bool = True

    @property
    def borrowed(self) -> str:
        """Say that the sizes are those of another engine, where they are."""
        return "" if self.listed else f" taken for {self.name}'s, which is not known"


TFLM = Engine(
    name="tflm",
    formats=("tflite",),
    code_bytes=64 * KIB,
    stack_bytes=4 * KIB,
    tail_bytes_per_operator=966,
    source="declared: 64 KiB of TFLM with its kernels, 4 KiB of stack, up to 966 B of persistent buffers an operator"
    " (the most that TFLM records for the MLPerf Tiny models, on a 64-bit host)",
)
ENGINES = {name: TFLM._replace(name=name, listed=name.partition("+")[0] == TFLM.name) for name in ENGINE_NAMES}
"""Only TFLM was looked at, with whatever kernels: the code, stack and arena of others are taken to be like its."""
