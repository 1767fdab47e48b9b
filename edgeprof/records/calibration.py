"""What a calibration of a board holds: measured ratios to a reference kernel, and what was fitted to them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from edgeprof.records.result import Basis, BoardUsed, Tool

CALIBRATION_SCHEMA: Literal["edgeprof.calibration/1"] = "edgeprof.calibration/1"

ModelFormat: TypeAlias = Literal["tflite", "onnx"]


class Observation(Struct, frozen=True, kw_only=True):
    """One micro model in one launch with the reference kernel: the median of log(its time / the kernel's time)."""

    model: str
    dtype: str
    log_ratio: float
    reference_s: float
    model_s: float
    pairs: int


class FittedDtype(Struct, frozen=True, kw_only=True):
    """What a unit of each kind of work costs, in times of the reference kernel.

    `channel_tile` is how many output channels the kernels take at once, `cache_bytes` beyond what size memory is far.
    `spreads` are standard deviations of the logarithm by family of work, of micro models that were left out of the fit;
    `quantile` of their combination hold 90 % of the left-out chains of layers. `median_error_ratio` is the median of
    all those predictions' errors.
    """

    dtype: str
    channel_tile: int
    cache_bytes: int
    costs: dict[str, float]
    spreads: dict[str, float]
    quantile: float
    median_error_ratio: float
    observations: int
    seen_macs: tuple[float, float]


class Calibration(Struct, frozen=True, kw_only=True):
    """One board with one runtime and one number of threads.

    `reference_s` is the median of the kernel's times over all launches, `reference_low_s` and `reference_high_s` hold
    90 % of the launches: an absolute time is known no better than that, a ratio to the kernel is.
    """

    schema: Literal["edgeprof.calibration/1"] = CALIBRATION_SCHEMA
    created: str
    tool: Tool
    target: str
    board: BoardUsed
    basis: Basis
    format: ModelFormat
    runtime: str
    version: str
    threads: int
    reference: str
    reference_s: float
    reference_low_s: float
    reference_high_s: float
    fitted: tuple[FittedDtype, ...]
    observations: tuple[Observation, ...]
    warnings: tuple[str, ...] = ()


class Prediction(Struct, frozen=True, kw_only=True):
    """What a calibration says of a model that was not run: a ratio to the reference kernel, and seconds from it.

    All figures are null where the answer is not known, with the reason. `unseen` are operators that no micro model has:
    the interval is wider for them.
    """

    model: str
    runtime: str
    threads: int
    dtype: str
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    latency_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    confidence: float = 0.9
    basis: Basis = "estimated"
    stands_on: str = ""
    unseen: tuple[str, ...] = ()
    reason: str = ""
