"""Bench instruments on the host: one file each, behind one small Protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, assert_never

from edgeprof.meters.addresses import (
    HwmonAddress,
    JoulescopeAddress,
    Lpm01aAddress,
    MeterAddress,
    Ppk2Address,
    is_meter,
    parse_meter,
)

if TYPE_CHECKING:
    from typing import Self

    from edgeprof.meters.recording import Facts, Recording

__all__ = ["Meter", "MeterAddress", "is_meter", "open_meter", "parse_meter"]


class Meter(Protocol):
    """An instrument: entered, it is open and supplies the board; left, its port is free again.

    Recording is done in a thread of its own. Any method raises an `EdgeprofError` that says what is wrong; an
    instrument that is unplugged while it records is none: the recording ends there and says so in `lost`.
    """

    @property
    def facts(self) -> Facts:
        """What is known of the instrument."""

    def start(self) -> None:
        """Record from now on."""

    def stop(self) -> Recording:
        """End the recording and return it, on the host's monotonic clock (`time.monotonic`)."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def open_meter(address: str | MeterAddress) -> Meter:
    """Return the instrument that a URL names; it is opened when it is entered as a context."""
    source = address if isinstance(address, str) else ""
    parsed = parse_meter(address) if isinstance(address, str) else address
    match parsed:
        case Ppk2Address():
            from edgeprof.meters.ppk2 import Ppk2

            return Ppk2(parsed, source)
        case Lpm01aAddress():
            from edgeprof.meters.lpm01a import Lpm01a

            return Lpm01a(parsed, source)
        case JoulescopeAddress():
            from edgeprof.meters.joulescope import Joulescope

            return Joulescope(parsed, source)
        case HwmonAddress():
            from edgeprof.meters.hwmon import Hwmon

            return Hwmon(parsed, source)
        case _:
            assert_never(parsed)
