"""Batteries: /sys/class/power_supply/*/{type,status,voltage_now,current_now,power_now}, microvolts, -amperes, -watts.

A battery that discharges feeds the board, so its power is the board's. One that charges, or rests beside a mains
adapter, says nothing about the board. The status tells which, not the sign: the kernel's Documentation/ABI/testing/
sysfs-class-power wants negative currents for discharging, and its commit 05f94eb98907 says that drivers do it in three
ways. USB-C entries of UCSI hold what was negotiated, not what flows (jetson_stats pull request 900), and are left out.
"""

import glob
import os
from typing import Callable, List, Sequence

from edgeprof.agent.sensors.channel import Channel, Gap, Reader, Value, number_of, shown, text_of, under


def batteries(sysroot: str) -> List[Reader]:
    """Return one channel a battery of the system; with exactly one, it is the board's total."""
    folders = [folder for folder in sorted(glob.glob(under(sysroot, "sys/class/power_supply/*"))) if _feeds(folder)]
    found = []
    for folder in folders:
        channel = Channel(
            "{} discharge".format(os.path.basename(folder)), "power", "W", shown(sysroot, folder),
            rail=os.path.basename(folder), role="board-total" if len(folders) == 1 else "rail",
        )  # fmt: skip
        found.append(Reader([channel], _discharge(folder)))
    return found


def _feeds(folder: str) -> bool:
    """Tell whether it is a battery of the system: not a mouse's (scope Device), not a negotiated USB-C supply."""
    if os.path.basename(folder).startswith("ucsi"):
        return False
    return _word(folder, "type") == "Battery" and _word(folder, "scope") != "Device"


def _word(folder: str, name: str) -> str:
    try:
        return text_of(os.path.join(folder, name))
    except OSError:
        return ""


def _discharge(folder: str) -> Callable[[], Sequence[Value]]:
    def take() -> Sequence[Value]:
        status = text_of(os.path.join(folder, "status"))
        if status != "Discharging":
            raise Gap("the battery is not discharging but {!r}: what it says is not the board's", status)
        if os.path.exists(os.path.join(folder, "power_now")):
            return [abs(number_of(os.path.join(folder, "power_now"))) * 1e-6]
        volts = number_of(os.path.join(folder, "voltage_now")) * 1e-6
        return [volts * abs(number_of(os.path.join(folder, "current_now"))) * 1e-6]

    return take
