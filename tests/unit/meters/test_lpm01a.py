from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.errors import BoardUnreachable, UsageError
from edgeprof.meters import open_meter
from edgeprof.meters.lpm01a_stream import read_binary, read_text
from tests.unit.meters.fake_lpm01a import WINDOWS_S, binary_of, text_of, true_amps
from tests.unit.meters.instruments import fake_instrument

if TYPE_CHECKING:
    from edgeprof.meters.recording import Recording

RATES = ["5kHz", "10kHz", "100kHz"]


def record(seconds: float, rate: str, *options: str) -> tuple[Recording, dict[str, object]]:
    """Record what the fake sends, and return it and what the fake says."""
    samples = round(seconds * int(rate.removesuffix("kHz")) * 1000)
    with (
        fake_instrument("fake_lpm01a", "--samples", samples, *options) as fake,
        open_meter(f"lpm01a://{fake.path}?voltage=3300mV&rate={rate}") as meter,
    ):
        meter.start()
        told = fake.told()
        return meter.stop(), told


def truth_of(recording: Recording) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    trace = recording.trace
    assert trace.amps is not None
    assert trace.nominal_rate_hz is not None
    return np.resize(true_amps(trace.nominal_rate_hz), len(trace.amps))


def gaps_of(recording: Recording) -> list[int]:
    assert recording.trace.amps is not None
    found: list[int] = np.flatnonzero(np.isnan(recording.trace.amps)).tolist()
    return found


# ── the streams ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_examples_of_the_manual_are_read() -> None:
    assert read_text(b"6409-07\r\n").values == pytest.approx([640.9e-6])
    assert read_binary(b"\x52\xa0").values == pytest.approx([640.9e-6], rel=1e-4)


@given(st.lists(st.integers(0, 9999), min_size=1, max_size=50), st.integers(0, 20), st.booleans())
def test_decimal_samples_are_read_exactly(mantissas: list[int], exponent: int, plus: bool) -> None:  # noqa: FBT001  drawn
    sign = "+" if plus else "-"
    content = "".join(f"{mantissa:04d}{sign}{exponent:02d}\r\n" for mantissa in mantissas).encode()
    wanted = [float(f"{mantissa}e{sign}{exponent}") for mantissa in mantissas]
    assert read_text(content).values == pytest.approx(wanted, rel=1e-14)


@given(st.lists(st.floats(1e-9, 0.2), min_size=1, max_size=50))
def test_what_the_fake_writes_is_read_to_its_resolution(amounts: list[float]) -> None:
    text = read_text(b"".join(map(text_of, amounts))).values
    assert text == pytest.approx(amounts, rel=5.1e-4)
    binary = read_binary(binary_of(amounts)).values
    assert binary == pytest.approx(amounts, rel=2e-3)


def test_lines_between_samples_are_understood_and_the_end_ends() -> None:
    stream = read_text(
        b"1000-06\r\nTimeStamp: 003s 937ms, buff 00%\r\n1001-06\r\nevent 00 ris\r\n64-07\r\n1002-06\r\n"
        b"error: buffer overrun\r\n1003-06\r\nPowerShield > Acquisition completed\r\n9999-06\r\n"
    )
    assert stream.values == pytest.approx([1e-3, 1.001e-3, np.nan, 1.002e-3, 1.003e-3], nan_ok=True)
    told = [(mark.kind, mark.before, mark.value) for mark in stream.marks]
    assert told == [("time", 1, 3937), ("event", 2, 0), ("torn", 2, 0), ("trouble", 4, 0), ("end", 5, 0)]


def test_packets_between_binary_samples_are_understood() -> None:
    stream = read_binary(
        b"\x52\xa0\xf0\xf3\x00\x00\x0f\x61\x05\xff\xff\x52\xa1\xf0\xf2event 00 ris\xff\xff\x52\xa2"
        b"\xf0\xf1buffer overrun\xff\xff\x52\xa3\xf0\xf4\xff\xffsummary"
    )
    assert stream.values == pytest.approx(np.array([0x2A0, 0x2A1, 0x2A2, 0x2A3]) / 16**5)
    told = [(mark.kind, mark.before, mark.value) for mark in stream.marks]
    assert told == [("time", 1, 3937), ("event", 2, 0), ("trouble", 3, 0), ("end", 4, 0)]


