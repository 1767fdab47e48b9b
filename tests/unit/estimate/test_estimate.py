from __future__ import annotations

import math
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgeprof.boards import load_board
from edgeprof.estimate.coefficients import Coefficients, OwnFactor, shipped_coefficients
from edgeprof.estimate.confidence import core_class
from edgeprof.estimate.cost_model import simulated_costs, simulated_engine
from edgeprof.estimate.energy import estimate_energy, estimate_power
from edgeprof.estimate.features import Features, OperatorWork, Work, features
from edgeprof.estimate.model import estimate_latency, known_cores, known_engines
from edgeprof.estimate.rescale import Point, rescale
from edgeprof.model import read_model
from edgeprof.records.board import Board, Power

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "models"


@pytest.fixture(scope="module")
def kws() -> Features:
    path = EXAMPLES / "kws_int8.tflite"
    return features(read_model(path, digest=False), path.read_bytes())


def with_operator(found: Features, kind: str, outputs: float, *, light: bool) -> Features:
    work = Work(outputs=outputs, operators=1)
    more = OperatorWork(kind, kind, work, work, light=light, outside="" if light else f"no measured model has {kind}")
    return found._replace(operators=(*found.operators, more))


# ── what is answered ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_estimate_says_its_basis_its_bounds_and_what_it_stands_on(kws: Features) -> None:
    found = estimate_latency(kws, "cortex-m33", 160e6, "x-cube-ai9+")
    assert found.latency_s is not None
    assert found.low_s is not None
    assert found.high_s is not None
    assert 0 < found.low_s < found.latency_s < found.high_s
    assert (found.basis, found.confidence, found.confidence_class, found.reason) == ("estimated", 0.9, "known", "")
    assert "3 boards of the core class, 3 releases of x-cube-ai9+" in found.stands_on


def test_keyword_spotting_on_a_cortex_m4_takes_tens_of_milliseconds_with_any_runtime(kws: Features) -> None:
    # MLPerf Tiny results have 43 to 182 ms for this architecture on the NUCLEO-L4R5ZI at 120 MHz.
    for engine in shipped_coefficients().cores["cortex-m4"].engines:
        found = estimate_latency(kws, "cortex-m4", 120e6, engine)
        assert found.latency_s is not None
        assert 0.03 < found.latency_s < 0.25, engine


def test_twice_the_clock_is_half_the_time(kws: Features) -> None:
    slow, fast = (estimate_latency(kws, "cortex-m7", hz, "x-cube-ai8").latency_s for hz in (200e6, 400e6))
    assert slow is not None
    assert fast == pytest.approx(slow / 2)


def test_a_newer_generation_and_a_wider_core_are_faster(kws: Features) -> None:
    old, new = (estimate_latency(kws, "cortex-m4", 1e8, engine).latency_s for engine in ("x-cube-ai7", "x-cube-ai9+"))
    wide = estimate_latency(kws, "cortex-m85", 1e8, "tflm+cmsis-nn").latency_s
    narrow = estimate_latency(kws, "cortex-m33", 1e8, "tflm+cmsis-nn").latency_s
    assert old is not None
    assert new is not None
    assert wide is not None
    assert narrow is not None
    assert new < old
    assert wide < narrow / 3


def test_an_engine_that_drops_dead_channels_gains_by_them_and_one_that_does_not_does_not(kws: Features) -> None:
    halved = tuple(
        operator._replace(reduced=Work(*(amount / 2 for amount in operator.dense))) for operator in kws.operators
    )
    half = kws._replace(operators=halved)
    for engine, gain in (("x-cube-ai9+", 2.0), ("x-cube-ai7", 1.0), ("x-cube-ai8", math.sqrt(2))):
        whole, less = (estimate_latency(model, "cortex-m7", 1e8, engine).latency_s for model in (kws, half))
        assert whole is not None
        assert less is not None
        assert whole / less == pytest.approx(gain), engine


def test_where_releases_differ_in_dropping_the_interval_spans_both(kws: Features) -> None:
    halved = tuple(
        operator._replace(reduced=Work(*(amount / 2 for amount in operator.dense))) for operator in kws.operators
    )
    whole = estimate_latency(kws, "cortex-m7", 1e8, "x-cube-ai8")
    both = estimate_latency(kws._replace(operators=halved), "cortex-m7", 1e8, "x-cube-ai8")
    assert whole.low_s is not None
    assert both.low_s == pytest.approx(whole.low_s / 2)
    assert both.high_s == pytest.approx(whole.high_s)


