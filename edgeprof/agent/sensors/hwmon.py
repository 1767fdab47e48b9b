"""Any other hwmon device, in the units of the kernel's ABI: milli-degrees, millivolts, milliamperes, microwatts.

Source: the kernel's Documentation/hwmon/sysfs-interface.rst ("power[1-*]_input: Instantaneous power use. Unit:
microWatt"). This covers USB power meters too (driver powerz, ChargerLAB KM003C).
"""

import glob
import os
import re
from typing import Iterator, List, Set, Tuple

from edgeprof.agent.sensors.channel import Channel, Reader, one_file, shown, text_of, under
from edgeprof.agent.sensors.thermal import zone_types

LEFT_ALONE = ("nvme", "drivetemp", "ucsi", "BAT", "AC")
"""Drives answer by a command that disturbs them; what a power supply says is read as a power supply."""

KINDS = (
    ("temp", "temperature", "celsius", 1e-3),
    ("power", "power", "W", 1e-6),
    ("curr", "current", "A", 1e-3),
    ("in", "voltage", "V", 1e-3),
)


def devices(sysroot: str) -> Iterator[Tuple[str, str, str]]:
    """Yield name, folder and real folder of each hwmon device, each device once however many links lead there."""
    seen: Set[str] = set()
    for folder in sorted(glob.glob(under(sysroot, "sys/class/hwmon/hwmon*"))):
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            yield text_of(os.path.join(folder, "name")), folder, real
        except OSError:
            continue


def others(sysroot: str, taken: Set[str]) -> List[Reader]:
    """Return the channels of each device that no other file here has `taken` (real folders)."""
    zones = zone_types(sysroot)
    found = []
    for name, folder, real in devices(sysroot):
        mirrored = name.replace("-", "_") in zones or (name == "coretemp" and "x86_pkg_temp" in zones)
        mirrored = mirrored or "/power_supply/" in real or "/thermal_zone" in real
        if real in taken or mirrored or name.startswith(LEFT_ALONE):
            continue
        found += _channels(sysroot, name, folder)
    return found


def _channels(sysroot: str, name: str, folder: str) -> List[Reader]:
    """Return temperatures and powers; currents and their voltages only where no power is given for them."""
    found = []
    powers = {path for path in os.listdir(folder) if re.match(r"power\d+_(input|average)$", path)}
    currents = {path for path in os.listdir(folder) if re.match(r"curr\d+_input$", path)}
    for prefix, quantity, unit, scale in KINDS:
        if prefix in {"curr", "in"} and (powers or not currents):
            continue  # a mainboard's dozen of supply voltages says nothing about a model
        for path in sorted(glob.glob(os.path.join(folder, prefix + "[0-9]*_*"))):
            matched = re.match(prefix + r"(\d+)_(input|average)$", os.path.basename(path))
            if not matched or (matched.group(2) == "average" and prefix + matched.group(1) + "_input" in powers):
                continue
            label = _label(folder, prefix + matched.group(1))
            channel = Channel("{} {}".format(name, label), quantity, unit, shown(sysroot, path), resolution=scale)
            found.append(Reader([channel], one_file(path, scale)))
    return found


def _label(folder: str, stem: str) -> str:
    try:
        return text_of(os.path.join(folder, stem + "_label")) or stem
    except OSError:
        return stem
