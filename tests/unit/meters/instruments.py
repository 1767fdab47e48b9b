"""Starts fake instruments in processes of their own, so that their work does not count as the reader's."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[3]


class Fake:
    """A running fake: `path` is its port."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.path = process.stdout.readline().strip()

    def told(self) -> dict[str, Any]:
        """Return what it says that it sent, once it has stopped."""
        assert self._process.stdout is not None
        facts: dict[str, Any] = json.loads(self._process.stdout.readline())
        return facts


@contextmanager
def fake_instrument(name: str, *arguments: object) -> Iterator[Fake]:
    """Run a fake; it ends when its standard input does."""
    command = [sys.executable, "-m", f"tests.unit.meters.{name}", *map(str, arguments)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Fake(process)
        finally:
            process.kill()
