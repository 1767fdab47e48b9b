"""`edgeprof.toml`: which one counts here, whether it may be believed, and whether somebody has said that it may.

It is looked for from the current folder upward, as far as the home folder or the root of the repository, whichever
comes first, and never on another file system; then in the user's configuration folder. What it says can start programs
and take the place of boards that ship. So it must be the user's own (`ownership`), and where it came with a repository,
or lies above the current folder, a person is asked once for each content of it.
"""

from __future__ import annotations

import os
import stat
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeprof.errors import ConfigurationRefused, FileUnreadable, UsageError
from edgeprof.ownership import refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "edgeprof.toml"
REPOSITORIES = (".git", ".hg", ".svn", ".jj")
"""What the root of a repository holds; a worktree's and a submodule's `.git` is a file."""
MOST_BYTES = 1 << 20
VARIABLE = "EDGEPROF_TRUST_CONFIG"


class ConfigurationFile(NamedTuple):
    """An `edgeprof.toml` as it was read; `digest` names this content at this place."""

    path: Path
    tables: dict[str, Any]
    digest: str
    own: bool
    """The user put it there: in the configuration folder, or in the current folder outside any repository."""


class Person:
    """Who answers and is told; `remembers` a yes for the next time."""

    def __init__(
        self, ask: Callable[[str], bool], tell: Callable[[str], None] = lambda _text: None, *, remembers: bool = False
    ) -> None:
        self.ask, self.remembers = ask, remembers
        self._tell = tell
        self._told: set[str] = set()
        self._answers: dict[str, bool] = {}
        self._turn = threading.Lock()

    def tell(self, text: str) -> None:
        """Say something, once."""
        with self._turn:
            if text not in self._told:
                self._told.add(text)
                self._tell(text)

    def agrees(self, digest: str, question: str) -> bool:
        """Ask, once for each content of a file."""
        with self._turn:
            if digest not in self._answers:
                self._answers[digest] = self.ask(question)
            return self._answers[digest]


_people: list[Person] = []
"""Who is there, the last one counts. A library has nobody, and never asks."""


@contextmanager
def answered_by(person: Person) -> Iterator[None]:
    """Let a person be asked and told."""
    _people.append(person)
    try:
        yield
    finally:
        _people.remove(person)


def person() -> Person | None:
    """Return who is there, if anybody."""
    return _people[-1] if _people else None


def tell(text: str) -> None:
    """Tell whoever is there what is used that does not come from edgeprof."""
    if (there := person()) is not None:
        there.tell(text)


def find_configuration() -> ConfigurationFile | None:
    """Return the nearest `edgeprof.toml` upward from the current folder, else the user's; refuse one of others."""
    path = _nearest()
    return None if path is None else _read(path)


def must_be_trusted(file: ConfigurationFile, *powers: str) -> None:
    """Refuse what a file says until somebody has agreed to it: `powers` are what this content of it could do."""
    if file.own or _is_set(os.environ.get(VARIABLE, "")):
        return
    kept = _kept_answers() / file.digest
    if kept.is_file():
        return
    said, there = "; ".join(powers), person()
    if there is None or not there.agrees(file.digest, f"{file.path} says: {said}. Trust it, until it changes?"):
        raise ConfigurationRefused(
            f"{file.path} came with a repository or lies above this folder, and nobody has trusted it: {said}",
            hint=f"read it; then --trust-config (or {VARIABLE}=1) lets it, and on a terminal it is asked for once",
        )
    if there.remembers:
        _keep(kept, file.path)


def _is_set(value: str) -> bool:
    return value.lower() not in {"", "0", "false", "no", "off"}


def _kept_answers() -> Path:
    from edgeprof.folders import state_folder

    return state_folder() / "trusted"


def _keep(kept: Path, path: Path) -> None:
    try:
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept.write_text(f"{path}\n", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        tell(f"the answer cannot be kept in {kept.parent}: {error.strerror}")


# ── finding and reading ──────────────────────────────────────────────────────────────────────────────────────────────


def user_folder() -> Path:
    """Return the user's configuration folder."""
    import platformdirs

    return Path(os.environ.get("EDGEPROF_CONFIG") or platformdirs.user_config_path("edgeprof"))


def _nearest() -> Path | None:
    return next((path for path in (*_upward(), user_folder() / NAME) if _is_file(path)), None)


def _upward() -> Iterator[Path]:
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return  # the folder is gone
    home, device = _home(), here.stat().st_dev
    for folder in (here, *here.parents):
        if folder.stat().st_dev != device:
            return
        yield folder / NAME
        if folder == home or _is_repository(folder):
            return


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:
        return None  # a user without one


def _is_repository(folder: Path) -> bool:
    return any(os.path.lexists(folder / mark) for mark in REPOSITORIES)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise FileUnreadable(f"cannot look for {path}: {error.strerror}") from error


def _read(path: Path) -> ConfigurationFile:
    import hashlib
    import tomllib

    try:
        content = _content(path)
    except OSError as error:
        raise FileUnreadable(f"cannot read {path}: {error.strerror}") from error
    try:
        tables = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error
    digest = hashlib.sha256(os.fsencode(path) + b"\0" + content).hexdigest()
    return ConfigurationFile(path, tables, digest, _is_own(path))


def _content(path: Path) -> bytes:
    """Read the very file that was looked at."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileUnreadable(f"cannot read {path}: it is no file")
        refuse_foreign(path, status)
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UsageError(f"{path} is larger than {MOST_BYTES:,} bytes", hint="is it an edgeprof.toml?")
    return content


def _is_own(path: Path) -> bool:
    if path.parent.resolve() == user_folder().resolve():
        return True
    return path.parent == Path.cwd() and not any(map(_is_repository, (path.parent, *path.parent.parents)))
