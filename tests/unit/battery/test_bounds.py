"""Values that no battery has."""

from __future__ import annotations

from typing import Any

import pytest

from edgeprof.battery import battery_of
from edgeprof.battery.cells import list_cells
from edgeprof.battery.options import Burst
from edgeprof.errors import UsageError
from tests.unit.battery.conftest import WORKED


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"capacity_c": 1e30 * 3.6}, r"--capacity is at most 100,000 Ah, it is 1e\+27: cells hold"),
        ({"capacity_c": 1e-9}, "--capacity is at least 1e-09 Ah"),
        ({"period_s": 1e12}, "--every is at most 100 years"),
        ({"sleep_a": 1e9}, "--sleep-current is at most 10,000 A"),
        ({"supply_v": 1e6}, "--supply is at most 1,000 V"),
        ({"supply_v": 1e-6}, r"--supply is at least 0\.01 V"),
        ({"parallel": 10**9}, "--parallel is at most 10,000 cells"),
        ({"energy_j": 1e9}, "--energy is at most 1,000,000 J"),
        ({"bursts": (Burst("radio", 1e9, 1e-3),)}, "--burst radio is at most 10,000 A"),
    ],
)
def test_what_no_battery_has_is_refused_with_the_reason(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        battery_of(None, WORKED._replace(**changed))
    assert refused.value.hint == "check its unit"


def test_every_cell_of_the_library_is_within_the_bounds() -> None:
    for cell in list_cells():
        battery_of(None, WORKED._replace(capacity_c=None, cell=cell.name))
