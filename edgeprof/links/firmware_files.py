"""The prebuilt microcontroller agents that ship with edgeprof, and blobs laid out for an emulator's memory."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from edgeprof.errors import UnknownName, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRMWARE = Path(__file__).parents[1] / "data" / "firmware"
CORES = ("cortex-m3", "cortex-m4", "cortex-m7")
PRELOADED_MAGIC = b"EPPL"
ALIGNMENT = 16


def agent_elf(core: str) -> Path:
    """Return the agent for a core."""
    if core not in CORES:
        raise UnknownName(f"unknown core {core!r}", hint=did_you_mean(core, CORES) or f"known: {', '.join(CORES)}")
    return FIRMWARE / f"{core}.elf"


def preloaded(blobs: Sequence[bytes]) -> bytes:
    """Return blobs as the emulated ports look for them: "EPPL", then size and content each, padded to 16 bytes."""
    parts = [PRELOADED_MAGIC.ljust(ALIGNMENT, b"\0")]
    for blob in blobs:
        parts.append(struct.pack("<I", len(blob)).ljust(ALIGNMENT, b"\0"))
        parts.append(blob.ljust(-(-len(blob) // ALIGNMENT) * ALIGNMENT, b"\0"))
    return b"".join([*parts, bytes(ALIGNMENT)])
