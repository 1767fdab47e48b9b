"""Comparisons as text: what is shown first, what is folded, what money and energy are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec
import pytest
from msgspec.structs import replace

from edgeprof.comparing.intervals import Estimate
from edgeprof.comparing.results import compared, interleaved_change
from edgeprof.records.comparison import Comparison, LaunchRatio, Price
from edgeprof.records.quality import AccuracyDrop, OutputDistance, Quality, Scores
from edgeprof.records.result import Metric, Warned
from edgeprof.report.comparison import exit_code, render_comparisons
from edgeprof.report.optimisation import load_of

if TYPE_CHECKING:
    from edgeprof.records.result import Result

LAUNCHES = (LaunchRatio(log_ratio=0.05, base_p50_s=1e-3, new_p50_s=1.05e-3, pairs=100),) * 7


@pytest.fixture
def slower(small_result: Result) -> Comparison:
    """Return NEW 5 % slower, in turns; its tail is not told."""
    metrics = {
        name: Metric(value=value, basis="measured", count=1, method="")
        for name, value in (("latency_p50_s", 1e-3), ("latency_p99_s", 3e-3), ("memory_peak_bytes", 1e6))
    }
    base = replace(small_result, metrics=metrics)
    found = Estimate(0.05, 0.045, 0.055, 0.95, 7)
    change = interleaved_change(found, LAUNCHES, "measured", 0.03)
    new = replace(base, id="20260102T000000000000-bbbbbb")
    return compared(base, new, "now", interleaved=change, launches=LAUNCHES, names=("a.tflite", "b<i>|x.tflite"))


QUALITY = Quality(
    inputs="16 random inferences", basis="measured",
    distance=OutputDistance(
        inferences=16, elements=160, max_abs_error=0.25, mean_abs_error=0.1, largest_value=1.0, cosine=0.99,
        agreement_ratio=0.9375, compared="top-1",
    ),
    base=Scores(labels=16, accuracy_ratio=0.875, f1_macro=0.8, auc=0.9),
    new=Scores(labels=16, accuracy_ratio=0.75, f1_macro=0.7, auc=0.85),
    drop=AccuracyDrop(drop_ratio=0.125, low=-0.1, high=0.3, lost=3, won=1),
)  # fmt: skip


def test_the_gated_and_the_decided_get_rows_and_the_rest_one_line(slower: Comparison) -> None:
    text = render_comparisons([slower], "table")
    assert "Latency p50" in text
    assert "WORSE" in text
    assert "not told by one run each (--all shows them): Latency p99" in text
    assert "?" in render_comparisons([slower], "table", whole=True)
    assert "700 pairs of inferences in turns" in " ".join(text.split())


def test_markdown_is_short_and_a_hostile_name_stays_text(slower: Comparison) -> None:
    text = render_comparisons([slower], "markdown")
    assert text.startswith("### FAIL: b\\<i\\>\\|x.tflite against a.tflite")
    assert "<i>" not in text
    assert len(text.splitlines()) < 30


def test_several_new_stand_beside_one_base(slower: Comparison) -> None:
    for format_name in ("table", "markdown"):
        text = render_comparisons([slower, slower], format_name)
        row = next(line for line in text.splitlines() if "Latency p50" in line)
        assert row.count("+5.00 % WORSE") == 2


def test_the_title_of_several_names_them_and_another_target(slower: Comparison) -> None:
    elsewhere = replace(slower, new=replace(slower.new, name="c.tflite", target="sim:pi"))
    for format_name in ("table", "markdown"):
        title = render_comparisons([slower, elsewhere], format_name).splitlines()[0].replace("\\", "")
        assert "b<i>|x.tflite and c.tflite on sim:pi against a.tflite on local" in title
    assert render_comparisons([elsewhere], "table").startswith("c.tflite on sim:pi against a.tflite on local")


def test_what_the_latency_rests_on_is_said_of_each_kind(slower: Comparison) -> None:
    (turns, *rest) = slower.changes
    saved = replace(turns, way="saved", low=None, high=None)
    for latency, said in (
        (replace(saved, basis="simulated", low=0.0, method="of 7 launches"), "latency: of 7 launches"),
        (replace(saved, new=None), "one side alone has one"),
        (saved, "coarse verdicts only; compare the models themselves"),
    ):
        assert said in " ".join(render_comparisons([replace(slower, changes=(latency, *rest))], "table").split())
    outputs = replace(slower, changes=(saved, *rest), quality=QUALITY)
    assert "models themselves" not in render_comparisons([outputs], "table")


def test_json_reads_back(slower: Comparison) -> None:
    whole = replace(slower, quality=QUALITY, price=Price(requests_per_day=1))
    assert msgspec.json.decode(render_comparisons([whole], "json"), type=Comparison) == whole


def test_junit_has_a_case_for_each_gated_metric(slower: Comparison) -> None:
    root = ET.fromstring(render_comparisons([slower], "junit"))  # noqa: S314  our own
    names = [case.get("name") for case in root.iter("testcase")]
    assert names == ["regression/latency_p50_s", "regression/memory_peak_bytes"]
    assert root.get("failures") == "1"


def test_the_report_says_what_was_not_measured_and_why(slower: Comparison) -> None:
    text = render_comparisons([replace(slower, techniques=("weights quantised",), quality=QUALITY)], "report")
    assert "- Latency p50: 1.050 ms (measured), 1.05 times slower (1.04 to 1.05): WORSE" in text
    assert "Energy an inference: — (not measured in this run)" in text
    assert "accuracy 87.50 % → 75.00 %" in text.replace("Accuracy", "accuracy")
    assert "--requests-per-day" in text
    for heading in ("Baseline", "Optimised", "Techniques", "Quality", "Cost impact"):
        assert f"\n## {heading}\n" in text


def test_cost_is_arithmetic_on_what_was_measured_and_given(slower: Comparison) -> None:
    price = Price(requests_per_day=1_000_000, price_per_hour_usd=3.6)
    text = render_comparisons([replace(slower, price=price)], "report")
    assert "Computing time: 1,000 s → 1,050 s a day" in text
    assert "1 → 1.05 $ a day, 18.25 $ a year more" in text.replace("1.000 →", "1 →").replace("1.050 $", "1.05 $")
    assert "86.4 → 86.4 $ a day, 0 $ a year saved" in text
    assert "Energy: — (no power was measured)" in text
    assert "$" not in render_comparisons([replace(slower, price=Price(requests_per_day=5))], "report")


@pytest.mark.parametrize(("requests", "machines"), [(1, 1), (86_400, 1), (86_401, 2), (864_000, 10)])
def test_machines_are_whole(requests: float, machines: int) -> None:
    assert load_of(Price(requests_per_day=requests), 1.0).machines == machines


def test_what_broke_off_exits_5_and_a_failed_gate_1(slower: Comparison) -> None:
    assert exit_code([slower]) == 1
    broken = replace(slower, warnings=(Warned(code="broken-off", text="", advice=""),))
    assert exit_code([slower, broken]) == 5
    unsure = replace(slower, findings=(replace(slower.findings[0], verdict="INCONCLUSIVE"),))
    assert (exit_code([unsure]), exit_code([unsure], strict=True)) == (0, 6)
