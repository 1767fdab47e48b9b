"""Power monitors of Jetson boards: INA3221 (hwmon and NVIDIA's older iio layout) and INA238.

INA3221, the kernel's Documentation/hwmon/ina3221.rst: "in[123]_input Bus voltage(mV) channels", "curr[123]_input
Current(mA) measurement channels", "in[456]_input Shunt voltage(uV)", "in7_input Sum of shunt voltage(uV) channels": no
power, which is mV x mA, and inputs 4 to 7 are no rails. Its steps are 40 uV at the shunt and 8 mV on the bus (Texas
Instruments SBOS576). NVIDIA's driver ina3221x of JetPack 4 gives rail_name_N and in_powerN_input in mW, N from 0.

Which rail is the total:

* POM_5V_IN (Nano), VDD_IN (TX2, Xavier NX, Orin NX and Nano): the whole, the other rails are parts of it (jetson_stats
  issue 51: "POM_5V_IN measures the overall 5V input to the board"; NVIDIA forum 200883: "VDD_IN is the total power of
  module");
* AGX Xavier: no rail has it all; SYS5V is "all parts power except DDR, CPU, GPU and CV" (NVIDIA forum 75574), so the
  rails do not overlap and their sum is the module's: `module-rails`, each;
* AGX Orin: the same, and VIN_SYS_5V0 is the rail of the I/O, not the input (jetson_stats issue 344). The sum leaves the
  carrier out and is never called the board's total;
* Thor: an INA238 measures VIN, all that comes in (NVIDIA forum 366461); the INA3221's rails are parts of it.
"""

import glob
import os
import re
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

from edgeprof.agent.sensors.channel import Channel, Gap, Reader, Value, number_of, one_file, shown, text_of, under
from edgeprof.agent.sensors.hwmon import devices

TOTALS = ("POM_5V_IN", "VDD_IN")
MODULES = (
    frozenset({"GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"}),  # AGX Xavier
    frozenset({"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"}),  # AGX Orin
)
SHUNT_STEP_V = 40e-6


def rails(sysroot: str) -> Tuple[List[Reader], Set[str]]:
    """Return a power channel a rail, and the real folders of the hwmon devices that they use."""
    found: List[Reader] = []
    taken: Set[str] = set()
    for chip in _chips(sysroot):
        hwmons = sorted(glob.glob(os.path.join(chip, "hwmon", "hwmon*")))
        taken.update(os.path.realpath(folder) for folder in hwmons)
        if hwmons:  # the same chip's iio files, where there are any, are the same sensor
            found += _hwmon_rails(sysroot, hwmons[0])
        else:
            for folder in sorted(glob.glob(os.path.join(chip, "iio:device*")))[:1]:
                found += _iio_rails(sysroot, folder)
    for name, folder, real in devices(sysroot):
        if name == "ina3221" and real not in taken:  # the bus is not to be seen, the class is
            taken.add(real)
            found += _hwmon_rails(sysroot, folder)
    inputs = _inputs(sysroot, taken) if found else []
    give_roles([reader.channels[0] for reader in found], [reader.channels[0] for reader in inputs])
    return inputs + found, taken


def give_roles(rails_found: Sequence[Channel], inputs: Sequence[Channel]) -> None:
    """Say of each rail whether it is the board's total, one of the module's that may be summed, or a part."""
    labels = {channel.rail for channel in rails_found}
    module = next((known for known in MODULES if known == labels), frozenset())  # a rail less, and it is no sum
    total_seen = bool(inputs)
    for channel in rails_found:
        channel.role = "rail"
        if channel.rail in TOTALS and not total_seen:
            channel.role, total_seen = "board-total", True
        elif not inputs and not labels & set(TOTALS) and channel.rail in module:
            channel.role = "module-rails"
    for index, channel in enumerate(inputs):
        channel.role = "rail" if index else "board-total"