def test_where_dead_channels_were_not_looked_for_the_interval_reaches_down(kws: Features) -> None:
    blind = estimate_latency(kws._replace(dead_channels_known=False), "cortex-m4", 1e8, "x-cube-ai9+")
    seen = estimate_latency(kws, "cortex-m4", 1e8, "x-cube-ai9+")
    assert seen.low_s is not None
    assert blind.low_s == pytest.approx(seen.low_s / 2)
    assert blind.high_s == pytest.approx(seen.high_s)
    assert "dead channels not looked for" in blind.stands_on


def test_a_pair_that_was_not_measured_is_answered_from_its_family_and_less_surely(kws: Features) -> None:
    known = estimate_latency(kws, "cortex-m4", 1e8, "onnc+cmsis-nn")
    other = estimate_latency(kws, "cortex-m33", 1e8, "onnc+cmsis-nn")
    assert (known.confidence_class, other.confidence_class) == ("known", "extrapolated")
    assert "not measured on this core class" in other.stands_on


def test_a_light_operator_outside_the_data_widens_the_interval(kws: Features) -> None:
    without = estimate_latency(kws, "cortex-m4", 1e8, "x-cube-ai7")
    found = estimate_latency(with_operator(kws, "MUL", 20_000, light=True), "cortex-m4", 1e8, "x-cube-ai7")
    assert without.high_s is not None
    assert without.low_s is not None
    assert found.high_s is not None
    assert found.low_s is not None
    assert found.confidence_class == "extrapolated"
    assert found.high_s / found.low_s > without.high_s / without.low_s
    assert "cost of MUL taken from other operators" in found.stands_on


# ── what is not ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("core", "engine", "said"),
    [
        ("cortex-m55", "tflm+cmsis-nn", "core class cortex-m55 is not in the data"),
        ("cortex-a72", "leip", "core class cortex-a72 is not in the data"),
        ("xtensa-lx7", "tflm", "core class xtensa-lx7 is not in the data"),
        ("", "tflm", "core class unnamed is not in the data"),
        ("cortex-m4", "ethos-u", "engine ethos-u is not in the data"),
        ("cortex-m4", "leip", "of leip the data has results on Cortex-A72 only"),
        ("cortex-m4", "tflm", "tflm was measured on rv32imac only"),
        ("cortex-m0plus", "x-cube-ai9+", "x-cube-ai9+ was measured on cortex-m33, cortex-m4, cortex-m7 only"),
        ("cortex-m85", "x-cube-ai9+", "whose instructions differ from those of cortex-m85"),
    ],
)
def test_a_core_or_an_engine_outside_the_data_gets_no_number(kws: Features, core: str, engine: str, said: str) -> None:
    found = estimate_latency(kws, core, 1e8, engine)
    assert found.confidence_class == "unknown"
    assert (found.latency_s, found.low_s, found.high_s, found.cycles) == (None, None, None, None)
    assert said in found.reason


def test_a_heavy_operator_outside_the_data_gets_no_number(kws: Features) -> None:
    found = estimate_latency(with_operator(kws, "SVDF", 1, light=False), "cortex-m4", 1e8, "x-cube-ai7")
    assert (found.latency_s, found.reason) == (None, "no measured model has SVDF")


def test_a_model_of_light_operators_mostly_gets_no_number(kws: Features) -> None:
    found = estimate_latency(with_operator(kws, "MUL", 1e6, light=True), "cortex-m4", 1e8, "x-cube-ai7")
    assert found.latency_s is None
    assert "of the work is in operators that no measured model has" in found.reason


@pytest.mark.parametrize("clock_hz", [None, 0.0, -1.0])
def test_without_a_clock_there_is_no_latency(kws: Features, clock_hz: float | None) -> None:
    assert estimate_latency(kws, "cortex-m4", clock_hz, "x-cube-ai7").reason == "the clock of the core is not known"


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("Cortex-M4F", "cortex-m4"),
        ("Cortex-M0+", "cortex-m0+"),
        ("cortex-m0plus", "cortex-m0+"),
        ("RISC-V RV32IMAC", "rv32imac"),
        ("cortex-m33", "cortex-m33"),
        ("cortex_m4", "cortex-m4"),
        ("CortexM4", "cortex-m4"),
        ("ARM Cortex-M7F", "cortex-m7"),
        ("Cortex-M33+DSP", "cortex-m33"),
    ],
)
def test_core_classes_are_found_by_their_usual_names(given: str, known: str) -> None:
    assert core_class(given) == known
    assert core_class(given) in known_cores()


