"""Sensors read while a real agent measures a real model: what arrives, in which order, and what the reading took."""

from __future__ import annotations

import json
import os
import signal
import struct
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof import wire
from edgeprof.agent.runtimes import TINY_TFLITE
from edgeprof.agent.sampling import Sampling, keep_off
from edgeprof.agent.sensors import find_readers
from edgeprof.agent.sensors.channel import Channel, Gap, Reader
from edgeprof.links.framed import FramedSession
from edgeprof.links.local import open_local
from edgeprof.records.events import ChannelsFound, PassEnded, SensorsRead, StateRead
from edgeprof.records.result import Pass, Plan
from edgeprof.summary.fold import fold
from edgeprof.summary.sensors import sensor_cost, sensor_line, sensor_metrics, sensor_warnings
from tests.sysfs_trees import build
from tests.watching import processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeprof.records.events import Event
    from edgeprof.records.result import Measurement

BLOBS = {
    "model": TINY_TFLITE,
    "inputs": wire.pack_inputs([("a", "float32", (1, 4), [struct.pack("<4f", 1, 2, 3, 4)])]),
}
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def pi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root of a Raspberry Pi 5 that the agent takes for its own."""
    root = build("raspberry-pi-5", tmp_path / "pi")
    monkeypatch.setenv("EDGEPROF_SYSROOT", str(root))
    return root


def run(plan: Plan) -> tuple[list[Event], Measurement]:
    with FramedSession(open_local(), name="here") as session:
        events = list(session.run(plan, BLOBS))
    return events, fold(events, plan)


def seconds(duration_s: float, sensors_s: float = 0.05) -> Plan:
    return Plan(passes=(Pass(kind="latency", duration_s=duration_s, sensors_s=sensors_s),), format="tflite")


@pytest.mark.slow
def test_a_board_that_becomes_warmer_and_throttles_is_seen_doing_so(pi: Path) -> None:
    stop = threading.Event()
    heater = threading.Thread(target=heat, args=(pi, stop))
    plan = seconds(2.5)
    events: list[Event] = []
    try:
        with FramedSession(open_local(), name="here") as session:
            for event in session.run(plan, BLOBS):
                events.append(event)
                if isinstance(event, ChannelsFound) and not event.ended:
                    heater.start()
    finally:
        stop.set()
        heater.join()
    measurement = fold(events, plan)
    found = {series.name: series for series in measurement.passes[0].sensors}
    zone = found["thermal_zone0 (cpu-thermal)"]
    assert len(zone.value) > 5
    assert list(zone.time_s) == sorted(zone.time_s)
    assert zone.value[-1] > zone.value[0] + 2
    assert (zone.unit, zone.source, zone.interval_s) == ("celsius", "/sys/class/thermal/thermal_zone0/temp", 0.05)
    assert {0.0, float(0x40004)} <= set(found["throttle bits"].value)
    assert found["throttle bits"].interval_s == 1.0
    assert sum(series.role == "module-rails" for series in found.values()) == 12
    assert measurement.passes[0].state_before["throttle"]["bits"] == 0
    assert measurement.passes[0].state_after["throttle"]["now"] == ["throttled"]
    metrics = sensor_metrics(measurement)
    assert metrics["temperature_peak_celsius"].value == max(zone.value)
    share = metrics["throttled_ratio"].value
    assert share is not None
    assert 0 < share <= 1
    assert [warned.code for warned in sensor_warnings(measurement) if warned.code != "sensors-cost"] == ["throttled"]


def heat(root: Path, stop: threading.Event) -> None:
    begin = time.monotonic()
    zone = root / "sys/class/thermal/thermal_zone0/temp"
    while not stop.wait(0.05):
        part = root / "next"
        part.write_text(f"{round(61250 + 3000 * (time.monotonic() - begin))}\n")
        part.replace(zone)
        if time.monotonic() - begin > 0.8:
            part.write_text("throttled=0x40004\n")
            part.replace(root / "vcgencmd.d/get_throttled")


@pytest.mark.slow
def test_what_the_sampling_took_is_measured_and_said_before_the_pass_ends(pi: Path) -> None:
    assert pi.exists()
    events, measurement = run(seconds(1.2))
    kinds = [type(event) for event in events]
    first, last = [at for at, kind in enumerate(kinds) if kind is ChannelsFound]
    ended = events[last]
    assert isinstance(ended, ChannelsFound)
    assert ended.ended
    assert {"cpu_s", "wall_s", "reads"} <= ended.channels[0].keys()
    assert first < min(at for at, kind in enumerate(kinds) if kind is SensorsRead)
    assert max(at for at, kind in enumerate(kinds) if kind is SensorsRead) < last
    after = [at for at, event in enumerate(events) if isinstance(event, StateRead) and event.phase == "after"]
    assert last < after[0] < kinds.index(PassEnded)
    cost = sensor_cost(measurement)
    assert cost["cpu_s"] > 0
    assert cost["rounds"] >= 5
    assert cost["mean_round_s"] > 0
    assert len(next(s for s in measurement.passes[0].sensors if s.name == "sampling").value) == cost["rounds"]
    print(sensor_line(cost))  # noqa: T201  the figure is wanted in the log of the tests
    assert sensor_line(cost).startswith("sensors: ")


def test_a_pass_that_asks_for_none_reads_no_sensor(pi: Path) -> None:
    assert pi.exists()
    events, measurement = run(seconds(0.1, sensors_s=0))
    assert not [event for event in events if isinstance(event, ChannelsFound | SensorsRead)]
    assert measurement.passes[0].complete
    assert sensor_cost(measurement) == {}


def test_a_board_without_sensors_says_so_and_measures_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEPROF_SYSROOT", str(tmp_path))
    _, measurement = run(seconds(0.1))
    assert measurement.passes[0].complete
    assert [series.name for series in measurement.passes[0].sensors] == ["sampling"]
    assert sensor_metrics(measurement)["temperature_peak_celsius"].reason == "the board shows no temperature"


def test_a_pass_that_breaks_off_keeps_its_readings(pi: Path) -> None:
    assert pi.exists()
    plan = Plan(passes=(Pass(kind="latency", duration_s=60, sensors_s=0.05),), format="tflite")
    events: list[Event] = []
    with FramedSession(open_local(), name="here") as session:
        for event in session.run(plan, BLOBS):
            events.append(event)
            if isinstance(event, SensorsRead) and len([e for e in events if isinstance(e, SensorsRead)]) == 2:
                session.cancel_pass(0)
    measured = fold(events, plan).passes[0]
    assert measured.failure == "cancelled"
    assert measured.sampling is not None
    assert any(series.value for series in measured.sensors)


def test_a_measuring_process_that_is_killed_leaves_its_readings_and_what_they_took(pi: Path, own_cache: Path) -> None:
    assert pi.exists()
    plan = seconds(60)
    events: list[Event] = []
    with FramedSession(open_local(), name="here") as session:
        for event in session.run(plan, BLOBS):
            events.append(event)
            if isinstance(event, SensorsRead) and not [e for e in events[:-1] if isinstance(e, SensorsRead)]:
                (child,) = [number for number, command in processes(own_cache).items() if " measure " in command]
                os.kill(child, signal.SIGKILL)
    measured = fold(events, plan).passes[0]
    assert not measured.complete
    assert measured.sampling is not None


# ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────────────


def sampled(readers: list[Reader], for_s: float, interval_s: float = 0.02, **options: Any) -> list[wire.Message]:  # noqa: ANN401  those of Sampling
    sampling = Sampling(1, readers, interval_s, 65535, **options)
    said: list[wire.Message] = [sampling.start()]
    time.sleep(for_s)
    return said + sampling.end()


def rows(said: list[wire.Message]) -> Iterator[tuple[int, int, float]]:
    for message in said:
        if isinstance(message, wire.Readings):
            yield from zip(*wire.unpack_readings(message), strict=True)


def test_a_slow_sensor_is_read_at_its_own_least_interval_and_unevenly_where_that_matters() -> None:
    quick = Reader([Channel("quick", "load", "ratio", "q")], lambda: [0.5])
    uneven = Reader([Channel("uneven", "power", "W", "u")], lambda: [1.0], 0.1, jitter=True)
    said = sampled([quick, uneven], 1.0)
    times = [ticks * 1e-9 for ticks, channel, _ in rows(said) if channel == 2]
    distances = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) >= 3
    assert min(distances) > 0.095
    assert len({round(distance, 3) for distance in distances}) > 1
    assert sum(1 for _, channel, _ in rows(said) if channel == 1) > 2 * len(times)


def test_gaps_are_counted_with_their_reason_and_send_nothing() -> None:
    def broken() -> list[float]:
        raise Gap("it is {}", "gone")

    said = sampled([Reader([Channel("broken", "power", "W", "b")], broken)], 0.1)
    assert {channel for _, channel, _ in rows(said)} == {0}
    told = json.loads(said[-1].channels)
    assert told[1]["failures"] == told[0]["reads"]
    assert told[1]["reason"] == "it is gone"


def test_a_small_frame_is_not_overfilled() -> None:
    sampling = Sampling(1, [Reader([Channel("a", "load", "ratio", "a")], lambda: [0.5])], 0.01, 128)
    sampling.start()
    time.sleep(0.3)
    for message in sampling.end():
        if isinstance(message, wire.Readings):
            wire.encode_frame(message, 0, 128)


def test_the_thread_keeps_off_the_cores_that_are_measured() -> None:
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("one core only")
    seen: list[set[int]] = []

    def look() -> list[float]:
        seen.append(os.sched_getaffinity(0))
        return [0.0]

    busy = min(allowed)
    sampled([Reader([Channel("cores", "load", "ratio", "c")], look)], 0.1, busy_cpus=[busy])
    assert busy not in seen[0]
    assert os.sched_getaffinity(0) == allowed  # the main loop stays where it was
    keep_off(frozenset(allowed))  # no other core is left
    assert os.sched_getaffinity(0) == allowed


def test_the_cpu_time_of_the_firmwares_program_counts_as_the_samplings(tmp_path: Path) -> None:
    readers = find_readers(str(build("raspberry-pi-4", tmp_path)))
    cost = json.loads(sampled(readers, 0.3)[-1].channels)[0]
    assert cost["cpu_s"] > 0
    assert sum(command.cpu_s for reader in readers for command in reader.commands) > 0
