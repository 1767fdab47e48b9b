"""Passwords and passphrases, asked on the terminal and kept no longer than the connection needs."""

from __future__ import annotations

import getpass
import sys
import threading
from typing import TYPE_CHECKING

from edgeprof.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.targets import Ssh

_ASKING = threading.Lock()
TRIES = 3


class Prompts:
    """Asks one question at a time, even when several boards are being reached."""

    def __init__(self) -> None:
        self._passphrases: dict[str, str] = {}
        self._passwords = 0

    def possible(self) -> bool:
        """Tell whether a person is there to answer."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def passphrase(self, file: object) -> str:
        """Ask for the passphrase of a key file, once."""
        name = str(file)
        if name not in self._passphrases:
            self._passphrases[name] = _ask(f"Passphrase for {name}: ")
        return self._passphrases[name]

    def password(self, place: Ssh) -> str | None:
        """Ask for a password, three times at most."""
        if self._passwords >= TRIES:
            return None
        self._passwords += 1
        return _ask(f"Password for {place.user + '@' if place.user else ''}{place.host}: ")

    def answers(self, questions: Sequence[tuple[str, bool]]) -> list[str] | None:
        """Ask what a server asks by keyboard-interactive authentication."""
        if questions and self._passwords >= TRIES:
            return None
        self._passwords += bool(questions)
        return [_ask(question) for question, _ in questions]


def _ask(question: str) -> str:
    with _ASKING:
        return getpass.getpass(printable(question), stream=sys.stderr)
