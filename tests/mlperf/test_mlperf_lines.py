"""What firmware says, line by line, however it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.links.mlperf_lines import (
    LONGEST_LINE_BYTES,
    Fact,
    LapClock,
    LineReader,
    facts_in,
    results_of,
    windows_in,
)


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("m-ready", [Fact("ready", "ready")]),
        ("m-init-done", [Fact("booted", "init-done")]),
        ("m-timestamp-mode-energy", [Fact("mode", "energy")]),
        ("m-name-dut-[ST Micro]", [Fact("name", "ST Micro")]),
        ("namem-name-dut-[x]", [Fact("name", "x")]),
        ("profile%m-profile-[F V0.0.1]", [Fact("profile", "F V0.0.1")]),
        ("timestampm-lap-us-3", [Fact("lap", "3")]),
        ("infer 140000 100%m-warmup-start-100", [Fact("warmup_start", "100")]),
        ("src_mem_size: 3072m-warmup-start-0", [Fact("warmup_start", "0")]),
        ("th_load_tensor starting at 434119786...m-warmup-start-0", [Fact("warmup_start", "0")]),
        ("Type errorm-results-[0.5]", [Fact("results", "0.5")]),
        ("m-[Expecting 490 bytes]", [Fact("expecting", "490")]),
        ("Expecting 490 bytes", [Fact("expecting", "490")]),
        ("Supplied buffer size 30000 exceeds maximum of 27648", [Fact("too_large", "27648")]),
        ("e-[Unknown command: x]", [Fact("refused", "Unknown command: x")]),
        ("namee-[Unknown command: name]", [Fact("refused", "Unknown command: name")]),
        ("infer 0 1%e-[Inference iterations must be >0]", [Fact("refused", "Inference iterations must be >0")]),
        ("m-infer-donem-results-[1]", [Fact("infer_done", "infer-done"), Fact("results", "1")]),
        ("m-results-[1]m-ready", [Fact("results", "1"), Fact("ready", "ready")]),
        ("size-[3] state-[1]", []),
        ("m-ready-finished[bload]", []),
        ("Input db has 640 elemented, expected 25600", []),
    ],
)  # fmt: skip
def test_a_message_is_found_anywhere_in_a_line(line: str, facts: list[Fact]) -> None:
    assert facts_in(line) == facts


def test_colours_and_control_characters_go_wherever_a_chunk_ends() -> None:
    said = b"\x1b[1;32mm-lap-us-12\x1b[0m\r\n\r\n\x00m-rea\x1b[0mdy\r\n"
    for cut in range(len(said)):
        reader = LineReader()
        assert reader.feed(said[:cut]) + reader.feed(said[cut:]) == ["m-lap-us-12", "m-ready"]


def test_a_line_without_an_end_is_kept_to_a_limit() -> None:
    reader = LineReader()
    for _ in range(5):
        assert reader.feed(b"x" * LONGEST_LINE_BYTES) == []
    assert len(reader.feed(b"\n")[0]) == LONGEST_LINE_BYTES


@given(st.lists(st.binary(max_size=60)))
def test_noise_is_never_an_error_and_never_hides_what_follows(noise: list[bytes]) -> None:
    reader = LineReader()
    for part in noise:
        for line in reader.feed(part):
            facts_in(line)
    lines = reader.feed(b"\r\nm-lap-us-7\r\n")
    assert facts_in(lines[-1]) == [Fact("lap", "7")]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.0,0.0,", (0.0, 0.0)),
        ("-128, 3,7", (-128.0, 3.0, 7.0)),
        ("104.311", (104.311,)),
        ("", ()),
        ("nan", None),
        ("0.5,x", None),
        ("1,,2", None),
    ],
)
def test_results_are_numbers_and_a_comma_may_trail(text: str, values: tuple[float, ...] | None) -> None:
    found = results_of(text)
    if text == "nan":
        assert found is not None
        assert found[0] != found[0]
    else:
        assert found == values


def test_a_clock_of_32_bits_goes_on_when_it_wraps() -> None:
    clock = LapClock()
    assert [clock.read(text) for text in ("4294967000", "100", "200", "50")] == [
        4294967000,
        (1 << 32) + 100,
        (1 << 32) + 200,
        (2 << 32) + 50,
    ]


def test_a_clock_of_64_bits_that_goes_back_is_refused() -> None:
    clock = LapClock()
    clock.read("160573425916")
    with pytest.raises(ValueError, match="went back from 160573425916 to 7"):
        clock.read("7")


def test_a_window_needs_nothing_but_two_readings() -> None:
    facts = [
        fact for line in ("m-lap-us-5", "m-ready", "m-lap-us-10", "m-lap-us-30", "m-ready") for fact in facts_in(line)
    ]
    (window,) = windows_in(facts, LapClock())
    assert (window.start_us, window.duration_us, window.iterations, window.results) == (10, 20, None, None)
