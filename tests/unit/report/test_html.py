"""The HTML report without a browser: what it says, what it leaves out and why, and that nothing can break out of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edgeprof.boards import load_board
from edgeprof.inspecting import inspect_graph, inspect_model
from edgeprof.model import read_model
from edgeprof.records.result import Finding, Metric, OperatorTime, Result, Samples, Verdict
from edgeprof.records.sensors import SensorSeries
from edgeprof.report.html import render
from edgeprof.report.html.charts import axis
from edgeprof.report.html.elements import element
from edgeprof.report.html.page import embedded
from edgeprof.report.html.thinning import bins_of, counted, thinned
from edgeprof.summary.operators import NO_BOARD, memory_curve, operator_facts, roofline
from edgeprof.targets import board_folders
from edgeprof.wire import PREEMPTED, THROTTLED, WARMUP

VWW = Path(__file__).resolve().parents[3] / "examples" / "models" / "vww_int8.tflite"
VALUES = st.lists(st.floats(min_value=1e-9, max_value=1e3), min_size=1, max_size=300)


class Structure(HTMLParser):
    """The elements of a page, the text between them, and what its scripts hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  the parser's own signature
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open].append(data)
        else:
            self.text.append(data)

    @property
    def charts(self) -> list[dict[str, object]]:
        """What the page's script is to draw."""
        content: list[dict[str, object]] = json.loads(self.inside["script"][0])
        return content


@pytest.fixture
def sampled(small_result: Result) -> Result:
    """Return a result with two samples of warm-up, a preempted one and a throttled one among fifty."""
    flags = [WARMUP, WARMUP, *[0] * 24, PREEMPTED, *[0] * 22, THROTTLED]
    count = len(flags)
    samples = Samples(
        launch=(0,) * count, start_s=tuple(at * 1e-3 for at in range(count)), duration_s=(4e-4,) * count,
        batch=(2,) * count, flags=tuple(flags),
    )  # fmt: skip
    return replace(small_result, samples=samples)


def test_only_scripts_and_styles_whose_digests_the_policy_names_run_and_nothing_is_loaded(sampled: Result) -> None:
    seen = Structure(render([sampled]))

    policy = next(found["content"] for tag, found in seen.elements if "Content-Security-Policy" in found.values())
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for content in (*seen.inside["script"][1:], *seen.inside["style"]):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert not [tag for tag, _ in seen.elements if tag in {"img", "link", "iframe", "object", "base", "form"}]
    assert not [found for _, found in seen.elements if {"src", "style", "onclick", "srcset"} & set(found)]


def test_every_copy_of_the_chart_library_carries_its_licences(sampled: Result) -> None:
    page = render([sampled])

    for owner in ("Observable, Inc.", "Mike Bostock", "Mikola Lysenko"):
        assert owner in page
    assert page.count("Permission") >= 4


def test_samples_of_warm_up_and_those_preempted_or_throttled_are_marked_and_batches_are_divided(
    sampled: Result,
) -> None:
    histogram, scatter = Structure(render([sampled])).charts[:2]

    drawn = scatter["drawn"]
    assert isinstance(drawn, dict)
    assert drawn["kinds"] == ["steady", "preempted", "throttled", "warm-up"]
    assert [sum(point[2] == kind for point in drawn["points"]) for kind in range(4)] == [46, 1, 1, 2]
    assert {point[1] for point in drawn["points"]} == {200.0}  # µs: 400 µs are of a batch of two
    counts = histogram["drawn"]
    assert isinstance(counts, dict)
    assert [sum(row) for row in counts["counts"]] == [46, 1, 1]


def test_what_is_not_there_is_named_with_its_reason(small_result: Result) -> None:
    failed = SensorSeries(name="t", quantity="temperature", unit="celsius", source="x", failures=3, reason="unreadable")
    words = " ".join(Structure(render([replace(small_result, sensors=(failed,))])).text)

    assert "no charts" not in words
    for reason in ("there are no samples", "--per-op times them", "unreadable", "no sensor of power", "--duration 10m",
                   "--period 33ms", "no battery was asked for"):  # fmt: skip
        assert reason in words


def test_a_figure_that_was_not_measured_has_a_dash_and_its_reason(small_result: Result) -> None:
    metrics = {"energy_per_inference_j": Metric(value=None, basis="measured", count=None, method="", reason="no meter")}
    page = render([replace(small_result, metrics=metrics)])

    row = re.search(r"<th scope=\"row\">Energy an inference</th>.*?</tr>", page)
    assert row is not None
    assert "—" in row[0]
    assert "not measured: no meter" in row[0]


def test_the_worst_verdict_stands_first_and_a_broken_off_run_says_so(small_result: Result) -> None:
    def found(verdict: Verdict) -> Finding:
        return Finding(
            limit=f"limit {verdict}", metric="latency_p50_s", verdict=verdict, tier="hard", value=1.0, threshold=1.0,
            unit="s", basis="measured", source="a test", reason="why",
        )  # fmt: skip

    verdicts: tuple[Verdict, ...] = ("PASS", "WARN", "FAIL")
    result = replace(small_result, status="partial", findings=tuple(map(found, verdicts)))
    words = " ".join(Structure(render([result])).text)

    assert "Broken: 1 of 3 findings." in words
    assert "broke off" in words
    assert words.index("limit FAIL") < words.index("limit WARN") < words.index("limit PASS")


