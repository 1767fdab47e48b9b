"""Programs of others: found, started with a list of arguments, ended in time, their output kept."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgeprof.errors import LinkError
from edgeprof.folders import state_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LAST_LINES = 12
GRACE_S = 2.0


class ToolMissing(LinkError):
    """A program that is not installed."""

    usual_hint = "install it, or name another one"


class ToolFailed(LinkError):
    """A program that ended with an error, or not in time."""


def found(program: str) -> str | None:
    """Return the path of a program on PATH, or beside this Python: a virtual environment need not be activated."""
    return shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))


def run_tool(
    arguments: Sequence[str], *, timeout_s: float, log: str, environment: Mapping[str, str] | None = None
) -> None:
    """Run a program to its end; its output goes to a file in the state folder, its last lines into the error."""
    path = state_folder() / "firmware" / f"{log}.log"
    name = Path(arguments[0]).name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            ended = _run(arguments, timeout_s, file.fileno(), environment)
    except OSError as error:
        raise ToolFailed(f"{name} cannot be started: {error}", hint=f"tried: {shlex.join(arguments)}") from error
    if ended is None:
        raise _failed(f"{name} was not done after {timeout_s:g} s and was ended", path, "--timeout gives it more time")
    if ended:
        what = f"ended with {ended}" if ended > 0 else f"was killed by signal {-ended}"
        raise _failed(f"{name} {what}", path, f"all that it said: {path}")


def _run(arguments: Sequence[str], timeout_s: float, output: int, environment: Mapping[str, str] | None) -> int | None:
    """Return how it ended, None when its time was over; nothing that it started stays."""
    process = subprocess.Popen(  # noqa: S603  a list of arguments, never a shell
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and its children, politely first: a flash tool then lets go of the probe."""
    if process.returncode is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with contextlib.suppress(ProcessLookupError):  # none of them is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failed(message: str, log: Path, hint: str) -> ToolFailed:
    """Return the failure with the last lines that the program wrote."""
    lines = [line.rstrip().expandtabs() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    told = message if lines else f"{message}; it said nothing"
    return ToolFailed(told, hint=hint, said=lines[-LAST_LINES:])
