"""A conversation with firmware that speaks the MLPerf Tiny protocol: one command at a time, facts until `m-ready`.

The next command waits for the answer to the last one: the reference firmware has one command buffer and no queue. A
bare `%` is never sent: that firmware takes the empty command apart without looking and crashes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.errors import AgentMismatch, BoardUnreachable, Interrupted, LinkError, LinkLost, UsageError
from edgeprof.links.mlperf_lines import Fact, LapClock, LineReader, Window, facts_in, first_text, windows_in
from edgeprof.links.serial_port import line_trouble

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeprof.links.mlperf_lines import Kind
    from edgeprof.session import Channel

LONGEST_COMMAND = 79
LOAD_BYTES = 31
LOAD_TRIES = 3
HEARD_BYTES = 2000


class Patience(NamedTuple):
    """How long each thing may take. `infer_s` is the protocol's limit of one infer command."""

    hello_s: float = 30.0
    retry_s: float = 5.0
    line_s: float = 5.0
    infer_s: float = 30.0
    quiet_s: float = 0.2


DEFAULT_PATIENCE = Patience()


class Identity(NamedTuple):
    """What the firmware says of itself; empty what it does not say."""

    vendor: str
    profile: str
    model: str


class Refusal(Exception):
    """The firmware answered with an error of its own."""


class Timed(NamedTuple):
    """An infer command as it went: the window, and how long it took on the host's clock."""

    window: Window
    host_s: float


