"""Real logs of real firmware give the figures that were published for them."""

from __future__ import annotations

import re
import statistics
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import pytest

from edgeprof.links.mlperf_lines import LapClock, LineReader, Window, facts_in, first_text, windows_in
from edgeprof.records.result import Pass, Plan
from edgeprof.summary.fold import fold
from edgeprof.summary.summarise import measured_metrics
from tests.mlperf.rig import run_on, spoken, transcript
from tests.mlperf.simulator import Board

if TYPE_CHECKING:
    from edgeprof.links.mlperf_lines import Fact

pytestmark = pytest.mark.models


class Published(NamedTuple):
    """What a log says, and what was published of it: the latencies in microseconds, the median throughput."""

    log: str
    model: str
    iterations: int
    latencies_us: tuple[float, ...]
    throughput_hz: float
    first_result: float


PUBLISHED = (
    Published(
        "v05_hls4ml_noise_prefix_ic_perf.log",
        "ic01",
        3000,
        (7897.446, 7897.447, 7897.445, 7897.448, 7897.449),
        126.623,
        0.0,
    ),
    Published(
        "v05_pcl_riscv_ad_perf.log",
        "ad01",
        1000,
        (13650.993, 13650.992, 13650.993, 13651.080, 13651.079),
        73.25474,
        104.311,
    ),
    Published(
        "v05_reference_l4r5zi_kws_perf.log",
        "kws01",
        100,
        (181923.90, 181923.86, 181922.96, 181924.18, 181923.33),
        5.497,
        0.0,
    ),
    Published(
        "v07_alibaba_echo_kws_perf.log",
        "kws01",
        8500,
        (1203.441, 1202.160, 1201.761, 1200.267, 1200.617),
        832.112,
        -6.113,
    ),
)
each_log = pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.log)


def facts_of(lines: list[str]) -> list[Fact]:
    reader = LineReader()
    return [fact for line in lines for said in reader.feed(f"{line}\r\n".encode()) for fact in facts_in(said)]


def windows_of(name: str) -> list[Window]:
    return list(windows_in(facts_of(spoken(transcript(name))), LapClock()))


@each_log
def test_a_real_log_gives_profile_model_and_the_latency_of_each_window(published: Published) -> None:
    facts = facts_of(spoken(transcript(published.log)))
    assert first_text(facts, "profile") == "ULPMark for tinyML Firmware V0.0.1"
    assert first_text(facts, "model") == published.model
    windows = windows_of(published.log)
    assert [window.iterations for window in windows] == [published.iterations] * 5
    latencies = [window.duration_us / published.iterations for window in windows]
    assert latencies == pytest.approx(published.latencies_us, abs=0.0006)
    assert windows[0].results is not None
    assert windows[0].results[0] == published.first_result


@each_log
def test_a_real_log_gives_the_published_median_throughput(published: Published) -> None:
    throughputs = [published.iterations / window.duration_us * 1e6 for window in windows_of(published.log)]
    assert statistics.median(throughputs) == pytest.approx(published.throughput_hz, abs=0.0005)


@each_log
def test_a_session_with_recorded_firmware_gives_the_published_latency(published: Published) -> None:
    lines = spoken(transcript(published.log))
    answers: list[list[str]] = [[]]
    for line in lines:
        answers[-1].append(line)
        if "m-ready" in line:
            answers.append([])
    profile, timestamp, *windows = answers[:-1]
    latency_us = published.latencies_us[0]
    board = Board(model=published.model, latency_us=lambda _window: latency_us)
    command = f"infer {published.iterations} 1"
    board.recorded = {"profile": deque([profile]), "timestamp": deque([timestamp]), command: deque(windows)}
    asked = Pass(kind="latency", runs=5, batch=published.iterations, warmup=1)
    plan = Plan(passes=(asked,), format="tflite")
    heard = run_on(board, plan)
    assert heard.error is None
    assert not board.recorded[command]
    metric = measured_metrics(fold(heard.events, plan))["latency_p50_s"]
    assert metric.value == pytest.approx(1 / published.throughput_hz, rel=1e-4)
    assert metric.value == pytest.approx(statistics.median(published.latencies_us) / 1e6, abs=1e-9)


def test_the_energy_build_s_log_has_model_and_results_and_no_window() -> None:
    facts = facts_of(spoken(transcript("v05_reference_l4r5zi_kws_energy.log")))
    assert first_text(facts, "mode") == "energy"
    assert first_text(facts, "model") == "kws01"
    assert sum(fact.kind == "infer_done" for fact in facts) == 5
    assert sum(fact.kind == "results" for fact in facts) == 5
    assert not list(windows_in(facts, LapClock()))


def test_the_windows_that_a_later_runner_published_give_its_median_through_the_session() -> None:
    """Its log keeps only each window's time, so the board takes those times over."""
    log = transcript("v13_stm_newrunner_kws_perf.log")
    results = transcript("v13_stm_newrunner_kws_perf_results.txt")
    runtimes_us = [round(float(text) * 1e6) for text in re.findall(r"Runtime: ([\d.]+) sec", results)]
    throughput_hz = float(re.findall(r"Median throughput is\s+([\d.]+)", results)[0])
    vendor, profile, model = re.findall(r"Device (?:name|profile|model) retrieved: (.*)", log)
    iterations = 250
    answers = [
        [f"m-infer-start-{iterations}", "m-lap-us-4294000000", f"m-lap-us-{(4294000000 + us) % 2**32}", "m-ready"]
        for us in runtimes_us
    ]
    board = Board(vendor=vendor, profile=profile, model=model, latency_us=lambda _window: 43448.0)
    board.recorded = {f"infer {iterations} 1": deque(answers)}
    plan = Plan(passes=(Pass(kind="latency", runs=5, batch=iterations, warmup=1),), format="tflite")
    heard = run_on(board, plan)
    measurement = fold(heard.events, plan)
    assert (measurement.board, measurement.identity["model"]) == ("STMicroelectronics", "kws01")
    metric = measured_metrics(measurement)["latency_p50_s"]
    assert metric.value is not None
    assert 1 / metric.value == pytest.approx(throughput_hz, abs=0.0005)
    assert measurement.passes[0].samples.duration == pytest.approx([us / 1e6 for us in runtimes_us])