def test_the_coefficients_hold_no_figure_of_a_model() -> None:
    fitted = shipped_coefficients()
    assert set(fitted.engines) == {engine for core in fitted.cores.values() for engine in core.engines}
    assert set(known_engines()) == {*fitted.engines, *fitted.other_engines}
    kinds = len(fitted.kinds)
    assert all(len(core.log_kinds) == kinds for core in fitted.cores.values())
    assert all(len(engine.log_kinds) == kinds for engine in fitted.engines.values())
    figures = kinds + (kinds + 1) * (len(fitted.cores) + len(fitted.engines)) + len(fitted.own)
    assert figures < fitted.rows
    keys = [(own.core, own.clock_hz, own.engine) for own in fitted.own]
    assert len(keys) == len(set(keys)) < fitted.rows / 4
    assert all(len(own.models) > 1 for own in fitted.own)


def test_a_core_with_an_accelerator_is_another_class() -> None:
    assert core_class("Cortex-M33+MVP") not in known_cores()


# ── published results of the very core, clock and engine ─────────────────────────────────────────────────────────────


def with_own(log_factor: float, *models: str) -> Coefficients:
    own = OwnFactor(
        core="cortex-m4", clock_hz=1e8, engine="x-cube-ai7", log_factor=log_factor, models=models, published=("v9 x",)
    )
    return replace(shipped_coefficients(), own=(own,))


def answered(
    kws: Features, fitted: Coefficients, core: str = "cortex-m4", clock_hz: float = 1e8, engine: str = "x-cube-ai7"
) -> tuple[float, float, float]:
    found = estimate_latency(kws, core, clock_hz, engine, coefficients=fitted)
    assert found.latency_s is not None
    assert found.low_s is not None
    assert found.high_s is not None
    return found.latency_s * clock_hz, found.low_s * clock_hz, found.high_s * clock_hz


def test_published_results_of_the_very_core_clock_and_engine_move_the_estimate(kws: Features) -> None:
    plain = answered(kws, replace(shipped_coefficients(), own=()))
    one, four = (answered(kws, with_own(math.log(1.4), *names)) for names in (("ad",), ("ad", "ic", "kws", "vww")))
    assert 1.2 * plain[0] < one[0] < four[0] < 1.4 * plain[0]
    assert four[2] / four[1] < one[2] / one[1] < plain[2] / plain[1]


@pytest.mark.parametrize(
    ("core", "clock_hz", "engine"),
    [("cortex-m4", 1.1e8, "x-cube-ai7"), ("cortex-m4", 1e8, "x-cube-ai8"), ("cortex-m33", 1e8, "x-cube-ai7")],
)
def test_they_say_nothing_of_another_core_clock_or_engine(
    kws: Features, core: str, clock_hz: float, engine: str
) -> None:
    plain = replace(shipped_coefficients(), own=())
    assert answered(kws, with_own(1.0, "ad"), core, clock_hz, engine) == answered(kws, plain, core, clock_hz, engine)


def test_a_lone_board_of_its_class_is_known_at_its_own_clock_only(kws: Features) -> None:
    own, other = (estimate_latency(kws, "cortex-m85", hz, "tflm+cmsis-nn") for hz in (480e6, 360e6))
    assert (own.confidence_class, other.confidence_class) == ("known", "extrapolated")
    assert "(MLPerf Tiny v1.2 Renesas)" in own.stands_on


# ── one measured model ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_measured_model_moves_the_factor_towards_it_but_not_all_the_way() -> None:
    scale = rescale([Point(predicted_s=1.0, measured_s=2.0)])
    assert 1.5 < scale.factor < 2.0
    assert scale.low < scale.factor < scale.high
    assert scale.count == 1


def test_more_points_move_it_further_and_make_it_surer() -> None:
    one, four = (rescale([Point(1.0, 2.0)] * count) for count in (1, 4))
    assert one.factor < four.factor < 2.0
    assert four.high / four.low < one.high / one.low < rescale([]).high / rescale([]).low


def test_a_noisy_point_counts_less() -> None:
    assert rescale([Point(1.0, 2.0, sd=1.0)]).factor < rescale([Point(1.0, 2.0)]).factor


