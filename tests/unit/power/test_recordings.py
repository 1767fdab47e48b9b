"""Recordings from files: what instruments' programs write, and what is wrong with some."""

from __future__ import annotations

import contextlib
import io
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeprof.errors import FileUnreadable, UsageError
from edgeprof.power import energy_of_file
from edgeprof.power.integrate import cumulate, gaps
from edgeprof.power.marker_file import read_markers
from edgeprof.power.options import EnergyOptions
from edgeprof.power.recordings import read_trace

if TYPE_CHECKING:
    from collections.abc import Sequence

VOLTS_3 = EnergyOptions(voltage_v=3.0)


def written(tmp_path: Path, text: str | bytes, name: str = "trace.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


SAME = [0.002, 0.004, 0.006]
FORMS = {
    "PPK2 app": "Timestamp(ms),Current(uA)\n0,1000\n0.01,2000\n0.02,3000\n",
    "PPK2 app with D0-D7": "Timestamp(ms),Current(uA),D0-D7\n0,1000,00000000\n0.01,2000,00010000\n0.02,3000,00000000\n",
    "Joulescope": "#time (s),current (A),voltage (V)\n0,0.001,2\n1e-05,0.002,2\n2e-05,0.003,2\n",
    "Otii": "Timestamp,Main current - Arc (A),Main voltage - Arc (V)\n0,0.001,2\n1e-05,0.002,2\n2e-05,0.003,2\n",
    "names with units": "time_us,power_mw\n0,2\n10,4\n20,6\n",
    "semicolons and decimal commas": "Zeit\nTime [ms];Power [mW]\n0,00;2,0\n0,01;4,0\n0,02;6,0\n",
    "tabs": "t\tp (uW)\n0\t2000\n0.00001\t4000\n0.00002\t6000\n",
    "comments, a byte order mark and Windows line ends": "\ufeff# a meter\r\ntime (s),power (W)\r\n"
    "0,0.002\r\n# pause\r\n1e-5,0.004\r\n2e-5,0.006\r\n",
    "quotes": '"time (s)","power (W)"\n"0","0.002"\n"1e-5","0.004"\n"2e-5","0.006"\n',
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_csv_gives_the_same_power(form: str, tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, FORMS[form]), EnergyOptions(voltage_v=2.0))
    assert trace.power_w == pytest.approx(SAME)
    assert trace.time_s == pytest.approx([0, 1e-5, 2e-5])


@pytest.mark.parametrize(
    ("header", "bits"),
    [
        ("Timestamp(ms),Current(uA),D0-D7\n0,1,10000000\n1,1,00000001\n2,1,01X00000", [1, 128, 6]),
        ("Timestamp(ms),Current(uA),Bits\n0,1,10000000\n1,1,00000001\n2,1,01100000", [128, 1, 96]),
        ("Timestamp(ms),Current(uA),D0,D1,D2\n0,1,1,0,0\n1,1,0,0,1\n2,1,0,1,1", [1, 4, 6]),
        ("time_s,power_w,marker\n0,1,0\n1,1,1\n2,1,0", [0, 1, 0]),
        ("time_s,power_w,GPI 3\n0,1,0\n1,1,1\n2,1,0", [0, 8, 0]),
    ],
)
def test_marker_bits_are_read_in_each_form(header: str, bits: list[int], tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, header), VOLTS_3)
    assert trace.marker is not None
    assert trace.marker.tolist() == bits


def test_empty_cells_are_gaps(tmp_path: Path) -> None:
    rows = "\n".join(f"{at},{'' if 40 <= at < 50 else 1}" for at in range(100))
    trace = read_trace(written(tmp_path, f"time_s,power_w\n{rows}\n"), EnergyOptions())
    assert gaps(cumulate(trace)) == (1, 11.0)


def test_a_last_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "time_s,power_w\n0,1\n1,1\n2"), EnergyOptions())
    assert len(trace.time_s) == 2


