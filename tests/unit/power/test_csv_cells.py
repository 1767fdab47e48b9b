"""Rows and cells of CSV files: quotes, decimal commas, thousands, date-times; read rightly or refused with the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.errors import UsageError
from edgeprof.power.cells import decimal_mark_of, number_of
from edgeprof.power.options import EnergyOptions
from edgeprof.power.recordings import read_trace

if TYPE_CHECKING:
    from pathlib import Path


def read(tmp_path: Path, text: str) -> tuple[list[float], list[float]]:
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    trace = read_trace(path, EnergyOptions())
    return trace.time_s.tolist(), trace.power_w.tolist()


NBSP, NARROW = "\u00a0", "\u202f"
WRITTEN = {
    "quoted decimal commas": 'time_s,P_W\n"0,5","1234,5"\n"1,0","2345"\n',
    "quoted decimal commas and points for thousands": 'time_s,P_W\n"0,5","1.234,5"\n"1,0","2.345"\n',
    "commas for thousands": 'time_s,P_W\n0.5,"1,234.5"\n1.0,"2,345"\n',
    "commas for thousands, all quoted": '"time_s","P_W"\n"0.5","1,234.5"\n"1.0","2,345.0"\n',
    "semicolons and decimal commas": "time_s;P_W\n0,5;1234,5\n1,0;2345\n",
    "semicolons and points for thousands": "time_s;P_W\n0,5;1.234,5\n1,0;2.345\n",
    "semicolons and commas for thousands": "time_s;P_W\n0.5;1,234.5\n1.0;2,345\n",
    "tabs and decimal commas": "time_s\tP_W\n0,5\t1234,5\n1,0\t2345\n",
    "bars": "time_s|P_W\n0.5|1234.5\n1.0|2345\n",
    "blanks": "time_s P_W\n0.5 1234.5\n1.0 2345\n",
    "blanks for thousands": "time_s,P_W\n0.5,1 234.5\n1.0,2 345\n",
    "narrow blanks for thousands": f"time_s;P_W\n0,5;1{NBSP}234,5\n1,0;2{NARROW}345\n",
    "apostrophes for thousands": "time_s;P_W\n0.5;1'234.5\n1.0;2'345\n",
    "a byte order mark before quotes": '\ufeff"time_s";"P_W"\n"0,5";"1234,5"\n"1,0";"2345"\n',
    "a delimiter at the end of rows": "time_s,P_W\n0.5,1234.5,\n1.0,2345,\n",
    "a comma in a header": '"time, s","P, W"\n0.5,1234.5\n1.0,2345\n',
    "a quote in a header": '"time_s","P ""x"" [W]"\n0.5,1234.5\n1.0,2345\n',
    "exponents": "time_s;P_W\n5e-1;1,2345e3\n1,0;2345\n",
}


@pytest.mark.parametrize("form", WRITTEN)
def test_each_way_to_write_numbers_gives_the_same_power(form: str, tmp_path: Path) -> None:
    assert read(tmp_path, WRITTEN[form]) == ([0.5, 1.0], [1234.5, 2345.0])


REFUSED = {
    "a comma that may be either": ('time_s,P_W\n0,"1,234"\n1,"2,345"\n', "line 2: '1,234' may have a decimal comma"),
    "the same with semicolons": ("time_s;P_W\n0;900\n1;1,234\n", "line 3: '1,234' may have a decimal comma"),
    "commas and points of three digits": ("time_ms;P_W\n900;10.000\n1,200;10.000\n", "line 3: '1,200' may have"),
    "two decimal marks": ("time_s;P_W\n0,5;1,5\n1,0;1.5\n", "line 3: '1.5' is not a number with a decimal comma"),
    "a comma among points": ('time_s,P_W\n0.5,1.5\n1.0,"1,5"\n', "line 3: '1,5' is not a number with a decimal point"),
    "groups that are none": ('time_s,P_W\n0.5,1.5\n1.0,"12,34,567"\n', "line 3: '12,34,567' is not a number"),
    "decimal commas without quotes": ("time_s,P_W\n0,5,1,5\n", "line 2: 4 columns, 2 headers"),
    "a row with a cell more": ("time_s,P_W\n0,1\n1,1\n2,1,5\n", "line 4: 3 columns, 2 wanted"),
    "a row with a cell less": ("time_s,P_W,D0\n0,1,0\n1,1\n2,1,0\n", "line 3: 2 columns, 3 wanted"),
    "a row of blanks with a cell more": ("time_s P_W\n0 1\n1 1 5\n2 1\n", "line 3: 3 columns, 2 wanted"),
    "a quote that stays open": ('time_s,P_W\n0,1\n1,"1\n2,1\n', "line 3: unexpected end of data"),
    "a unit in a cell": ("time_s,P_W\n0,1 W\n1,2 W\n", r"line 2: '1 W' is neither a number nor .* \(column 'P_W'\)"),
    "a date of no order": ("time,P_W\n01/02/2026 12:00,1\n", r"line 2: '01/02/2026 12:00' is neither .*column 'time'"),
    "a date that is none": ("time,P_W\n2026-01-01T12:00:00,1\n2026-13-01T12:00:00,1\n", "line 3: '2026-13-01T"),
    "digits set apart by a dash below": ("time_s,P_W\n0,1\n1,1_0\n", "line 3: '1_0' is not a number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_rightly_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    text, told = REFUSED[case]
    with pytest.raises(UsageError, match=told):
        read(tmp_path, text)


@pytest.mark.parametrize("block_bytes", [40, 1 << 20])
def test_a_number_far_down_decides_for_all(block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeprof.power.csv_file.BLOCK_BYTES", block_bytes)
    rows = "\n".join(f'{at},"1,234"' for at in range(30))
    assert read(tmp_path, f'time_s,P_W\n{rows}\n30,"0,5"\n')[1] == [*[1.234] * 30, 0.5]
    assert read(tmp_path, f'time_s,P_W\n{rows}\n30,"0.5"\n')[1] == [*[1234] * 30, 0.5]
    with pytest.raises(UsageError, match=r"line 33: 3 columns"):
        read(tmp_path, f'time_s,P_W\n{rows}\n30,"0.5"\n31,1,5\n32,1\n')


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2026-01-31T12:00:00.25", "2026-01-31T12:00:00.75"),
        ("2026-01-31 12:00:00.250+02:00", "2026-01-31 12:00:00.750+0200"),
        ('"2026-01-31T12:00:00,25Z"', '"2026-01-31T12:00:00,75Z"'),
        ("2026-01-31T23:59:59.75Z", "2026-02-01T00:00:00.25Z"),
        ("12:00:00.25", "12:00:00.75"),
    ],
)
def test_date_times_are_seconds_whatever_their_column_is_called(first: str, second: str, tmp_path: Path) -> None:
    for header in ("timestamp", "Date", "when", "time (ms)"):
        times, power = read(tmp_path, f"{header},P_W\n{first},1\n{second},2\n")
        assert times[1] - times[0] == pytest.approx(0.5, abs=1e-6)
        assert power == [1, 2]
    if first.endswith(("Z", 'Z"')):
        assert times[0] % 60 == pytest.approx(0.25 if "00" in first[-8:] else 59.75, abs=1e-6)


@given(st.floats(-1e12, 1e12), st.sampled_from(".,"), st.sampled_from(["", "'", " ", NBSP]), st.integers(0, 6))
def test_a_number_in_any_locale_is_that_number(value: float, decimal: str, thousands: str, places: int) -> None:
    text = f"{value:,.{places}f}".replace(",", "T").replace(".", decimal).replace("T", thousands)
    assert number_of(text, decimal) == float(f"{value:.{places}f}")
    assert decimal_mark_of(text) in {None, decimal}


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e3, 1e3)), min_size=2, max_size=20), st.sampled_from(";\t|"))
def test_plain_and_quoted_files_of_either_locale_hold_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float]], delimiter: str
) -> None:
    folder = tmp_path_factory.mktemp("same")
    times = np.cumsum([0.001 + abs(step) % 1 for step, _ in rows])
    lines = [f"{at:.4f}{delimiter}{value:.5f}" for at, (_, value) in zip(times, rows, strict=True)]
    point = f"time_s{delimiter}P_W\n" + "\n".join(lines) + "\n"
    comma = f"time_s{delimiter}P_W\n" + "\n".join(lines).replace(".", ",") + "\n"
    quoted = point.replace(delimiter, ",").replace("\n", '"\n"').replace(",", '","')
    found = [read(folder, text) for text in (point, comma, '"' + quoted.removesuffix('"'))]
    assert found[0] == found[1] == found[2]
