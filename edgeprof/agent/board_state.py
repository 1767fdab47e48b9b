"""What the board is and how it is doing: kernel, clocks, temperature, load. Standard library only.

Every reader takes a `sysroot`, so that recorded trees can stand in for a board. What cannot be read is absent, with
its reason under ``absent``; it is never a number.
"""

import glob
import json
import os
import platform
from typing import Any, Callable, Dict, List, Tuple

from edgeprof.agent.sensors import jetson, thermal, vcgencmd
from edgeprof.agent.sensors.channel import Gap, reason_of


def board_state(sysroot: str = "/") -> Dict[str, Any]:
    """Return the state that can change between two runs, and what identifies the board."""
    state: Dict[str, Any] = {}
    absent: Dict[str, str] = {}
    for name, reader in READERS:
        try:
            value = reader(sysroot)
        except (OSError, ValueError, LookupError, Gap) as error:
            absent[name] = reason_of(error)
            continue
        if value in (None, "", {}, []):
            absent[name] = "the system does not say"
        else:
            state[name] = value
    state["absent"] = absent
    return state


def identity(sysroot: str = "/") -> Dict[str, Any]:
    """Return what tells boards apart: device-tree strings and the CPU's name."""
    known: Dict[str, Any] = {}
    for name, reader in (("device_tree_model", _device_tree_model), ("compatible", _compatible), ("cpu", _cpu)):
        try:
            value = reader(sysroot)
        except (OSError, ValueError):
            continue
        if value:
            known[name] = value
    known["machine"] = platform.machine()
    return known


def is_emulated(known: Dict[str, Any]) -> bool:
    """Tell whether the device tree is an emulator's: QEMU's virt machine, or one that calls itself simulated."""
    words = [str(known.get("device_tree_model", ""))] + [str(word) for word in known.get("compatible", [])]
    return any("dummy-virt" in word or "qemu" in word.lower() or "(simulated)" in word for word in words)


def _read(sysroot: str, path: str) -> str:
    with open(os.path.join(sysroot, path), "rb") as file:
        return file.read(1 << 16).decode("utf-8", "replace").strip("\0\n ")


def _device_tree_model(sysroot: str) -> str:
    return _read(sysroot, "proc/device-tree/model")


def _compatible(sysroot: str) -> List[str]:
    return [word for word in _read(sysroot, "proc/device-tree/compatible").split("\0") if word]


def _kernel(_sysroot: str) -> str:
    return "{} {} {}".format(platform.system(), platform.release(), platform.machine())


def _distribution(sysroot: str) -> str:
    for line in _read(sysroot, "etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return ""


def _cpuinfo(sysroot: str) -> Dict[str, str]:
    found: Dict[str, str] = {}
    with open(os.path.join(sysroot, "proc/cpuinfo"), "rb") as file:
        for line in file.read().decode("utf-8", "replace").splitlines():
            name, colon, value = line.partition(":")
            if colon:
                found.setdefault(name.strip(), value.strip())
    return found


def _cpu(sysroot: str) -> str:
    info = _cpuinfo(sysroot)
    part = info.get("CPU part", "")
    return info.get("model name") or (part and "implementer {} part {}".format(info.get("CPU implementer", "?"), part))


def _features(sysroot: str) -> List[str]:
    info = _cpuinfo(sysroot)
    words = (info.get("Features") or info.get("flags") or "").split()
    return [word for word in words if word in FEATURES_OF_INTEREST]


FEATURES_OF_INTEREST = frozenset(
    "neon asimd asimdhp asimddp fphp atomics i8mm bf16 sve sve2 sse4_2 avx avx2 fma avx512f avx512_vnni avx_vnni"
    " amx_int8 hypervisor".split()
)


def _cores(_sysroot: str) -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _per_core(sysroot: str, leaf: str) -> Dict[str, str]:
    pattern = os.path.join(sysroot, "sys/devices/system/cpu/cpufreq/policy*", leaf)
    found = {}
    for path in sorted(glob.glob(pattern)):
        with open(path) as file:
            found[os.path.basename(os.path.dirname(path))] = file.read().strip()
    return found


def _governor(sysroot: str) -> Dict[str, str]:
    return _per_core(sysroot, "scaling_governor")


def _frequency(sysroot: str) -> Dict[str, int]:
    return {name: int(value) * 1000 for name, value in _per_core(sysroot, "scaling_cur_freq").items()}


def _frequency_limit(sysroot: str) -> Dict[str, int]:
    return {name: int(value) * 1000 for name, value in _per_core(sysroot, "scaling_max_freq").items()}


def _frequency_hardware_limit(sysroot: str) -> Dict[str, int]:
    return {name: int(value) * 1000 for name, value in _per_core(sysroot, "cpuinfo_max_freq").items()}


def _load(sysroot: str) -> float:
    return float(_read(sysroot, "proc/loadavg").split()[0])


def _meminfo(sysroot: str) -> Dict[str, int]:
    found = {}
    for line in _read(sysroot, "proc/meminfo").splitlines():
        words = line.replace(":", " ").split()
        if len(words) == 3:
            found[words[0]] = int(words[1]) * 1024
    return found


def _memory_total(sysroot: str) -> int:
    return _meminfo(sysroot)["MemTotal"]


def _memory_available(sysroot: str) -> int:
    return _meminfo(sysroot)["MemAvailable"]


def _swap_used(sysroot: str) -> int:
    found = _meminfo(sysroot)
    return found["SwapTotal"] - found["SwapFree"]


def _swap_total(sysroot: str) -> int:
    return _meminfo(sysroot)["SwapTotal"]


def _memory_pressure(sysroot: str) -> Dict[str, float]:
    """Return the share of time that some, or all, work waited for memory (Documentation/accounting/psi.rst)."""
    found = {}
    for line in _read(sysroot, "proc/pressure/memory").splitlines():
        kind, *fields = line.split()
        for field in fields:
            name, _, value = field.partition("=")
            if name in {"avg10", "avg60"}:
                found["{}_{}_ratio".format(kind, name)] = float(value) / 100
    return found


def _release(sysroot: str) -> str:
    return _read(sysroot, "etc/nv_tegra_release").split(", GCID")[0].lstrip("# ")


def _steal(sysroot: str) -> int:
    return int(_read(sysroot, "proc/stat").splitlines()[0].split()[8])


READERS: Tuple[Tuple[str, Callable[[str], Any]], ...] = (
    ("kernel", _kernel),
    ("distribution", _distribution),
    ("device_tree_model", _device_tree_model),
    ("cpu", _cpu),
    ("cpu_features", _features),
    ("cores", _cores),
    ("governor", _governor),
    ("frequency_hz", _frequency),
    ("frequency_limit_hz", _frequency_limit),
    ("frequency_hardware_limit_hz", _frequency_hardware_limit),
    ("arm_clock_hz", vcgencmd.measured_clock),
    ("throttle", vcgencmd.throttled),
    ("temperature_celsius", thermal.temperatures),
    ("load_1m", _load),
    ("memory_total_bytes", _memory_total),
    ("memory_available_bytes", _memory_available),
    ("swap_total_bytes", _swap_total),
    ("swap_used_bytes", _swap_used),
    ("memory_pressure", _memory_pressure),
    ("steal_ticks", _steal),
    ("power_mode", jetson.power_mode),
    ("gpu_governor", jetson.gpu_governor),
    ("l4t", _release),
)


def as_json(value: object) -> str:
    """Return compact JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
