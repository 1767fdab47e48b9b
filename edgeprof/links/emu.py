"""`emu:cortex-m4`: the microcontroller agent in unicorn, in a process of its own (the engine is GPL-2.0)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgeprof.errors import BoardUnreachable
from edgeprof.links.firmware_files import agent_elf, preloaded
from edgeprof.links.pipes import PipeChannel

if TYPE_CHECKING:
    from collections.abc import Sequence


def open_emu(core: str, blobs: Sequence[bytes]) -> PipeChannel:
    """Start the emulator with the blobs in its memory."""
    elf = agent_elf(core)
    missing = missing_unicorn()
    if missing:
        raise BoardUnreachable(f"emu:{core} {missing}", hint="pip install 'edgeprof[emu]', or use qemu:mps2-an386")
    log = tempfile.TemporaryFile()  # noqa: SIM115  the channel owns it and closes it
    folder = tempfile.TemporaryDirectory(prefix="edgeprof-")
    memory = Path(folder.name) / "memory"
    memory.write_bytes(preloaded(blobs))
    process = subprocess.Popen(  # noqa: S603  our own emulator
        [sys.executable, "-m", "edgeprof.links.emulator", str(elf), core, str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
    )
    return PipeChannel(process, log, folder, emulates=True)


def missing_unicorn() -> str:
    """Return what is missing to emulate a core; empty where nothing is."""
    return "needs the unicorn package" if find_spec("unicorn") is None else ""
