"""Recorded trees stand in for boards; what cannot be read is absent with its reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgeprof.agent.board_state import as_json, board_state, identity, is_emulated

if TYPE_CHECKING:
    from pathlib import Path

RASPBERRY_PI_5 = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
    "proc/cpuinfo": (
        "processor\t: 0\nFeatures\t: fp asimd asimddp atomics crc32\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n"
    ),
    "proc/loadavg": "0.25 0.10 0.05 1/200 1234\n",
    "proc/meminfo": "MemTotal:  8000 kB\nMemAvailable:  6000 kB\nSwapTotal:  100 kB\nSwapFree:  60 kB\n",
    "proc/stat": "cpu  1 2 3 4 5 6 7 42 0 0\ncpu0 1 2 3 4 5 6 7 42 0 0\n",
    "etc/os-release": 'NAME=Debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1500000\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": "2400000\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61250\n",
}  # fmt: skip


def recorded(root: Path, tree: dict[str, str]) -> str:
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(root)


@pytest.fixture
def pi(tmp_path: Path) -> str:
    return recorded(tmp_path, RASPBERRY_PI_5)


def test_a_raspberry_pi_is_read_in_si_units(pi: str) -> None:
    state = board_state(pi)
    assert state["device_tree_model"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert state["distribution"] == "Debian GNU/Linux 12 (bookworm)"
    assert state["cpu"] == "implementer 0x41 part 0xd0b"
    assert state["cpu_features"] == ["asimd", "asimddp", "atomics"]
    assert state["governor"] == {"policy0": "ondemand"}
    assert state["frequency_hz"] == {"policy0": 1_500_000_000}
    assert state["frequency_limit_hz"] == {"policy0": 2_400_000_000}
    assert state["temperature_celsius"] == {"thermal_zone0 (cpu-thermal)": 61.25}
    assert state["load_1m"] == 0.25
    assert state["memory_total_bytes"] == 8000 * 1024
    assert state["memory_available_bytes"] == 6000 * 1024
    assert state["swap_used_bytes"] == 40 * 1024
    assert state["steal_ticks"] == 42


def test_what_a_board_is_comes_from_its_device_tree_and_its_cpu(pi: str) -> None:
    known = identity(pi)
    assert known["device_tree_model"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert known["compatible"] == ["raspberrypi,5-model-b", "brcm,bcm2712"]
    assert known["machine"]
    assert not is_emulated(known)


def test_a_bare_system_has_no_figure_and_a_reason_for_each(tmp_path: Path) -> None:
    state = board_state(str(tmp_path))
    absent = state["absent"]
    missing = {
        "device_tree_model",
        "cpu",
        "governor",
        "temperature_celsius",
        "load_1m",
        "memory_total_bytes",
        "steal_ticks",
    }
    assert missing <= set(absent)
    assert not missing & set(state)
    assert all(isinstance(reason, str) and reason for reason in absent.values())
    assert "proc/loadavg" in absent["load_1m"]


@pytest.mark.parametrize(
    ("name", "text", "figure"),
    [
        ("proc/loadavg", "garbage", "load_1m"),
        ("proc/loadavg", "", "load_1m"),
        ("proc/meminfo", "nothing: here\n", "memory_total_bytes"),
        ("proc/stat", "cpu 1 2\n", "steal_ticks"),
        ("proc/stat", "", "steal_ticks"),
        ("sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "<unknown>\n", "frequency_hz"),
        ("sys/class/thermal/thermal_zone0/temp", "hot\n", "temperature_celsius"),
        ("sys/class/thermal/thermal_zone0/temp", "-256000\n", "temperature_celsius"),
        ("etc/os-release", "NAME=x\n", "distribution"),
    ],
)
def test_a_file_that_says_nothing_sensible_is_a_gap_and_never_a_number(
    pi: str, tmp_path: Path, name: str, text: str, figure: str
) -> None:
    (tmp_path / name).write_text(text)
    state = board_state(pi)
    assert figure not in state
    assert state["absent"][figure]


def test_a_zone_that_is_off_does_not_hide_the_others(pi: str, tmp_path: Path) -> None:
    more = {"sys/class/thermal/thermal_zone1/type": "gpu", "sys/class/thermal/thermal_zone1/temp": "-256000"}
    recorded(tmp_path, {**more, "sys/class/thermal/thermal_zone2/type": "no reading"})
    assert board_state(pi)["temperature_celsius"] == {"thermal_zone0 (cpu-thermal)": 61.25}


def test_the_power_mode_of_a_jetson_is_read(tmp_path: Path) -> None:
    root = recorded(tmp_path, {"var/lib/nvpmodel/status": "pmode:0002"})
    assert board_state(root)["power_mode"] == {"nvpmodel": "pmode:0002"}


@pytest.mark.parametrize(
    ("tree", "emulated"),
    [
        ({"proc/device-tree/compatible": "linux,dummy-virt\0"}, True),
        ({"proc/device-tree/model": "linux,dummy-virt\0", "proc/device-tree/compatible": "linux,dummy-virt\0"}, True),
        ({"proc/device-tree/model": "QEMU SBSA\0"}, True),
        ({"proc/device-tree/compatible": "qemu,pseries\0"}, True),
        ({"proc/device-tree/model": "Raspberry Pi 5 (simulated)\0"}, True),
        ({"proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0"}, False),
        ({}, False),
    ],
)
def test_an_emulator_is_known_by_its_device_tree(tmp_path: Path, tree: dict[str, str], emulated: bool) -> None:  # noqa: FBT001
    assert is_emulated(identity(recorded(tmp_path, tree))) is emulated


def test_this_machine_has_a_kernel_and_cores() -> None:
    state = board_state()
    assert state["kernel"].startswith("Linux")
    assert state["cores"] >= 1


def test_the_state_travels_as_compact_json(pi: str) -> None:
    text = as_json(board_state(pi))
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert json.loads(text)["frequency_hz"] == {"policy0": 1_500_000_000}
