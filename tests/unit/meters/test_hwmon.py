from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeprof.errors import BoardUnreachable, UnknownName, UsageError
from edgeprof.meters.addresses import HwmonAddress
from edgeprof.meters.hwmon import Hwmon

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def sysroot(tmp_path: Path) -> Path:
    """Return a tree with a USB meter (voltage and current), a chip of two rails, and a thermometer."""
    files = {
        "hwmon0": {"name": "coretemp", "temp1_input": 40_000},
        "hwmon1": {"name": "powerz", "in0_input": 5010, "curr0_input": 400, "in0_label": "VBUS"},
        "hwmon2": {
            "name": "ina3221",
            "update_interval": 20,
            "power1_input": 1_500_000,
            "in1_label": "VDD_CPU",
            "in2_input": 3300,
            "curr2_input": 100,
        },
    }
    for folder, contents in files.items():
        place = tmp_path / "sys/class/hwmon" / folder
        place.mkdir(parents=True)
        for name, content in contents.items():
            (place / name).write_text(f"{content}\n")
    return tmp_path


def test_a_usb_meters_power_is_its_voltage_times_its_current(sysroot: Path) -> None:
    with Hwmon(HwmonAddress(folder="powerz", rate_hz=200), sysroot=str(sysroot)) as meter:
        meter.start()
        time.sleep(0.2)
        trace = meter.stop().trace
    assert len(trace.time_s) >= 5
    assert trace.power_w == pytest.approx(5.01 * 0.4)
    assert trace.volts == pytest.approx(5.01)
    assert trace.rails == ("VBUS",)
    assert trace.clock == "host"


def test_a_channel_that_gives_power_is_taken_as_microwatts(sysroot: Path) -> None:
    address = HwmonAddress(folder="/sys/class/hwmon/hwmon2", channel=1, rate_hz=200)
    with Hwmon(address, sysroot=str(sysroot)) as meter:
        meter.start()
        time.sleep(0.1)
        trace = meter.stop().trace
    assert trace.power_w == pytest.approx(1.5)
    assert (trace.volts, trace.amps) == (None, None)
    assert trace.independent_rate_hz == pytest.approx(50)


def test_several_channels_are_never_added_up(sysroot: Path) -> None:
    with (
        pytest.raises(UsageError, match="never added up") as raised,
        Hwmon(HwmonAddress(folder="ina3221"), sysroot=str(sysroot)),
    ):
        pass
    assert "?channel=1 (VDD_CPU), ?channel=2 (channel 2)" in raised.value.hint


def test_readings_that_fail_are_gaps_and_an_unplugged_meter_is_told(sysroot: Path) -> None:
    folder = sysroot / "sys/class/hwmon/hwmon1"
    with Hwmon(HwmonAddress(folder="powerz", rate_hz=200), sysroot=str(sysroot)) as meter:
        meter.start()
        time.sleep(0.15)
        (folder / "curr0_input").write_text("nonsense\n")
        time.sleep(0.15)
        shutil.rmtree(folder)
        time.sleep(0.1)
        recording = meter.stop()
    power = recording.trace.power_w
    assert power[0] == pytest.approx(5.01 * 0.4)
    assert np.isnan(power[-1])
    assert set(power[~np.isnan(power)].round(6).tolist()) == {2.004}
    assert any("readings failed and are gaps" in note for note in recording.trace.notes)
    assert "unplugged" in recording.lost


@pytest.mark.parametrize(
    ("folder", "error", "message"),
    [
        ("powerx", UnknownName, "no meter is called 'powerx'"),
        ("/sys/class/hwmon/hwmon9", BoardUnreachable, "there is no meter"),
        ("coretemp", UsageError, "gives no power"),
    ],
)
def test_a_wrong_meter_is_named_with_those_that_are_there(
    sysroot: Path, folder: str, error: type[UsageError], message: str
) -> None:
    with pytest.raises(error, match=message) as raised, Hwmon(HwmonAddress(folder=folder), sysroot=str(sysroot)):
        pass
    assert raised.value.hint
