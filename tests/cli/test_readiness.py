from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli


@pytest.fixture
def simulated(edgeprof: Cli, kws: Path, tmp_path: Path) -> Path:
    """Return the path of a result of a simulated Raspberry Pi 5."""
    path = tmp_path / "kws.json"
    ran = edgeprof("profile", kws, "--target", "sim:raspberry-pi-5", "--runs", "60", "--no-history", "-q", "-o", path)
    assert ran.returncode == 0, ran.stderr
    return path


def test_every_deployment_gets_a_line_and_none_decides_the_exit_code(edgeprof: Cli, simulated: Path) -> None:
    ran = edgeprof("readiness", simulated)
    assert ran.returncode == 0, ran.stderr
    assert "mobile" in ran.stdout
    assert "vehicle" in ran.stdout
    assert "--for NAME" in ran.stdout


def test_one_deployment_is_shown_with_its_checklist(edgeprof: Cli, simulated: Path) -> None:
    ran = edgeprof("readiness", simulated, "--for", "mobile", "--accept-basis", "simulated")
    assert ran.returncode == 0, ran.stderr
    assert "READY WITH WARNINGS" in ran.stdout
    assert "[x]" in ran.stdout
    assert "[ ]" in ran.stdout


def test_simulated_figures_exit_6_under_strict(edgeprof: Cli, simulated: Path) -> None:
    assert edgeprof("readiness", simulated, "--for", "mobile", "--strict").returncode == 6


def test_json_has_the_verdict_and_markdown_the_boxes(edgeprof: Cli, simulated: Path, tmp_path: Path) -> None:
    kept = tmp_path / "ready.json"
    ran = edgeprof("readiness", simulated, "--for", "edge", "--format", "json", "-o", kept)
    told = json.loads(ran.stdout)
    assert told == json.loads(kept.read_text())
    assert told["deployments"][0]["verdict"] == "UNKNOWN"
    drawn = edgeprof("readiness", simulated, "--for", "edge", "--format", "markdown").stdout
    assert "- [ ] **Rollback plan prepared**" in drawn


def test_an_unknown_deployment_is_a_usage_error(edgeprof: Cli, simulated: Path) -> None:
    ran = edgeprof("readiness", simulated, "--for", "phone")
    assert ran.returncode == 2
    assert "unknown deployment 'phone'" in ran.stderr
