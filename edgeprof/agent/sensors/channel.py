"""What a sensor is: channels that one act reads, and what comes of it: a number, or a gap with its reason.

Standard library only, Python 3.6. Paths are those of the board; `sysroot` stands before them when something is read, so
that a recorded tree, or a container's view of its host, can stand in for a board.
"""

import math
import os
import select
import subprocess
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

COMMAND_SECONDS = 2.0
COLDEST, HOTTEST = -55.0, 200.0
"""Celsius. What no board has is a sensor that is off: Tegra says -256, drivers of absent probes -273 or 6553.5."""


class Gap(Exception):
    """No number, and why."""

    def __init__(self, text: str, *seen: object) -> None:
        super(Gap, self).__init__(text.format(*seen) if seen else text)


class Channel(object):
    """One quantity of one sensor: what a SensorSeries says of itself, and how often it could not be read."""

    def __init__(
        self, name: str, quantity: str, unit: str, source: str,
        rail: str = "", role: str = "", resolution: Optional[float] = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.quantity = quantity
        self.unit = unit
        self.source = source
        self.rail = rail
        self.role = role
        self.resolution = resolution
        self.failures = 0
        self.reason = ""
        self.reader: Optional[Reader] = None

    def read(self) -> float:
        """Read this channel now, and whatever is read with it; raise Gap where there is no number."""
        if self.reader is None:
            raise Gap(self.reason or "nothing reads it")
        value = self.reader.read()[self.reader.channels.index(self)]
        if value is None:
            raise Gap("it needs a second reading")
        if isinstance(value, Gap):
            raise value
        return value

    def describe(self, interval_s: float) -> Dict[str, Any]:
        """Return what the host is told; what is empty is left out."""
        asked = max(interval_s, self.reader.least_interval_s) if self.reader is not None else None
        words = {
            "rail": self.rail, "role": self.role, "resolution": self.resolution, "failures": self.failures,
            "reason": self.reason, "interval_s": asked,
        }  # fmt: skip
        told = {name: value for name, value in words.items() if value}
        return dict(told, name=self.name, quantity=self.quantity, unit=self.unit, source=self.source)

    def failed(self, reason: str) -> None:
        """Count a gap."""
        self.failures += 1
        self.reason = reason[:200]


Value = Union[None, float, Gap]
"""None: no number is due yet, as with a counter's first reading."""


class Reader(object):
    """Channels that one act reads. `least_interval_s`: not more often than this, with `jitter` at uneven distances.

    `stamp` is the time of the last values in ticks where it is not that of the act: of a counter, the middle of the
    time it counted over. `commands` are the programs that the act runs, whose CPU time counts as the sampling's.
    """

    def __init__(
        self, channels: Sequence[Channel], take: Optional[Callable[[], Sequence[Value]]],
        least_interval_s: float = 0.0, *, jitter: bool = False, commands: "Sequence[Command]" = (),
    ) -> None:  # fmt: skip
        self.channels = list(channels)
        self.take = take
        self.least_interval_s = least_interval_s
        self.jitter = jitter
        self.commands = list(commands)
        self.stamp: Optional[int] = None
        for channel in self.channels:
            channel.reader = self if take is not None else None

    def read(self) -> List[Value]:
        """Return a value a channel; gaps are counted with the channel."""
        if self.take is None:
            return [Gap(channel.reason) for channel in self.channels]
        try:
            values = list(self.take())
        except (OSError, ValueError, LookupError, Gap) as error:
            values = [Gap(reason_of(error)) for _ in self.channels]
        checked = [sane(channel.quantity, value) for channel, value in zip(self.channels, values)]
        for channel, value in zip(self.channels, checked):
            if isinstance(value, Gap):
                channel.failed(str(value))
        return checked

    def forget(self) -> None:
        """Begin a new run: nothing is known of the one before."""
        self.stamp = None
        if self.take is not None:
            for channel in self.channels:
                channel.failures, channel.reason = 0, ""


def absent(name: str, quantity: str, unit: str, source: str, reason: str) -> Reader:
    """Return a sensor that is not there, to be told with its reason and never read."""
    channel = Channel(name, quantity, unit, source)
    channel.failed(reason)
    return Reader([channel], None)


def sane(quantity: str, value: Value) -> Value:
    """Return a gap in place of what cannot be: not a number, less than nothing, a temperature that no board has."""
    if value is None or isinstance(value, Gap):
        return value
    if math.isnan(value) or math.isinf(value):
        return Gap("it says {}", value)
    if quantity == "temperature" and not COLDEST < value < HOTTEST:
        return Gap("it says {:g} °C: the sensor is off", value)
    if quantity in ("power", "frequency", "load", "voltage") and value < 0:
        return Gap("it says {:g}: less than nothing", value)
    return value


def reason_of(error: Exception) -> str:
    """Return a failure in a few words."""
    if isinstance(error, OSError):
        return "{}: {}".format(error.filename or "read", error.strerror or error)
    if isinstance(error, Gap):
        return str(error)
    return "unreadable: {}".format(error)


def under(sysroot: str, path: str) -> str:
    """Return where a path of the board lies."""
    return os.path.join(sysroot, path.lstrip("/"))


def shown(sysroot: str, path: str) -> str:
    """Return a path as the board names it."""
    return "/" + os.path.relpath(path, sysroot)


def text_of(path: str) -> str:
    """Return the first line of a sysfs file without its end."""
    with open(path, "rb") as file:
        return file.read(4096).decode("utf-8", "replace").strip("\0\r\n ")


def number_of(path: str) -> float:
    """Return the number in a sysfs file; anything else is a ValueError that names the file."""
    text = text_of(path)
    try:
        return float(text)
    except ValueError:
        raise Gap("{} says {!r}", path, text[:40]) from None


def one_file(path: str, scale: float) -> Callable[[], Sequence[Value]]:
    """Return what reads one number and scales it."""
    return lambda: [number_of(path) * scale]


class Command(object):
    """A program of the board that prints readings, run with a time limit; `cpu_s` is what its runs took so far."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = list(argv)
        self.cpu_s = 0.0

    def text(self) -> str:
        """Run it and return what it printed."""
        process = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None  # noqa: S101  PIPE was asked for
        try:
            return self._output(process.stdout.fileno()).decode("utf-8", "replace").strip()
        except Gap:
            process.kill()
            raise
        finally:
            process.stdout.close()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status
            self.cpu_s += usage.ru_utime + usage.ru_stime

    def _output(self, descriptor: int) -> bytes:
        until = time.monotonic() + COMMAND_SECONDS
        content = b""
        while True:
            left = until - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise Gap("{} did not answer within {:g} s", " ".join(self.argv), COMMAND_SECONDS)
            part = os.read(descriptor, 1 << 16)
            if not part:
                return content
            content += part
