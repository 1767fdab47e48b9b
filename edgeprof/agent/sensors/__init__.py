"""The sensors of a board: one file a family, each with a `sysroot`. What cannot be read is a gap, never a number."""

from typing import List

from edgeprof.agent.sensors import cpufreq, hwmon, ina, jetson, power_supply, rapl, thermal, vcgencmd
from edgeprof.agent.sensors.channel import Channel, Reader

MOST_CHANNELS = 96
"""A reading names its channel in one byte, and a board with more has them for other things than one model."""


def find_readers(sysroot: str = "/") -> List[Reader]:
    """Return what can be read, each sensor once; power first, since what does not fit is left out at the end."""
    rails, taken = ina.rails(sysroot)
    zones = thermal.zones(sysroot)
    program = vcgencmd.find(sysroot)
    pi: List[Reader] = []
    clocks = cpufreq.requested_clocks(sysroot)
    if program is not None:
        pi = [vcgencmd.power(program), *vcgencmd.clocks_and_bits(program)]
        if isinstance(pi[-1].read()[0], float):
            clocks = []  # the firmware's word in place of the kernel's request
        pi[-1].forget()
        if not any(thermal.is_soc(reader.channels[0]) for reader in zones):
            pi.append(vcgencmd.temperature(program))
    found = [
        *rails, *pi, *power_supply.batteries(sysroot), *rapl.packages(sysroot), *zones, *clocks, *jetson.gpu(sysroot),
        *hwmon.others(sysroot, taken),
    ]  # fmt: skip
    for reader in found:
        reader.forget()
    settle_totals([channel for reader in found for channel in reader.channels])
    return _fitting(found)


def find_channels(sysroot: str = "/") -> List[Channel]:
    """Return the channels of this board; each reads itself."""
    return [channel for reader in find_readers(sysroot) for channel in reader.channels]


def settle_totals(channels: List[Channel]) -> None:
    """Keep one total: `board-total` and `module-rails` never stand in one result, and a board has one total.

    A battery is the last to be believed: it is the board's total only while it alone feeds it.
    """
    totals = [channel for channel in channels if channel.role == "board-total"]
    modules = [channel for channel in channels if channel.role == "module-rails"]
    batteries = [channel for channel in totals if channel.source.startswith("/sys/class/power_supply")]
    if len(totals) > len(batteries) or modules:
        for channel in batteries:
            channel.role = "rail"
    kept = [channel for channel in totals if channel.role == "board-total"]
    for channel in kept[1:] + (modules if kept else []):
        channel.role = "rail"


def _fitting(readers: List[Reader]) -> List[Reader]:
    kept: List[Reader] = []
    for reader in readers:
        if sum(len(other.channels) for other in kept) + len(reader.channels) <= MOST_CHANNELS:
            kept.append(reader)
    return kept
