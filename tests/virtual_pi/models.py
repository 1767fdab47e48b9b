"""The Raspberry Pis that can be virtual: what their device tree, their sensors and their firmware say.

A Pi 5's power management chip measures its rails (`vcgencmd pmic_read_adc`). Those before it measure none, so theirs
have an INA3221 on a HAT: VDD_IN is all of it, and VDD_CPU is a part of VDD_IN that nobody may add to it.
"""

from __future__ import annotations

from typing import NamedTuple

COOL_MILLICELSIUS = 45_000
VDD_IN_W = 5.1 * 0.9
VDD_CPU_W = 1.0 * 0.8
# The names and numbers of the channels are a Pi 5's, their pairs too; the values are ours.
PMIC = """\
3V7_WL_SW_A current(0)=0.02000000A
3V3_SYS_A current(1)=0.10000000A
1V8_SYS_A current(2)=0.20000000A
VDD_CORE_A current(7)=1.50000000A
3V3_DAC_A current(17)=0.00000000A
0V8_AON_A current(16)=0.00500000A
3V7_WL_SW_V volt(8)=3.70000000V
3V3_SYS_V volt(9)=3.30000000V
1V8_SYS_V volt(10)=1.80000000V
VDD_CORE_V volt(15)=0.80000000V
3V3_DAC_V volt(20)=3.30000000V
0V8_AON_V volt(19)=0.80000000V
EXT5V_V volt(24)=5.10000000V
BATT_V volt(25)=3.00000000V
"""
PMIC_W = 0.02 * 3.7 + 0.1 * 3.3 + 0.2 * 1.8 + 1.5 * 0.8 + 0.005 * 0.8


class PiModel(NamedTuple):
    """A Raspberry Pi: edgeprof's name of it, what boots as it, and what it says of itself."""

    board: str
    cpu: str
    device_tree_model: str
    compatible: tuple[str, ...]
    clock_khz: int
    power_w: float
    pmic: str = ""

    def sensors(self) -> dict[str, str]:
        """Return the files of its sensors below /sys, with what they say before anything is hot."""
        clock, temperature = f"{self.clock_khz}\n", f"{COOL_MILLICELSIUS}\n"
        policy, zone = "devices/system/cpu/cpufreq/policy0", "class/thermal/thermal_zone0"
        files = {
            f"{zone}/type": "cpu-thermal\n",
            f"{zone}/temp": temperature,
            "class/hwmon/hwmon0/name": "cpu_thermal\n",
            "class/hwmon/hwmon0/temp1_input": temperature,
            f"{policy}/affected_cpus": "0\n",
            f"{policy}/scaling_governor": "ondemand\n",
            f"{policy}/scaling_cur_freq": clock,
            f"{policy}/scaling_max_freq": clock,
            f"{policy}/scaling_min_freq": "600000\n",
            f"{policy}/cpuinfo_max_freq": clock,
        }
        return files if self.pmic else {**files, **_ina3221("class/hwmon/hwmon1")}


def _ina3221(folder: str) -> dict[str, str]:
    """Return the files of the kernel's driver (Documentation/hwmon/ina3221.rst): millivolts and milliamperes."""
    files = {
        "name": "ina3221",
        "in1_label": "VDD_IN",
        "in1_input": "5100",
        "curr1_input": "900",
        "in1_enable": "1",
        "in2_label": "VDD_CPU",
        "in2_input": "1000",
        "curr2_input": "800",
        "in2_enable": "1",
        "in3_label": "NC",
        "in3_input": "0",
        "curr3_input": "0",
        "in3_enable": "1",
        "in7_label": "sum of shunt voltages",
        "in7_input": "1700",
        **{f"shunt{channel}_resistor": "10000" for channel in (1, 2, 3)},
    }
    return {f"{folder}/{name}": f"{text}\n" for name, text in files.items()}


PI_3 = PiModel(
    "raspberry-pi-3b-plus",
    "cortex-a53",
    "Raspberry Pi 3 Model B Plus Rev 1.3 (simulated)",
    ("raspberrypi,3-model-b-plus", "brcm,bcm2837"),
    1_400_000,
    VDD_IN_W,
)
PI_4 = PiModel(
    "raspberry-pi-4b",
    "cortex-a72",
    "Raspberry Pi 4 Model B Rev 1.4 (simulated)",
    ("raspberrypi,4-model-b", "brcm,bcm2711"),
    1_500_000,
    VDD_IN_W,
)
PI_5 = PiModel(
    "raspberry-pi-5",
    "cortex-a76",
    "Raspberry Pi 5 Model B Rev 1.0 (simulated)",
    ("raspberrypi,5-model-b", "brcm,bcm2712"),
    2_400_000,
    PMIC_W,
    PMIC,
)
MODELS = (PI_3, PI_4, PI_5)
