"""What the sensors of a simulated board say: heat that rises while it works, clocks, throttle bits and power.

Temperatures and clocks are made up around the board's facts. Power is that of the facts or it is not there: nothing
stands in for a figure that no source gives.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeprof.estimate.cost_model import clock_hz

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from edgeprof.records.board import Board

COOL_CELSIUS, WARM_CELSIUS, WARMING_S = 45.0, 55.0, 60.0
USUAL_LIMIT_CELSIUS = 85.0
LIVE_BITS, STICKY_SHIFT = 0b0110, 16
"""Frequency capped and throttled (raspberrypi/documentation, vcgencmd get_throttled)."""
POWER_NOISE = 0.01
SENSED = ("latency", "sustained", "deadline", "energy")


class Moment(NamedTuple):
    """What a sensor sees: seconds since the pass began, whether the board works, whether it throttles."""

    elapsed_s: float
    busy: bool
    throttled: bool


class Sensor(NamedTuple):
    """A channel as the host is told of it, and what it reads; None: it cannot tell."""

    described: dict[str, Any]
    read: Callable[[Moment], float | None]


class SimulatedSensors:
    """The sensors of one pass, read on a grid of the board's own time. `hot_after_s`: when it reaches its limit."""

    def __init__(
        self,
        board: Board,
        interval_s: float,
        begin_s: float,
        *,
        throttle_factor: float,
        hot_after_s: float | None,
        chance: random.Random,
    ) -> None:
        self._sensors = sensors_of(board, throttle_factor, hot_after_s, chance)
        self._interval_s = interval_s
        self._begin_s = begin_s
        self._next_s = begin_s
        self._failures = [0] * len(self._sensors)
        self._rows: list[tuple[int, int, float]] = []

    def pass_time(self, now_s: float, *, busy: bool, throttled: bool) -> None:
        """Read what came due until now."""
        while self._next_s <= now_s:
            moment = Moment(self._next_s - self._begin_s, busy, throttled)
            for index, sensor in enumerate(self._sensors):
                value = sensor.read(moment)
                if value is None:
                    self._failures[index] += 1
                else:
                    self._rows.append((round(self._next_s * 1e9), index, value))
            self._next_s += self._interval_s

    def taken(self) -> list[tuple[int, int, float]]:
        """Return the readings since the last call: ticks, channel, value."""
        rows, self._rows = self._rows, []
        return rows

    def described(self, *, ended: bool = False) -> str:
        """Return the channels as JSON; at the end with how often one could not be read, and why."""
        told = [{**sensor.described, "interval_s": self._interval_s} for sensor in self._sensors]
        for words, failures in zip(told, self._failures, strict=True):
            if ended and failures:
                words |= {"failures": failures, "reason": "what this board draws at rest is in none of its facts"}
        return json.dumps(told)


def sensors_of(board: Board, throttle_factor: float, hot_after_s: float | None, chance: random.Random) -> list[Sensor]:
    """Return the sensors of a board: heat and clocks where it runs Linux, power where its facts give it."""
    found = []
    if board.kind == "linux":
        clock = clock_hz(board)
        limit = board.throttle_celsius or USUAL_LIMIT_CELSIUS
        found = [
            Sensor(_channel("SoC", "temperature", "celsius"), lambda at: round(_heat(at, limit, hot_after_s), 1)),
            Sensor(
                _channel("arm clock", "frequency", "Hz"), lambda at: clock / (throttle_factor if at.throttled else 1.0)
            ),
            Sensor(_channel("throttle bits", "throttle", "bits"), _Bits().read),
        ]
    if board.power.inference_w is not None:
        busy_w, idle_w = board.power.inference_w, idle_power_w(board)

        def watts(at: Moment) -> float | None:
            mean = busy_w if at.busy else idle_w
            return None if mean is None else mean * chance.lognormvariate(0, POWER_NOISE)

        found.append(Sensor({**_channel("board", "power", "W"), "role": "board-total"}, watts))
    return found


def idle_power_w(board: Board) -> float | None:
    """Return what a board draws at rest by its facts."""
    power = board.power
    return None if power.idle_a is None or power.supply_v is None else power.idle_a * power.supply_v


def throttle_state(*, now: bool, since_boot: bool) -> dict[str, Any]:
    """Return the throttle bits as the agent on a Raspberry Pi tells them in a board's state."""
    words = ["frequency capped", "throttled"]
    bits = (LIVE_BITS if now else 0) | (LIVE_BITS << STICKY_SHIFT if since_boot else 0)
    return {"bits": bits, "now": words if now else [], "since_boot": words if since_boot else []}


def _channel(name: str, quantity: str, unit: str) -> dict[str, Any]:
    return {"name": name, "quantity": quantity, "unit": unit, "source": "simulated"}


def _heat(at: Moment, limit: float, hot_after_s: float | None) -> float:
    """Rise evenly to the limit and stay there, or warm up to what any load gives."""
    if hot_after_s is None:
        return COOL_CELSIUS + (WARM_CELSIUS - COOL_CELSIUS) * (1 - math.exp(-at.elapsed_s / WARMING_S))
    share = 1.0 if at.throttled or hot_after_s <= 0 else min(1.0, at.elapsed_s / hot_after_s)
    return COOL_CELSIUS + (limit - COOL_CELSIUS) * share


class _Bits:
    """Live bits while it throttles, sticky ones ever after."""

    def __init__(self) -> None:
        self._sticky = 0

    def read(self, at: Moment) -> float:
        if at.throttled:
            self._sticky = LIVE_BITS << STICKY_SHIFT
        return float(self._sticky | (LIVE_BITS if at.throttled else 0))
