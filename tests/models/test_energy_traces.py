"""Energy traces that were published with MLPerf Tiny results are integrated to the published energies."""

from __future__ import annotations

import os
import re
import statistics
from pathlib import Path

import pytest

from edgeprof.power import energy_of_file
from edgeprof.power.options import EnergyOptions

pytestmark = pytest.mark.models

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("EDGEPROF_MODELS") or ROOT.parent / "shared" / "models") / "mlperf_tiny" / "energy_traces"
TRACES = sorted(FOLDER.glob("*-energy.bin"))
WITHIN = 1e-4

needs_traces = pytest.mark.skipif(not TRACES, reason=f"no energy traces in {FOLDER}; EDGEPROF_MODELS names its folder")


def published(trace: Path, name: str) -> list[float]:
    """Return the figures of one name in the runner's own log, in its order."""
    log = trace.with_name(trace.name.split("_trace")[0] + "_results.txt").read_text("utf-8")
    return [float(value) for value in re.findall(rf"{re.escape(name)}\s*:\s*([\d.]+)", log)]


@needs_traces
@pytest.mark.parametrize("trace", TRACES, ids=lambda path: path.stem)
def test_every_window_of_a_published_trace_is_integrated_to_its_energy(trace: Path) -> None:
    inferences = int(published(trace, "# Inferences")[0])
    report = energy_of_file(trace, None, EnergyOptions(inferences=inferences))
    energies = published(trace, "Energy")
    assert len(report.windows) == len(energies) > 0
    for window, energy_uj in zip(report.windows, energies, strict=True):
        assert window.energy_j == pytest.approx(energy_uj * 1e-6, rel=WITHIN)
    powers = published(trace, "Power")
    for window, power_uw in zip(report.windows, powers, strict=True):
        assert window.power_average_w == pytest.approx(power_uw * 1e-6, rel=WITHIN)
    median = report.metrics["energy_per_inference_j"]
    assert median.value == pytest.approx(statistics.median(published(trace, "Energy/Inf.")) * 1e-6, rel=WITHIN)
    assert median.low is not None
    assert median.high is not None
    assert median.low < statistics.median(published(trace, "Energy/Inf.")) * 1e-6 < median.high


@needs_traces
def test_gross_energy_and_energy_above_idle_are_told_apart() -> None:
    report = energy_of_file(FOLDER / "v05_reference_l4r5zi_kws_trace1-energy.bin", None, EnergyOptions(inferences=100))
    gross, above = report.metrics["energy_per_inference_j"].value, report.metrics["energy_above_idle_j"].value
    assert gross == pytest.approx(7.373e-3, rel=1e-3)
    # Between the windows the board waits at 34.2 mW but for its warm-up inference at 40 mW right before each of them.
    assert report.metrics["power_idle_w"].value == pytest.approx(34.3e-3, rel=0.01)
    assert above == pytest.approx(1.18e-3, rel=0.02)
    assert "idle-mixed" in {finding.code for finding in report.findings}


@needs_traces
def test_what_idle_is_decides_on_the_energy_above_it() -> None:
    trace = FOLDER / "v05_reference_l4r5zi_kws_trace1-energy.bin"
    # The 200 ms before each window are the warm-up inference for the most part: 39.8 mW, and 0.20 mJ above it.
    near = EnergyOptions(inferences=100, idle_span_s=0.2, idle_side="before", idle_state="busy, warming up")
    metrics = energy_of_file(trace, None, near).metrics
    assert metrics["power_idle_w"].value == pytest.approx(39.75e-3, rel=1e-3)
    assert metrics["energy_per_inference_j"].value == pytest.approx(7.373e-3, rel=1e-3)
    assert metrics["energy_above_idle_j"].value == pytest.approx(0.20e-3, abs=0.005e-3)
    assert "busy, warming up" in metrics["energy_above_idle_j"].method