def test_blocks_of_a_large_file_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeprof.power.csv_file.BLOCK_BYTES", 1000)
    rows = "\n".join(f"{at},{at % 7}" for at in range(3000))
    trace = read_trace(written(tmp_path, f"time_s,power_w\n{rows}"), EnergyOptions())
    assert trace.power_w.tolist() == [at % 7 for at in range(3000)]
    bad = rows.replace("2500,1", "2500,one")
    with pytest.raises(UsageError, match="line 2502: 'one' is not a number"):
        read_trace(written(tmp_path, f"time_s,power_w\n{bad}"), EnergyOptions())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("time_s,power_w\n0,1\n1,abc\n2,1\n", "line 3: 'abc' is not a number"),
        ("time_s,power_w\n0,1\n1\n2,1\n", "line 3: 1 columns, 2 wanted"),
        ("time_s,speed\n0,1\n1,1\n", "no column is a power"),
        ("power_w,other\n0,1\n1,1\n", "has no time"),
        ("time_s,current (mA)\n0,1\n1,1\n", "current and no voltage"),
        ("time_s,Main current (A),ADC current (A)\n0,1,1\n1,1,1\n", "two columns may be the current"),
        ("time_s,power_w\n", "no line of numbers"),
        ("", "no line of numbers"),
        (b"\x00\x01\x02\x03", "neither text nor a trace"),
        ("time_s,power_w\n0,1\n", "1 samples with a time"),
        ("time_s,energy (J)\n0,1\n1,1\n2,1\n", "all the same"),
        (b"\xf1\x00\x00\x7aD\x00\x00", "cut short"),
        (b"\xf1\x00\x00\x00\x00\x00\x00\x00\x00", "sample rate of 0 Hz"),
        (b"PK\x03\x04garbage", "not a whole zip archive"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str | bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        read_trace(written(tmp_path, text), EnergyOptions())


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="cannot read the recording"):
        read_trace(tmp_path / "none.csv", EnergyOptions())


@pytest.mark.parametrize(
    ("columns", "power"),
    [
        ((("current", "ADC current (A)"),), [0.006, 0.006]),
        ((("current", "2:mA"),), [3e-6, 3e-6]),
        ((("power", "2:mW"),), [1e-6, 1e-6]),
    ],
)
def test_a_column_is_chosen_by_header_or_number(
    columns: tuple[tuple[str, str], ...], power: Sequence[float], tmp_path: Path
) -> None:
    path = written(tmp_path, "time_s,Main current (A),ADC current (A)\n0,0.001,0.002\n1,0.001,0.002\n")
    trace = read_trace(path, EnergyOptions(voltage_v=3.0, columns=columns))
    assert trace.power_w == pytest.approx(power)


def test_a_unit_that_is_not_given_is_assumed_and_told(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "time_s,power\n0,1\n1,1\n"), EnergyOptions())
    assert trace.notes == ("the header 'power' has no unit: W is assumed",)


def packed(tmp_path: Path, **arrays: object) -> Path:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **{name: np.asarray(values) for name, values in arrays.items()})
    return written(tmp_path, buffer.getvalue(), "trace.npz")


