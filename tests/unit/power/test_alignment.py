"""Three ways of laying windows over a trace, and how sure each is."""

from __future__ import annotations

import math

import pytest

from edgeprof.errors import UsageError
from edgeprof.power.alignment import (
    Alignment,
    Bracket,
    by_clocks,
    error_ratio,
    fit_clock,
    fit_error_s,
    on_other,
    on_reference,
)
from edgeprof.power.burst import by_burst
from edgeprof.power.metrics import energy_metrics
from edgeprof.power.trace import period_s
from edgeprof.power.windows import Window, marker_windows
from tests.unit.power.synthetic import Bench, Recorded, aperiodic, record, true_energy

WITHIN = 0.01


def recovered(recorded: Recorded, windows: tuple[Window, ...], alignment: Alignment) -> list[float]:
    """Return by how much the energy of each window is off."""
    report = energy_metrics(recorded.trace, windows, alignment=alignment)
    assert len(report.windows) == len(recorded.energy_j)
    found = [window.energy_j for window in report.windows]
    assert all(energy is not None for energy in found), [window.reason for window in report.windows]
    return [abs((energy or 0) / true - 1) for energy, true in zip(found, recorded.energy_j, strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_marker_edges_recover_the_energy_within_one_per_cent(seed: int) -> None:
    recorded = record(aperiodic(seed=seed), Bench(seed=seed))
    marked = marker_windows(recorded.trace)
    exact = Alignment("marker", "exact", marked.error_s, "")
    assert max(recovered(recorded, marked.windows, exact)) < WITHIN


@pytest.mark.parametrize("seed", range(5))
def test_clocks_recover_the_energy_within_one_per_cent(seed: int) -> None:
    recorded = record(aperiodic(seed=seed), Bench(seed=seed))
    windows, alignment = by_clocks(
        recorded.agent_windows,
        fit_clock(recorded.agent_brackets),
        fit_clock(recorded.instrument_brackets),
        period_s(recorded.trace),
    )
    assert alignment.quality == "bracketed"
    assert max(recovered(recorded, windows, alignment)) < WITHIN
    true_start = 0.9 * (1 + 200e-6) + 1.7
    assert abs(windows[0].start_s - true_start) < alignment.error_s < 2e-3


@pytest.mark.parametrize("seed", range(5))
def test_the_burst_pattern_recovers_the_energy_and_is_marked_weaker(seed: int) -> None:
    recorded = record(aperiodic(seed=seed), Bench(seed=seed))
    windows, alignment = by_burst(recorded.trace, recorded.agent_windows)
    assert alignment.quality == "weak"
    assert max(recovered(recorded, windows, alignment)) < WITHIN
    report = energy_metrics(recorded.trace, windows, alignment=alignment)
    assert "weak-alignment" in {finding.code for finding in report.findings}
    assert alignment.drift_ppm == pytest.approx(235, abs=60)


def test_a_burst_pattern_that_repeats_is_refused() -> None:
    even = [(1.0 + 2 * at, 2.0 + 2 * at) for at in range(8)]
    recorded = record(even)
    with pytest.raises(UsageError, match="several places"):
        by_burst(recorded.trace, recorded.agent_windows)


def test_no_pattern_is_found_in_noise() -> None:
    recorded = record(aperiodic())
    flat = recorded.trace._replace(power_w=recorded.trace.power_w * 0 + 0.01)
    with pytest.raises(UsageError):
        by_burst(flat, recorded.agent_windows)


def test_offset_and_drift_are_fitted_with_their_uncertainty() -> None:
    recorded = record(aperiodic())
    fit = fit_clock(recorded.instrument_brackets)
    assert -fit.drift_ppm == pytest.approx(200, abs=2e6 * fit.drift_u_ratio)
    assert on_reference(fit, 1.7) == pytest.approx(0.0, abs=fit_error_s(fit, 1.7))
    assert on_other(fit, on_reference(fit, 5.0)) == pytest.approx(5.0, abs=1e-12)


def test_more_and_narrower_brackets_make_the_fit_surer() -> None:
    wide = [Bracket(at - 0.01, at, at + 0.01) for at in range(4)]
    narrow = [Bracket(at - 0.001, at, at + 0.001) for at in range(4)]
    assert fit_clock(narrow).offset_u_s < fit_clock(wide).offset_u_s < fit_clock(wide[:1]).offset_u_s


def test_one_bracket_alone_leaves_the_drift_of_two_crystals() -> None:
    fit = fit_clock([Bracket(10.0, 5.0, 10.001)])
    assert fit.drift_ratio == 0
    assert fit_error_s(fit, 5.0 + 100) == pytest.approx(2 * 100 * 100e-6, rel=0.01)


def test_brackets_that_contradict_each_other_make_the_fit_less_sure() -> None:
    good = [Bracket(at - 1e-4, at, at + 1e-4) for at in range(6)]
    bad = [Bracket(b.before_s + 0.01 * (at % 2), b.other_s, b.after_s + 0.01 * (at % 2)) for at, b in enumerate(good)]
    assert fit_clock(bad).offset_u_s > 10 * fit_clock(good).offset_u_s


def test_without_a_bracket_nothing_is_fitted() -> None:
    with pytest.raises(UsageError, match="no reading of both clocks"):
        fit_clock([])


def test_the_alignment_error_as_energy_follows_its_formula() -> None:
    assert error_ratio(0.001, 1.0, 0.5, 1.0) == pytest.approx(2 * 0.001 * 0.5 / 1.0)
    assert error_ratio(0.001, 1.0, None, 1.0) == pytest.approx(0.002)
    assert math.isinf(error_ratio(0.001, 0.0, None, 1.0))


def test_above_five_per_cent_of_alignment_error_a_window_is_refused() -> None:
    recorded = record(aperiodic())
    marked = marker_windows(recorded.trace)
    rough = Alignment("clock", "bracketed", 0.06, "")
    report = energy_metrics(recorded.trace, marked.windows, alignment=rough)
    short = [w for w in report.windows if w.end_s - w.start_s < 0.9]
    assert short
    for window in short:
        assert window.energy_j is None
        assert "alignment error stands for" in (window.reason or "")


def test_a_guard_as_wide_as_the_error_makes_up_for_it() -> None:
    recorded = record([(1.0, 3.0), (4.5, 6.5)])
    marked = marker_windows(recorded.trace)
    off = tuple(Window(w.start_s + 0.05, w.end_s + 0.05, 10) for w in marked.windows)
    rough = Alignment("clock", "bracketed", 0.05, "")
    report = energy_metrics(recorded.trace, off, alignment=rough, guard_s=0.06)
    for window in report.windows:
        assert window.energy_per_inference_j == pytest.approx(true_energy(1.0, 3.0) / 10, rel=WITHIN)
