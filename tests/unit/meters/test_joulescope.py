from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeprof.errors import BoardUnreachable, UsageError
from edgeprof.meters.addresses import JoulescopeAddress
from edgeprof.meters.joulescope import Driver, Joulescope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RATE_HZ = 100_000
FULL_RATE_HZ = 1_000_000
FACTOR = FULL_RATE_HZ // RATE_HZ
BLOCK = 1000
SKIPPED = 3
"""A block that the driver never gives."""

REAL = {
    "device_paths": ("self", "timeout"),
    "open": ("self", "device_prefix", "mode", "timeout"),
    "close": ("self", "device_prefix", "timeout"),
    "publish": ("self", "topic", "value", "timeout"),
    "subscribe": ("self", "topic", "flags", "fn", "timeout"),
    "unsubscribe": ("self", "topic", "fn", "timeout"),
    "finalize": ("self", "timeout"),
}
"""The parameters of `pyjoulescope_driver.Driver` as `inspect.signature` gives them for version 2.2.12."""


class StandIn:
    """The driver's publish and subscribe, with a JS220 that sends ten blocks as soon as the last stream is on."""

    def __init__(self, devices: Sequence[str] = ("u/js220/002557",)) -> None:
        self.devices = devices
        self.published: list[tuple[str, object]] = []
        self.functions: dict[str, Callable[[str, Any], object]] = {}
        self.finalized = False

    def device_paths(self, timeout: float | None = None) -> Sequence[str]:  # noqa: ARG002  the driver's signature
        return self.devices

    def open(self, device_prefix: str, mode: str | None = None, timeout: float | None = None) -> None:  # noqa: ARG002  the same
        if device_prefix.endswith("000000"):
            raise RuntimeError("in use")

    def close(self, device_prefix: str, timeout: float | None = None) -> None:
        pass

    def publish(self, topic: str, value: object, timeout: float | None = None) -> None:  # noqa: ARG002  the same
        self.published.append((topic, value))
        if topic.endswith("s/gpi/0/ctrl") and value == 1:
            threading.Thread(target=self._send).start()

    def subscribe(
        self,
        topic: str,
        flags: object,  # noqa: ARG002  the same
        fn: Callable[[str, Any], object],
        timeout: float | None = None,  # noqa: ARG002  the same
    ) -> None:
        self.functions[topic] = fn

    def unsubscribe(self, topic: str, fn: Callable[[str, Any], object], timeout: float | None = None) -> None:  # noqa: ARG002  the same
        assert self.functions.pop(topic) is fn

    def finalize(self, timeout: float | None = None) -> None:  # noqa: ARG002  the same
        self.finalized = True

    def _send(self) -> None:
        for number in range(10):
            first = number * BLOCK
            sample = np.arange(first, first + BLOCK)
            data = {
                "s/i": (0.01 + 1e-6 * sample).astype(np.float32),
                "s/v": np.full(BLOCK, 3.3, np.float32),
                "s/gpi/0": np.packbits(sample >= 5000, bitorder="little"),
            }
            for topic, values in data.items():
                if topic == "s/i" and number == SKIPPED:
                    continue
                name = f"{self.devices[0]}/{topic}/!data"
                block = {"sample_id": 77_000 + first * FACTOR, "decimate_factor": FACTOR}
                self.functions[name](name, {**block, "sample_rate": FULL_RATE_HZ, "data": values})


def test_current_voltage_and_marker_are_laid_over_each_other_and_a_skipped_block_is_a_gap() -> None:
    driver = StandIn()
    with Joulescope(JoulescopeAddress(), driver=driver) as meter:
        meter.start()
        recording = meter.stop()
    trace = recording.trace
    assert trace.amps is not None
    assert trace.marker is not None
    assert len(trace.amps) == 10 * BLOCK
    assert np.flatnonzero(np.isnan(trace.power_w)).tolist() == list(range(SKIPPED * BLOCK, (SKIPPED + 1) * BLOCK))
    assert trace.power_w[5000] == pytest.approx(3.3 * 0.015, rel=1e-6)
    assert np.flatnonzero(np.diff(trace.marker)).tolist() == [4999]
    assert trace.nominal_rate_hz == RATE_HZ
    assert ("u/js220/002557/h/fs", RATE_HZ) in driver.published
    assert driver.finalized


def test_one_of_several_is_chosen_by_its_serial_number() -> None:
    two = StandIn(["u/js220/002557", "u/js110/001234"])
    with (
        pytest.raises(UsageError, match="2 Joulescopes are plugged in") as raised,
        Joulescope(JoulescopeAddress(), driver=two),
    ):
        pass
    assert "joulescope://001234" in raised.value.hint
    with Joulescope(JoulescopeAddress(serial="001234"), driver=two) as meter:
        assert "js110" in meter.facts.name


def test_none_and_one_in_use_are_told() -> None:
    with (
        pytest.raises(BoardUnreachable, match="no Joulescope is plugged in"),
        Joulescope(JoulescopeAddress(), driver=StandIn([])),
    ):
        pass
    with (
        pytest.raises(BoardUnreachable, match="cannot be opened: in use"),
        Joulescope(JoulescopeAddress(), driver=StandIn(["u/js220/000000"])),
    ):
        pass


def test_the_stand_in_takes_what_the_real_driver_takes() -> None:
    assert {name: tuple(inspect.signature(getattr(StandIn, name)).parameters) for name in REAL} == REAL
    assert {name: tuple(inspect.signature(getattr(Driver, name)).parameters) for name in REAL} == REAL
