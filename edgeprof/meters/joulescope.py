"""A Joulescope JS220 or JS110 through the maker's own driver, pyjoulescope_driver (Apache-2.0).

The driver calls back with blocks of samples for each topic: `sample_id` counts at the instrument's full rate,
`decimate_factor` of them a value, `data` holds the values: float32 of current and voltage, packed bits of an input.
"""

from __future__ import annotations

import importlib
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from edgeprof.errors import BoardUnreachable, UsageError
from edgeprof.meters.elapsed import Arrivals
from edgeprof.meters.recording import Facts, Recording, fit_clock
from edgeprof.power.trace import PowerTrace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from edgeprof.meters.addresses import JoulescopeAddress
    from edgeprof.power.trace import Floats

CURRENT, VOLTAGE, INPUT = "s/i", "s/v", "s/gpi/0"
TAIL_S = 0.1


class Driver(Protocol):
    """What is used of `pyjoulescope_driver.Driver`."""

    def device_paths(self, timeout: float | None = None) -> Sequence[str]:
        """Return what is plugged in, as `u/js220/000123`."""

    def open(self, device_prefix: str, mode: str | None = None, timeout: float | None = None) -> object:
        """Open a device."""

    def close(self, device_prefix: str, timeout: float | None = None) -> object:
        """Close a device."""

    def publish(self, topic: str, value: object, timeout: float | None = None) -> object:
        """Set a value."""

    def subscribe(
        self, topic: str, flags: object, fn: Callable[[str, Any], object], timeout: float | None = None
    ) -> object:
        """Have a function called with a topic's values."""

    def unsubscribe(self, topic: str, fn: Callable[[str, Any], object], timeout: float | None = None) -> object:
        """End that."""

    def finalize(self, timeout: float | None = None) -> object:
        """End the driver."""


class Block(NamedTuple):
    """Values as the driver gave them, with the host's time."""

    sample_id: int
    decimate_factor: int
    sample_rate: float
    values: Any
    host_time_s: float


