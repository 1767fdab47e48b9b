"""What the tests of a battery's life share: the worked example, and a result with measured energy."""

from __future__ import annotations

import msgspec
import pytest

from edgeprof.battery.options import BatteryOptions
from edgeprof.records.result import Metric, Result

DAY_S = 86400.0
WORKED = BatteryOptions(
    capacity_c=3600.0, period_s=10.0, sleep_a=5e-6, energy_j=20e-3 * 3.0 * 0.1, latency_s=0.1, supply_v=3.0,
    regulator="none", usable=0.85, self_discharge_ratio=0.02,
)  # fmt: skip
"""1000 mAh; 20 mA for 0.1 s every 10 s, 5 µA between; 85 % usable, 2 % a month."""


def metric(value: float | None, low: float | None = None, high: float | None = None) -> Metric:
    """Return a measured figure."""
    reason = "not measured" if value is None else None
    return Metric(value=value, basis="measured", count=9, method="median", low=low, high=high, reason=reason)


@pytest.fixture
def l4r5(small_result: Result) -> Result:
    """Return a NUCLEO-L4R5ZI spotting keywords: 7.37 mJ gross in 180 ms, 0.20 mJ above its idle of 39.7 mW."""
    metrics = {
        "latency_mean_s": metric(0.1806, 0.1805, 0.1807),
        "energy_per_inference_j": metric(7.37e-3, 7.35e-3, 7.39e-3),
        "energy_above_idle_j": metric(0.20e-3),
        "power_peak_w": metric(41.5e-3),
    }
    return msgspec.structs.replace(small_result, metrics=metrics)
