"""The program `edgeprof`, and `python -m edgeprof`: Ctrl-C while it is imported ends in one line too."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

INTERRUPTED = 5


def main() -> NoReturn:
    """Import the command line and run it."""
    by_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not where a shell has it ignored
    if by_default:
        signal.signal(signal.SIGINT, _stopped)
    from edgeprof.cli import main as run

    if by_default:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _stopped(*_: object) -> None:
    os.write(2, b"edgeprof: stopped by Ctrl-C\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
