"""What headers say: units whatever the name is, rails of Jetson boards, and times that may be seconds or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeprof.errors import UsageError
from edgeprof.power import energy_of_file
from edgeprof.power.options import EnergyOptions
from edgeprof.power.recordings import read_trace
from edgeprof.profiling.powered import PowerSource, Unread
from edgeprof.records.result import Pass, Plan

CASES = Path(__file__).parents[2] / "fixtures" / "power"
SUPPLIED = EnergyOptions(voltage_v=2.0, inferences=100)


def written(tmp_path: Path, text: str, name: str = "trace.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def energy_j(name: str, *columns: tuple[str, str]) -> float | None:
    """Return the energy of an inference of a case: 19.76 J a window of 60 s, 100 inferences each."""
    options = EnergyOptions(voltage_v=3.3, inferences=100, columns=columns)
    return energy_of_file(CASES / name, CASES / "mk.csv", options).metrics["energy_per_inference_j"].value


# ── units ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("quoted_point.csv", ()),
        ("quoted_comma_3hz.csv", ()),
        ("thousands.csv", ()),
        ("ms_header.csv", ()),
        ("p_mw.csv", ()),
        ("p_mw.csv", (("power", "VDD_IN (mW)"),)),
        ("t_nounit.csv", (("time", "t:ms"),)),
    ],
)
def test_one_recording_written_in_many_ways_has_one_energy(name: str, columns: tuple[tuple[str, str], ...]) -> None:
    assert energy_j(name, *columns) == pytest.approx(0.1976, rel=1e-3)


@pytest.mark.parametrize(
    "header",
    ["I [uA]", "I[µA]", "Strom/uA", "Strom / µA", "current_uA", "Current in uA", "Main(uA)", "Main current, uA", "uA",
     "Current (avg) (uA)", "Current (uA) [ch 1]", "currentUa", "Supply (microamps)", "VDD current (uA)", "{x} [uA]"],
)  # fmt: skip
def test_a_unit_counts_whatever_the_column_is_called(header: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"time_s;{header}\n0;1000\n0.1;2000\n")
    for columns in ((), (("current", header),), (("current", "2"),)):
        trace = read_trace(path, SUPPLIED._replace(columns=columns))
        assert trace.power_w == pytest.approx([2e-3, 4e-3])
        assert not any("has no unit" in note for note in trace.notes)


@pytest.mark.parametrize(
    "header",
    ["t [ms]", "Zeit/ms", "Time (milliseconds)", "elapsed ms", "timeMs", "Time_MS", "millis", "Time in ms", "ms"],
)
def test_times_are_read_in_the_unit_of_their_header(header: str, tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, f"{header};P_W\n0;1\n100;2\n"), EnergyOptions())
    assert trace.time_s == pytest.approx([0, 0.1])
    assert not trace.notes


@pytest.mark.parametrize("header", ["VDD (V)", "VIN_V", "VBAT (V)", "Vbus[V]", "Spannung/V", "VDD_IN (V)", "VDD_IN_V"])
def test_a_supply_in_volts_is_a_voltage(header: str, tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, f"time_s,I_mA,{header}\n0,1,3\n1,2,3\n"), EnergyOptions())
    assert trace.power_w == pytest.approx([3e-3, 6e-3])


@pytest.mark.parametrize("header", ["power_ma", "current_min", "Power (dBm)", "phase_a", "Charge (mAh)", "latency"])
def test_what_looks_like_a_unit_and_is_none_makes_no_column(header: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no column is a power"):
        read_trace(written(tmp_path, f"time_s,{header}\n0,1\n1,2\n"), EnergyOptions())


def test_a_unit_that_contradicts_the_header_is_taken_and_told(tmp_path: Path) -> None:
    path = written(tmp_path, "time_s,Main(mA)\n0,1\n1,2\n")
    trace = read_trace(path, SUPPLIED._replace(columns=(("current", "Main(mA):A"),)))
    assert trace.power_w == pytest.approx([2, 4])
    assert "the header 'Main(mA)' says mA, --column says A: A is taken" in trace.notes
    with pytest.raises(UsageError, match=r"says mA, which is no unit of power"):
        read_trace(path, EnergyOptions(columns=(("power", "Main(mA)"),)))


def test_two_columns_of_one_unit_are_for_a_person_to_choose_from(tmp_path: Path) -> None:
    path = written(tmp_path, "time (ms),Main(mA),USB(mA),Main Voltage(V)\n0,10,1,3\n1,10,1,3\n")
    with pytest.raises(UsageError, match=r"two columns may be the current: 'Main\(mA\)' and 'USB\(mA\)'"):
        read_trace(path, EnergyOptions())
    chosen = read_trace(path, EnergyOptions(columns=(("current", "USB(mA)"),)))
    assert chosen.power_w == pytest.approx([3e-3, 3e-3])


def test_a_row_of_units_below_the_names_counts(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "Time;Current\n[ms];[mA]\n0,5;1\n1,0;2\n"), SUPPLIED)
    assert trace.time_s == pytest.approx([5e-4, 1e-3])
    assert trace.power_w == pytest.approx([2e-3, 4e-3])


def test_a_micro_sign_of_one_byte_is_read(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes("Time (s),Current (µA)\n0,1\n1,2\n".encode("latin-1"))
    assert read_trace(path, SUPPLIED).power_w == pytest.approx([2e-6, 4e-6])


def test_a_declared_voltage_that_the_recording_overrules_is_told(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "time_s,I_mA,U_V\n0,1,3\n1,1,3\n"), SUPPLIED)
    assert trace.power_w == pytest.approx([3e-3, 3e-3])
    assert trace.notes == ("--voltage 2 V is not used: the recording holds the voltage",)


# ── rails ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("headers", "row", "power_w", "rails"),
    [
        ("VDD_IN", "4000", 4.0, ()),
        ("VDD_IN 4000mW/3900mW", "4000", 4.0, ()),
        ("VDD_IN (mW),VDD_SOC (mW)", "4000,900", 4.0, ()),
        ("VDD_CPU_GPU_CV,VDD_SOC,VDD_IN", "900,800,4000", 4.0, ()),
        ("POM_5V_IN,POM_5V_GPU,POM_5V_CPU", "4000,900,800", 4.0, ()),
        ("VDD_GPU_SOC,VDD_CPU_CV,VIN_SYS_5V0,VDDQ_VDD2_1V8AO", "1000,2000,3000,4000", 10.0,
         ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO")),
        ("GPU,CPU,VDD_IN", "20,30,4000", 4.0, ()),
    ],
)  # fmt: skip
def test_rails_of_tegrastats_are_powers_and_none_is_summed_twice(
    headers: str, row: str, power_w: float, rails: tuple[str, ...], tmp_path: Path
) -> None:
    trace = read_trace(written(tmp_path, f"time_s,{headers}\n0,{row}\n1,{row}\n"), EnergyOptions())
    assert trace.power_w == pytest.approx([power_w, power_w])
    assert trace.rails == rails
    assert trace.covers == ("module" if rails else "board")


def test_parts_that_were_left_out_and_a_unit_that_was_assumed_are_told(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "time_s,VDD_IN,VDD_SOC\n0,4000,900\n1,4000,900\n"), EnergyOptions())
    assert trace.notes == (
        "the header 'VDD_IN' has no unit: mW is assumed",
        "VDD_SOC: parts of VDD_IN, not added",
    )


def test_rails_without_their_total_are_for_a_person_to_choose_from(tmp_path: Path) -> None:
    path = written(tmp_path, "time_s,VDD_GPU_SOC,VDD_CPU_CV\n0,1000,2000\n1,1000,2000\n")
    with pytest.raises(UsageError, match="two columns may be the power"):
        read_trace(path, EnergyOptions())


def test_a_rail_without_a_unit_beside_a_current_may_be_its_voltage(tmp_path: Path) -> None:
    path = written(tmp_path, "time_s,I_mA,VDD_IN\n0,1000,3\n1,1000,3\n")
    with pytest.raises(UsageError, match="a rail's power, or the voltage of 'I_mA'"):
        read_trace(path, EnergyOptions())
    volts = read_trace(path, EnergyOptions(columns=(("voltage", "VDD_IN:V"),)))
    assert volts.power_w == pytest.approx([3, 3])


# ── times without a unit ─────────────────────────────────────────────────────────────────────────────────────────────


def counted(tmp_path: Path, first: float, step: float) -> Path:
    rows = "\n".join(
        f"{first + at * step:.9g},33" if first < 1e9 else f"{first + at * step:.3f},33" for at in range(50)
    )
    return written(tmp_path, f"timestamp,P_mW\n{rows}\n")


@pytest.mark.parametrize(
    ("first", "step", "unit"),
    [(0, 300, "ms"), (0, 2, "ms"), (0, 16.667, "ms"), (0, 1000, "us"), (0, 1e6, "ns"), (1.7e12, 1, "ms"),
     (1.7e15, 10, "us"), (1.7e18, 1000, "ns"), (1.7e9, 100, "ms")],
)  # fmt: skip
def test_times_that_cannot_be_seconds_are_refused_with_the_way_to_name_their_unit(
    first: float, step: float, unit: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"the header 'timestamp' of trace\.csv has no unit") as refused:
        read_trace(counted(tmp_path, first, step), EnergyOptions())
    assert refused.value.hint.startswith(f"--column 'time=timestamp:{unit}' names the unit")


@pytest.mark.parametrize(("first", "step"), [(0, 1), (0, 0.1), (0, 1e-5), (1.7e9, 5), (1.7e9, 0.5)])
def test_times_that_may_be_seconds_are_taken_for_such_and_that_is_told(
    first: float, step: float, tmp_path: Path
) -> None:
    trace = read_trace(counted(tmp_path, first, step), EnergyOptions())
    assert np.diff(trace.time_s) == pytest.approx(step, rel=1e-3)
    assert trace.notes == ("the header 'timestamp' has no unit: s is assumed",)


def test_a_unit_that_is_named_settles_it(tmp_path: Path) -> None:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        columns = (("time", f"timestamp:{unit}"),)
        trace = read_trace(counted(tmp_path, 0, 300), EnergyOptions(columns=columns))
        assert trace.time_s[1] == pytest.approx(300 * scale)
        assert not trace.notes


def test_an_npz_is_asked_for_the_unit_of_its_times_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "trace.npz", t=np.arange(50) * 300, power_mw=np.full(50, 33.0))
    with pytest.raises(UsageError, match=r"'t' of trace\.npz has no unit"):
        read_trace(tmp_path / "trace.npz", EnergyOptions())
    trace = read_trace(tmp_path / "trace.npz", EnergyOptions(columns=(("time", "t:ms"),)))
    assert trace.time_s[1] == pytest.approx(0.3)


def test_windows_that_hold_no_sample_in_seconds_show_that_times_are_none(tmp_path: Path) -> None:
    rows = "\n".join(f"{at},33" for at in range(5000))
    path, markers = written(tmp_path, f"t,P_mW\n{rows}\n"), written(tmp_path, "start_s,end_s\n1,2\n3,4\n", "marks.csv")
    with pytest.raises(UsageError, match=r"'t' has no unit, and in seconds no window of marks\.csv holds 2") as refused:
        energy_of_file(path, markers)
    assert "'time=t:ms'" in refused.value.hint
    report = energy_of_file(path, markers, EnergyOptions(columns=(("time", "t:ms"),)))
    assert report.windows[0].energy_j == pytest.approx(0.033)


def test_a_run_is_told_why_it_gets_no_energy_of_such_a_recording(tmp_path: Path) -> None:
    path = counted(tmp_path, 0, 300)
    with PowerSource(str(path), Plan(passes=(Pass(kind="energy", windows=8, window_s=1.0, idle_s=0.5),))) as source:
        pass
    found = source.recorded()
    assert isinstance(found, Unread)
    assert "has no unit, and its times can hardly be seconds" in found.reason


# ── markers ──────────────────────────────────────────────────────────────────────────────────────────────────────────

STEADY = "time_s,P_mW\n" + "\n".join(f"{at / 100},33" for at in range(1000))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("start_ms,end_ms\n1000,2000\n3000,4000\n", False),
        ("begin [ms];end [ms]\n1000;2000\n3000;4000\n", False),
        ("window,start_s,end_s\n1,1,2\n2,3,4\n", False),
        ("end_s,start_s\n2,1\n4,3\n", False),
        ('[{"start_ms": 1000, "end_ms": 2000}, {"start_ms": 3000, "end_ms": 4000}]', False),
        ("begin,end\n1,2\n3,4\n", True),
        ("begin,end,\n1,2,\n3,4,\n", True),
        ("[[1, 2], [3, 4]]", True),
        ("1\n2\n3\n4\n", True),
    ],
)
def test_markers_are_read_in_the_unit_of_their_header(text: str, said: bool, tmp_path: Path) -> None:  # noqa: FBT001
    report = energy_of_file(written(tmp_path, STEADY), written(tmp_path, text, "marks"))
    assert [(window.start_s, window.end_s) for window in report.windows] == [(1, 2), (3, 4)]
    assert ("taken as seconds" in report.alignment.text) is said


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        ("begin,end\n1000,2000\n", "another clock or unit", "in milliseconds they would"),
        ("begin,end\n1700000000000,1700000001000\n", "that are no seconds", "start_ms,end_ms"),
        ("[1700000000000, 1700000001000]", "that are no seconds", "start_ms,end_ms"),
        ("begin,end\n1,5,2,5\n", "line 2: 4 columns, 2 wanted", "CSV"),
        ("1,5,2,5\n", "line 1: 4 columns, 3 wanted", "CSV"),
        ("start_s,end_s\n1\n3,4\n", "line 2: the window has no end", "CSV"),
        ('begin,end\n"1,2\n', "line 2", "CSV"),
    ],
)
def test_markers_that_are_not_seconds_or_not_whole_are_refused(text: str, told: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        energy_of_file(written(tmp_path, STEADY), written(tmp_path, text, "marks"))
    assert hint in refused.value.hint
