"""Where a person sits at a terminal and no runtime works, edgeprof asks whether to install one. No is the default."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.ssh.rig import EDGEPROF, MODEL
from tests.ssh.test_install import OPTIONS, bare, wheels

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["bare", "wheels"]
PATIENCE_S = 60.0


def said(terminal: int, until: bytes) -> bytes:
    """Read what appears on a terminal until some words do, or its other side is closed."""
    seen, end = b"", time.monotonic() + PATIENCE_S
    while until not in seen and time.monotonic() < end:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            seen += os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
    return seen


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"n\n", 3), (b"\n", 3)])
def test_a_person_on_a_terminal_is_asked_and_decides(
    bare: str,
    wheels: Path,
    own_cache: Path,
    tmp_path: Path,
    answer: bytes,
    status: int,
) -> None:
    terminal, far = pty.openpty()
    environment = {**os.environ, "EDGEPROF_WHEELS": str(wheels), "EDGEPROF_STATE": str(tmp_path), "TERM": "xterm"}
    process = subprocess.Popen(
        [EDGEPROF, "profile", MODEL, "-t", f"local:?python={bare}", *map(str, OPTIONS)],
        stdin=far, stdout=subprocess.PIPE, stderr=far, env=environment,
    )  # fmt: skip
    os.close(far)
    try:
        seen = said(terminal, b"[y/N]")
        assert b"No runtime works there" in seen, seen
        os.write(terminal, answer)
        said(terminal, b"no such words, so until it ends")
        output, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert process.returncode == status
    assert bool(output) == (status == 0)
    assert (own_cache / "runtimes").exists() == (status == 0)


def test_nobody_is_asked_where_nobody_is_there(bare: str, own_cache: Path) -> None:
    done = subprocess.run(
        [EDGEPROF, "profile", MODEL, "-t", f"local:?python={bare}", *map(str, OPTIONS)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "[y/N]" not in done.stderr
    assert f"Python {sys.version_info[0]}.{sys.version_info[1]}" not in done.stdout
    assert not (own_cache / "runtimes").exists()
