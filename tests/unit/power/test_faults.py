"""Faults of sensors that make well-known tools invent joules: what each gives here, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pytest

from edgeprof import wire
from edgeprof.power.measurements import result_energy
from edgeprof.power.options import EnergyOptions
from edgeprof.power.recordings import energy_of_recording
from edgeprof.power.trace import PowerTrace
from edgeprof.records.result import Measurement, PassMeasurement, SampleColumns
from edgeprof.records.sensors import SensorSeries

if TYPE_CHECKING:
    from pathlib import Path

RATE_HZ, TRUE_W, IDLE_W, RUNS = 20.0, 2.0, 0.5, 40
WINDOWS = [(10.0 * at + 5.0, 10.0 * at + 10.0) for at in range(6)]
TRUE_J = TRUE_W * 5.0 / RUNS
TIMES = np.arange(0, 70, 1 / RATE_HZ)
POWER = np.where(sum((a <= TIMES) & (b > TIMES) for a, b in WINDOWS) > 0, TRUE_W, IDLE_W)
COUNTER = np.concatenate(([0.0], np.cumsum(POWER[:-1] / RATE_HZ)))


class Fault(NamedTuple):
    """What is wrong, the sensors that show it, whether there is an energy, and what is said."""

    name: str
    sensors: tuple[SensorSeries, ...]
    known: bool
    said: str
    covers: str = "board"


def series(power: np.ndarray, **changes: Any) -> SensorSeries:  # noqa: ANN401  fields of different types
    facts: dict[str, Any] = {
        "name": "total", "quantity": "power", "unit": "W", "source": "/sys/power1_input", "role": "board-total",
        "time_s": tuple(TIMES), "value": tuple(power), "interval_s": 1 / RATE_HZ,
    }  # fmt: skip
    return SensorSeries(**{**facts, **changes})


def counter(energy: np.ndarray, **changes: Any) -> SensorSeries:  # noqa: ANN401  the same
    return series(energy, quantity="energy", unit="J", source="/sys/energy_uj", **changes)


def changed(value: np.ndarray, places: slice | int, by: float) -> np.ndarray:
    value = value.copy()
    value[places] = by
    return value


def rail(name: str, share: float, **changes: Any) -> SensorSeries:  # noqa: ANN401  the same
    return series(POWER * share, name=name, rail=name, source=f"/sys/{name}", role="module-rails", **changes)


def jumped() -> np.ndarray:
    """Return times that run back by two seconds in the middle of the third window, as a clock that is set does."""
    return np.where(TIMES >= 27, TIMES - 2, TIMES)


UNREADABLE = {"time_s": (), "value": (), "failures": 1400, "reason": "permission denied"}
IN_WINDOW_2 = slice(int(16 * RATE_HZ), int(18 * RATE_HZ))
FAULTS = (
    Fault("nothing is wrong", (series(POWER),), known=True, said=""),
    Fault("the counter cannot be read", (counter(COUNTER, **UNREADABLE),), known=False, said="permission denied"),
    Fault("some readings of the counter fail", (counter(changed(COUNTER, IN_WINDOW_2, np.nan)),),
          known=True, said="failed: gaps"),
    Fault("a failed reading comes as 0", (counter(changed(COUNTER, 350, 0.0)),),
          known=True, said="fall out of the row"),
    Fault("the counter wraps around", (counter(COUNTER % 37.0),), known=True, said="its range is not known: gaps"),
    Fault("the counter is reset", (counter(np.where(TIMES > 27, COUNTER - 40, COUNTER)),),
          known=True, said="went down 1 times"),
    Fault("a rail is missing", (rail("CPU", 0.6), rail("GPU", 0.4, **UNREADABLE)),
          known=False, said="GPU could not be read"),
    Fault("no rail is missing", (rail("CPU", 0.6), rail("GPU", 0.4)), known=True, said="", covers="module"),
    Fault("a total and its rails", (series(POWER), rail("CPU", 0.6), rail("GPU", 0.4)), known=True, said=""),
    Fault("the same sensor twice", (series(POWER), series(POWER, name="again")), known=True, said="counted once"),
    Fault("two totals", (series(POWER), series(POWER, name="again", source="/sys/b")),
          known=True, said="is a total too"),
    Fault("one rail twice", (rail("CPU", 1.0), rail("CPU", 1.0)), known=True, said="counted once", covers="module"),
    Fault("NaN", (series(changed(POWER, IN_WINDOW_2, np.nan)),), known=True, said="of the window is missing"),
    Fault("infinite power", (series(changed(POWER, 350, np.inf)),), known=True, said="are infinite: gaps"),
    Fault("time runs back", (series(POWER, time_s=tuple(jumped())),), known=True, said="the clock was set back"),
    Fault("readings come twice", (series(np.repeat(POWER, 2), time_s=tuple(np.repeat(TIMES, 2))),),
          known=True, said="repeat"),
    Fault("negative power", (series(-POWER),), known=False, said="not above zero"),
    Fault("a hole in time", (series(np.delete(POWER, IN_WINDOW_2), time_s=tuple(np.delete(TIMES, IN_WINDOW_2))),),
          known=True, said="of the window is missing"),
    Fault("a unit that is none", (series(POWER, unit="V"),), known=False, said="no unit of power"),
    Fault("no sensor", (), known=False, said="no sensor of the board gives its power"),
)  # fmt: skip


def measured(sensors: tuple[SensorSeries, ...]) -> Measurement:
    """Return what an agent says of six windows of forty inferences each."""
    start = tuple(a + at * 5.0 / RUNS for a, _ in WINDOWS for at in range(RUNS))
    flags = tuple(0 if at % RUNS else wire.WINDOW for at in range(len(start)))
    count = len(start)
    samples = SampleColumns(start=start, duration=(5.0 / RUNS,) * count, batch=(1,) * count, flags=flags)
    ran = PassMeasurement(kind="energy", launch=0, complete=True, samples=samples, sensors=sensors)
    return Measurement(passes=(ran,))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_no_joule_is_invented_where(fault: Fault) -> None:
    metrics, breakdown = result_energy(measured(fault.sensors))
    each = metrics["energy_per_inference_j"]
    told = " ".join([each.reason or "", *(finding["text"] for finding in breakdown.get("findings", ()))])
    assert fault.said in told
    if not fault.known:
        assert each.value is None
        assert each.reason
        return
    assert breakdown["trace"]["covers"] == fault.covers
    assert each.value == pytest.approx(TRUE_J, rel=0.02)
    for window in breakdown["windows"]:
        if window["energy_j"] is None:
            assert window["reason"]
        else:
            assert window["energy_j"] <= TRUE_J * RUNS * 1.02


def test_the_sum_of_rails_is_never_called_a_total() -> None:
    metrics, _ = result_energy(measured((rail("CPU", 0.6), rail("GPU", 0.4))))
    assert "sum of the module's rails (CPU, GPU), carrier excluded" in metrics["energy_per_inference_j"].method


def test_rails_that_one_command_prints_are_not_one_sensor() -> None:
    shares = {"3V3_SYS": 0.5, "VDD_CORE": 0.3, "DDR_VDD2": 0.2}
    rails = [rail(name, share) for name, share in shares.items()]
    same = tuple(msgspec.structs.replace(one, source="vcgencmd pmic_read_adc") for one in rails)
    metrics, breakdown = result_energy(measured(same))
    assert breakdown["trace"]["rails"] == tuple(shares)
    assert metrics["energy_per_inference_j"].value == pytest.approx(TRUE_J, rel=0.02)


def test_an_instrument_whose_marker_is_not_wired_is_aligned_by_the_clocks() -> None:
    offset = 100.0
    trace = PowerTrace(TIMES + offset, POWER, "a bench", "host", marker=np.zeros(len(TIMES), np.uint8))
    ran = measured(()).passes[0]
    known = Measurement(passes=(msgspec.structs.replace(ran, clock_offset_s=(offset, offset)),))
    metrics, breakdown = result_energy(known, trace)
    assert metrics["energy_per_inference_j"].value == pytest.approx(TRUE_J, rel=0.02)
    assert breakdown["alignment"]["quality"] == "bracketed"
    assert "no marker" in breakdown["alignment"]["text"]


def test_an_instrument_with_a_marker_gives_the_windows_and_the_agent_the_inferences() -> None:
    marker = (POWER == TRUE_W).astype(np.uint8)
    trace = PowerTrace(TIMES + 3.3, POWER, "a bench", "instrument", marker=marker)
    metrics, breakdown = result_energy(measured(()), trace)
    assert metrics["energy_per_inference_j"].value == pytest.approx(TRUE_J, rel=0.02)
    assert breakdown["alignment"]["method"] == "marker"
    counted = msgspec.structs.replace(measured(()), counter_unit="instructions")
    assert result_energy(counted, trace)[0]["energy_per_inference_j"].value == metrics["energy_per_inference_j"].value
    blind, _ = result_energy(counted, trace._replace(marker=None))
    assert "counts instructions, no time" in (blind["energy_per_inference_j"].reason or "")


def test_the_agents_name_for_idle_is_kept() -> None:
    ran = msgspec.structs.replace(measured((series(POWER),)).passes[0], notes=(("idle-state", "sleeping process"),))
    metrics, _ = result_energy(Measurement(passes=(ran,)))
    assert "sleeping process" in metrics["power_idle_w"].method


def test_voltage_and_current_of_a_rail_give_its_power() -> None:
    volts = series(np.full(len(TIMES), 5000.0), name="v", quantity="voltage", unit="mV", source="/sys/in1", rail="IN")
    amps = series(POWER / 5 * 1000, name="i", quantity="current", unit="mA", source="/sys/curr1", rail="IN")
    metrics, _ = result_energy(measured((volts, amps)))
    assert metrics["energy_per_inference_j"].value == pytest.approx(TRUE_J, rel=0.02)


def test_a_wrapping_counter_of_a_known_range_is_counted_on(tmp_path: Path) -> None:
    path = tmp_path / "counter.csv"
    rows = [f"{time:.3f},{value * 1e6:.0f}" for time, value in zip(TIMES, COUNTER % 37.0, strict=True)]
    path.write_text("time_s,energy_counter_uj\n" + "\n".join(rows))
    markers = tmp_path / "markers.csv"
    markers.write_text("start_s,end_s\n" + "\n".join(f"{a},{b}" for a, b in WINDOWS))
    report = energy_of_recording(path, markers, EnergyOptions(inferences=RUNS, counter_range_j=37.0))
    assert [window.energy_per_inference_j for window in report.windows] == pytest.approx([TRUE_J] * 6, rel=0.02)
    assert any("started again 2 times" in finding.text for finding in report.findings)


def test_without_an_energy_pass_nothing_is_said() -> None:
    metrics, breakdown = result_energy(Measurement())
    assert breakdown == {}
    assert {metric.reason for metric in metrics.values()} == {"no energy pass was run"}


def test_windows_that_the_sensor_cannot_resolve_are_refused() -> None:
    slow = slice(None, None, 10)
    metrics, _ = result_energy(measured((series(POWER[slow], time_s=tuple(TIMES[slow])),)))
    assert "8 independent readings" in (metrics["energy_per_inference_j"].reason or "")


def test_above_idle_needs_three_steps_of_the_sensor() -> None:
    metrics, _ = result_energy(measured((series(POWER, resolution=0.6),)))
    assert metrics["energy_per_inference_j"].value is not None
    assert metrics["energy_above_idle_j"].value is None
    assert "less than 3 steps of the sensor" in (metrics["energy_above_idle_j"].reason or "")
