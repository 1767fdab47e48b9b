"""What firmware that speaks the MLPerf Tiny protocol says: bytes to lines to facts to windows. Nothing here does I/O.

Real firmware echoes commands (with or without their `%`), prints debug text in front of its messages without a line
end, colours them, and loses lines. So a message is looked for anywhere in a line, and none but the two readings of the
clock is needed for a window.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind = Literal[
    "mode", "booted", "name", "profile", "model", "lap", "warmup_start", "warmup_done", "infer_start", "infer_done",
    "results", "expecting", "too_large", "load_done", "ready", "refused",
]  # fmt: skip

LONGEST_LINE_BYTES = 1 << 16
WRAP_US = 1 << 32


class Fact(Struct, frozen=True):
    """One message: what it is, and what it says."""

    kind: Kind
    text: str = ""


class Window(Struct, frozen=True, kw_only=True):
    """A run of inferences between two readings of the firmware's clock. None: the firmware did not say."""

    start_us: int
    duration_us: int
    iterations: int | None
    results: tuple[float, ...] | None


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\^_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class LineReader:
    """Cuts bytes into lines as they come, without colours and control characters; blank ones are left out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, content: bytes) -> list[str]:
        """Return the lines that are complete now."""
        *complete, self._rest = re.split(rb"[\r\n]", self._rest + content)
        self._rest = self._rest[-LONGEST_LINE_BYTES:]
        lines = (plain(line.decode("utf-8", "replace")) for line in complete)
        return [line for line in lines if line]


def plain(line: str) -> str:
    """Return a line without colours and control characters."""
    return _CONTROL.sub("", _ANSI.sub("", line)).strip()


# ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# `m-profile-[` ends like an error, and debug text may, so an error stands after no letter or begins as the known ones.
_MESSAGES: dict[Kind, str] = {
    "mode": r"m-timestamp-mode-(performance|energy)",
    "booted": r"m-(init-done)",
    "name": r"m-name-dut-\[([^\]]*)\]",
    "profile": r"m-profile-\[([^\]]*)\]",
    "model": r"m-model-\[([^\]]*)\]",
    "lap": r"m-lap-us-(\d{1,20})",
    "warmup_start": r"m-warmup-start-(\d+)",
    "warmup_done": r"m-(warmup-done)",
    "infer_start": r"m-infer-start-(\d+)",
    "infer_done": r"m-(infer-done)",
    "results": r"m-results-\[([^\]]*)\]",
    "expecting": r"Expecting (\d+) bytes",
    "too_large": r"exceeds maximum of (\d+)",
    "load_done": r"m-(load-done)",
    "ready": r"m-(ready)(?!-)",
    "refused": r"(?:(?<![A-Za-z])e-\[|e-\[(?=Unknown|In|Command))([^\]]*)\]",
}
_MESSAGE = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _MESSAGES.items()))


def facts_in(line: str) -> list[Fact]:
    """Return the messages of one line, wherever in it they stand."""
    return [
        Fact(kind, found[found.re.groupindex[kind] + 1])
        for found in _MESSAGE.finditer(line)
        for kind in _MESSAGES
        if found[kind] is not None
    ]


def first_text(facts: Iterable[Fact], kind: Kind) -> str | None:
    """Return what the first message of a kind says; None where there is none."""
    return next((fact.text for fact in facts if fact.kind == kind), None)


def results_of(text: str) -> tuple[float, ...] | None:
    """Return the values of a result list, None when one of them is no number; a comma may trail."""
    words = [word.strip() for word in text.split(",")]
    if words and not words[-1]:
        words.pop()
    try:
        return tuple(float(word) for word in words)
    except ValueError:
        return None


# ── windows ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class LapClock:
    """Makes the firmware's readings one clock that never goes back: most have 32 bits and wrap after 71.6 minutes.

    A reading of more than 32 bits tells that this clock has 64, which do not wrap.
    """

    def __init__(self) -> None:
        self._last = 0
        self._wrapped = 0

    def read(self, text: str) -> int:
        """Return a reading in microseconds, wraps added; raise ValueError for a clock that went back."""
        reading = int(text)
        if reading < self._last:
            if self._last >= WRAP_US:
                message = f"its clock went back from {self._last} to {reading} µs"
                raise ValueError(message)
            self._wrapped += WRAP_US
        self._last = reading
        return reading + self._wrapped


def windows_in(facts: Iterable[Fact], clock: LapClock) -> Iterator[Window]:
    """Yield a window at each `m-ready` before which the clock was read twice; the last two readings are its ends."""
    laps: list[int] = []
    iterations: int | None = None
    results: tuple[float, ...] | None = None
    for fact in facts:
        match fact.kind:
            case "lap":
                laps.append(clock.read(fact.text))
            case "infer_start":
                iterations = int(fact.text)
            case "results":
                results = results_of(fact.text)
            case "ready":
                if len(laps) > 1:
                    start, end = laps[-2:]
                    yield Window(start_us=start, duration_us=end - start, iterations=iterations, results=results)
                laps, iterations, results = [], None, None
            case _:
                continue
