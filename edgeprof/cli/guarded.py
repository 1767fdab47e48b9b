"""Standard output and standard error with a guard before them: what no output may hold cannot be forgotten anywhere.

What reaches them should be fit to be shown already (`edgeprof.printable`); this is the last gate, also for what
libraries write. On a terminal it lets through how we colour and draw, and nothing else that begins with ESC.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from edgeprof.errors import OutputUnwritable
from edgeprof.printable import HOSTILE, REPLACED, defused, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLOURS = r"\x1b\[[0-9;]*m"
_MOVES = r"\r?\x1b\[[0-2]?K|\r?\x1b\[\d*[A-D]|\x1b\[\?25[lh]"
_bare = re.compile(f"()[{HOSTILE}]")
_plain = re.compile(f"({_MOVES})|{_COLOURS}|[{HOSTILE}]")
_coloured = re.compile(f"({_MOVES}|{_COLOURS})|[{HOSTILE}]")
"""What stays is in the group."""
_REACH = 24
"""So many characters before a text can make a command with it."""


@contextmanager
def guarded() -> Iterator[None]:
    """Put the guard before both streams, and take it away again."""
    streams = sys.stdout, sys.stderr
    guards = sys.stdout, sys.stderr = (
        cast("TextIO", Guard(streams[0], needed=True)),
        cast("TextIO", Guard(streams[1], needed=False)),
    )
    try:
        yield
    finally:
        if sys.stdout is guards[0]:  # click puts something else there where nobody reads any more
            sys.stdout = streams[0]
        sys.stderr = streams[1]
        for stream in streams:
            _let_go(stream)


def _let_go(stream: TextIO) -> None:
    """Have nothing tried again when Python ends where the disk is full: it was told, and Python's words are a trace."""
    try:
        stream.flush()
    except BrokenPipeError:
        pass  # click has put something else in its place
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"{printable(text)}\n")


def write_command(line: str) -> None:
    """Write a workflow command of our own to standard error: the one way for a line that begins with `::`."""
    stream = sys.stderr
    if isinstance(stream, Guard):
        stream.write_line(line)
    else:
        stream.write(f"{line}\n")


class Guard:
    """A text stream that passes on what may be shown; what is not `needed` may be lost where the disk is full."""

    def __init__(self, stream: TextIO, *, needed: bool = True) -> None:
        self._stream = stream
        self._needed = needed
        self._line = ""
        if codecs.lookup(stream.encoding or "utf-8").name == "ascii" and hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8")
        coloured = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._passing = _bare if not stream.isatty() else _coloured if coloured else _plain

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the stream has
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what of the text may be shown."""
        clean = self._passing.sub(_kept, text)
        before = self._line
        whole = defused(before + clean)
        if not whole.startswith(before):  # a command that was begun by what is written already
            whole = f"{before}{REPLACED}{defused(clean)}"
        with self._told_when_full():
            self._stream.write(whole[len(before) :])
        self._remember(whole.rpartition("\n")[2])
        return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        with self._told_when_full():
            self._stream.flush()

    @contextmanager
    def _told_when_full(self) -> Iterator[None]:
        """Make one error of a disk that is full."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            if self._needed:
                message = f"standard output cannot be written: {error.strerror}"
                raise OutputUnwritable(message, hint="-o FILE writes to a file instead") from error

    def write_line(self, line: str) -> None:
        """Write a workflow command of our own, on a line of its own."""
        self._stream.write(f"{_bare.sub(REPLACED, line)}\n")
        self._line = ""

    def _remember(self, line: str) -> None:
        """Keep the end of the line that is still open, so that no command arises from two halves."""
        self._line = line if len(line) <= _REACH or line.isspace() else f"…{line[-_REACH:]}"


def _kept(found: re.Match[str]) -> str:
    if found[1]:
        return found[1]
    return "\t" if found[0] == "\t" else "" if found[0].startswith("\x1b[") else REPLACED
