"""A Jetson's GPU (load, clock, governor) and power mode.

The load is in thousandths, under /sys/devices/gpu.0 (Nano, TX2, AGX Xavier) or /sys/devices/platform/gpu.0 (Xavier NX,
Orin); the same sensor often has both paths (jetson_stats issue 360). The clock and its governor stand in devfreq, on
Thor as gpu-gpc-0.
"""

import glob
import os
import re
import shutil
from typing import Dict, List, Set

from edgeprof.agent.sensors.channel import Channel, Command, Gap, Reader, one_file, shown, text_of, under

LOADS = ("sys/devices/gpu.0/load", "sys/devices/platform/gpu.0/load", "sys/devices/platform/*.gpu/load")
GPUS = re.compile(r"gpu|gv11b|gp10b|gm20b|ga10b|gb10b")


def gpu(sysroot: str) -> List[Reader]:
    """Return load and clock of the GPU."""
    found = []
    seen: Set[str] = set()
    for pattern in LOADS:
        for path in sorted(glob.glob(under(sysroot, pattern))):
            if os.path.realpath(path) not in seen:
                seen.add(os.path.realpath(path))
                channel = Channel("GPU load", "load", "ratio", shown(sysroot, path), resolution=0.001)
                found.append(Reader([channel], one_file(path, 1e-3)))
    for folder in _devfreqs(sysroot):
        path = os.path.join(folder, "cur_freq")
        channel = Channel("{} clock".format(os.path.basename(folder)), "frequency", "Hz", shown(sysroot, path))
        found.append(Reader([channel], one_file(path, 1.0)))
    return found


def gpu_governor(sysroot: str) -> Dict[str, str]:
    """Return the governor of each GPU."""
    return {os.path.basename(folder): text_of(os.path.join(folder, "governor")) for folder in _devfreqs(sysroot)}


def power_mode(sysroot: str) -> Dict[str, str]:
    """Return the power mode: the number that nvpmodel keeps, and its name where nvpmodel says it without root."""
    known = {"nvpmodel": text_of(under(sysroot, "var/lib/nvpmodel/status"))}
    program = shutil.which("nvpmodel") if os.path.abspath(sysroot) == "/" else under(sysroot, "usr/sbin/nvpmodel")
    if program and os.access(program, os.X_OK):
        try:
            matched = re.search(r"NV Power Mode:\s*(\S+)", Command([program, "-q"]).text())
        except (OSError, Gap):
            return known
        if matched:
            known["name"] = matched.group(1)
    return known


def _devfreqs(sysroot: str) -> List[str]:
    folders = sorted(glob.glob(under(sysroot, "sys/class/devfreq/*")))
    return [folder for folder in folders if GPUS.search(os.path.basename(folder))]
