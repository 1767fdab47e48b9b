"""A power meter that this machine's kernel knows: USB meters (powerz, …) and sensor chips, through sysfs.

Units are those of the kernel's hwmon interface (Documentation/hwmon/sysfs-interface): powerN_input in µW, inN_input in
mV, currN_input in mA.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.errors import BoardUnreachable, UnknownName, UsageError
from edgeprof.meters.elapsed import Arrivals
from edgeprof.meters.recording import Facts, Recording
from edgeprof.power.trace import PowerTrace

if TYPE_CHECKING:
    from typing import Self

    from edgeprof.meters.addresses import HwmonAddress

CLASS = "/sys/class/hwmon"


class Reading(NamedTuple):
    """One reading: NaN where a file could not be read."""

    time_s: float
    power_w: float
    volts: float
    amps: float


class Hwmon:
    """The meter; `sysroot` is put before every path, for recorded trees."""

    def __init__(self, address: HwmonAddress, source: str = "", sysroot: str = "") -> None:
        self._address = address
        self._source = source or f"hwmon://{address.folder}"
        self._root = Path(sysroot or "/")
        self._folder = Path()
        self._channel = 0
        self._readings: list[Reading] = []
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def facts(self) -> Facts:
        """What is known of the meter; its name and channel once it is open."""
        name = _text(self._folder / "name") or "hwmon"
        measured = "power as the meter gives it" if self._has("power") else "power is voltage times current"
        return Facts(f"{name} channel {self._channel}", self._source, self._address.rate_hz, None, (measured,))

    def __enter__(self) -> Self:
        self._folder = self._find()
        self._channel = self._choose()
        first = self._read()
        if first.power_w != first.power_w:  # NaN
            raise BoardUnreachable(
                f"{self._folder} cannot be read: channel {self._channel} gives no power, or voltage and current",
                hint=f"cat {self._folder}/*_input shows what it gives; is the meter plugged in and measuring?",
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self.stop()

    def _find(self) -> Path:
        """Return the folder of a path, or of a driver's name."""
        if "/" in self._address.folder:
            folder = self._root / self._address.folder.lstrip("/")
            if not folder.is_dir():
                raise BoardUnreachable(f"there is no meter {self._address.folder}", hint=self._known())
            return folder
        found = [folder for folder in self._folders() if _text(folder / "name") == self._address.folder]
        if len(found) != 1:
            many = f"{len(found)} meters are" if found else "no meter is"
            raise UnknownName(f"{many} called {self._address.folder!r}", hint=self._known())
        return found[0]

    def _folders(self) -> list[Path]:
        return sorted((self._root / CLASS.lstrip("/")).glob("hwmon*"))

    def _known(self) -> str:
        known = [f"{CLASS}/{folder.name} ({_text(folder / 'name')})" for folder in self._folders()]
        return f"there are {', '.join(known)}" if known else f"{CLASS} is empty: is the meter plugged in?"

    def _choose(self) -> int:
        channels = [number for number in range(32) if _readable(self._folder, number)]
        asked = self._address.channel
        if asked is not None and asked in channels:
            return asked
        if asked is None and len(channels) == 1:
            return channels[0]
        if not channels:
            raise UsageError(
                f"{self._folder} gives no power, and no voltage with a current",
                hint="sensors lists the meters; it needs powerN_input, or inN_input and currN_input",
            )
        named = ", ".join(f"?channel={number} ({_label(self._folder, number)})" for number in channels)
        what = "has several channels" if asked is None else f"has no channel {asked}"
        raise UsageError(f"{self._folder} {what}; channels are never added up", hint=f"name one: {named}")

    def _has(self, kind: str) -> bool:
        return (self._folder / f"{kind}{self._channel}_input").exists()

    def _read(self) -> Reading:
        """Read once; the time is the middle of the reading."""
        began = time.monotonic()
        power_w = _number(self._folder / f"power{self._channel}_input", 1e-6)
        volts = _number(self._folder / f"in{self._channel}_input", 1e-3)
        amps = _number(self._folder / f"curr{self._channel}_input", 1e-3)
        if not self._has("power"):
            power_w = volts * amps
        return Reading((began + time.monotonic()) / 2, power_w, volts, amps)

    def start(self) -> None:
        """Record from now on."""
        self._readings = []
        self._ending.clear()
        self._thread = threading.Thread(target=self._record, name="power readings", daemon=True)
        self._thread.start()

    def _record(self) -> None:
        period = 1 / self._address.rate_hz
        due = time.monotonic()
        while not self._ending.is_set():
            self._readings.append(self._read())
            due = max(due + period, time.monotonic())
            self._ending.wait(due - time.monotonic())

    def stop(self) -> Recording:
        """End the recording and return it; a reading that failed is a gap."""
        import numpy as np

        if self._thread is None:
            raise UsageError("a meter is stopped after it was started")
        self._ending.set()
        self._thread.join()
        self._thread = None
        columns = np.array(self._readings, np.float64).reshape(-1, len(Reading._fields))
        time_s, power_w, volts, amps = columns.T
        failed = int(np.isnan(power_w).sum())
        facts = self.facts
        trace = PowerTrace(
            time_s=time_s,
            power_w=power_w,
            source=facts.source,
            clock="host",
            volts=None if np.isnan(volts).all() else volts,
            amps=None if np.isnan(amps).all() else amps,
            rails=(_label(self._folder, self._channel),),
            nominal_rate_hz=facts.rate_hz,
            independent_rate_hz=self._update_rate_hz(),
            notes=(*facts.notes, *([f"{failed} readings failed and are gaps"] if failed else [])),
        )
        arrivals = Arrivals(np.arange(1, len(time_s) + 1), time_s)
        gone = len(power_w) > 0 and bool(np.isnan(power_w[-1])) and not self._folder.exists()
        return Recording(trace, arrivals, None, f"{self._folder} is gone: unplugged" if gone else "")

    def _update_rate_hz(self) -> float | None:
        """Return how often the meter has a new value, if it says so."""
        interval_s = _number(self._folder / "update_interval", 1e-3)
        return 1 / interval_s if interval_s > 0 else None


def _readable(folder: Path, channel: int) -> bool:
    power = (folder / f"power{channel}_input").exists()
    return power or all((folder / f"{kind}{channel}_input").exists() for kind in ("in", "curr"))


def _label(folder: Path, channel: int) -> str:
    labels = (_text(folder / f"{kind}{channel}_label") for kind in ("power", "in", "curr"))
    return next((label for label in labels if label), f"channel {channel}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path, scale: float) -> float:
    """Return a file's number, NaN where it cannot be read."""
    try:
        return int(_text(path)) * scale
    except ValueError:
        return float("nan")
