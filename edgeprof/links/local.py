"""`local`: the Linux agent in a child process of this machine, the same file that goes to a board over SSH."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from edgeprof.agent.bundle import agent_bundle
from edgeprof.errors import BoardUnreachable
from edgeprof.folders import cache_folder
from edgeprof.links.pipes import PipeChannel

if TYPE_CHECKING:
    from pathlib import Path


def open_local(python: str | None = None) -> PipeChannel:
    """Start the agent under this Python, or the named one."""
    folder = cache_folder()
    interpreter = python or sys.executable
    try:
        agent = install_agent(folder)
    except OSError as error:
        raise BoardUnreachable(
            f"the agent cannot be put into {folder}: {error.strerror}",
            hint="set EDGEPROF_CACHE to a folder that can be written",
        ) from error
    log = tempfile.TemporaryFile()  # noqa: SIM115  the channel owns it and closes it
    try:
        process = subprocess.Popen(  # noqa: S603  our own agent under a Python that the user named
            [interpreter, str(agent), "serve", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    except OSError as error:
        log.close()
        raise BoardUnreachable(
            f"the agent cannot be started here with {interpreter}: {error}",
            hint="edgeprof doctor shows what is missing",
        ) from error
    return PipeChannel(process, log)


def install_agent(folder: Path) -> Path:
    """Put the agent into a folder under its content's hash and return its path."""
    bundle = agent_bundle()
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    path = folder / f"agent-{bundle.sha256[:16]}.pyz"
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_bytes(bundle.content)
        part.replace(path)
    return path
