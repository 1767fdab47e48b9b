"""The words of `edgeprof battery` where its options are parts of `profile --battery`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edgeprof.battery import battery_of, check_battery, with_battery
from edgeprof.battery.as_part import as_part
from edgeprof.battery.inputs import EXAMPLE
from edgeprof.battery.options import BatteryOptions
from edgeprof.battery.spec import parse_battery
from edgeprof.errors import UsageError
from edgeprof.records.result import Result  # noqa: TC001  a fixture's type
from tests.unit.battery.conftest import metric

BARE = BatteryOptions(
    capacity_c=3600.0,
    cell_v=3.7,
    period_s=600.0,
    sleep_a=2e-6,
    supply_v=3.0,
    regulator="buck",
    temperature_celsius=-10.0,
)


@pytest.mark.parametrize(
    ("text", "worded"),
    [
        ("--tolerance sleep=10%", "tolerance=sleep=10% (in --battery)"),
        ("--quiescent-current 1uA, from its data sheet", "quiescent-current=1uA, from its data sheet (in --battery)"),
        ("--cell-profile FILE.csv (SoC,Voc) tells when", "cell-profile=FILE.csv (SoC,Voc) tells when (in --battery)"),
        ("its largest pulse is not known: --max-pulse", "its largest pulse is not known: max-pulse (in --battery)"),
        ("measure at the cell's voltage", "measure at the cell's voltage"),
        ("edgeprof profile MODEL --power onboard", "edgeprof profile MODEL --power onboard"),
    ],
)  # fmt: skip
def test_an_option_becomes_a_part(text: str, worded: str) -> None:
    assert as_part(text) == worded


def test_the_example_is_one_that_can_be_given() -> None:
    assert parse_battery(as_part(EXAMPLE).removeprefix("--battery ")).cell == "CR2032"


def test_a_result_names_no_option_that_profile_does_not_have(l4r5: Result) -> None:
    result = with_battery(
        msgspec.structs.replace(l4r5, metrics={**l4r5.metrics, "energy_per_inference_j": metric(7e-3)}), BARE
    )
    report: Any = result.breakdowns["battery"]
    told = [
        *(one.advice for one in result.warnings), *(one.reason for one in result.findings),
        *(one["option"] for one in report["assumptions"]), *(one["advice"] for one in report["warnings"]),
    ]  # fmt: skip
    options = [word for text in told for word in text.split() if word.strip("(),").startswith("--")]
    assert options
    assert {word.strip("(),") for word in options} == {"--battery"}
    own = battery_of(l4r5, BARE)
    assert any("--quiescent-current" in one.advice for one in own.warnings)


def test_what_is_missing_is_told_as_parts() -> None:
    with pytest.raises(UsageError, match="cell or capacity, every") as refused:
        check_battery(BatteryOptions())
    assert refused.value.message.startswith("--battery: ")
    assert refused.value.hint.startswith("--battery cell=")
