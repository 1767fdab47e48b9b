from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeprof.errors import BoardUnreachable
from edgeprof.meters import open_meter
from edgeprof.meters.ppk2_words import amps_table, decode, implausible, parse_metadata
from tests.unit.meters.fake_ppk2 import CYCLE, VOLTAGE_V, WINDOWS, make_words, metadata, true_amps
from tests.unit.meters.instruments import REPOSITORY, fake_instrument

if TYPE_CHECKING:
    from edgeprof.meters.recording import Recording

API_WORDS = json.loads((REPOSITORY / "tests/fixtures/meters/ppk2_api_words.json").read_text())
CYCLE_BYTES = make_words().astype("<u4").tobytes()


def record(samples: int, *faults: str) -> tuple[Recording, dict[str, object]]:
    """Record what the fake sends, and return it and what the fake says."""
    options = [part for fault in faults for part in ("--fault", fault)]
    with (
        fake_instrument("fake_ppk2", "--samples", samples, *options) as fake,
        open_meter(f"ppk2://{fake.path}?voltage=3300mV") as meter,
    ):
        meter.start()
        told = fake.told()
        return meter.stop(), told


def truth_of(recording: Recording) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    assert recording.trace.amps is not None
    return np.resize(true_amps(), len(recording.trace.amps))


# ── the conversion ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", API_WORDS["cases"], ids=lambda case: f"{case['millivolts']} mV")
def test_each_word_becomes_the_current_that_ppk2_api_makes_of_it(case: dict[str, Any]) -> None:
    calibration = parse_metadata(metadata().decode())
    assert calibration is not None
    words = np.array(case["words"], np.uint32)
    amps = amps_table(calibration, case["millivolts"] / 1000)[words & 0x1FFFF]
    assert amps * 1e6 == pytest.approx(np.array(case["microamps"]), rel=1e-12)
    assert (words >> 24).tolist() == case["bits"]


def test_a_range_that_does_not_exist_is_no_current() -> None:
    calibration = parse_metadata(metadata().decode())
    assert calibration is not None
    assert np.isnan(amps_table(calibration, 3.3)[5 << 14 :]).all()


def test_missing_and_impossible_constants_become_defaults_that_are_named() -> None:
    text = metadata().decode().replace("R1: 101.5865", "R1: 0.0000").replace("GS2: 18.0115", "GS2: -nan")
    calibration = parse_metadata(text)
    assert calibration is not None
    assert calibration.defaulted == ("R1", "GS2")
    assert calibration.r[1] == 101.65
    assert calibration.gs[:3] == (0.0, 112.789, 1.0)


def test_an_overwritten_calibration_is_recognised() -> None:
    text = metadata().decode().replace("R0: 1003.3506", "R0: 3095044895830869060112875520.0")
    calibration = parse_metadata(text.replace("O1: 75.4627", "O1: -2814926129201152.0"))
    assert calibration is not None
    assert [wrong.partition("=")[0] for wrong in implausible(calibration)] == ["R0", "O1"]


# ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    st.integers(0, CYCLE - 4000),
    st.lists(st.tuples(st.integers(100, 12_000), st.integers(1, 700)), max_size=3),
)
@example(37, [(107, 1)])  # an idle logic byte in the counter's place follows a counter of 63
def test_no_word_is_made_up_whatever_bytes_are_lost(start: int, cuts: list[tuple[int, int]]) -> None:
    content = CYCLE_BYTES[4 * start : 4 * (start + 4000)]
    damaged = bytearray(content)
    kept = len(damaged)
    for drawn, count in sorted(cuts, reverse=True):
        at = drawn if count % 4 else drawn // 4 * 4  # whole words are lost whole, as USB packets hold them
        if at + count + 8 <= kept:  # two losses that leave a few bytes between them may look like whole words
            del damaged[at : at + count]
            kept = at
    decoded = decode(bytes(damaged))
    places = np.insert(np.arange(len(decoded.words)), 0, 0)[1:]
    for before, missing in zip(decoded.gap_before, decoded.missing, strict=True):
        places[before:] += missing
    original = np.frombuffer(content, "<u4")
    counters = original[np.minimum(places, len(original) - 1)] >> 18 & 63
    assert (decoded.words >> 18 & 63 == counters)[places < len(original)].all()
    assert set(decoded.words.tolist()) <= set(original.tolist())
    assert len(decoded.words) >= len(damaged) // 4 - 12 * (len(cuts) + 1)


def test_a_loss_is_as_long_as_the_counter_says() -> None:
    decoded = decode(CYCLE_BYTES[:4000] + CYCLE_BYTES[4000 + 4 * 37 : 8000])
    assert (decoded.gap_before, decoded.missing) == ([1000], [37])
    assert len(decoded.words) == 2000 - 37


def test_a_torn_word_and_a_wrong_one_are_left_out_with_their_neighbours_and_counted() -> None:
    torn = decode(CYCLE_BYTES[:402] + CYCLE_BYTES[404:1000])
    assert (torn.gap_before, torn.missing, torn.discarded_bytes) == ([98], [4], 14)
    wrong = decode(CYCLE_BYTES[:400] + b"\xa5\x5a\xff\x3c" + CYCLE_BYTES[404:1000])
    assert (wrong.gap_before, wrong.missing, len(wrong.words)) == ([98], [4], 246)


