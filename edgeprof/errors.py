"""Every error that a person can meet, split by what they can do about it.

::

    EdgeprofError                 message, hint, exit_code
    ├── UsageError            2   the command line, or a file named on it
    │   ├── UnknownName           a board, target, limit or format that is not known
    │   ├── FileUnreadable        missing, a folder, no permission
    │   ├── OutputUnwritable      the result could not be written where it was asked for
    │   ├── ResultInvalid         a file that is not an edgeprof result
    │   └── ConfigurationRefused  an edgeprof.toml of others, or one that nobody has trusted
    ├── LinkError             3   the board, the way to it, or the runtime on it
    │   ├── BoardUnreachable      nothing answered
    │   ├── HostKeyRejected       an SSH host key that is unknown or has changed
    │   ├── LinkLost              it answered, then stopped
    │   ├── FrameError            a frame that is corrupt, lost, doubled or oversized
    │   ├── AgentMismatch         an agent of another protocol version, or a wrong answer
    │   ├── FileDamaged           what was sent to the board is not what arrives or stays there
    │   └── RuntimeUnusable       no runtime for the model's format that really works
    ├── ModelError            4   the model
    │   ├── ModelInvalid          not a model, or a damaged one
    │   ├── ModelUnsupported      an operator or a type that the runtime lacks
    │   └── ModelDoesNotFit       more flash or memory than the board has
    └── Interrupted           5   stopped by a person, a timeout or a full disk
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from edgeprof.printable import defused, printable

if TYPE_CHECKING:
    from collections.abc import Iterable


class EdgeprofError(Exception):
    """Something that a person can mend: one line that says what, and a hint with the next command.

    `said` are lines of somebody else's program, such as a flash tool, which follow it.
    """

    exit_code = 70
    usual_hint = ""
    """What to do next where nothing better is known."""

    def __init__(self, message: str, *, hint: str = "", said: Iterable[str] = ()) -> None:
        self.message = defused("\n  ".join(map(printable, (message, *said))))
        self.hint = defused(printable(hint)) or self.usual_hint
        super().__init__(self.message)


class UsageError(EdgeprofError):
    """The command line asks for something impossible."""

    exit_code = 2
    usual_hint = "edgeprof --help and edgeprof COMMAND --help show what can be given"


class UnknownName(UsageError):
    """A name that is not in a list of known names."""


class FileUnreadable(UsageError):
    """A file that cannot be read at all."""

    usual_hint = "ls -l on the path and its folder shows what is there and who may read it"


class OutputUnwritable(UsageError):
    """A place where the result cannot be written."""

    usual_hint = "name a file in a folder that is there and can be written"


class ResultInvalid(UsageError):
    """A file that is not an edgeprof result."""

    usual_hint = "results are written with edgeprof profile MODEL -o RESULT.json"


class ConfigurationRefused(UsageError):
    """An `edgeprof.toml` that others may write, or that came with a repository and that nobody has trusted."""


class LinkError(EdgeprofError):
    """The board, the way to it, or the runtime on it."""

    exit_code = 3
    usual_hint = "edgeprof doctor --target TARGET shows what is missing"


class BoardUnreachable(LinkError):
    """Nothing answered."""


class HostKeyRejected(LinkError):
    """The host key is not one that the user has trusted."""


class LinkLost(LinkError):
    """The board answered and then stopped."""


class FrameError(LinkError):
    """A frame that is corrupt, lost, doubled or oversized."""


class AgentMismatch(LinkError):
    """The agent speaks another protocol version or answered for something else."""


class FileDamaged(LinkError):
    """What was sent to the board is not what arrives there, or stays there."""

    usual_hint = "its memory card, disk or memory changes what is written: its kernel's log may say more"


class RuntimeUnusable(LinkError):
    """No runtime on the board can run this format."""


class ModelError(EdgeprofError):
    """The model cannot be profiled as it is."""

    exit_code = 4


class ModelInvalid(ModelError):
    """The file is not a model, or is damaged."""

    usual_hint = "export or download the model again; a .tflite or .onnx file is wanted"


class ModelUnsupported(ModelError):
    """The model needs an operator or a type that is not there."""

    usual_hint = "edgeprof inspect shows its operators and shapes"


class ModelDoesNotFit(ModelError):
    """The model needs more flash or memory than the board has."""

    usual_hint = "edgeprof fit lists the boards that it fits"


class Interrupted(EdgeprofError):
    """The run was stopped before it was complete."""

    exit_code = 5
    usual_hint = "edgeprof report last draws what was measured"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint naming the known names that look like this one, or an empty string."""
    close = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else ""
