"""Whether a process works, waits or stands still, as Linux tells it (proc(5)); nothing where it does not."""

import os
from typing import List, NamedTuple, Optional

STATE, PARENT, SESSION, USER_TICKS, SYSTEM_TICKS, BEGAN = 0, 1, 3, 11, 12, 19
"""Places in /proc/PID/stat behind the name, which may hold anything."""


class Work(NamedTuple):
    """CPU time of a process with all that it started; whether any of it could run now; whether it is stopped."""

    cpu_s: float
    runnable: bool
    stopped: bool


def working(pid: int) -> Optional[Work]:
    """Look at a process that leads a session, and at all in it."""
    first = stat_of(str(pid))
    if first is None:
        return None
    mine = [(str(pid), first)]
    for name in os.listdir("/proc"):
        words = stat_of(name) if name.isdigit() and name != str(pid) else None
        if words is not None and words[SESSION] == str(pid):
            mine.append((name, words))
    ticks = sum(int(words[USER_TICKS]) + int(words[SYSTEM_TICKS]) for _, words in mine)
    runnable = any(_runs(name) for name, _ in mine)
    return Work(ticks / os.sysconf("SC_CLK_TCK"), runnable, first[STATE] in "Tt")


def stat_of(name: str) -> Optional[List[str]]:
    """Return what /proc/NAME/stat says behind the process's name."""
    try:
        with open("/proc/{}/stat".format(name), errors="replace") as file:
            words = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return words if len(words) > BEGAN else None


def _runs(name: str) -> bool:
    """Tell whether one of a process's threads has a CPU or waits for one."""
    try:
        tasks = os.listdir("/proc/{}/task".format(name))
    except OSError:
        return False
    found = (stat_of("{}/task/{}".format(name, task)) for task in tasks)
    return any(words is not None and words[STATE] == "R" for words in found)