def _chips(sysroot: str) -> List[str]:
    """Return the i2c devices that are INA3221, each once."""
    found: Dict[str, str] = {}
    for folder in sorted(glob.glob(under(sysroot, "sys/bus/i2c/devices/*"))):
        try:
            if "ina3221" in text_of(os.path.join(folder, "name")):
                found.setdefault(os.path.realpath(folder), folder)
        except OSError:
            continue
    for folder in sorted(glob.glob(under(sysroot, "sys/bus/i2c/drivers/ina3221*/*-*"))):
        found.setdefault(os.path.realpath(folder), folder)
    return list(found.values())


def _hwmon_rails(sysroot: str, folder: str) -> List[Reader]:
    found = []
    for index in (1, 2, 3):
        label = _text(folder, "in{}_label".format(index)) or "{} {}".format(os.path.basename(folder), index)
        if not os.path.exists(os.path.join(folder, "in{}_input".format(index))) and label not in TOTALS:
            continue
        if is_unused(label) or _text(folder, "in{}_enable".format(index)) == "0":
            continue
        paths = [os.path.join(folder, leaf.format(index)) for leaf in ("in{}_input", "curr{}_input")]
        channel = _rail(label, shown(sysroot, paths[0]) + " x curr{}_input".format(index))
        channel.resolution = _step(folder, index, paths[0])
        found.append(Reader([channel], _product(paths[0], paths[1]), _update_seconds(folder)))
    return found


def _iio_rails(sysroot: str, folder: str) -> List[Reader]:
    found = []
    for index in (0, 1, 2):
        label = _text(folder, "rail_name_{}".format(index))
        if not label or is_unused(label):
            continue
        path = os.path.join(folder, "in_power{}_input".format(index))
        found.append(Reader([_rail(label, shown(sysroot, path))], one_file(path, 1e-3)))
    return found


def _inputs(sysroot: str, taken: Set[str]) -> List[Reader]:
    """Return the INA238 (or INA237) beside INA3221 chips: the input of a Thor's carrier. powerN_input is uW."""
    found = []
    for name, folder, real in devices(sysroot):
        if name not in {"ina238", "ina237"} or real in taken:
            continue
        taken.add(real)
        path = os.path.join(folder, "power1_input")
        label = _text(folder, "power1_label") or _text(folder, "in1_label") or _text(folder, "label") or "VIN"
        found.append(Reader([_rail(label, shown(sysroot, path))], one_file(path, 1e-6)))
    return found


def is_unused(label: str) -> bool:
    """Tell whether a label names no rail: NC is "not connected", and the sum of shunt voltages is of all rails."""
    return bool(re.search(r"(^|[^A-Z0-9])NC\d*($|[^A-Z0-9])", label)) or label.startswith("sum of")


def _rail(label: str, source: str) -> Channel:
    return Channel(label, "power", "W", source, rail=label)


def _product(millivolts: str, milliamperes: str) -> Callable[[], Sequence[Value]]:
    def take() -> Sequence[Value]:
        amperes = number_of(milliamperes) * 1e-3
        if amperes < 0:
            raise Gap("{} says {:g} A: less than nothing", milliamperes, amperes)
        return [number_of(millivolts) * 1e-3 * amperes]

    return take


def _update_seconds(folder: str) -> float:
    """Return how often the chip has a new reading (ina3221.rst, update_interval in ms); faster ones are duplicates."""
    try:
        return min(10.0, max(0.0, number_of(os.path.join(folder, "update_interval")) * 1e-3))
    except (OSError, Gap):
        return 0.0


def _step(folder: str, index: int, millivolts: str) -> Optional[float]:
    """Return the least step of power in W: 40 uV over the shunt, at the voltage that the rail has now."""
    try:
        ohms = number_of(os.path.join(folder, "shunt{}_resistor".format(index))) * 1e-6
        return SHUNT_STEP_V / ohms * number_of(millivolts) * 1e-3
    except (OSError, ArithmeticError, Gap):
        return None


def _text(folder: str, name: str) -> str:
    try:
        return text_of(os.path.join(folder, name))
    except OSError:
        return ""