def test_a_page_of_no_results_and_of_several_is_whole(small_result: Result) -> None:
    assert "<main" in render([])
    several = render([small_result, replace(small_result, id="other")])
    assert "Results side by side" in several
    ids = [found["id"] for _, found in Structure(several).elements if "id" in found]
    assert len(ids) == len(set(ids))


@given(st.text())
def test_no_text_gets_out_of_an_element_or_an_attribute_or_the_data(text: str) -> None:
    page = f"{element('p', text, title=text)}<script>{embedded([text])}</script>"

    assert [tag for tag, _ in Structure(page).elements] == ["p", "script"]
    assert "<" not in embedded([text])
    assert json.loads(embedded([text])) == [text]


@given(VALUES, st.integers(min_value=2, max_value=100))
def test_thinning_keeps_the_extremes_the_order_and_the_bound(values: list[float], most: int) -> None:
    points = [(float(at), value) for at, value in enumerate(values)]
    kept = thinned(points, most)

    assert len(kept) <= max(most, 2)
    assert kept == sorted(kept)
    assert {min(values), max(values)} <= {value for _, value in kept}
    assert set(kept) <= set(points)


@given(VALUES)
def test_bins_hold_every_value(values: list[float]) -> None:
    bins = bins_of(values)

    assert sum(counted(values, bins.edges)) == len(values)
    assert bins.edges == sorted(bins.edges)


@pytest.mark.parametrize(
    ("name", "largest", "unit", "divisor"),
    [("x_s", 4.6e-5, "µs", 1e-6), ("x_s", 600.0, "s", 1.0), ("x_bytes", 40960, "KiB", 1024.0),
     ("x_w", 0.042, "mW", 1e-3),
     ("x_hz", 1.5e9, "GHz", 1e9), ("x_celsius", 85.0, "°C", 1.0)],
)  # fmt: skip
def test_an_axis_is_in_the_unit_that_people_read(name: str, largest: float, unit: str, divisor: float) -> None:
    found = axis(name, "label", largest)

    assert found.unit == unit
    assert found.divisor == pytest.approx(divisor)


# ── facts of operators ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_memory_curve_names_the_peak_that_the_inspection_found() -> None:
    inspection = inspect_model(VWW)
    curve = memory_curve(inspection)

    assert curve["peak"]["live_bytes"] == inspection.metrics["activations_peak_bytes"].value
    assert f"{curve['peak']['index']} {curve['peak']['type']}" == inspection.arena.peak_operator
    assert [row["live_bytes"] for row in curve["operators"]] == [
        row.live_bytes for row in inspection.operators if not row.folded
    ]


def test_an_operator_left_of_the_ridge_is_memory_bound_and_none_is_above_the_roof() -> None:
    board = load_board("jetson-orin-nano", board_folders())
    found = roofline(inspect_graph(read_model(VWW, batch=1), VWW, board), board=board)

    assert found["ridge"] == pytest.approx(found["peak_ops_per_s"] / found["bandwidth_bytes_per_s"])
    assert len(found["points"]) > 20
    for point in found["points"]:
        assert (point["bound"] == "memory") == (point["intensity"] < found["ridge"])
        attainable = min(found["peak_ops_per_s"], point["intensity"] * found["bandwidth_bytes_per_s"])
        assert 2 * point["macs_count"] / point["bound_s"] == pytest.approx(attainable)
    assert any("memory_bandwidth" in source for source in found["sources"])


def test_without_a_board_the_roofline_says_why_and_keeps_its_points() -> None:
    found = roofline(inspect_model(VWW))

    assert found["reason"] == NO_BOARD
    assert found["ridge"] is None
    assert found["points"]


def test_only_a_time_that_is_surely_an_operators_own_is_given_to_it() -> None:
    inspection = inspect_model(VWW)
    first, second = inspection.operators[0].name, inspection.operators[1].name
    timed = [
        OperatorTime(name=name, type="CONV_2D", time_s=1e-3, share_ratio=0.3, calls=1)
        for name in (first, second, second, "fused")
    ]

    points = {point["index"]: point["time_s"] for point in roofline(inspection, timed)["points"]}
    assert points[0] == pytest.approx(1e-3)
    assert set(points.values()) == {1e-3, None}


def test_a_result_that_holds_no_facts_takes_them_from_an_inspection(small_result: Result) -> None:
    inspection = inspect_model(VWW)

    assert "Memory over operators: the result does not hold it" in " ".join(
        "".join(Structure(render([small_result])).text).split()
    )
    given_them = Structure(render([small_result], [inspection])).charts
    held = replace(small_result, breakdowns=operator_facts(inspection))
    assert [chart["kind"] for chart in given_them] == ["steps"]
    assert Structure(render([held])).charts == given_them
