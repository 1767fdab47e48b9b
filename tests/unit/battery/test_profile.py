"""Where a pulse ends a cell's life."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgeprof.battery import battery_of
from edgeprof.battery.options import BatteryOptions, Burst
from edgeprof.battery.profile import Point, end_of_charge, points_at, read_cell_profile
from edgeprof.errors import FileUnreadable, UsageError

if TYPE_CHECKING:
    from pathlib import Path

COIN = BatteryOptions(
    cell="CR2032", period_s=600.0, sleep_a=2e-6, energy_j=0.3e-3, latency_s=0.1, supply_v=3.0, regulator="none",
    self_discharge_ratio=0.0,
)  # fmt: skip
CURVE = "SoC,Voc,Rint\n100,3.0,10\n50,2.9,20\n0,2.4,60\n"


@pytest.fixture
def curve(tmp_path: Path) -> Path:
    """Return a coin cell's profile."""
    path = tmp_path / "coin.csv"
    path.write_text(CURVE)
    return path


def test_the_life_ends_where_the_loaded_voltage_meets_the_cut_off() -> None:
    points = (Point(1.0, 3.0, 10.0), Point(0.5, 2.9, 20.0), Point(0.0, 2.4, 60.0))
    end = end_of_charge(points, 10e-3, 2.3)
    # Loaded: 2.9, 2.7, 1.8 V; 2.3 V lies at 0.5 - 0.5 * 0.4 / 0.9.
    assert end == pytest.approx(0.5 - 0.5 * 0.4 / 0.9)
    assert end_of_charge(points, 1e-6, 2.3) == 0.0
    assert end_of_charge(points, 0.1, 2.3) is None


def test_a_larger_pulse_leaves_more_behind(curve: Path) -> None:
    quiet = battery_of(None, COIN._replace(profile=curve))
    loud = battery_of(None, COIN._replace(profile=curve, bursts=(Burst("radio", 15e-3, 5e-3),)))
    assert quiet.usable_c == pytest.approx(846.0)
    # 15 mA: 2.85, 2.6, 1.5 V; 2.0 V lies at 0.5 - 0.5 * 0.6 / 1.1.
    assert loud.usable_c == pytest.approx(846.0 * (1 - (0.5 - 0.5 * 0.6 / 1.1)))
    assert any(one.name == "cell profile" for one in loud.assumptions)


def test_a_full_cell_that_sags_below_its_cut_off_has_no_life(curve: Path) -> None:
    report = battery_of(None, COIN._replace(profile=curve, cutoff_v=2.9, bursts=(Burst("radio", 15e-3, 5e-3),)))
    life = report.metrics["battery_life_s"]
    assert life.value is None
    assert life.reason == "the largest pulse pulls even the full cell below its cut-off"


def test_a_colder_cell_ends_earlier(tmp_path: Path) -> None:
    path = tmp_path / "cold.csv"
    path.write_text("soc;voc;rint;t\n".replace(";", ",") + "1,3,30,-20\n0,2.4,120,-20\n1,3,10,20\n0,2.4,60,20\n")
    radio = COIN._replace(profile=path, bursts=(Burst("radio", 10e-3, 5e-3),))
    warm = battery_of(None, radio._replace(temperature_celsius=20.0)).usable_c
    cool = battery_of(None, radio._replace(temperature_celsius=0.0)).usable_c
    cold = battery_of(None, radio._replace(temperature_celsius=-20.0)).usable_c
    assert cold < cool < warm
    with pytest.raises(UsageError, match="-20 °C to 20 °C, not for 40 °C"):
        battery_of(None, radio._replace(temperature_celsius=40.0))


def test_between_two_temperatures_the_curve_lies_between(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text(
        "# of our own\nSoC (%),OCV (V),R (ohm),Temperature (C)\n100,3,20,0\n0,2,40,0\n100,3,10,20\n0,2,20,20\n"
    )
    middle = points_at(read_cell_profile(path), 10.0)
    assert [(one.soc, one.rint_ohm) for one in middle] == [(1.0, 15.0), (0.0, 30.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [("SoC,Voc\n1,3\n", "no column rint"), ("", "no column soc"), ("SoC,Voc,Rint\n1,3,x\n", "row 2"),
     ("SoC,Voc,Rint\n1,3,1\n", "two states of charge"), ("SoC,Voc,Rint\n1,3,-1\n0,2,1\n", "no state of a cell"),
     ("SoC,Voc,Rint\n1,3\n", "row 2"), ("SoC,Voc,Rint\n1,nan,1\n0,2,1\n", "no state of a cell")],
)  # fmt: skip
def test_what_is_no_profile_is_refused_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_cell_profile(path)


def test_a_profile_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="cannot read the cell profile"):
        read_cell_profile(tmp_path / "none.csv")


def test_a_profile_and_a_usable_share_contradict_each_other(curve: Path) -> None:
    with pytest.raises(UsageError, match="both say where the life ends"):
        battery_of(None, COIN._replace(profile=curve, usable=0.9))
    with pytest.raises(UsageError, match="--cutoff-voltage"):
        battery_of(None, COIN._replace(profile=curve, cell="CR2450"))
