"""What a Raspberry Pi's firmware says through vcgencmd: throttle bits, the real clock, temperature, a Pi 5's power.

A call costs about 24 ms (zeus, pull request 274, measured on a Pi 5), so each is made once a second at most; power,
which needs more, ten times a second at most and at uneven distances, since even ones beat with a load of the same
period. Formats: raspberrypi.com, documentation/computers/os.html#vcgencmd.
"""

import os
import re
import shutil
from typing import Callable, Dict, List, Optional, Sequence

from edgeprof.agent.sensors.channel import Channel, Command, Gap, Reader, Value, absent, reason_of, under

SECONDS = 1.0
POWER_SECONDS = 0.1
BITS = (
    (0, "under-voltage"), (1, "frequency capped"), (2, "throttled"), (3, "soft temperature limit"),
)  # fmt: skip
"""Of get_throttled: now; 16 higher, the same has happened since boot."""
STICKY_SHIFT = 16

THROTTLED = re.compile(r"throttled=0x([0-9a-fA-F]+)")
FREQUENCY = re.compile(r"frequency\(\d+\)=(\d+)")
TEMPERATURE = re.compile(r"temp=(-?[\d.]+)'C")
ADC = re.compile(r"^\s*(\S+)_([AV])\s+(?:current|volt)\(\d+\)=(\S+?)[AV]\s*$", re.MULTILINE)


def find(sysroot: str) -> Optional[str]:
    """Return the program: the one of the tree, or of this machine's PATH."""
    if os.path.abspath(sysroot) == "/":
        found = shutil.which("vcgencmd")
        if found:
            return found
    candidates = [under(sysroot, path) for path in ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")]
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def clocks_and_bits(program: str) -> List[Reader]:
    """Return the clock of the cores as the firmware measures it, and the throttle bits."""
    return [
        _one(program, ("get_throttled",), Channel("throttle bits", "throttle", "bits", "vcgencmd get_throttled"),
             THROTTLED, lambda text: float(int(text, 16))),
        _one(program, ("measure_clock", "arm"),
             Channel("arm clock (measured)", "frequency", "Hz", "vcgencmd measure_clock arm"), FREQUENCY, float),
    ]  # fmt: skip


def temperature(program: str) -> Reader:
    """Return the SoC's temperature; on a board with a thermal zone of its own that is the same sensor."""
    channel = Channel("SoC", "temperature", "celsius", "vcgencmd measure_temp", resolution=0.1)
    return _one(program, ("measure_temp",), channel, TEMPERATURE, float)


def power(program: str) -> Reader:
    """Return a Pi 5's rails; a Pi without a PMIC that measures is absent with what its firmware says."""
    command = Command([program, "pmic_read_adc"])
    try:
        rails = sorted(paired(command.text()))
    except (OSError, Gap) as error:
        return absent("on-board power", "power", "W", "vcgencmd pmic_read_adc", reason_of(error))
    channels = [Channel(rail, "power", "W", "vcgencmd pmic_read_adc", rail=rail, role="module-rails") for rail in rails]

    def take() -> Sequence[Value]:
        found = paired(command.text())
        return [found.get(rail, Gap("{} is missing in pmic_read_adc", rail)) for rail in rails]

    return Reader(channels, take, POWER_SECONDS, jitter=True, commands=[command])


def paired(text: str) -> Dict[str, float]:
    """Return watts a rail. Current and voltage are paired by name: their indices have no constant distance.

    EXT5V and BATT have a voltage and no current, so they are no rails here. What is not a number makes a rail NaN. The
    sum leaves out what USB and PCIe draw from 5 V and what the converters lose.
    """
    if "Command not registered" in text:
        raise Gap("this board measures no power (vcgencmd: Command not registered)")
    seen: Dict[str, Dict[str, float]] = {}
    for name, kind, value in ADC.findall(text):
        try:
            seen.setdefault(name, {})[kind] = float(value)
        except ValueError:
            seen.setdefault(name, {})[kind] = float("nan")
    rails = {name: both["A"] * both["V"] for name, both in seen.items() if {"A", "V"} <= set(both)}
    if not rails:
        raise Gap("vcgencmd pmic_read_adc says {!r}", text[:80])
    return rails


def throttle_state(bits: int) -> Dict[str, object]:
    """Return the bits of get_throttled with their names, those that are set now and those that were since boot."""
    return {
        "bits": bits,
        "now": [name for bit, name in BITS if bits >> bit & 1],
        "since_boot": [name for bit, name in BITS if bits >> (bit + STICKY_SHIFT) & 1],
    }


def throttled(sysroot: str) -> Dict[str, object]:
    """Return the throttle bits for the board's state."""
    program = find(sysroot)
    if program is None:
        raise Gap("there is no vcgencmd: only a Raspberry Pi has throttle bits")
    return throttle_state(int(clocks_and_bits(program)[0].channels[0].read()))


def measured_clock(sysroot: str) -> int:
    """Return the clock of the cores in Hz for the board's state."""
    program = find(sysroot)
    if program is None:
        raise Gap("there is no vcgencmd to measure it")
    return int(clocks_and_bits(program)[1].channels[0].read())


def _one(
    program: str, words: Sequence[str], channel: Channel, pattern: "re.Pattern[str]", convert: Callable[[str], float]
) -> Reader:
    command = Command([program, *words])

    def take() -> Sequence[Value]:
        text = command.text()
        matched = pattern.search(text)
        if matched is None:
            raise Gap("{} says {!r}", channel.source, text[:80])
        return [convert(matched.group(1))]

    return Reader([channel], take, SECONDS, commands=[command])
