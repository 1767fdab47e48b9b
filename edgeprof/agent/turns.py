"""Timed passes on one machine take turns: two that run at once would measure each other.

A lock on a file of the agent's folder, held by the measuring child while it times. Whoever shares that folder (the same
user on the board) is serialised; the passes of one run need not follow each other at once. Who waits says so, and for
whom.
"""

import contextlib
import fcntl
import os
import threading
import time
from typing import IO, Any, Iterator, List, Tuple

from edgeprof import wire
from edgeprof.agent.timing import Speaker
from edgeprof.agent.working import BEGAN, PARENT, STATE, stat_of

TIMED = frozenset({"latency", "sustained", "deadline", "energy", "stages", "pair"})
TOLD_S = 0.5
WAITED_S = 2.0
LONGEST_COMMAND = 200


@contextlib.contextmanager
def turn(kind: str, folder: str, speaker: Speaker) -> Iterator[None]:
    """Wait for the machine's turn and keep it; say so when there was something to wait for."""
    if kind not in TIMED or not folder:
        yield
        return
    try:
        file = open(os.path.join(folder, "turn.lock"), "a")
    except OSError:
        yield  # a folder that cannot be written locks nothing
        return
    with file:
        begin = time.monotonic()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait(file, speaker)
        except OSError:
            pass  # nor does a file system without locks
        waited_s = time.monotonic() - begin
        if waited_s > TOLD_S:
            text = "another run was measuring on this machine: the {} pass waited {:.1f} s for it"
            speaker.note("took-turns", text.format(kind, waited_s))
        yield


def _wait(file: "IO[Any]", speaker: Speaker) -> None:
    """Wait for the lock; every 2 s say whom for, where that is something new, else that this process is alive."""
    over = threading.Event()

    def tell() -> None:
        said = ""
        while not over.wait(WAITED_S):
            text = "another run is measuring on this machine, this one waits for its turn: " + holder(file)
            try:
                if text.split(", for ")[0] != said:
                    said = text.split(", for ")[0]
                    speaker.note("turn-wait", text)
                else:
                    speaker.say(wire.Alive(speaker.run))
            except OSError:
                return  # the agent is gone, and soon this process is

    teller = threading.Thread(target=tell, name="waiting", daemon=True)
    teller.start()
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
    finally:
        over.set()
        teller.join()


# ── whom for ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def holder(file: "IO[Any]") -> str:
    """Return who holds the lock on a file, in words: process, state, command, and since when."""
    pid = _locked_by(os.fstat(file.fileno()))
    above = _ancestors(pid) if pid else []
    if not above:
        return "which process it is cannot be seen from here"
    stopped = [name for name, words in above if words[STATE] in "Tt"]
    state = " (stopped: kill -CONT {} lets it go on)".format(" ".join(stopped)) if stopped else ""
    began_s = int(above[0][1][BEGAN]) / os.sysconf("SC_CLK_TCK")
    return "process {}{}, {}, for {}".format(pid, state, _whose(above), _span(_uptime_s() - began_s))


def _locked_by(status: os.stat_result) -> str:
    """Return the process that holds a flock on a file, by /proc/locks; empty where that does not tell."""
    wanted = "{:02x}:{:02x}:{}".format(os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)
    try:
        with open("/proc/locks") as listed:
            lines = [line.split() for line in listed]
    except OSError:
        return ""
    held = [words for words in lines if len(words) >= 6 and words[1] == "FLOCK"]  # who waits has "->" there
    exact = [words[4] for words in held if words[5] == wanted]
    # btrfs and overlayfs call the device by another number in stat(2) than in /proc/locks.
    same = exact or [words[4] for words in held if words[5].rpartition(":")[2] == str(status.st_ino)]
    return same[0] if same and int(same[0]) > 0 else ""


def _ancestors(pid: str) -> List[Tuple[str, List[str]]]:
    """Return a process and those above it, as far as they belong to the run: agent and edgeprof."""
    found: List[Tuple[str, List[str]]] = []
    words = stat_of(pid)
    while words is not None and int(pid) > 1 and len(found) < 8:
        found.append((pid, words))
        if "agent-" not in _command(pid):  # what started the agent
            break
        pid = words[PARENT]
        words = stat_of(pid)
    return found


def _whose(above: List[Tuple[str, List[str]]]) -> str:
    """Return the command that the run belongs to, or where it was started from."""
    command = _command(above[-1][0])
    if "edgeprof" in command and "agent-" not in command:
        return command[:LONGEST_COMMAND]
    for pid, _ in above:
        try:
            with open("/proc/{}/environ".format(pid), "rb") as file:
                for entry in file.read().split(b"\0"):
                    if entry.startswith(b"SSH_CONNECTION="):
                        return "over SSH from " + entry[len(b"SSH_CONNECTION=") :].decode("utf-8", "replace").split()[0]
        except (OSError, IndexError):
            continue
    return command[:LONGEST_COMMAND] or "an unknown command"


def _command(pid: str) -> str:
    try:
        with open("/proc/{}/cmdline".format(pid), "rb") as file:
            words = file.read().decode("utf-8", "replace").split("\0")
    except OSError:
        return ""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(words).strip())


def _uptime_s() -> float:
    try:
        with open("/proc/uptime") as file:
            return float(file.read().split()[0])
    except (OSError, ValueError):
        return 0.0


def _span(seconds: float) -> str:
    return "{:.0f} s".format(seconds) if seconds < 120 else "{:.0f} min".format(seconds / 60)
