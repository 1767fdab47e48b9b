"""Whose a file is, and who else may change it: asked before what a file says starts programs."""

from __future__ import annotations

import os
import shlex
import stat
from typing import TYPE_CHECKING

from edgeprof.errors import ConfigurationRefused

if TYPE_CHECKING:
    from pathlib import Path

ROOT = 0
WHY = "it may start programs"


def refuse_foreign(path: Path, opened: os.stat_result) -> None:
    """Raise ConfigurationRefused for a file that is neither the user's nor root's, or that others may change.

    `opened` is of the descriptor that is read. Links count as their own owner's, and the folders that hold the link
    and the file as well: who may write there puts another file in its place.
    """
    if not hasattr(os, "geteuid"):
        return  # Windows has neither owners nor modes that say this
    link = path.lstat()
    for status in (link, opened):
        if status.st_uid not in _mine():
            raise ConfigurationRefused(
                f"{path} belongs to {_user(status.st_uid)}, mode {_mode(status)}: {WHY}, so it must be yours or root's",
                hint="work in a folder outside, or, once you have read it:"
                f" sudo chown -h {_user(os.geteuid())} {shlex.quote(str(path))}",
            )
    if _others_may_write(opened):
        raise ConfigurationRefused(
            f"{path} is {_user(opened.st_uid)}'s, mode {_mode(opened)}: {WHY}, so nobody else may write it",
            hint=f"chmod go-w {shlex.quote(str(path))}",
        )
    for folder in dict.fromkeys((path.parent, path.resolve().parent)):
        _refuse_open_folder(path, folder)


def _refuse_open_folder(path: Path, folder: Path) -> None:
    status = folder.stat()
    if _others_may_write(status) and not status.st_mode & stat.S_ISVTX:
        raise ConfigurationRefused(
            f"{path} may be replaced by others: the folder {folder} is {_user(status.st_uid)}'s, mode {_mode(status)}"
            f" (wanted: nobody else may write there, since the file may start programs)",
            hint=f"chmod go-w {shlex.quote(str(folder))}, or move the file",
        )


def _mine() -> frozenset[int]:
    """Return root and the user, under sudo also who called it, as git does."""
    user = os.geteuid()
    caller = os.environ.get("SUDO_UID", "")
    return frozenset({ROOT, user, *([int(caller)] if user == ROOT and caller.isdecimal() else [])})


def _others_may_write(status: os.stat_result) -> bool:
    """Tell whether more than the owner may write. A group that is the owner's alone is nobody else.

    Debian, Ubuntu and Fedora give each user a group of the same name, and a umask that lets it write.
    """
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_private(status.st_gid, status.st_uid)


def _is_private(group: int, user: int) -> bool:
    import grp
    import pwd

    try:
        known, owner = grp.getgrgid(group), pwd.getpwuid(user)
    except KeyError:
        return False
    return owner.pw_gid == group and known.gr_name == owner.pw_name and set(known.gr_mem) <= {owner.pw_name}


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"
