"""A session with simulated firmware: as the protocol has it, and with every way in which real firmware differs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof import wire
from edgeprof.errors import AgentMismatch, BoardUnreachable, Interrupted, LinkLost, UsageError
from edgeprof.links.mlperf_firmware import Firmware
from edgeprof.links.mlperf_inputs import benchmark_inputs, inputs_of
from edgeprof.links.mlperf_tiny import MlperfTinySession
from edgeprof.links.serial_port import open_serial
from edgeprof.records.events import (
    AgentIdentified,
    ClockBracketed,
    Noted,
    OutputReceived,
    PassEnded,
    PassStarted,
    SamplesReceived,
)
from edgeprof.records.result import Pass, Plan
from edgeprof.summary.fold import fold
from edgeprof.summary.summarise import measured_metrics
from tests.mlperf.rig import FIVE_WINDOWS, HASTY, QUICK, Heard, run_on
from tests.mlperf.simulator import Board, OnPty, OnSocket, Quirks

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.errors import EdgeprofError
    from edgeprof.records.events import Event
    from edgeprof.session import Channel

LATENCY_US = 4321.0


def samples(heard: Heard) -> list[SamplesReceived]:
    return [event for event in heard.events if isinstance(event, SamplesReceived)]


def notes(heard: Heard) -> dict[str, str]:
    return {event.code: event.text for event in heard.events if isinstance(event, Noted)}


def ended(heard: Heard) -> list[PassEnded]:
    return [event for event in heard.events if isinstance(event, PassEnded)]


def without_clocks(events: list[Event]) -> list[Event]:
    """Return events without what differs from run to run: how often a name was asked moves all that follows."""
    kept: list[Event] = []
    for event in events:
        match event:
            case ClockBracketed():
                kept.append(replace(event, host_before_s=0, agent_ticks=0, host_after_s=0))
            case SamplesReceived():
                milliseconds = tuple(round(ticks / 1000) for ticks in event.duration_ticks)
                kept.append(replace(event, start_ticks=(0,), duration_ticks=milliseconds))
            case _:
                kept.append(event)
    return kept


def test_a_run_yields_exactly_these_events() -> None:
    heard = run_on(Board(quirks=Quirks(results="0.5,0.25")), Plan(passes=(Pass(kind="latency", runs=2),)))
    identity = {"vendor": "Acme", "profile": "ULPMark for tinyML Firmware V0.0.1", "model": "kws01"}
    mean = (
        "a sample is the mean of one window of 2424 inferences on the firmware's own clock, after 10 to warm up;"
        " single inferences are not seen"
    )
    assert heard.error is None
    starts = [event.start_ticks[0] for event in samples(heard)]
    assert 250_000_000 < starts[0] < starts[0] + 10_475_840 < starts[1] < 262_000_000
    assert without_clocks(heard.events) == [
        AgentIdentified(
            agent="mlperf-tiny",
            protocol="ULPMark for tinyML Firmware V0.0.1",
            board="Acme",
            basis="measured",
            counter_unit="seconds",
            counter_hz=1_000_000,
            capabilities=("latency", "outputs", "sustained"),
            formats=(),
            identity=identity,
        ),
        PassStarted(index=0, kind="latency", launch=0, model_sha256="", runtime="firmware", detail=identity),
        ClockBracketed(index=0, host_before_s=0, agent_ticks=0, host_after_s=0),
        Noted(index=0, code="window-mean", text=mean),
        SamplesReceived(index=0, first=0, batch=2424, start_ticks=(0,), duration_ticks=(10_476,), flags=(0,)),
        OutputReceived(
            index=0, inference=0, tensor=0, name="results", dtype="float32", shape=(2,), content=b"\0\0\0?\0\0\x80>"
        ),
        SamplesReceived(index=0, first=1, batch=2424, start_ticks=(0,), duration_ticks=(10_476,), flags=(0,)),
        Noted(index=0, code="few-windows", text="2 of the 5 windows that the suite's rules ask for"),
        ClockBracketed(index=0, host_before_s=0, agent_ticks=0, host_after_s=0),
        PassEnded(index=0, complete=True),
    ]


DEVIATIONS = {
    "echo with the terminator": Quirks(echo="%"),
    "echo without the terminator": Quirks(echo="bare"),
    "text glued in front": Quirks(glued="src_mem_size: 3072"),
    "glued text that looks like an error": Quirks(glued="state-[3] Type error"),
    "colours": Quirks(colour=True),
    "blank lines": Quirks(blank_lines=True),
    "no warm-up lines": Quirks(missing=frozenset({"m-warmup-start", "m-warmup-done"})),
    "no m-infer-start": Quirks(missing=frozenset({"m-infer-start"})),
    "no m-infer-done": Quirks(missing=frozenset({"m-infer-done"})),
    "no m-load-done": Quirks(missing=frozenset({"m-load-done"})),
    "no answer to db load": Quirks(missing=frozenset({"m-[Expecting"})),
    "trailing comma": Quirks(trailing_comma=True),
    "whole and negative results": Quirks(results="-128, 127,3,-0.5"),
    "clock of 32 bits that wraps": Quirks(clock_starts_us=(1 << 32) - 17_000_000),
    "clock of 64 bits": Quirks(clock_bits=64, clock_starts_us=160_573_425_916),
    "clock that steps by 1 ms": Quirks(clock_step_us=1000),
    "clock that steps by 10 ms": Quirks(clock_step_us=10_000),
    "clock that went back once": Quirks(clock_jumps_us=(0, 0, 0, 0, -20_000_000)),
    "no name": Quirks(unknown=frozenset({"name"})),
    "a damaged byte on the way": Quirks(damages=frozenset({3})),
    "slow to boot": Quirks(boots_for_s=0.8),
    "all at once": Quirks(echo="bare", glued="dbg ", colour=True, blank_lines=True, trailing_comma=True),
}


@pytest.mark.parametrize("quirks", DEVIATIONS.values(), ids=DEVIATIONS.keys())
def test_firmware_that_differs_gives_the_same_figures(quirks: Quirks) -> None:
    board = Board(quirks=quirks)
    heard = run_on(board)
    assert heard.error is None
    assert [event.complete for event in ended(heard)] == [True]
    assert [event.first for event in samples(heard)] == [0, 1, 2, 3, 4]
    for event in samples(heard):
        seconds = event.duration_ticks[0] / 1e6
        assert 10 <= seconds <= 11
        assert seconds / event.batch == pytest.approx(LATENCY_US / 1e6, rel=0.003)
    starts = [event.start_ticks[0] for event in samples(heard)]
    assert starts == sorted(starts)
    assert board.received == inputs_of(benchmark_inputs(0), "kws01")[0]
    outputs = [event for event in heard.events if isinstance(event, OutputReceived)]
    assert [event.shape for event in outputs] == [(quirks.results.count(",") + 1,)]


def test_results_whose_line_is_lost_are_asked_for_again_and_then_missed() -> None:
    board = Board(quirks=Quirks(missing=frozenset({"m-results"})))
    heard = run_on(board)
    assert "results" in board.commands
    assert len(samples(heard)) == 5
    assert "outputs-unavailable" in notes(heard)


def test_firmware_answers_behind_a_socket_as_well() -> None:
    board = Board()
    with (
        OnSocket(board) as simulated,
        MlperfTinySession(
            open_serial(simulated.url, 115200), name="board", patience=QUICK, watch_clock=False
        ) as session,
    ):
        events = list(session.run(FIVE_WINDOWS, {"inputs": benchmark_inputs(0)}))
    assert sum(isinstance(event, SamplesReceived) for event in events) == 5
    assert not board.crashed


# ── windows ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("latency_us", [30.0, 950.0, 43_000.0, 181_924.0, 1_239_584.0, 2_400_000.0])
def test_a_window_has_at_least_10_s_and_10_inferences_and_no_command_takes_30_s(latency_us: float) -> None:
    board = Board(latency_us=lambda _window: latency_us)
    heard = run_on(board)
    for event in samples(heard):
        assert event.batch >= 10
        assert event.duration_ticks[0] >= 10_000_000
    assert len(samples(heard)) == 5
    assert "window-short" not in notes(heard)
    for command in board.commands:
        if command.startswith("infer"):
            iterations, warmup = map(int, command.split()[1:])
            assert (iterations + warmup) * latency_us < 30e6


def test_a_model_too_slow_for_10_inferences_in_30_s_gets_what_fits_and_says_so() -> None:
    heard = run_on(Board(latency_us=lambda _window: 4_000_000.0))
    assert {event.batch for event in samples(heard)} == {6}
    assert notes(heard)["window-short"].startswith("6 inferences in 24.0")


def test_a_window_that_came_out_too_short_is_run_again_with_more_inferences() -> None:
    board = Board(latency_us=lambda number: 8000.0 if number < 4 else 4000.0)
    heard = run_on(board)
    assert [event.duration_ticks[0] >= 10_000_000 for event in samples(heard)] == [True] * 5
    assert "was left out" in notes(heard)["window-repeated"]


def test_a_clock_that_goes_back_in_every_window_is_refused() -> None:
    heard = run_on(Board(quirks=Quirks(clock_jumps_us=(0, 0, *[-20_000_000] * 20))))
    assert isinstance(heard.error, AgentMismatch)
    assert "wraps at other than 32 bits" in heard.error.message
    assert not samples(heard)


def test_a_clock_that_stands_still_is_refused() -> None:
    heard = run_on(Board(quirks=Quirks(clock_step_us=1 << 40)))
    assert isinstance(heard.error, AgentMismatch)
    assert "stands still" in heard.error.message


def test_a_clock_that_disagrees_with_the_host_is_noted() -> None:
    heard = run_on(Board(), watch_clock=True)
    assert notes(heard)["firmware-clock"].startswith("its clock says 10.476 s for a window that took 0.0")


def test_a_duration_gives_as_many_windows_as_it_takes() -> None:
    heard = run_on(Board(), Plan(passes=(Pass(kind="sustained", duration_s=80.0),)))
    assert len(samples(heard)) == 8


def test_a_batch_and_a_warm_up_are_taken_as_they_are_given() -> None:
    board = Board()
    heard = run_on(board, Plan(passes=(Pass(kind="latency", runs=5, batch=100, warmup=3),)))
    assert board.commands.count("infer 100 3") == 5
    assert "window-short" in notes(heard)


# ── inputs and outputs ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_user_s_inputs_take_turns_and_each_gives_its_output_once() -> None:
    blob = wire.pack_inputs([("mine", "uint8", (40,), [bytes([n]) * 40 for n in range(3)])])
    board = Board(model="own model")
    heard = run_on(board, Plan(passes=(Pass(kind="latency", runs=5),)), inputs=blob)
    assert board.commands.count("db load 40") == 5
    assert all(len(command) <= 66 for command in board.commands)
    outputs = [event for event in heard.events if isinstance(event, OutputReceived)]
    assert [event.inference for event in outputs] == [0, 1, 2]


def test_with_a_pass_for_outputs_they_come_from_there_alone() -> None:
    board = Board()
    heard = run_on(board, Plan(passes=(Pass(kind="latency", runs=5), Pass(kind="memory"), Pass(kind="outputs"))))
    assert [event.index for event in heard.events if isinstance(event, OutputReceived)] == [2]
    assert [(event.complete, event.failure) for event in ended(heard)] == [
        (True, ""),
        (False, "unsupported"),
        (True, ""),
    ]
    assert board.commands[-1] == "infer 1 0"


def test_a_second_launch_is_refused_because_nothing_can_be_launched() -> None:
    heard = run_on(Board(), Plan(passes=(Pass(kind="latency", runs=1), Pass(kind="latency", runs=1, launch=1))))
    assert [event.failure for event in ended(heard)] == ["", "unsupported"]


def test_a_model_that_is_not_known_keeps_what_is_in_its_buffer_and_says_so() -> None:
    board = Board(model="mystery")
    heard = run_on(board)
    assert "input-unknown" in notes(heard)
    assert not any(command.startswith("db") for command in board.commands)
    assert len(samples(heard)) == 5


def test_an_input_larger_than_the_buffer_is_refused_before_it_is_sent() -> None:
    blob = wire.pack_inputs([("mine", "uint8", (27649,), [bytes(27649)])])
    board = Board()
    heard = run_on(board, inputs=blob)
    assert isinstance(heard.error, UsageError)
    assert "27649 bytes" in heard.error.message
    assert "27648" in heard.error.message
    assert board.commands[-1] == "db load 27649"


# ── trouble ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("quirks", "error", "says"),
    [
        (Quirks(silent=True), BoardUnreachable, "nothing came over the port"),
        (Quirks(speaks=b"\xfe\x81\x00\xf3" * 9), BoardUnreachable, "another baud rate"),
        (Quirks(speaks=b"U-Boot 2023.01\r\nHit any key\r\n"), BoardUnreachable, "a bootloader talks"),
        (Quirks(speaks=b"board login: \r\n"), BoardUnreachable, "something else talks there: 'board login:'"),
        (Quirks(energy=True), AgentMismatch, "built for energy"),
        (Quirks(restarts_in_window=4), LinkLost, "restarted in the middle"),
        (Quirks(hangs_up_in_window=4), LinkLost, "is gone: unplugged"),
    ],
)
def test_trouble_is_told(quirks: Quirks, error: type[EdgeprofError], says: str) -> None:
    heard = run_on(Board(quirks=quirks), patience=HASTY if quirks.silent or quirks.speaks else QUICK)
    assert type(heard.error) is error
    assert says in heard.error.message


def test_a_pulled_cable_leaves_the_windows_before_it() -> None:
    heard = run_on(Board(quirks=Quirks(hangs_up_in_window=6)))
    assert isinstance(heard.error, LinkLost)
    measurement = fold(heard.events, FIVE_WINDOWS)
    assert not measurement.passes[0].complete
    metric = measured_metrics(measurement)["latency_p50_s"]
    assert metric.count == 2
    assert metric.value == pytest.approx(LATENCY_US / 1e6, rel=0.001)


def test_firmware_that_falls_silent_in_a_window_is_given_up_after_the_limit_of_an_infer_command() -> None:
    heard = run_on(Board(quirks=Quirks(falls_silent_in_window=6)), patience=QUICK._replace(infer_s=2.0))
    assert isinstance(heard.error, LinkLost)
    assert "no word for 2 s after `infer" in heard.error.message
    assert len(samples(heard)) == 2


def test_firmware_without_infer_ends_the_pass_with_its_own_words() -> None:
    heard = run_on(Board(model="sww01", quirks=Quirks(unknown=frozenset({"infer"}))))
    assert heard.error is None
    assert [(event.failure, event.text) for event in ended(heard)] == [
        ("bad-request", "the firmware refused: Unknown command: infer")
    ]


def test_bytes_that_are_damaged_every_time_end_the_pass() -> None:
    heard = run_on(Board(quirks=Quirks(damages=frozenset(range(1, 100)))))
    assert ended(heard)[0].text == "the firmware refused: Invalid hex digit 'zz'"


def test_ctrl_c_from_another_thread_keeps_what_came_before() -> None:
    events: list[Event] = []
    with (
        OnPty(Board(quirks=Quirks(falls_silent_in_window=5))) as simulated,
        MlperfTinySession(
            open_serial(simulated.url, 115200), name="board", patience=QUICK, watch_clock=False
        ) as session,
    ):
        threading.Timer(0.8, session.interrupt).start()
        with pytest.raises(Interrupted):
            events.extend(_kept(session, events.append))
    assert sum(isinstance(event, SamplesReceived) for event in events) == 1


def _kept(session: MlperfTinySession, keep: Callable[[Event], None]) -> list[Event]:
    for event in session.run(FIVE_WINDOWS, {"inputs": benchmark_inputs(0)}):
        keep(event)
    return []


def test_the_time_limit_ends_a_run() -> None:
    heard = run_on(Board(quirks=Quirks(silent=True)), replace(FIVE_WINDOWS, timeout_s=0.4))
    assert isinstance(heard.error, LinkLost)
    assert "time limit" in heard.error.message


@pytest.mark.parametrize("command", ["", " ", "\r\n", "name%", "%", "db " + "00" * 40])
def test_a_command_that_would_harm_the_firmware_is_never_sent(command: str) -> None:
    board = Board()
    with OnPty(board) as simulated:
        channel = open_serial(simulated.url, 115200)
        firmware = Firmware(channel, name="board", patience=QUICK)
        with pytest.raises(ValueError, match="not a command"):
            firmware.ask(command)
        firmware.close()
    assert board.commands == []


def test_the_simulated_firmware_crashes_at_a_bare_terminator_as_the_reference_does() -> None:
    board = Board()
    with OnPty(board) as simulated:
        channel = open_serial(simulated.url, 115200)
        channel.write(b"%")
        with pytest.raises(EOFError):
            _read_on(channel)
        channel.close()
    assert board.crashed


def _read_on(channel: Channel) -> None:
    while True:
        channel.read(5)