def test_without_points_nothing_is_moved() -> None:
    assert (rescale([]).factor, rescale([]).count) == (1.0, 0)


@pytest.mark.parametrize("point", [Point(0.0, 1.0), Point(1.0, -1.0)])
def test_times_without_a_ratio_are_refused(point: Point) -> None:
    with pytest.raises(ValueError, match="no ratio"):
        rescale([point])


def test_a_scaled_estimate_is_moved_by_the_factor_and_says_so(kws: Features) -> None:
    before = estimate_latency(kws, "cortex-m4", 1e8, "x-cube-ai7")
    scale = rescale([Point(1.0, 1.3), Point(2.0, 2.6)])
    after = estimate_latency(kws, "cortex-m4", 1e8, "x-cube-ai7", scale=scale)
    assert before.latency_s is not None
    assert before.low_s is not None
    assert before.high_s is not None
    assert after.low_s is not None
    assert after.high_s is not None
    assert after.latency_s == pytest.approx(before.latency_s * scale.factor)
    assert after.high_s / after.low_s < before.high_s / before.low_s
    assert "rescaled by 2 measured here" in after.stands_on


def test_a_light_operator_outside_the_data_widens_a_scaled_interval_too(kws: Features) -> None:
    scale = rescale([Point(1.0, 1.3)])
    more = with_operator(kws, "MUL", 20_000, light=True)
    plain, wide = (estimate_latency(model, "cortex-m4", 1e8, "x-cube-ai7", scale=scale) for model in (kws, more))
    assert plain.low_s is not None
    assert plain.high_s is not None
    assert wide.low_s is not None
    assert wide.high_s is not None
    assert wide.high_s / wide.low_s > plain.high_s / plain.low_s


# ── energy ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_energy_is_power_times_time_with_both_intervals(kws: Features) -> None:
    board = load_board("nucleo-l4r5zi")
    latency = estimate_latency(kws, "cortex-m4", 120e6, "x-cube-ai9+")
    found = estimate_energy(latency, board, 120e6)
    assert latency.latency_s is not None
    assert latency.high_s is not None
    assert found.energy_j == pytest.approx(41.94e-3 * latency.latency_s)
    assert found.high_j is not None
    assert found.energy_j is not None
    assert found.high_j / found.energy_j > latency.high_s / latency.latency_s
    assert found.power.supply_v == 1.8
    assert "41.94 mW measured while inferring at 1.8 V" in found.stands_on


def test_a_headline_current_is_no_power_while_inferring(kws: Features) -> None:
    board = Board(id="b", name="Made up", vendor="", kind="mcu", power=Power(supply_v=3.0, headline_a_per_hz=100e-12))
    found = estimate_energy(estimate_latency(kws, "cortex-m4", 1e8, "x-cube-ai7"), board, 1e8)
    assert (found.energy_j, found.reason) == (None, "no source says what Made up draws while inferring")


def test_power_at_another_clock_is_not_known() -> None:
    found = estimate_power(load_board("nucleo-l4r5zi"), 80e6)
    assert (found.power_w, found.reason) == (None, "its power was measured at 120 MHz, not at 80 MHz")


def test_energy_of_an_unknown_latency_is_unknown_for_its_reason(kws: Features) -> None:
    found = estimate_energy(estimate_latency(kws, "cortex-m55", 1e8, "x-cube-ai7"), load_board("nucleo-l4r5zi"), 120e6)
    assert found.energy_j is None
    assert "core class cortex-m55" in found.reason


# ── the simulator's times ────────────────────────────────────────────────────────────────────────────────────────────


def test_simulated_operators_add_up_to_the_estimate() -> None:
    graph = read_model(EXAMPLES / "kws_int8.tflite", digest=False)
    board = load_board("nucleo-l4r5zi")
    times = simulated_costs(board, graph, simulated_engine(board)).seconds
    found = estimate_latency(features(graph), "cortex-m4", 120e6, "tflm+cmsis-nn")
    assert len(times) == len(graph.operators)
    assert sum(times) == pytest.approx(found.latency_s)


def test_boards_outside_the_data_are_simulated_with_round_figures() -> None:
    graph = read_model(EXAMPLES / "kws_int8.tflite", digest=False)
    for name in ("raspberry-pi-4b", "esp32-devkitc"):
        board = load_board(name)
        found = simulated_costs(board, graph, simulated_engine(board))
        assert "round cycles a MAC" in found.drawn_from
        assert 1e-4 < sum(found.seconds) < 1
