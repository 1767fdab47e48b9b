"""What of a text may be shown."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.errors import EdgeprofError
from edgeprof.printable import defused, json_text, printable, shown
from edgeprof.report.escaping import csv_text, escape
from tests.hostile.texts import EVIL, FORBIDDEN, assert_harmless


@given(st.text())
def test_any_text_becomes_one_harmless_line(text: str) -> None:
    line = printable(text)
    assert FORBIDDEN.search(line) is None
    assert len(line.splitlines()) <= 1
    assert printable(line) == line


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), min_size=1))
def test_letters_numbers_and_signs_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    "code", [*range(32), *range(0x7F, 0xA0), 0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x2028, 0x202F),
             *range(0x2060, 0x2070), 0xD800, 0xDFFF, 0xFEFF, 0xFFF9, 0xE0001, 0xE007F, 0xE0100],
)  # fmt: skip
def test_every_control_character_goes(code: int) -> None:
    assert printable(f"a{chr(code)}b") in {"a b", "a�b"}


def test_breaks_become_blanks_and_the_rest_can_be_seen_to_be_missing() -> None:
    assert printable("a\r\nb\tc\u2028d\x85e") == "a b c d e"
    assert printable("\x1b[31mred") == "�[31mred"
    assert printable("10\u202fµs") == "10 µs"


@pytest.mark.parametrize(
    "line", ["::error::x", "  ::set-output name=a::b", "\t::x::", "\x1b[1m::x::", "##[group]x", "see ##[group]x",
             "##vso[task.setvariable]x", "a ##teamcity[x]", "::::"],
)  # fmt: skip
def test_no_line_is_a_command_to_a_ci_system(line: str) -> None:
    drawn = defused(f"before\n{line}\nafter")
    assert_harmless(drawn.replace("\x1b[1m", ""))
    assert drawn.count("\n") == 2
    assert len(drawn) == len(f"before\n{line}\nafter")


@pytest.mark.parametrize("line", ["tflite::ops::Add", "a: b", "# heading", "## heading", "### [x]", "[::1]", "a ::b"])
def test_what_is_no_command_stays(line: str) -> None:
    assert defused(line) == line


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text())))
def test_json_keeps_its_data_and_means_nothing_to_a_terminal(data: dict[str, object]) -> None:
    text = json_text(msgspec.json.format(msgspec.json.encode(data), indent=1).decode())
    assert json.loads(text) == data
    assert_harmless(text)


def test_json_keeps_characters_beyond_sixteen_bits() -> None:
    data = ["\U000e0041", "😀", EVIL]
    assert json.loads(json_text(json.dumps(data, ensure_ascii=False))) == data


class Named(NamedTuple):
    """A named tuple, as some records hold them."""

    name: str
    size: int


class Record(msgspec.Struct, frozen=True):
    """A record with all that records hold."""

    name: str
    inner: tuple[Named, ...]
    free: dict[str, object]
    path: Path
    numbers: tuple[float, ...] = (1.0, 2.0)


def test_a_record_is_shown_with_every_text_of_it_printable() -> None:
    record = shown(Record("\x1b", (Named("\n", 1),), {"\x07": ["\x1b", {"x": "\x9b"}]}, Path("a\nb")))
    assert record == Record("�", (Named(" ", 1),), {"�": ["�", {"x": "�"}]}, Path("a b"))
    assert isinstance(record.inner[0], Named)


def test_a_record_without_such_texts_is_returned_itself() -> None:
    record = Record("a", (Named("b", 1),), {"c": ["d", {"e": None}]}, Path("f"))
    assert shown(record) is record


def test_what_is_nested_without_end_is_shown_as_missing() -> None:
    deep: list[object] = ["\x1b"]
    for _ in range(sys.getrecursionlimit() - 100):
        deep = [deep]
    assert "\x1b" not in str(shown({"x": deep}))


def test_an_error_is_one_line_and_what_a_tool_said_follows_it() -> None:
    error = EdgeprofError(f"no {EVIL}", hint=f"try {EVIL}", said=["\x1b[31mred", "::error::x"])
    first, *rest = error.message.split("\n")
    assert first.startswith("no �]0;PWNED")
    assert rest == ["  �[31mred", "  �:error::x"]
    assert str(error) == error.message
    assert "\n" not in error.hint
    assert_harmless(error.hint)


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1+1", "\r=1", " =1", "\n=1", "-", "\uff1d1+1", "=cmd|' /C calc'!A0"]
)
def test_a_formula_in_a_csv_cell_becomes_a_text(cell: str) -> None:
    [[written]] = csv.reader(io.StringIO(csv_text([[cell]])))
    assert written.startswith("'")
    assert FORBIDDEN.search(written) is None


@pytest.mark.parametrize("cell", ["-3.2", "+1e-9", "-.5", "-3.", -3.2, -1, 1e-9, "a=1", "x-y", "", "5", "ssh://a@b"])
def test_numbers_and_other_texts_stay_as_they_are_in_csv(cell: object) -> None:
    assert csv_text([[cell, "x"]]) == f"{cell},x"


def test_markdown_shows_a_text_and_nothing_else_of_it() -> None:
    escaped = escape(f"{EVIL} &lt; pi@board @everyone")
    assert_harmless(escaped)
    assert "<b>" not in escaped.replace("\\<b\\>", "")
    assert "\\[x\\](y)" in escaped
    assert "pi@board @&#8203;everyone" in escaped
    assert "\\&lt;" in escaped