def test_an_npz_holds_times_or_a_rate(tmp_path: Path) -> None:
    times = read_trace(packed(tmp_path, time_s=[0.0, 1.0, 2.0], power_mw=[1, 2, 3], marker=[0, 1, 0]), EnergyOptions())
    assert times.power_w == pytest.approx([1e-3, 2e-3, 3e-3])
    assert times.marker is not None
    rate = read_trace(packed(tmp_path, rate_hz=1000.0, amps=[1.0, 2.0, 3.0], volts=[2.0, 2.0, 2.0]), EnergyOptions())
    assert rate.power_w == pytest.approx([2, 4, 6])
    assert rate.time_s == pytest.approx([0, 1e-3, 2e-3])


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"time_s": [0.0, 1.0], "power_w": [1.0]}, "differ in length"),
        ({"time_s": [[0.0, 1.0]], "power_w": [1.0]}, "numbers in one row"),
        ({"rate_hz": 0.0, "power_w": [1.0, 2.0]}, "not one positive number"),
        ({"time_s": [], "power_w": []}, "no samples"),
        ({"time_s": ["a"], "power_w": [1.0]}, "numbers in one row"),
    ],
)
def test_what_is_wrong_with_an_npz_is_said(arrays: dict[str, object], told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        read_trace(packed(tmp_path, **arrays), EnergyOptions())


def test_an_npz_is_never_unpickled(tmp_path: Path) -> None:
    path = packed(tmp_path, time_s=np.array([{"a": 1}], object), power_w=[1.0])
    with pytest.raises(UsageError, match="holds Python objects, and nothing is unpickled"):
        read_trace(path, EnergyOptions())


def test_an_npz_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeprof.power.npz_file.LARGEST_BYTES", 1000)
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("power_w.npy", bytes(100_000))
    with pytest.raises(UsageError, match="unpacks to 100,000 bytes"):
        read_trace(path, EnergyOptions())


@given(
    st.sampled_from([b"", b"time_s,power_w,D0\n0,1,0\n", b"\xf1\x00\x00zD", b"PK\x03\x04", b"t;p (mW)\n0,1;2\n"]),
    st.binary(max_size=200) | st.text("0123456789,.;-\n#eX", max_size=200).map(str.encode),
)
@example(b"\xf1\x00\x00zD", b"\x01\x00\x80\x7f")  # a signalling NaN
def test_any_bytes_give_a_trace_or_a_clear_error(begin: bytes, rest: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        path.write_bytes(begin + rest)
        with contextlib.suppress(UsageError):
            energy_of_file(path)
        with contextlib.suppress(UsageError):
            read_markers(path)


# ── windows ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SQUARE = "time_s,power_w,marker\n" + "\n".join(
    f"{at / 100},{2 if 100 <= at % 300 < 200 else 1},{int(100 <= at % 300 < 200)}" for at in range(2000)
)
MARKS = [(1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17)]
MARKER_FILES = {
    "pairs.json": "[1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17]",
    "opened.json": "[0.01, 1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17]",
    "lists.json": str([list(mark) for mark in MARKS]),
    "objects.json": str([{"start_s": a, "end_s": b, "inferences": 10} for a, b in MARKS]).replace("'", '"'),
    "windows.json": '{"windows": ' + str([list(mark) for mark in MARKS]) + "}",
    "windows.csv": "start_s,end_s\n" + "\n".join(f"{a},{b}" for a, b in MARKS),
    "counted.csv": "start_s;end_s;inferences\n" + "\n".join(f"{a};{b};10" for a, b in MARKS),
    "times.csv": "\n".join(f"{a}\n{b}" for a, b in MARKS),
}


@pytest.mark.parametrize("name", MARKER_FILES)
def test_each_form_of_markers_gives_the_same_windows(name: str, tmp_path: Path) -> None:
    path, markers = written(tmp_path, SQUARE), written(tmp_path, MARKER_FILES[name], name)
    report = energy_of_file(path, markers, EnergyOptions(inferences=10))
    assert [(window.start_s, window.end_s) for window in report.windows] == MARKS
    assert report.metrics["energy_per_inference_j"].value == pytest.approx(0.2, rel=0.01)
    assert report.metrics["energy_above_idle_j"].value == pytest.approx(0.1, rel=0.02)
    assert report.metrics["energy_per_inference_j"].confidence == 0.95


def test_the_markers_in_the_recording_are_windows(tmp_path: Path) -> None:
    report = energy_of_file(written(tmp_path, SQUARE), None, EnergyOptions(inferences=10))
    assert [w.start_s for w in report.windows] == pytest.approx([start - 0.005 for start, _ in MARKS])
    assert [w.end_s for w in report.windows] == pytest.approx([end - 0.005 for _, end in MARKS])
    assert report.alignment.error_s == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "holds no window"),
        ("[1, 2", "is not JSON"),
        ('{"a": 1}', "no list of times"),
        ('[["a", 2]]', "'a' is no time"),
        ("[[2, 1]]", "before it begins"),
        ("[[1, 3], [2, 4]]", "before window 1 ends"),
        ("[[1, 2, 3]]", "entry 1 is no window"),
        ('[{"start_s": 1, "end_s": 2, "inferences": 0}]', "no count of inferences"),
        ("start,end,inferences\n1,2,x", "line 2: 'x' is no count"),
        ("[[1001, 1002]]", "another clock"),
        ("[[NaN, 2]]", "no time in seconds"),
    ],
)
def test_what_is_wrong_with_markers_is_said(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        energy_of_file(written(tmp_path, SQUARE), written(tmp_path, text, "markers.txt"))


def test_without_a_marker_the_recording_is_one_window_and_that_is_told(tmp_path: Path) -> None:
    rows = "\n".join(f"{at / 10},2" for at in range(101))
    report = energy_of_file(written(tmp_path, f"time_s,power_w\n{rows}"), None, EnergyOptions(inferences=4))
    assert report.windows[0].energy_per_inference_j == pytest.approx(5.0)
    assert "no-markers" in {finding.code for finding in report.findings}


def test_several_moving_marker_bits_are_for_a_person_to_choose_from(tmp_path: Path) -> None:
    rows = "\n".join(f"{at / 100},1,{int(100 <= at % 300 < 200)},{at % 2}" for at in range(2000))
    path = written(tmp_path, f"time_s,power_w,D0,D1\n{rows}")
    with pytest.raises(UsageError, match=r"several marker bits of .* change: 0, 1"):
        energy_of_file(path)
    assert len(energy_of_file(path, None, EnergyOptions(marker_bit=0)).windows) == 6


@pytest.mark.parametrize(("level", "first"), [("high", 0.995), ("low", 1.995), ("auto", 0.995), ("pulses", 4.995)])
def test_the_level_says_what_the_marker_means(level: str, first: float, tmp_path: Path) -> None:
    options = EnergyOptions(level=level)  # type: ignore[arg-type]  # one of its values
    text = SQUARE + "\n" + "\n".join(f"{at / 100},1,{int(at % 4 < 2)}" for at in range(2000, 2004))
    assert energy_of_file(written(tmp_path, text), None, options).windows[0].start_s == pytest.approx(first)


def test_a_window_that_the_recording_cuts_is_left_out(tmp_path: Path) -> None:
    cut = "\n".join(SQUARE.split("\n")[:1651])
    report = energy_of_file(written(tmp_path, cut))
    assert len(report.windows) == 5
    assert any("ends inside a window" in finding.text for finding in report.findings)


def test_a_window_whose_edge_is_in_a_gap_is_left_out(tmp_path: Path) -> None:
    lines = SQUARE.split("\n")
    holed = "\n".join([*lines[:398], *lines[404:]])
    report = energy_of_file(written(tmp_path, holed))
    assert len(report.windows) == 5
    assert any("begin or end in a gap" in finding.text for finding in report.findings)


def test_an_eembc_trace_without_its_timestamps_is_one_window(tmp_path: Path) -> None:
    content = b"\xf1" + struct.pack("<f", 1000.0) + struct.pack("<f", 20.0) * 1000
    report = energy_of_file(written(tmp_path, content, "a-energy.bin"))
    assert report.windows[0].energy_j == pytest.approx(0.02)
    written(tmp_path, "[0.1, 0.2, 0.7]", "a-timestamps.json")
    assert energy_of_file(tmp_path / "a-energy.bin").windows[0].energy_j == pytest.approx(0.01)


# ── counters ─────────────────────────────────────────────────────────────────────────────────────────────────────────

RANGE_J = 262.144


def counted(header: str = "energy_j") -> str:
    """Return a counter that starts again after its range, and counts 2 mJ each 10 ms: 6 J in all."""
    rows = [f"{at * 0.01:.2f},{(260 + at * 0.002) % RANGE_J:.4f}" for at in range(3001)]
    return f"time_s,{header}\n" + "\n".join(rows) + "\n"


def test_a_range_makes_the_only_column_of_energies_a_counter(tmp_path: Path) -> None:
    report = energy_of_file(written(tmp_path, counted()), options=EnergyOptions(counter_range_j=RANGE_J))
    assert report.windows[0].energy_j == pytest.approx(6.0, rel=1e-3)
    assert any("started again 1 times" in note for note in report.trace.notes)


def test_energies_that_hardly_ever_fall_are_refused_and_both_ways_out_named(tmp_path: Path) -> None:
    path = written(tmp_path, counted())
    with pytest.raises(UsageError, match=r"rise 2,999 times and fall 1: a counter") as refused:
        energy_of_file(path)
    for option in ("--counter-range", "counter=HEADER", "energy=HEADER"):
        assert option in refused.value.hint
    named = energy_of_file(path, options=EnergyOptions(columns=(("counter", "energy_j"),)))
    assert named.windows[0].energy_j == pytest.approx(6.0, rel=2e-3)
    assert energy_of_file(path, options=EnergyOptions(columns=(("energy", "energy_j"),))).windows[0].energy_j


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("time_s,power_w\n0,1\n1,2\n2,1\n", EnergyOptions(counter_range_j=1.0)),
        ("time_s,current_a\n0,1\n1,2\n2,1\n", EnergyOptions(counter_range_j=1.0, voltage_v=3.0)),
        (counted(), EnergyOptions(counter_range_j=1.0, columns=(("energy", "energy_j"),))),
    ],
)
def test_a_range_without_a_counter_is_refused(text: str, options: EnergyOptions, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--counter-range is of no use for trace\.csv"):
        energy_of_file(written(tmp_path, text), options=options)


def test_a_range_for_an_eembc_trace_is_refused(tmp_path: Path) -> None:
    content = bytes([0xF1]) + struct.pack("<f", 1000.0) + struct.pack("<100f", *[2.0] * 100)
    with pytest.raises(UsageError, match="--counter-range is of no use"):
        energy_of_file(written(tmp_path, content, "a-energy.bin"), options=EnergyOptions(counter_range_j=1.0))


def test_the_advice_on_accuracy_names_the_option_that_a_recording_has(tmp_path: Path) -> None:
    report = energy_of_file(written(tmp_path, FORMS["names with units"]))
    advice = next(one.advice for one in report.findings if one.code == "accuracy-unknown")
    assert advice.endswith("edgeprof energy --accuracy 1% declares it")