def test_noise_alone_holds_no_samples() -> None:
    noise = np.random.default_rng(1).integers(0, 256, 100_000, np.uint8).tobytes()
    assert len(decode(noise).words) == 0


# ── the instrument on a pty, at full rate ────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_at_full_rate_no_sample_is_lost_and_the_marked_current_is_true() -> None:
    recording, told = record(500_000)
    trace = recording.trace
    assert trace.amps is not None
    assert trace.marker is not None
    assert len(trace.amps) == told["sent"] == 500_000
    assert not np.isnan(trace.amps).any()
    marked = (trace.marker & 1).astype(bool)
    assert np.flatnonzero(np.diff(marked))[:2].tolist() == [WINDOWS[0][0] - 1, WINDOWS[0][1] - 1]
    assert trace.amps[marked].mean() == pytest.approx(truth_of(recording)[marked].mean(), rel=0.002)
    assert trace.power_w == pytest.approx(trace.amps * VOLTAGE_V)
    assert told["regulator_mv"] == 3300
    assert (told["mode"], told["running"]) == ("source", True)


def test_the_trace_is_on_the_hosts_clock() -> None:
    before = time.monotonic()
    recording, _ = record(100_000)
    after = time.monotonic()
    trace = recording.trace
    assert trace.clock == "host"
    assert before < trace.time_s[0] < trace.time_s[-1] < after
    assert recording.clock is not None
    assert abs(recording.clock.skew_ratio) < 1e-3
    assert recording.arrivals.sample_count[-1] == len(trace.time_s)
    late = recording.arrivals.host_time_s - (
        recording.clock.start_s + recording.arrivals.sample_count / recording.clock.rate_hz
    )
    assert late.min() == pytest.approx(0, abs=1e-6)


def test_lost_torn_and_wrong_samples_are_gaps_of_their_length() -> None:
    recording, told = record(130_000, "drop:37@60000", "torn:2@80000", "wrong@100000")
    amps, marker = recording.trace.amps, recording.trace.marker
    assert amps is not None
    assert marker is not None
    assert told["lost"] == 39
    gaps = np.flatnonzero(np.isnan(amps)).tolist()
    assert gaps == [*range(60_000, 60_037), *range(79_998, 80_002), *range(99_998, 100_002)]
    assert np.nanmax(np.abs(amps / truth_of(recording) - 1)) < 0.02
    assert any("45 samples were lost in 3 gaps" in note for note in recording.trace.notes)
    assert marker[60_010] & 1  # held through the gap
    assert np.isnan(recording.trace.power_w[gaps]).all()


def test_a_loss_that_the_counter_cannot_show_is_told_by_the_elapsed_time() -> None:
    recording, told = record(260_000, "drop:6400@130000")
    assert recording.trace.amps is not None
    gaps = np.flatnonzero(np.isnan(recording.trace.amps))
    assert told["lost"] == 6400
    assert len(gaps) == pytest.approx(6400, abs=640)  # a busy host blurs it
    assert len(gaps) % 64 == 0
    assert abs(int(gaps[0]) - 130_000) < 20_000
    assert any("told by the elapsed time alone" in note for note in recording.trace.notes)


def test_an_unplugged_instrument_leaves_what_it_sent() -> None:
    recording, told = record(130_000, "unplug@100000")
    assert recording.trace.amps is not None
    received = len(recording.trace.amps)
    assert 0.5 * 100_000 < received <= 100_000
    assert told["sent"] == 100_000
    assert recording.trace.amps == pytest.approx(truth_of(recording), rel=0.02)
    assert "unplugged" in recording.lost
    assert any("ended by itself" in note for note in recording.trace.notes)


def test_an_instrument_that_says_nothing_is_an_error_and_no_empty_trace() -> None:
    with pytest.raises(BoardUnreachable, match="the Nordic PPK2 gave no samples"):
        record(0)


def test_a_stream_that_an_earlier_program_left_running_does_not_disturb() -> None:
    with fake_instrument("fake_ppk2") as fake:
        url = f"ppk2://{fake.path}?voltage=3300mV&after=off"
        with open_meter(url) as meter:
            meter.start()
            time.sleep(0.2)
        first = fake.told()
        with open_meter(url) as meter:
            meter.start()
            time.sleep(0.3)
            recording = meter.stop()
        assert first["running"] is True
        assert fake.told()["running"] is True  # told before the port was closed, and switched on again
        assert recording.trace.amps is not None
        assert not np.isnan(recording.trace.amps).any()


@pytest.mark.slow
def test_another_instrument_is_not_taken_for_a_ppk2() -> None:
    with (
        fake_instrument("fake_lpm01a") as fake,
        pytest.raises(BoardUnreachable, match="does not answer as a PPK2") as raised,
        open_meter(f"ppk2://{fake.path}?voltage=3.3V"),
    ):
        pass
    assert "two with newer firmware" in raised.value.hint


def test_a_port_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(BoardUnreachable, match="there is no serial port /dev/ttyACM99"),
        open_meter("ppk2:///dev/ttyACM99?voltage=3300mV"),
    ):
        pass