def test_a_torn_binary_sample_makes_a_gap_of_what_it_puts_in_doubt() -> None:
    stamp = b"\xf0\xf3\x00\x00\x00\x01\x00\xff\xff"
    stream = read_binary(b"\x52\xa0" + stamp + b"\x52\xa0\x52\x52\xa0" + stamp + b"\x52\xa0")
    assert np.isnan(stream.values).tolist() == [False, True, True, True, False]


# ── the instrument on a pty ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rate", RATES)
def test_no_sample_is_lost_and_the_marked_current_is_true(rate: str) -> None:
    recording, told = record(1.2, rate)
    trace = recording.trace
    assert trace.amps is not None
    assert trace.marker is not None
    assert trace.nominal_rate_hz is not None
    assert len(trace.amps) == told["sent"]
    assert not np.isnan(trace.amps).any()
    marked = (trace.marker & 1).astype(bool)
    edges = np.flatnonzero(np.diff(marked))[:2] + 1
    assert edges.tolist() == [round(edge * trace.nominal_rate_hz) for edge in WINDOWS_S[0]]
    assert trace.amps[marked].mean() == pytest.approx(truth_of(recording)[marked].mean(), rel=0.002)
    assert trace.power_w == pytest.approx(trace.amps * 3.3)
    assert told["volt"] == "3300m"
    assert trace.hold == (told["output"] == "energy")
    assert (told["output"], told["format"]) == {
        "5kHz": ("energy", "ascii_dec"),
        "10kHz": ("energy", "bin_hexa"),
        "100kHz": ("current", "bin_hexa"),
    }[rate]


@pytest.mark.parametrize("rate", ["5kHz", "100kHz"])
def test_an_overrun_is_a_gap_as_long_as_the_time_stamps_say(rate: str) -> None:
    hertz = int(rate.removesuffix("kHz")) * 1000
    lost, at = hertz // 20, hertz * 6 // 10
    recording, told = record(1.2, rate, "--fault", f"drop:{lost}@{at}")
    assert told["lost"] == lost
    assert gaps_of(recording) == list(range(at, at + lost))
    assert recording.trace.amps is not None
    assert np.nanmax(np.abs(recording.trace.amps / truth_of(recording) - 1)) < 0.002
    assert any("buffer overrun" in note for note in recording.trace.notes)


def test_a_torn_line_is_a_gap_of_one_sample() -> None:
    recording, _ = record(0.8, "5kHz", "--fault", "torn@1500")
    assert gaps_of(recording) == [1500]


def test_samples_lost_without_a_word_are_missed_at_the_next_time_stamp() -> None:
    recording, _ = record(1.2, "5kHz", "--fault", "quiet:100@2000")
    assert len(gaps_of(recording)) == 100
    assert any("100 samples are missing somewhere from" in note for note in recording.trace.notes)


def test_without_time_stamps_the_elapsed_time_tells_an_overruns_length() -> None:
    recording, _ = record(2.2, "5kHz", "--no-stamps", "--fault", "drop:500@5000")
    gaps = gaps_of(recording)
    assert gaps[0] == 5000
    assert len(gaps) == pytest.approx(500, abs=100)  # a busy host blurs it


def test_an_unplugged_instrument_leaves_what_it_sent() -> None:
    recording, _ = record(0.8, "5kHz", "--fault", "unplug@2000")
    assert recording.trace.amps is not None
    assert 500 < len(recording.trace.amps) <= 2000
    assert recording.trace.amps == pytest.approx(truth_of(recording), rel=0.002)
    assert "unplugged" in recording.lost


def test_older_firmware_without_events_measures_without_a_marker() -> None:
    recording, _ = record(0.5, "5kHz", "--old")
    assert recording.trace.marker is None
    assert len(recording.trace.time_s) > 500


def test_energy_is_not_asked_for_faster_than_the_instrument_integrates() -> None:
    with pytest.raises(UsageError, match="integrates energy up to 10 kHz"):
        open_meter("lpm01a:///dev/ttyACM0?voltage=3300mV&rate=100kHz&output=energy")


@pytest.mark.slow
def test_another_instrument_is_not_taken_for_an_lpm01a() -> None:
    with (
        fake_instrument("fake_ppk2") as fake,
        pytest.raises(BoardUnreachable, match="does not answer 'htc' as an LPM01A"),
        open_meter(f"lpm01a://{fake.path}?voltage=3300mV"),
    ):
        pass
