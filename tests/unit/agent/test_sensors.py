"""Trees of boards: which rail is the total, nothing counted twice, and what cannot be read is a gap with its reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgeprof.agent.board_state import board_state
from edgeprof.agent.sensors import find_channels, find_readers, rapl, vcgencmd
from edgeprof.agent.sensors.channel import Channel, Command, Gap, sane
from tests.sysfs_trees import TREES, boards, build

PI_RAILS = {
    "3V7_WL_SW", "3V3_SYS", "1V8_SYS", "DDR_VDD2", "DDR_VDDQ", "1V1_SYS", "0V8_SW", "VDD_CORE", "3V3_DAC", "3V3_ADC",
    "0V8_AON", "HDMI",
}  # fmt: skip
PARTS = {
    "jetson-nano": {"POM_5V_GPU", "POM_5V_CPU"},
    "jetson-tx2": {"VDD_SYS_GPU", "VDD_SYS_SOC", "VDD_4V0_WIFI", "VDD_SYS_CPU", "VDD_SYS_DDR", "VDD_MUX"},
    "jetson-xavier-nx": {"VDD_CPU_GPU_CV", "VDD_SOC"},
    "jetson-orin-nano": {"VDD_CPU_GPU_CV", "VDD_SOC"},
    "jetson-thor": {"VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"},
    "laptop": {"package-0"},
}
TOTALS = {
    "jetson-nano": ("POM_5V_IN", 1.022),
    "jetson-tx2": ("VDD_IN", 1.876),
    "jetson-xavier-nx": ("VDD_IN", 2.53),
    "jetson-orin-nano": ("VDD_IN", 5.064 * 0.872),
    "jetson-thor": ("VIN", 23.205),
    "laptop": ("BAT0", 18.0),
}
MODULES = {
    "jetson-agx-xavier": ({"GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"}, 0.463 + 0.618 + 2.936 + 0.309 + 3.306),
    "jetson-agx-orin": (
        {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"},
        19.688 * 0.160 + 19.688 * 0.727 + 4.968 * 1.0 + 4.968 * 0.220,
    ),
    "raspberry-pi-5": (PI_RAILS, 7.2399),
}


def powers(root: Path) -> dict[str, Channel]:
    return {channel.rail: channel for channel in find_channels(str(root)) if channel.quantity == "power"}


def rails(root: Path, role: str) -> set[str]:
    return {rail for rail, channel in powers(root).items() if channel.role == role}


def write(root: Path, pattern: str, text: str) -> None:
    """Change a file of a tree; a mistaken pattern fails."""
    (path,) = root.glob(pattern)
    path.write_text(text, encoding="utf-8")


def named(root: Path, name: str) -> Channel:
    return next(channel for channel in find_channels(str(root)) if channel.name.startswith(name))


# ── totals ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("board", TOTALS)
def test_a_board_with_a_total_has_it_from_one_rail_and_the_others_are_parts(board: str, tmp_path: Path) -> None:
    root = build(board, tmp_path)
    rail, watts = TOTALS[board]
    assert rails(root, "board-total") == {rail}
    assert powers(root)[rail].read() == pytest.approx(watts)
    assert rails(root, "rail") == PARTS[board]
    assert not rails(root, "module-rails")


@pytest.mark.parametrize("board", MODULES)
def test_a_board_without_a_total_has_rails_of_the_module_and_calls_nothing_the_total(
    board: str, tmp_path: Path
) -> None:
    root = build(board, tmp_path)
    wanted, watts = MODULES[board]
    assert rails(root, "module-rails") == wanted
    assert sum(channel.read() for channel in powers(root).values()) == pytest.approx(watts, rel=1e-4)
    assert not rails(root, "board-total")
    assert not rails(root, "rail")


def test_a_raspberry_pi_4_has_no_power_and_says_why(tmp_path: Path) -> None:
    (power,) = [c for c in find_channels(str(build("raspberry-pi-4", tmp_path))) if c.quantity == "power"]
    assert power.failures
    assert "measures no power" in power.reason
    assert power.reader is None
    with pytest.raises(Gap, match="Command not registered"):
        power.read()


@pytest.mark.parametrize("board", boards())
def test_no_source_is_read_by_two_channels_and_each_tree_quotes_where_it_came_from(board: str, tmp_path: Path) -> None:
    channels = find_channels(str(build(board, tmp_path)))
    files = [channel.source for channel in channels if channel.source.startswith("/")]
    assert len(files) == len(set(files))
    assert all((tmp_path / source.split(" x ")[0].lstrip("/")).exists() for source in files)
    rails_seen = [channel.rail for channel in channels if channel.quantity == "power" and channel.rail]
    assert len(rails_seen) == len(set(rails_seen))
    assert (
        "http" in (TREES / board / "SOURCE.md").read_text()
        or "Documentation/" in (TREES / board / "SOURCE.md").read_text()
    )


def test_unused_inputs_sums_and_negotiated_supplies_are_no_rails(tmp_path: Path) -> None:
    sources = " ".join(c.source + c.rail for c in find_channels(str(build("jetson-agx-orin", tmp_path))))
    assert "ucsi" not in sources
    assert "in7" not in sources
    assert "curr4" not in sources
    assert "NC" not in sources


def test_a_rail_that_the_module_lacks_makes_its_sum_no_sum(tmp_path: Path) -> None:
    root = build("jetson-agx-orin", tmp_path)
    write(root, "sys/devices/platform/*/i2c-1/1-0041/hwmon/hwmon4/in2_label", "NC\n")
    assert not rails(root, "module-rails")
    assert rails(root, "rail") == {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"}


def test_a_chip_with_both_layouts_and_two_links_is_one_sensor(tmp_path: Path) -> None:
    root = build("jetson-xavier-nx", tmp_path)
    chip = root / "sys/devices/platform/c240000.i2c/i2c-7/7-0040"
    (chip / "iio:device0").mkdir()
    for name, text in (("rail_name_0", "VDD_IN"), ("in_power0_input", "2530")):
        (chip / "iio:device0" / name).write_text(text)
    (root / "sys/class/hwmon/hwmon9").symlink_to("hwmon3")
    assert rails(root, "board-total") == {"VDD_IN"}
    assert len([c for c in find_channels(str(root)) if c.rail == "VDD_IN"]) == 1


def test_a_chip_that_only_the_hwmon_class_shows_is_found(tmp_path: Path) -> None:
    root = build("jetson-orin-nano", tmp_path)
    for link in root.glob("sys/bus/i2c/*/*"):
        if link.is_symlink():
            link.unlink()
    for link in root.glob("sys/bus/i2c/drivers/*/*"):
        link.unlink()
    assert rails(root, "board-total") == {"VDD_IN"}


def test_the_step_of_an_ina3221_follows_from_its_shunt(tmp_path: Path) -> None:
    channel = powers(build("jetson-orin-nano", tmp_path))["VDD_IN"]
    assert channel.resolution == pytest.approx(0.008 * 5.064)  # 40 uV over 5 mOhm are 8 mA


def test_an_ina3221_is_not_read_more_often_than_it_measures(tmp_path: Path) -> None:
    root = build("jetson-orin-nano", tmp_path)
    (root / IN1 / "update_interval").write_text("423\n")
    channel = powers(root)["VDD_IN"]
    assert channel.describe(0.1)["interval_s"] == 0.423
    assert channel.describe(1.0)["interval_s"] == 1.0


def test_the_same_temperature_is_read_one_way(tmp_path: Path) -> None:
    for board, wanted in (("raspberry-pi-4", 1), ("raspberry-pi-5", 2), ("jetson-nano", 5), ("laptop", 2)):
        root = build(board, tmp_path / board)
        found = [channel.name for channel in find_channels(str(root)) if channel.quantity == "temperature"]
        assert len(found) == wanted, found
    assert not [channel for channel in find_channels(str(tmp_path / "jetson-nano")) if "PMIC" in channel.name]


def test_a_pi_says_the_measured_clock_and_another_board_the_requested_one(tmp_path: Path) -> None:
    pi = [c for c in find_channels(str(build("raspberry-pi-5", tmp_path / "pi"))) if c.quantity == "frequency"]
    assert [(c.source, c.read()) for c in pi] == [("vcgencmd measure_clock arm", 2400033792.0)]
    nano = named(build("jetson-nano", tmp_path / "nano"), "policy0")
    assert nano.name == "policy0 clock (requested)"
    assert nano.read() == 1.479e9


def test_a_usb_meter_is_read_once_and_a_drive_is_left_alone(tmp_path: Path) -> None:
    names = [channel.name for channel in find_channels(str(build("laptop", tmp_path)))]
    assert [name for name in names if name.startswith("powerz")] == ["powerz temp1", "powerz IBUS", "powerz VBUS"]
    assert not [name for name in names if name.startswith(("nvme", "BAT0 curr", "coretemp"))]


# ── gaps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

IN1 = "sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon1"


@pytest.mark.parametrize(
    ("leaf", "text", "reason"),
    [
        ("in1_input", "", "says ''"),
        ("in1_input", "N/A", "says 'N/A'"),
        ("in1_input", "nan", "it says nan"),
        ("curr1_input", "inf", "it says inf"),
        ("curr1_input", "-872", "less than nothing"),
        ("curr1_input", None, "No such file"),
    ],
)
def test_a_rail_that_cannot_be_read_is_a_gap(leaf: str, text: str | None, reason: str, tmp_path: Path) -> None:
    root = build("jetson-orin-nano", tmp_path)
    channel = powers(root)["VDD_IN"]
    path = root / IN1 / leaf
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(Gap, match=reason):
        channel.read()
    assert channel.failures == 1
    assert powers(root)["VDD_IN"].role == "board-total"  # still the rail that is the total, without a number


def test_a_counter_that_may_not_be_read_is_absent_with_the_reason(tmp_path: Path) -> None:
    root = build("laptop", tmp_path)
    path = root / "sys/class/powercap/intel-rapl:0/energy_uj"
    path.unlink()
    path.mkdir()  # reading it fails for root too, as /sys/class/powercap does for everybody else
    package = named(root, "processor package")
    assert package.reader is None
    assert "/intel-rapl:0/energy_uj: Is a directory" in package.reason


@pytest.mark.parametrize("value", ["-256000", "hot", "", "655350000", "-273150"])
def test_a_zone_that_is_off_is_a_gap(value: str, tmp_path: Path) -> None:
    root = build("jetson-nano", tmp_path)
    write(root, "sys/class/thermal/thermal_zone1/temp", value)
    with pytest.raises(Gap):
        named(root, "thermal_zone1").read()
    assert named(root, "thermal_zone0").read() == 40.5


@pytest.mark.parametrize(
    ("line", "reason"),
    [("VDD_CORE_A current(7)=nanA", "it says nan"), ("", "missing"), ("VDD_CORE_A current(7)=-0.5A", "less than")],
)
def test_a_pmic_rail_without_a_number_is_a_gap_beside_the_others(line: str, reason: str, tmp_path: Path) -> None:
    root = build("raspberry-pi-5", tmp_path)
    core, other = powers(root)["VDD_CORE"], powers(root)["3V3_SYS"]
    path = root / "vcgencmd.d/pmic_read_adc"
    said = [text for text in path.read_text().splitlines() if "VDD_CORE_A" not in text]
    path.write_text("\n".join([*said, line]) + "\n")
    with pytest.raises(Gap, match=reason):
        core.read()
    assert other.read() == pytest.approx(0.29073, rel=1e-4)


def test_currents_and_voltages_are_paired_by_name_and_not_by_distance() -> None:
    found = vcgencmd.paired(
        " B_A current(0)=2.0A\n A_A current(1)=3.0A\n A_V volt(8)=5.0V\n B_V volt(9)=7.0V\n EXT5V_V volt(24)=5.1V\n"
    )
    assert found == {"A": 15.0, "B": 14.0}


def test_a_firmware_that_hangs_or_talks_nonsense_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = build("raspberry-pi-4", tmp_path)
    bits = named(root, "throttle bits")
    (root / "vcgencmd.d/get_throttled").write_text("VCHI initialization failed\n")
    with pytest.raises(Gap, match="VCHI initialization failed"):
        bits.read()
    monkeypatch.setattr("edgeprof.agent.sensors.channel.COMMAND_SECONDS", 0.1)
    with pytest.raises(Gap, match=r"did not answer within 0\.1 s"):
        Command(["sleep", "5"]).text()


def test_without_a_zone_of_its_own_a_pi_says_its_temperature_through_the_firmware(tmp_path: Path) -> None:
    root = build("raspberry-pi-4", tmp_path)
    write(root, "sys/class/thermal/thermal_zone0/temp", "")
    assert named(root, "SoC").read() == 48.3


def counted(root: Path) -> tuple[rapl.Package, Path]:
    (package,) = rapl.packages(str(root))
    assert isinstance(package, rapl.Package)
    return package, root / "sys/class/powercap/intel-rapl:0/energy_uj"


def test_power_of_a_package_is_energy_over_time_and_goes_on_over_a_wrap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, path = counted(build("laptop", tmp_path))
    now = iter(range(0, 10**12, 10**9))
    monkeypatch.setattr(rapl, "clock", lambda: next(now))
    assert package.read() == [None]
    path.write_text(str(261000000000 + 15_000_000))
    assert package.read() == [pytest.approx(15.0)]
    assert package.stamp == 500_000_000
    path.write_text(str(262143328850 - 5_000_000))
    assert isinstance(package.read()[0], Gap | float)
    path.write_text("10000000")
    assert package.read() == [pytest.approx(15.0)]


@pytest.mark.parametrize("known", [True, False])
def test_a_counter_that_goes_back_without_a_wrap_is_a_gap(
    known: bool,  # noqa: FBT001  a parameter of the test
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package, path = counted(build("laptop", tmp_path))
    now = iter(range(0, 10**12, 10**9))
    monkeypatch.setattr(rapl, "clock", lambda: next(now))
    if not known:
        path.with_name("max_energy_range_uj").unlink()
    path.write_text("100000000000")
    package.read()
    path.write_text("1000000")
    (seen,) = package.read()
    assert isinstance(seen, Gap)
    assert ("without a wrap" if known else "does not say where it wraps") in str(seen)
    path.write_text("4000000")
    assert package.read() == [pytest.approx(3.0)]


@pytest.mark.parametrize(("status", "current", "watts"), [
    ("Discharging", "1500000", 18.0), ("Discharging", "-1500000", 18.0), ("Charging", "1500000", None),
    ("Charging", "-1500000", None), ("Full", "0", None), ("Not charging", "0", None), ("Unknown", "-1", None),
])  # fmt: skip
def test_a_battery_is_the_boards_power_only_while_it_discharges(
    status: str, current: str, watts: float | None, tmp_path: Path
) -> None:
    root = build("laptop", tmp_path)
    write(root, "sys/class/power_supply/BAT0/status", status)
    write(root, "sys/class/power_supply/BAT0/current_now", current)
    battery = named(root, "BAT0")
    if watts is not None:
        assert battery.read() == pytest.approx(watts)
        return
    with pytest.raises(Gap, match="not discharging"):
        battery.read()


def test_what_no_board_can_have_is_a_gap() -> None:
    for quantity, value in (("power", -0.001), ("frequency", -1.0), ("temperature", -273.15), ("power", float("nan"))):
        assert isinstance(sane(quantity, value), Gap)
    assert sane("temperature", -20.0) == -20.0
    assert sane("current", -0.5) == -0.5  # a current has a direction


def test_an_empty_root_has_no_sensors(tmp_path: Path) -> None:
    assert find_readers(str(tmp_path)) == []


# ── the state of the board ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_state_of_a_pi_names_its_throttle_bits_and_its_real_clock(tmp_path: Path) -> None:
    root = build("raspberry-pi-5", tmp_path)
    (root / "vcgencmd.d/get_throttled").write_text("throttled=0x50005\n")
    state = board_state(str(root))
    assert state["throttle"] == {
        "bits": 0x50005,
        "now": ["under-voltage", "throttled"],
        "since_boot": ["under-voltage", "throttled"],
    }
    assert state["arm_clock_hz"] == 2400033792
    assert state["governor"] == {"policy0": "ondemand"}


def test_the_state_of_a_jetson_has_its_power_mode_and_the_governor_of_its_gpu(tmp_path: Path) -> None:
    root = build("jetson-nano", tmp_path)
    state = board_state(str(root))
    assert state["power_mode"] == {"nvpmodel": "pmode:0000 fmode:cool"}
    assert state["gpu_governor"] == {"57000000.gpu": "nvhost_podgov"}
    assert state["l4t"] == "R32 (release), REVISION: 7.1"
    assert "PMIC" not in str(state["temperature_celsius"])
    assert "only a Raspberry Pi" in state["absent"]["throttle"]
    (root / "usr/sbin").mkdir(parents=True)
    (root / "usr/sbin/nvpmodel").write_text("#!/bin/sh\necho 'NV Power Mode: MAXN'\necho 0\n")
    (root / "usr/sbin/nvpmodel").chmod(0o755)
    assert board_state(str(root))["power_mode"]["name"] == "MAXN"


def test_memory_pressure_is_a_share(tmp_path: Path) -> None:
    (tmp_path / "proc/pressure").mkdir(parents=True)
    (tmp_path / "proc/pressure/memory").write_text(
        "some avg10=1.50 avg60=0.25 avg300=0.00 total=1\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=1\n"
    )
    pressure = board_state(str(tmp_path))["memory_pressure"]
    assert pressure == {
        "some_avg10_ratio": 0.015, "some_avg60_ratio": 0.0025, "full_avg10_ratio": 0.005, "full_avg60_ratio": 0.0,
    }  # fmt: skip


def test_the_sensors_keep_to_the_syntax_of_python_3_6() -> None:
    repository = Path(__file__).resolve().parents[3]
    files = [str(path) for path in sorted((repository / "edgeprof/agent/sensors").glob("*.py"))]
    command = [str(Path(sys.executable).with_name("vermin")), "-t=3.6-", "--no-tips", "--violations", *files]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
