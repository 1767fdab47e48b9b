"""What TFLM itself allocates for a model, asked of the optional tflite-micro wheel in a process of its own.

The wheel prints to the C library's file descriptor and may abort on a model that it cannot run, so it never
runs inside edgeprof.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path

_script = """
import sys
from tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))
interpreter.print_allocations()
"""
_not_installed = "the tflite-micro wheel is not installed: pip install 'edgeprof[exact]'"
_smallest_arena_bytes = 16 * 2**20
_pattern = re.compile(r"Arena allocation (total|head|tail)\D*(\d+) bytes")


class RecordedArena(Struct, frozen=True, kw_only=True):
    """Bytes that TFLM recorded on this machine: the head is the plan with scratch, the tail its structures.

    The tail holds pointers, so that of a 32-bit microcontroller is smaller than this 64-bit one. All are None,
    with the reason, where it could not be asked.
    """

    total_bytes: int | None = None
    head_bytes: int | None = None
    tail_bytes: int | None = None
    reason: str = ""


def recorded_arena_bytes(path: Path, *, python: str = sys.executable, timeout_s: float = 30.0) -> RecordedArena:
    """Return what TFLM allocates for a model, or the reason why it cannot be asked. It never raises.

    `python` is an interpreter that has the tflite-micro wheel.
    """
    import subprocess

    if python == sys.executable and find_spec("tflite_micro") is None:
        return RecordedArena(reason=_not_installed)
    arena_bytes = max(_smallest_arena_bytes, 4 * path.stat().st_size) if path.is_file() else _smallest_arena_bytes
    command = [python, "-c", _script, str(path), str(arena_bytes)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False)  # noqa: S603 (our own script)
    except subprocess.TimeoutExpired:
        return RecordedArena(reason=f"tflite-micro did not answer within {timeout_s:g} s")
    except OSError as error:
        return RecordedArena(reason=f"{python} could not be started: {error.strerror}")
    printed = done.stdout + done.stderr
    found = {name: int(size) for name, size in _pattern.findall(printed)}
    if len(found) == 3:  # total, head and tail
        return RecordedArena(total_bytes=found["total"], head_bytes=found["head"], tail_bytes=found["tail"])
    if "No module named 'tflite_micro'" in printed:
        return RecordedArena(reason=_not_installed)
    lines = [line for line in printed.splitlines() if line.strip()]
    return RecordedArena(reason=f"tflite-micro cannot run the model: {lines[-1] if lines else 'it said nothing'}")
