"""A fake instrument's end of a pseudo-terminal: writes at the pace of a real one, and can be unplugged."""

from __future__ import annotations

import json
import os
import pty
import select
import sys
import time
import tty
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEP_S = 0.001
"""A real instrument sends every USB frame, a millisecond long."""


class Fault(NamedTuple):
    """What goes wrong at a sample, once: KIND@SAMPLE or KIND:AMOUNT@SAMPLE."""

    at: int
    kind: str
    amount: int


def parse_fault(text: str) -> Fault:
    """Return the fault of `drop:64@150000`."""
    what, _, at = text.partition("@")
    kind, _, amount = what.partition(":")
    return Fault(int(at), kind, int(amount or 0))


class Port:
    """The master side; prints the path of the slave side, which is what is plugged in."""

    def __init__(self) -> None:
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        print(os.ttyname(self._slave), flush=True)  # noqa: T201  the test reads it

    def commands(self, timeout_s: float) -> bytes | None:
        """Return what the host wrote, None where it went away."""
        ready, _, _ = select.select([self.master, sys.stdin], [], [], timeout_s)
        if sys.stdin in ready and not sys.stdin.read():
            return None  # the test has ended
        return os.read(self.master, 4096) if self.master in ready else b""

    def send(self, content: bytes) -> None:
        """Write all of it; a host that doesn't read holds it up, as USB does."""
        while content:
            content = content[os.write(self.master, content) :]

    def unplug(self) -> None:
        """Take the instrument away."""
        os.close(self._slave)
        os.close(self.master)


def stream(
    rate_hz: float, clock_ratio: float, faults: list[Fault], last: int | None
) -> Iterator[tuple[int, int, Fault | None]]:
    """Give ranges of samples that are due, split at faults; `last` is how many there are at most, None for no end."""
    began, sent = time.monotonic(), 0
    waiting = sorted(faults)
    while last is None or sent < last:
        due = int((time.monotonic() - began) * rate_hz * clock_ratio)
        due = due if last is None else min(due, last)
        while waiting and waiting[0].at <= due:
            fault = waiting.pop(0)
            yield sent, fault.at, fault
            sent = fault.at + (fault.amount if fault.kind in {"drop", "quiet"} else fault.kind != "unplug")
        if due > sent:
            yield sent, due, None
            sent = due
        else:
            yield sent, sent, None


def report(**facts: object) -> None:
    """Tell the test what was sent."""
    print(json.dumps(facts), flush=True)  # noqa: T201  the test reads it


def serve(port: Port, handle: Callable[[bytes], bool]) -> None:
    """Give commands to a function until it returns False or the test has ended."""
    while True:
        commands = port.commands(1.0)
        if commands is None or (commands and not handle(commands)):
            return
