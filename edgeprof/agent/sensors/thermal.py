"""Thermal zones: /sys/class/thermal/thermal_zone*/{type,temp}, thousandths of a degree Celsius.

Source: the kernel's Documentation/driver-api/thermal/sysfs-api.rst.
"""

import glob
import os
from typing import Dict, List

from edgeprof.agent.sensors.channel import Channel, Gap, Reader, one_file, shown, text_of, under

DUMMIES = ("PMIC-Die",)
"""Zones that are no sensors: a Jetson's PMIC-Die always says 100 °C (tegrastats prints PMIC@100C on a cool board)."""


def zones(sysroot: str) -> List[Reader]:
    """Return one channel a zone."""
    found = []
    for folder in sorted(glob.glob(under(sysroot, "sys/class/thermal/thermal_zone*")), key=_number):
        try:
            kind = text_of(os.path.join(folder, "type"))
        except OSError:
            kind = "unnamed"
        if kind in DUMMIES:
            continue
        path = os.path.join(folder, "temp")
        name = "{} ({})".format(os.path.basename(folder), kind)
        channel = Channel(name, "temperature", "celsius", shown(sysroot, path), resolution=0.001)
        found.append(Reader([channel], one_file(path, 1e-3)))
    return found


def is_soc(channel: Channel) -> bool:
    """Tell whether a zone is the processor's own, so that another way to the same sensor is not a second one."""
    if channel.reader is None:
        return False
    try:
        channel.read()
    except Gap:
        return False
    return "cpu" in channel.name.lower() or "soc" in channel.name.lower()


def zone_types(sysroot: str) -> List[str]:
    """Return the names of all zones, dummies too, as hwmon spells them."""
    found = []
    for path in glob.glob(under(sysroot, "sys/class/thermal/thermal_zone*/type")):
        try:
            found.append(text_of(path).replace("-", "_"))
        except OSError:
            continue
    return found


def temperatures(sysroot: str) -> Dict[str, float]:
    """Return the temperature of each zone that can be read, for the board's state."""
    read = [(reader.channels[0].name, reader.read()[0]) for reader in zones(sysroot)]
    return {name: value for name, value in read if isinstance(value, float)}


def _number(folder: str) -> int:
    digits = "".join(character for character in os.path.basename(folder) if character.isdigit())
    return int(digits or 0)
