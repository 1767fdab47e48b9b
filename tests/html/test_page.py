"""The HTML report in a browser: what is in it is seen, nothing is loaded, and nothing of a name runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pytest
from msgspec.structs import replace

from edgeprof.records.result import Finding, OperatorTime
from edgeprof.records.sensors import SensorSeries
from edgeprof.report.html import render
from scripts.pace import reference_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route

    from edgeprof.records.result import Result, Verdict

HOSTILE = "</script><img src=x onerror=window.ran=1><!--<script>window.ran=1</script>\u2028&amp;\"'"
AUDITED = {("light", 1200), ("dark", 375)}
"""Each theme and each layout once: an audit takes seconds."""
MOST_BYTES = 1_500_000
COLOURS = "getComputedStyle(document.body).backgroundColor"
TITLES = {
    "every latency": ("Latency distribution", "Latency over the run"),
    "operators": ("Operators", "Memory over operators"),
    "sustained": ("Roofline", "Temperature", "Clock frequency", "Over minutes, launch 0"),
    "energy": ("Power", "Deadlines, launch 0", "Battery life, and what would change it"),
}


class Seen(NamedTuple):
    """What happened while a page was opened: messages of the console, errors, requests besides the page itself."""

    page: Page
    said: list[str]
    requested: list[str]


class Opens(Protocol):
    """Opens a page of results and waits until its charts are drawn."""

    def __call__(self, results: Sequence[Result], **options: Any) -> Seen:  # noqa: ANN401  what a browser's context takes
        """Return what was seen."""


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opens]:
    """Give a function that opens a page of results and waits until its charts are drawn."""
    contexts = []

    def show(results: Sequence[Result], **options: Any) -> Seen:  # noqa: ANN401  the same
        path = tmp_path / "report.html"
        path.write_text(render(results), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        said: list[str] = []
        requested: list[str] = []

        def route(asked: Route) -> None:
            if asked.request.url == path.as_uri():
                asked.continue_()
            else:
                requested.append(asked.request.url)
                asked.abort()

        page = context.new_page()
        page.route("**/*", route)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        page.locator("html[data-drawn]").wait_for(state="attached")
        return Seen(page, said, requested)

    yield show
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 375), ("dark", 375)], ids=str)
def test_five_results_are_seen_whole_without_a_message_a_request_or_a_fault_of_accessibility(
    opened: Opens, five: tuple[Result, ...], axe: str, scheme: str, width: int
) -> None:
    page, said, requested = opened(five, color_scheme=scheme, viewport={"width": width, "height": 800})

    assert said == []
    assert requested == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    charts = page.evaluate(
        "[...document.querySelectorAll('figure')].map(f => [f.querySelector('h4').textContent, +f.dataset.points,"
        " +f.dataset.drawn, f.querySelectorAll('tbody tr').length, f.querySelector('.plot > svg').clientWidth,"
        " [...f.querySelectorAll('g[aria-description=data] > *')].some(e => { const box = e.getBoundingClientRect();"
        " return box.width >= 1 && (box.height >= 1 || f.dataset.chart === 'lines') })])"
    )
    assert len(charts) > 20
    for title, points, drawn, rows, wide, visible in charts:
        assert points > 0, title
        assert drawn > 0, title
        assert visible, title
        assert rows > 0, title
        assert 200 < wide <= width, title
    # Nothing that is drawn is off the scale: a mark without a place has NaN in its attributes.
    assert page.evaluate("document.querySelectorAll('svg [d*=NaN], svg [x*=NaN], svg [transform*=NaN]').length") == 0
    if (scheme, width) not in AUDITED:
        return
    page.evaluate(axe)
    faults = page.evaluate("axe.run().then(found => found.violations.map(v => [v.impact, v.id, v.nodes[0].html]))")
    assert faults == []


def test_each_result_has_the_charts_that_it_holds_figures_for(opened: Opens, five: tuple[Result, ...]) -> None:
    page = opened(five).page

    found = [set(article.locator("figure h4").all_inner_texts()) for article in page.locator("article").all()]
    litert, onnx, sustained, emulated, energy = found
    for timed in (litert, onnx, sustained, energy):
        assert timed >= {*TITLES["every latency"], *TITLES["operators"]}
    assert sustained >= set(TITLES["sustained"])
    assert "Memory over operators" in emulated
    assert energy >= set(TITLES["energy"])
    assert page.locator("#result-5 figure:has(h4:text-is('Power')) g[aria-description=bands] rect").count() >= 5
    missing = page.locator("#result-4 .absent").inner_text()
    assert "Latency distribution: the board counts instructions, not time" in missing


def test_the_verdict_is_read_first_and_several_results_stand_side_by_side_before_it(
    opened: Opens, five: tuple[Result, ...]
) -> None:
    page = opened(five).page

    words = page.locator("main").inner_text()
    side, verdict, charts = (words.index(part) for part in ("Results side by side", "1 of 2 findings", "Charts"))
    assert side < verdict < charts
    assert page.locator(".overview tbody tr").count() == 5
    page.locator(".overview a").nth(4).click()
    assert page.url.endswith("#result-5")


def test_each_verdict_is_seen_beside_its_finding_and_advice_takes_the_whole_width(
    opened: Opens, five: tuple[Result, ...]
) -> None:
    finding = next(found for result in five for found in result.findings)
    verdicts: tuple[Verdict, ...] = ("PASS", "WARN", "FAIL", "SKIP", "INCONCLUSIVE")
    advised = next(result for result in five if result.advice)
    findings = tuple(replace(finding, verdict=verdict, limit=verdict) for verdict in verdicts)
    page = opened([replace(advised, findings=findings)]).page

    for line in page.locator(".findings li").all():
        pill = line.locator(".pill").bounding_box()
        said = line.locator("strong").bounding_box()
        assert pill is not None
        assert said is not None
        assert 0 < pill["x"] < pill["x"] + pill["width"] < said["x"]
    whole, advice = (page.locator(place).first.bounding_box() for place in (".verdict", ".advice li"))
    assert whole is not None
    assert advice is not None
    assert advice["width"] > whole["width"] * 0.9
    assert advice["height"] < 120  # a few lines, not a column of words


@pytest.mark.parametrize("policy", [True, False], ids=["with its policy", "by its escapes alone"])
def test_a_hostile_name_is_shown_and_runs_nothing(opened: Opens, five: tuple[Result, ...], *, policy: bool) -> None:
    first = five[0]
    finding = Finding(
        limit=HOSTILE, metric=HOSTILE, verdict="WARN", tier="hard", value=None, threshold=None, unit="", basis=None,
        source=HOSTILE, reason=HOSTILE,
    )  # fmt: skip
    hostile = replace(
        first,
        model=replace(first.model, name=HOSTILE),
        board=replace(first.board, name=HOSTILE, identity={HOSTILE: HOSTILE}),
        operators=(OperatorTime(name=HOSTILE, type=HOSTILE, time_s=1e-3, share_ratio=1.0, calls=1),),
        sensors=(SensorSeries(name=HOSTILE, quantity="power", unit="w", source=HOSTILE, time_s=(1.0, 2.0),
                              value=(1.0, 2.0)),),
        findings=(finding,),
    )  # fmt: skip

    page, said, requested = opened([hostile], bypass_csp=not policy)
    page.locator("figure.bars .plot").hover()

    assert said == []
    assert requested == []
    assert page.evaluate("window.ran") is None
    assert page.locator("img").count() == 0
    assert HOSTILE.split("\u2028", maxsplit=1)[0] in page.locator("h2").inner_text()
    assert page.locator("figure").count() == 5


def test_a_hundred_thousand_samples_make_a_small_page_that_opens_quickly(
    opened: Opens, five: tuple[Result, ...]
) -> None:
    result = _repeated(five[0], 100_000)

    assert len(render([result]).encode()) <= MOST_BYTES
    page = opened([result]).page
    # What the page's thread computed, not what the clock on the wall says: other processes do not count.
    assert page.evaluate("+document.documentElement.dataset.drawn") > 0
    assert _thread_seconds(page) <= 20 * reference_s()  # a second on a processor of 2023
    note = page.locator("figure.scatter .quiet").inner_text()
    assert note.startswith("Thinned: ")
    assert f"of {len(result.samples.start_s):,} samples" in note


def _thread_seconds(page: Page) -> float:
    """Return the CPU time that opening the page again took, to the last chart."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.reload()
    page.locator("html[data-drawn]").wait_for(state="attached")
    told = {row["name"]: row["value"] for row in devtools.send("Performance.getMetrics")["metrics"]}
    return float(told["TaskDuration"])


