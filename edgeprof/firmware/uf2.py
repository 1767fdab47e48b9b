"""UF2: the bootloader shows a drive with a file INFO_UF2.TXT, and what is copied there is flashed."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from edgeprof.bounded import read_bounded
from edgeprof.errors import UsageError
from edgeprof.firmware.elf import LARGEST_IMAGE_BYTES
from edgeprof.firmware.tools import ToolFailed, ToolMissing

if TYPE_CHECKING:
    from collections.abc import Iterable

INFO = "INFO_UF2.TXT"
BLOCK_BYTES = 512
MAGIC = struct.pack("<II", 0x0A324655, 0x9E5D5157)
MOUNTS = Path("/proc/self/mounts")
BOOTLOADER_HINT = (
    "put the board into its bootloader (hold BOOTSEL while plugging it in, or tap reset twice) and mount its drive,"
    " or name it with --drive"
)


def mounted() -> tuple[Path, ...]:
    """Return where drives are mounted."""
    volumes = sorted(Path("/Volumes").glob("*"))
    if not MOUNTS.is_file():
        return tuple(volumes)
    rows = [line.split() for line in MOUNTS.read_text("utf-8", "replace").splitlines()]
    places = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), row[1]) for row in rows if len(row) > 1]
    return (*map(Path, dict.fromkeys(places)), *volumes)


def find_drive(given: Path | None, uid: str, mounts: Iterable[Path]) -> Path:
    """Return the one drive of a UF2 bootloader; `uid` is looked for in its INFO_UF2.TXT."""
    candidates = [given] if given is not None else list(mounts)
    drives = {drive: said for drive in candidates if (said := _info(drive)) is not None}
    matching = [drive for drive, said in drives.items() if uid in said]
    if not drives:
        where = f"{given} is no drive of a UF2 bootloader" if given else "no drive of a UF2 bootloader is mounted"
        raise ToolMissing(f"{where}: no {INFO}", hint=BOOTLOADER_HINT)
    if not matching:
        raise ToolMissing(f"no drive's {INFO} names {uid!r}: {', '.join(map(str, drives))}", hint=BOOTLOADER_HINT)
    if len(matching) > 1:
        raise UsageError(f"several UF2 drives: {', '.join(map(str, matching))}", hint="name one with --drive")
    return matching[0]


def _info(drive: Path) -> str | None:
    try:
        return (drive / INFO).read_text("utf-8", "replace")
    except OSError:
        return None


def check_uf2(image: Path) -> bytes:
    """Return the content of a UF2 file; another one would be ignored by the bootloader without a word."""
    content = read_bounded(image, LARGEST_IMAGE_BYTES, "the image")
    blocks = [content[at : at + len(MAGIC)] for at in range(0, len(content), BLOCK_BYTES)]
    if not blocks or len(content) % BLOCK_BYTES or any(block != MAGIC for block in blocks):
        raise UsageError(f"{image} is no UF2 file", hint="picotool or uf2conv.py make one from an ELF or binary file")
    return content


def copy_to_drive(content: bytes, name: str, drive: Path) -> None:
    """Copy; the bootloader restarts the board after the last block, so the drive may be gone before it is closed."""
    taken = 0
    try:
        descriptor = os.open(drive / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            while taken < len(content):
                taken += os.write(descriptor, content[taken:])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if taken == len(content) and _info(drive) is None:
            return
        raise ToolFailed(
            f"{drive} took {taken} of {len(content)} bytes: {error.strerror}", hint=BOOTLOADER_HINT
        ) from error