class Joulescope:
    """The instrument, held open; `driver` stands in for the real one in tests."""

    def __init__(self, address: JoulescopeAddress, source: str = "", driver: Driver | None = None) -> None:
        self._address = address
        self._source = source or f"joulescope://{address.serial}"
        self._driver = driver
        self._device = ""
        self._lock = threading.Lock()
        self._blocks: dict[str, list[Block]] = {}
        self._receive = self._on_block  # one bound method, for unsubscribe compares it

    @property
    def facts(self) -> Facts:
        """What is known of the instrument; its name once it is open."""
        note = "voltage and current are measured; bit 0 of the marker is IN0"
        return Facts(f"Joulescope {self._device}".strip(), self._source, self._address.rate_hz, None, (note,))

    def __enter__(self) -> Self:
        self._driver = self._driver or _real_driver()
        self._device = self._find(self._driver)
        try:
            self._driver.open(self._device)
            self._driver.publish(f"{self._device}/h/fs", int(self._address.rate_hz))
            range_topic = "s/i/range/select" if "js110" in self._device else "s/i/range/mode"
            self._driver.publish(f"{self._device}/{range_topic}", "auto")
        except (RuntimeError, TimeoutError) as error:
            raise BoardUnreachable(
                f"the Joulescope {self._device} cannot be opened: {error}",
                hint="is another program using it? on Linux its udev rule is needed: see joulescope.com",
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._driver is None or not self._device:
            return
        if self._blocks:
            self.stop()
        self._driver.close(self._device)
        self._driver.finalize()
        self._device = ""

    def _find(self, driver: Driver) -> str:
        paths = list(driver.device_paths())
        chosen = [path for path in paths if not self._address.serial or path.rpartition("/")[2] == self._address.serial]
        if len(chosen) == 1:
            return chosen[0]
        serials = ", ".join(f"joulescope://{path.rpartition('/')[2]}" for path in paths)
        if not chosen:
            what = f"no Joulescope {self._address.serial or ''}".strip()
            raise BoardUnreachable(f"{what} is plugged in", hint=f"there is {serials}" if paths else "lsusb shows it")
        raise UsageError(f"{len(chosen)} Joulescopes are plugged in", hint=f"name one: {serials}")

    def start(self) -> None:
        """Record from now on."""
        driver = self._open_driver()
        self._blocks = {f"{self._device}/{topic}/!data": [] for topic in (CURRENT, VOLTAGE, INPUT)}
        for topic in self._blocks:
            driver.subscribe(topic, ["pub"], self._receive)
        for topic in self._blocks:
            driver.publish(topic.replace("!data", "ctrl"), 1)

    def _on_block(self, topic: str, value: Mapping[str, Any]) -> None:
        block = Block(
            int(value["sample_id"]),
            int(value["decimate_factor"]),
            float(value["sample_rate"]),
            value["data"],
            time.monotonic(),
        )
        with self._lock:
            self._blocks[topic].append(block)

    def stop(self) -> Recording:
        """End the recording and return it; blocks that the driver skipped are gaps."""
        driver = self._open_driver()
        if not self._blocks:
            raise UsageError("a Joulescope is stopped after it was started")
        time.sleep(TAIL_S)
        for topic in self._blocks:
            driver.publish(topic.replace("!data", "ctrl"), 0)
            driver.unsubscribe(topic, self._receive)
        with self._lock:
            blocks, self._blocks = self._blocks, {}
        current, voltage, gate = (blocks[f"{self._device}/{topic}/!data"] for topic in (CURRENT, VOLTAGE, INPUT))
        return _recording(current, voltage, gate, self.facts)

    def _open_driver(self) -> Driver:
        if self._driver is None or not self._device:
            raise UsageError("a Joulescope is used once it is open")
        return self._driver


def _real_driver() -> Driver:
    try:
        module = importlib.import_module("pyjoulescope_driver")  # an extra
    except ImportError as error:
        raise UsageError(
            "the Joulescope's driver is not installed", hint="pip install 'edgeprof[joulescope]'"
        ) from error
    driver: Driver = module.Driver()
    return driver


def _recording(current: list[Block], voltage: list[Block], gate: list[Block], facts: Facts) -> Recording:
    """Lay the three streams over each other by the instrument's own count; NaN where one has nothing."""
    import numpy as np

    if not current or not voltage:
        raise BoardUnreachable(
            f"the {facts.name} gave no samples", hint="is its current path connected and another program using it?"
        )
    first = min(current[0].sample_id, voltage[0].sample_id)
    factor = current[0].decimate_factor
    rate = current[0].sample_rate / factor
    count = max(_behind(current[-1]), _behind(voltage[-1])) - first // factor
    amps, volts = (_laid_out(blocks, first // factor, count) for blocks in (current, voltage))
    bits = _laid_out([_unpacked(block) for block in gate], first // factor, count)
    arrivals = Arrivals(
        np.array([_behind(block) - first // factor for block in current], np.int64),
        np.array([block.host_time_s for block in current]),
    )
    clock = fit_clock(arrivals, rate)
    missing = int(np.isnan(amps + volts).sum())
    trace = PowerTrace(
        time_s=clock.start_s + np.arange(count) / clock.rate_hz,
        power_w=amps * volts,
        source=facts.source,
        clock="host",
        volts=volts,
        amps=amps,
        marker=None if not gate else np.nan_to_num(bits).astype(np.uint8),
        nominal_rate_hz=rate,
        accuracy=facts.accuracy,
        notes=(*facts.notes, *([f"{missing} samples were lost"] if missing else [])),
    )
    return Recording(trace, arrivals, clock)


def _behind(block: Block) -> int:
    return block.sample_id // block.decimate_factor + len(block.values)


def _laid_out(blocks: list[Block], first: int, count: int) -> Floats:
    import numpy as np

    values = np.full(count, np.nan)
    for block in blocks:
        start = block.sample_id // block.decimate_factor - first
        inside = block.values[max(0, -start) : max(0, count - start)]
        values[max(0, start) : max(0, start) + len(inside)] = inside
    return values


def _unpacked(block: Block) -> Block:
    """Return an input's bits, of which the driver gives eight a byte, the first one lowest."""
    import numpy as np

    return block._replace(values=np.unpackbits(np.asarray(block.values, np.uint8), bitorder="little"))