def _repeated(result: Result, least: int) -> Result:
    """Return the result as if its run had gone on for at least so many samples: the same ones over and over."""
    columns = result.samples
    count = len(columns.start_s)
    times = -(-least // count)
    length_s = columns.start_s[-1] + columns.duration_s[-1] - columns.start_s[0]
    starts = tuple(start + time * length_s for time in range(times) for start in columns.start_s)
    samples = replace(
        columns,
        launch=columns.launch * times,
        start_s=starts,
        duration_s=columns.duration_s * times,
        batch=columns.batch * times,
        flags=columns.flags * times,
    )
    return replace(result, samples=samples)


def test_the_keyboard_reaches_the_content_the_theme_and_the_tables(opened: Opens, five: tuple[Result, ...]) -> None:
    page = opened(five[:1], color_scheme="light").page
    before = page.evaluate(COLOURS)

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate(COLOURS) != before
    assert page.evaluate("document.activeElement.textContent") == "Light"
    page.keyboard.press("Enter")
    assert page.evaluate(COLOURS) == before
    page.locator("summary").first.press("Enter")
    assert page.locator("details table").first.is_visible()


def test_charts_follow_the_width_of_the_window(opened: Opens, five: tuple[Result, ...]) -> None:
    page = opened(five[:1]).page
    plot = page.locator("figure.scatter .plot")
    wide = int(plot.get_attribute("data-width") or 0)

    page.set_viewport_size({"width": 400, "height": 800})
    page.locator(f'figure.scatter .plot:not([data-width="{wide}"])').wait_for()
    assert int(plot.get_attribute("data-width") or 0) < 400
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_it_prints_on_white_even_from_the_dark_theme(opened: Opens, five: tuple[Result, ...]) -> None:
    page = opened(five[:1], color_scheme="dark").page
    dark = page.evaluate(COLOURS)

    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(COLOURS) == "rgb(255, 255, 255)" != dark
    assert not page.locator("#theme").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
