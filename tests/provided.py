"""What a suite stands on and this machine may lack: it is fetched; where it cannot be, CI fails and others skip."""

from __future__ import annotations

import contextlib
import os
from functools import cache
from typing import TYPE_CHECKING, NoReturn

import pytest

from scripts.debian import FetchError
from scripts.fetch_firmware_tools import FirmwareTools, fetch_firmware_tools

if TYPE_CHECKING:
    from collections.abc import Iterator


def lacking(reason: str) -> NoReturn:
    """End the test: it fails in CI, where nothing may be left out, and is skipped elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def firmware_tools() -> FirmwareTools:
    """Return the emulator and the cross compiler."""
    try:
        return fetch_firmware_tools()
    except FetchError as error:
        lacking(f"no QEMU or no cross compiler: {error}")


@contextlib.contextmanager
def qemu_found() -> Iterator[None]:
    """Let `qemu:` find the one that was fetched, where none is installed."""
    tools = firmware_tools()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEPROF_QEMU", str(tools.qemu))
        if tools.libraries:
            patch.setenv("LD_LIBRARY_PATH", ":".join(map(str, tools.libraries)))
        yield