class Firmware:
    """One board's firmware at the other end of a channel."""

    def __init__(self, channel: Channel, *, name: str, patience: Patience = DEFAULT_PATIENCE) -> None:
        self.name = name
        self.patience = patience
        self.deadline = float("inf")
        self._channel = channel
        self._lines = LineReader()
        self._clock = LapClock()
        self._ready: list[tuple[float, Fact]] = []
        self._heard = b""
        self._identified = self._interrupted = False
        self._gives_results = True

    # ── who is there ─────────────────────────────────────────────────────────────────────────────────────────────

    def identify(self) -> Identity:
        """Ask for name, profile and model; a board that is booting is waited for, and asked again."""
        vendor = self._await_name()
        self._quiet()
        self._identified = True
        said = self.ask("profile", ("profile", "model"))
        return Identity(vendor, first_text(said, "profile") or "", first_text(said, "model") or "")

    def _await_name(self) -> str:
        until = time.monotonic() + self.patience.hello_s
        refused = 0
        while refused < 2:  # noqa: PLR2004  the first may be answered for what was on the line before
            if time.monotonic() >= until:
                raise self._unreachable(f"no answer to `name` in {self.patience.hello_s:.0f} s")
            self._say("name")
            said = self._until_ready("name", min(time.monotonic() + self.patience.retry_s, until))
            name = first_text(said, "name")
            if name is not None:
                return name
            refused += first_text(said, "refused") is not None
            if said:
                self._quiet()
        return ""

    def _until_ready(self, wanted: Kind, until: float) -> list[Fact]:
        """Return what is said until `wanted` and `m-ready` have come, or only `m-ready`, or time is up."""
        said: list[Fact] = []
        while (fact := self._next(until)) is not None:
            said.append(fact[1])
            if fact[1].kind == "ready":
                break
        return said if any(fact.kind in {wanted, "ready"} for fact in said) else []

    def _quiet(self) -> None:
        """Let late answers pass, so that none is taken for the next command's."""
        while self._next(time.monotonic() + self.patience.quiet_s) is not None:
            continue

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────

    def read_clock(self) -> tuple[float, int, float] | None:
        """Return the firmware's clock in microseconds between two readings of ours; None where it tells no time."""
        before = time.monotonic()
        said = self.ask("timestamp", ("lap",))
        lap = first_text(said, "lap")
        try:
            return None if lap is None else (before, self._clock.read(lap), time.monotonic())
        except ValueError as error:
            raise self._untimed(error) from error

    def load(self, content: bytes) -> None:
        """Put an input into the firmware's buffer, again from the start where a byte was damaged on its way."""
        for attempt in range(1, LOAD_TRIES + 1):
            try:
                self._load(content)
            except Refusal:
                if attempt == LOAD_TRIES:
                    raise
            else:
                return

    def _load(self, content: bytes) -> None:
        said = self.ask(f"db load {len(content)}", ("expecting", "too_large"))
        most = first_text(said, "too_large")
        if most is not None:
            raise UsageError(
                f"the input has {len(content)} bytes, the buffer of the firmware on {self.name} takes {most}",
                hint="--inputs FILE.npz gives inputs of the model that is on the board",
            )
        for at in range(0, len(content), LOAD_BYTES):
            self.ask(f"db {content[at : at + LOAD_BYTES].hex()}")

    def infer(self, iterations: int, warmup: int) -> Timed:
        """Run inferences between two readings of the firmware's clock, and return what it says of them."""
        said = self._ask(f"infer {iterations} {warmup}", ("lap", "infer_done"), self.patience.infer_s)
        laps = [at for at, fact in said if fact.kind == "lap"]
        facts = [fact for _, fact in said]
        if self._gives_results and not any(fact.kind == "results" for fact in facts):
            facts[-1:-1] = self._results()
        window = next(iter(self._windows(facts)), None)
        if window is None:
            raise AgentMismatch(
                f"the firmware on {self.name} did not say when the inferences began and ended ({len(laps)} readings)",
                hint="its energy build marks them on a pin: put its performance build on the board",
            )
        return Timed(window, laps[-1] - laps[-2])

    def _results(self) -> list[Fact]:
        """Ask for results whose line was lost; firmware that then gives none either is not asked another time."""
        try:
            found = [fact for fact in self.ask("results", ("results",)) if fact.kind == "results"]
        except Refusal:
            found = []
        self._gives_results = bool(found)
        return found

    def _windows(self, facts: Iterable[Fact]) -> list[Window]:
        try:
            return list(windows_in(facts, self._clock))
        except ValueError as error:
            raise self._untimed(error) from error

    def _untimed(self, error: ValueError) -> AgentMismatch:
        return AgentMismatch(f"the firmware on {self.name} cannot be timed: {error}")

    def ask(self, command: str, wanted: tuple[Kind, ...] = ()) -> list[Fact]:
        """Send a command and return the facts up to its `m-ready`."""
        return [fact for _, fact in self._ask(command, wanted, self.patience.line_s)]

    def _ask(self, command: str, wanted: tuple[Kind, ...], first_s: float) -> list[tuple[float, Fact]]:
        """Return facts with their times. `first_s` holds up to the first wanted one, then the limit of a line.

        An `m-ready` without any wanted fact may be a late one of an earlier command, and is waited beyond.
        """
        self._say(command)
        said: list[tuple[float, Fact]] = []
        until = time.monotonic() + first_s
        while True:
            fact = self._next(until)
            if fact is None:
                if any(known.kind == "ready" for _, known in said):
                    return said
                raise self._silent(command)
            said.append(fact)
            kinds = [known.kind for _, known in said]
            if fact[1].kind == "ready" and "refused" in kinds:
                raise Refusal(first_text((known for _, known in said), "refused"))
            if fact[1].kind == "ready" and (not wanted or any(kind in kinds for kind in wanted)):
                return said
            if "infer_done" in kinds or "infer_done" not in wanted or kinds.count("lap") > 1:
                until = time.monotonic() + self.patience.line_s

    # ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _say(self, command: str) -> None:
        if not command.strip() or "%" in command or len(command) > LONGEST_COMMAND:
            message = f"not a command for such firmware: {command!r}"
            raise ValueError(message)
        try:
            self._channel.write(f"{command}%".encode("ascii"))
        except OSError as error:
            raise self._lost(str(error)) from error

    def _next(self, until: float) -> tuple[float, Fact] | None:
        """Return the next fact with the time at which it came, None when time is up."""
        while not self._ready:
            left = min(until, self.deadline) - time.monotonic()
            if left <= 0:
                if time.monotonic() >= self.deadline:
                    raise LinkLost(
                        f"{self.name} was not done in time: the time limit ended",
                        hint="raise --timeout, or lower --runs; a window takes at least 10 s",
                    )
                return None
            try:
                content = self._channel.read(left)
            except TimeoutError:
                continue
            except EOFError as error:
                if self._interrupted:
                    raise Interrupted("stopped by Ctrl-C") from error
                raise self._lost("it closed the connection") from error
            except OSError as error:
                raise self._lost(str(error)) from error
            self._take(content)
        return self._ready.pop(0)

    def _take(self, content: bytes) -> None:
        now = time.monotonic()
        if not self._identified:
            self._heard = (self._heard + content)[-HEARD_BYTES:]
        for line in self._lines.feed(content):
            self._ready += [(now, fact) for fact in facts_in(line)]
        if self._identified and any(fact.kind == "booted" for _, fact in self._ready):
            raise LinkLost(
                f"the board at {self.name} restarted in the middle of the run",
                hint="a watchdog, a weak supply or a crash does that; what came before it is kept",
            )

    def interrupt(self) -> None:
        """End the conversation from another thread."""
        self._interrupted = True
        self._channel.cancel()

    def close(self) -> None:
        """Give the channel back."""
        self._channel.close()

    # ── trouble ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _silent(self, command: str) -> LinkError:
        seconds = self.patience.infer_s if command.startswith("infer") else self.patience.line_s
        return LinkLost(
            f"{self.name} fell silent: no word for {seconds:.0f} s after `{command[:24]}`",
            hint="is the board still powered? what came before it is kept",
        )

    def _lost(self, reason: str) -> LinkError:
        words = self._channel.last_words()
        if not self._identified:
            return self._unreachable(words or reason)
        return LinkLost(
            f"the link to {self.name} was lost: {words or reason}",
            hint="look at the cable and the board's supply; what came before it is kept",
        )

    def _unreachable(self, reason: str) -> LinkError:
        seen, hint = line_trouble(self._heard)
        return BoardUnreachable(f"no MLPerf Tiny firmware answered on {self.name}: {reason}; {seen}", hint=hint)
