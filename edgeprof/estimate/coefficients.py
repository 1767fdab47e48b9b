"""What the fit computed from published measurements: rates by kind of work, factors of cores and of engines."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec
from msgspec import Struct


class CoreFactor(Struct, frozen=True, kw_only=True):
    """How a class of core differs from the common rates, as natural logarithms of cycles.

    `family` are classes with the same instructions for int8 products, which runtimes treat alike; `boards` and
    `engines` are what was measured of it.
    """

    family: str
    log_factor: float
    log_kinds: tuple[float, ...]
    boards: int
    engines: tuple[str, ...]


class EngineFactor(Struct, frozen=True, kw_only=True):
    """How a generation of a runtime differs from the common rates, as natural logarithms of cycles.

    `drops_dead_channels` holds both answers where its releases differ; `releases` is how many were measured, and
    `release_sd` how much they differ.
    """

    log_factor: float
    log_kinds: tuple[float, ...]
    releases: int
    release_sd: float
    drops_dead_channels: tuple[bool, ...]


class OwnFactor(Struct, frozen=True, kw_only=True):
    """How far the measured truth of one core, clock and engine is from the common rates: log of truth over estimate.

    One figure for all models: `models` are those that it is the mean of, `published` the submissions that timed them.
    It is as found; `rescale` says how much of it is believed.
    """

    core: str
    clock_hz: float
    engine: str
    log_factor: float
    models: tuple[str, ...]
    published: tuple[str, ...]


class Spread(Struct, frozen=True, kw_only=True):
    """Standard deviations of log cycles from what is not known of a question, and how many of them are 90 %.

    `model` and `quantile` are computed from the residuals of models that were left out of the fit; `light` is that of
    the rate of an operator outside the data.
    """

    model: float
    board: float
    unseen_pair: float
    lone_class: float
    light: float
    quantile: float


class Coefficients(Struct, frozen=True, kw_only=True):
    """All that an estimate stands on. `log_kinds` are cycles for a unit of each kind of work, in the order of KINDS.

    The `point` figures are of one measured model that rescales the others: how log estimates are off from board to
    board and from model to model on one board, and how many of their joint deviations hold 90 %. `model_sha256` tells
    a measured model when it is asked about, `other_engines` are those of the table that nothing was fitted of, with the
    cores that they ran on.
    """

    source: str
    rows: int
    models: tuple[str, ...]
    macs_range: tuple[float, float]
    kinds: tuple[str, ...]
    log_kinds: tuple[float, ...]
    cores: dict[str, CoreFactor]
    engines: dict[str, EngineFactor]
    spread: Spread
    log_power_sd: float | None = None
    point_board_sd: float
    point_model_sd: float
    point_quantile: float = 1.0
    own: tuple[OwnFactor, ...] = ()
    model_sha256: dict[str, str] = {}
    other_engines: dict[str, tuple[str, ...]] = {}


@cache
def shipped_coefficients() -> Coefficients:
    """Return the coefficients that come with the package."""
    return msgspec.json.decode((files("edgeprof") / "data" / "estimator.json").read_bytes(), type=Coefficients)
