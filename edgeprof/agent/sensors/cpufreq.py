"""Clocks of the cores: /sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq, kHz.

It is what the kernel asked for ("the last frequency requested by the scaling driver"), which a firmware that throttles
does not always follow: where the firmware itself can be asked, that is read in its place (vcgencmd.py). Source: the
kernel's Documentation/admin-guide/pm/cpufreq.rst.
"""

import glob
import os
from typing import List

from edgeprof.agent.sensors.channel import Channel, Reader, one_file, shown, under

MOST_POLICIES = 8
"""A server has one policy a core; eight tell as much, and each costs a read."""


def requested_clocks(sysroot: str) -> List[Reader]:
    """Return one channel a policy."""
    folders = sorted(glob.glob(under(sysroot, "sys/devices/system/cpu/cpufreq/policy*")), key=_number)
    found = []
    for folder in folders[:MOST_POLICIES]:
        path = os.path.join(folder, "scaling_cur_freq")
        name = "{} clock (requested)".format(os.path.basename(folder))
        channel = Channel(name, "frequency", "Hz", shown(sysroot, path), resolution=1000.0)
        found.append(Reader([channel], one_file(path, 1e3)))
    return found


def _number(folder: str) -> int:
    return int(os.path.basename(folder)[len("policy") :] or 0)
