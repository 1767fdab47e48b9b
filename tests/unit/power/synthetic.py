"""Recordings whose energy is known: made of a power that has an integral, sampled by an instrument with faults."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgeprof.power.alignment import Bracket
from edgeprof.power.trace import PowerTrace
from edgeprof.power.windows import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

IDLE_W, ACTIVE_W, RIPPLE_W, RIPPLE_HZ = 0.004, 0.025, 0.006, 37.0


class Bench(NamedTuple):
    """The instrument's hidden faults, and the agent's clock: all against true time, which is the host's."""

    rate_hz: float = 10_000.0
    offset_s: float = 1.7
    skew_ratio: float = 200e-6
    agent_offset_s: float = 812.0
    agent_skew_ratio: float = -35e-6
    noise_w: float = 0.002
    lost_blocks_hz: float = 2.0
    lost_single_every: int = 100
    seed: int = 7


class Recorded(NamedTuple):
    """What a decoder gets (trace, windows of the agent, brackets), and what only the test knows (`energy_j`)."""

    trace: PowerTrace
    agent_windows: tuple[Window, ...]
    agent_brackets: tuple[Bracket, ...]
    instrument_brackets: tuple[Bracket, ...]
    energy_j: tuple[float, ...]


def aperiodic(count: int = 8, seed: int = 3, scale_s: float = 1.0) -> list[tuple[float, float]]:
    """Return windows in true time with pauses and lengths that do not repeat."""
    source = np.random.default_rng(seed)
    at, found = 0.9 * scale_s, []
    for _ in range(count):
        length = source.uniform(0.3, 1.4) * scale_s
        found.append((at, at + length))
        at += length + source.uniform(0.2, 1.1) * scale_s
    return found


def record(windows: Sequence[tuple[float, float]], bench: Bench | None = None, *, inferences: int = 10) -> Recorded:
    """Record a board that is active in these windows of true time and idle elsewhere."""
    bench = bench or Bench()
    source = np.random.default_rng(bench.seed)
    length_s = windows[-1][1] + 0.9 * (windows[0][0])
    own_s = np.arange(0, length_s * (1 + bench.skew_ratio), 1 / bench.rate_hz)
    true_s = own_s / (1 + bench.skew_ratio)
    active = np.zeros(len(true_s), bool)
    for start, end in windows:
        active |= (true_s >= start) & (true_s < end)
    power = np.where(active, ACTIVE_W + RIPPLE_W * np.sin(2 * math.pi * RIPPLE_HZ * true_s), IDLE_W)
    power += source.normal(0, bench.noise_w, len(power))
    edges = np.array([edge for window in windows for edge in window])
    kept = _kept(true_s, edges, bench, source)
    trace = PowerTrace(
        time_s=own_s[kept] + bench.offset_s,
        power_w=power[kept],
        source="a bench instrument",
        clock="instrument",
        marker=active[kept].astype(np.uint8) * np.uint8(8),
        nominal_rate_hz=bench.rate_hz,
    )

    def agent(time_s: float) -> float:
        return time_s * (1 + bench.agent_skew_ratio) + bench.agent_offset_s

    def own(time_s: float) -> float:
        return time_s * (1 + bench.skew_ratio) + bench.offset_s

    moments = source.uniform(0, length_s, 12)
    return Recorded(
        trace,
        tuple(Window(agent(start), agent(end), inferences) for start, end in windows),
        tuple(bracket(at, agent(at), source) for at in moments),
        tuple(bracket(at, own(at), source) for at in moments + 0.01),
        tuple(true_energy(start, end) for start, end in windows),
    )


def _kept(true_s: np.ndarray, edges: np.ndarray, bench: Bench, source: np.random.Generator) -> np.ndarray:
    """Return which samples arrive: single ones are lost anywhere, blocks of five not at an edge.

    (A window whose edge is in a gap is left out; that has a test of its own.)
    """
    kept = np.ones(len(true_s), bool)
    singles = np.arange(0, len(true_s) - bench.lost_single_every, bench.lost_single_every)
    kept[singles + source.integers(0, bench.lost_single_every // 2, len(singles))] = False
    step = round(bench.rate_hz / bench.lost_blocks_hz)
    slots = np.arange(0, len(true_s) - step, step)
    for first in slots + source.integers(0, step - 20, len(slots)):
        if np.abs(true_s[first] - edges).min() > 20 / bench.rate_hz:
            kept[first : first + 5] = False
    return kept


def bracket(true_s: float, other_s: float, source: np.random.Generator) -> Bracket:
    """Return a reading of another clock between two of the host's, up to a millisecond before and after."""
    before, after = source.uniform(50e-6, 1e-3, 2)
    return Bracket(true_s - before, other_s, true_s + after)


def true_energy(start: float, end: float) -> float:
    """Return the integral of the active power, in closed form."""
    turn = 2 * math.pi * RIPPLE_HZ
    return ACTIVE_W * (end - start) + RIPPLE_W / turn * (math.cos(turn * start) - math.cos(turn * end))
