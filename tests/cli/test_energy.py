"""`edgeprof energy` as a process."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

HEADER = "Timestamp(ms),Current(uA),D0-D7"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return six windows of a second at 10 mA, a second of 2 mA between them, marked on D2."""
    rows = []
    for at in range(13_000):
        active = at // 1000 % 2 == 1
        current = 10_000 + 500 * math.sin(at / 7) if active else 2_000
        rows.append(f"{at},{current:.3f},{'00100000' if active else '00000000'}")
    path = tmp_path / "ppk2.csv"
    path.write_text(HEADER + "\n" + "\n".join(rows) + "\n")
    return path


def test_a_recording_gives_windows_and_metrics_as_json(edgeprof: Cli, recording: Path) -> None:
    done = edgeprof("energy", recording, "--voltage", "3300mV", "--inferences", 100, "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["windows"]) == 6
    for window in found["windows"]:
        assert window.keys() >= {"start_s", "end_s", "energy_j", "power_average_w", "energy_per_inference_j"}
        assert window["energy_j"] == pytest.approx(0.033, rel=0.01)
    assert found["metrics"]["energy_per_inference_j"]["value"] == pytest.approx(0.33e-3, rel=0.01)
    assert found["metrics"]["energy_above_idle_j"]["value"] == pytest.approx(0.264e-3, rel=0.02)
    assert found["metrics"]["energy_per_inference_j"]["confidence"] == 0.95


def test_the_table_says_what_was_assumed(edgeprof: Cli, recording: Path, tmp_path: Path) -> None:
    output = tmp_path / "energy.json"
    asked = ("--voltage", "3.3", "--inferences", 100, "--price", "0.3", "--grid", 400, "--accuracy", "1%")
    done = edgeprof("energy", recording, *asked, "--idle", "WFI", "-o", output)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    for words in (
        "a constant supply of 3.3 V is assumed", "electricity at 0.3 USD/kWh", "1 M inferences", "WFI", "95 % bounds",
        "declared on the command line",
    ):  # fmt: skip
        assert words in text
    assert json.loads(output.read_text())["metrics"]["cost_per_inference_usd"]["value"] == pytest.approx(
        0.33e-3 / 3.6e6 * 0.3, rel=0.01
    )


def test_markdown_is_a_table(edgeprof: Cli, recording: Path) -> None:
    done = edgeprof("energy", recording, "--voltage", "3.3", "--inferences", 100, "--format", "markdown")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\| Energy an inference \| (329|330)\.\d µJ \|", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "current and no voltage"),
        (("--voltage", "3.3", "--marker-bit", "5"), "never changes"),
        (("--voltage", "3.3", "--markers", "none.json"), "cannot read the markers"),
        (("--voltage", "many"), "is not a number"),
        (("--column", "current"), "is not ROLE=HEADER"),
        (("--column", "colour=1"), "no role of a column"),
        (("--column", "current=I"), "there is no column 'I'"),
        (("--voltage", "3.3", "-o", "/nowhere/report.json"), "cannot write the result to"),
    ],
)
def test_what_cannot_be_is_told_with_exit_code_2(
    arguments: tuple[str, ...], told: str, edgeprof: Cli, recording: Path
) -> None:
    done = edgeprof("energy", recording, *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert not done.stdout


def test_a_range_makes_a_column_of_energies_a_counter_and_both_names_of_the_output_are_taken(
    edgeprof: Cli, tmp_path: Path
) -> None:
    trace, output = tmp_path / "counter.csv", tmp_path / "energy.json"
    rows = (f"{at * 0.01:.2f},{(260 + at * 0.002) % 262.144:.4f}" for at in range(3001))
    trace.write_text("time_s,energy_j\n" + "\n".join(rows) + "\n")
    refused = edgeprof("energy", trace)
    assert refused.returncode == 2
    assert "a counter that starts again, or samples?" in refused.stderr
    done = edgeprof("energy", trace, "--counter-range", "262.144J", "--output", output)
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text())["windows"][0]["energy_j"] == pytest.approx(6.0, rel=1e-3)


def test_a_reading_far_below_zero_is_told(edgeprof: Cli, tmp_path: Path) -> None:
    trace = tmp_path / "spike.csv"
    rows = (f"{at / 1000},{-5 if at == 6000 else 0.02}" for at in range(13_000))
    trace.write_text("time_s,current_a\n" + "\n".join(rows) + "\n")
    done = edgeprof("energy", trace, "--voltage", "3.3", "--format", "json")
    findings = {one["code"]: one["text"] for one in json.loads(done.stdout)["findings"]}
    assert findings["negative-power"].startswith("1 of 13,000 samples is negative, down to -16.50 W")


def test_a_page_holds_metrics_and_every_window_and_escapes_what_comes_from_files(
    edgeprof: Cli, recording: Path
) -> None:
    named = recording.with_name("<b>trace&.csv")
    recording.rename(named)
    done = edgeprof("energy", named, "--voltage", "3.3", "--inferences", 100, "--format", "html")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<!DOCTYPE html>")
    assert "&lt;b&gt;trace&amp;.csv" in done.stdout
    assert "<b>trace" not in done.stdout
    assert done.stdout.count('<tr><th scope="row"') >= 6 + 6
    assert not re.search(r"(src|href)=.(https?:)?//", done.stdout)
