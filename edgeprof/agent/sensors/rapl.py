"""Power of an x86 processor package from its energy counter: /sys/class/powercap/intel-rapl:N/energy_uj.

The counter wraps at max_energy_range_uj. Packages only: their sub-zones (core, uncore, dram) are parts of them, and the
same package appears again as intel-rapl-mmio. Since 2020 (CVE-2020-8694) only root may read it. Source: the kernel's
Documentation/power/powercap/powercap.rst.
"""

import glob
import os
import re
from typing import List, Optional, Sequence

from edgeprof.agent.sensors.channel import (
    Channel,
    Gap,
    Reader,
    Value,
    absent,
    number_of,
    reason_of,
    shown,
    text_of,
    under,
)
from edgeprof.agent.timing import clock

MOST_W = 2000.0
"""No package draws more: a counter that went back by more energy than this was reset, it did not wrap."""


def packages(sysroot: str) -> List[Reader]:
    """Return one channel a package; one that may not be read is absent with the reason."""
    found: List[Reader] = []
    for folder in sorted(glob.glob(under(sysroot, "sys/class/powercap/intel-rapl:*"))):
        if not re.match(r"intel-rapl:\d+$", os.path.basename(folder)):
            continue
        path = os.path.join(folder, "energy_uj")
        try:
            name = text_of(os.path.join(folder, "name"))
            number_of(path)
        except (OSError, Gap) as error:
            found.append(absent("processor package", "power", "W", shown(sysroot, path), reason_of(error)))
            continue
        if name.startswith("package"):
            found.append(Package(sysroot, name, path))
    return found


class Package(Reader):
    """The mean power since the last reading, stamped in the middle of that time."""

    def __init__(self, sysroot: str, name: str, path: str) -> None:
        channel = Channel(name, "power", "W", shown(sysroot, path), rail=name, role="rail")
        super(Package, self).__init__([channel], self._power)
        self._path = path
        self._last: Optional[Sequence[float]] = None

    def forget(self) -> None:
        """Begin a new run: the next reading is the first."""
        super(Package, self).forget()
        self._last = None

    def _power(self) -> Sequence[Value]:
        last = self._last
        self._last = None  # what cannot be read leaves no start for the next interval
        energy_uj, ticks = number_of(self._path), clock()
        self._last = (energy_uj, ticks)
        if last is None:
            return [None]
        self.stamp = int(last[1] + ticks) // 2
        seconds = (ticks - last[1]) * 1e-9
        return [self._joules(last[0], energy_uj, seconds) / seconds]

    def _joules(self, before_uj: float, after_uj: float, seconds: float) -> float:
        if after_uj >= before_uj:
            return (after_uj - before_uj) * 1e-6
        try:
            range_uj = number_of(os.path.join(os.path.dirname(self._path), "max_energy_range_uj"))
        except (OSError, Gap):
            raise Gap("the counter went back, and the board does not say where it wraps") from None
        counted_uj = after_uj + range_uj - before_uj
        if counted_uj < 0 or counted_uj * 1e-6 > MOST_W * seconds:
            raise Gap("the counter went back from {:.0f} to {:.0f} uJ without a wrap", before_uj, after_uj)
        return counted_uj * 1e-6
