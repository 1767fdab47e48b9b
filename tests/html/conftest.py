"""Five real results, and a browser that opens pages of them. Without a browser CI fails and others skip."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from edgeprof import api
from edgeprof.battery import with_battery
from edgeprof.battery.options import BatteryOptions
from edgeprof.boards import load_board
from edgeprof.inspecting import inspect_graph
from edgeprof.model import read_model
from edgeprof.summary.operators import operator_facts
from edgeprof.targets import board_folders
from scripts.debian import FetchError
from scripts.fetch_axe import fetch_axe
from scripts.fetch_chromium import fetch_chromium
from scripts.npm import NpmError
from tests.provided import lacking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from edgeprof.records.result import Result

CELL = BatteryOptions(
    cell="CR123A", period_s=10.0, sleep_a=2e-6, supply_v=1.8, regulator="buck", efficiency=(0.85, 0.92),
    quiescent_a=1e-6,
)  # fmt: skip
MODELS = Path(__file__).resolve().parents[2] / "examples" / "models"


@pytest.fixture(scope="session")
def five() -> tuple[Result, ...]:
    """Return results of two runtimes here, a long run that throttles, an emulated and a simulated microcontroller."""
    litert = _run("kws_int8.tflite", "local", runs=1000, limits=["latency_p99_s<1", "latency_p50_s<1ns"])
    onnx = _run("kws_fp32.onnx", "local", runs=300)
    sustained = _run("kws_int8.tflite", "sim:jetson-orin-nano?fault=throttle", duration_s=120.0)
    emulated = _run("kws_int8.tflite", "emu:cortex-m4", check_outputs=False)
    energy = _run("kws_int8.tflite", "sim:nucleo-l4r5zi", runs=300, power="onboard", period_s=1.0)
    return (litert, onnx, sustained, emulated, with_battery(energy, CELL))


def _run(name: str, target: str, **asked: Any) -> Result:  # noqa: ANN401  what `profile` takes
    model = MODELS / name
    per_op = target != "emu:cortex-m4"
    result = api.profile(model, target, history=False, per_op=per_op, **asked)
    board = load_board(result.board.id, board_folders()) if result.board.id else None
    inspection = inspect_graph(read_model(model, batch=1), model, board)
    known = operator_facts(inspection, result.operators, board)
    return replace(result, breakdowns={**result.breakdowns, **known})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a browser; it is closed before other tests want an event loop of their own."""
    try:
        found = fetch_chromium()
    except FetchError as error:
        lacking(f"no browser: {error}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(
            executable_path=str(found.path), args=sandbox, env=dict(found.environment().items())
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """Return axe-core's script."""
    try:
        return fetch_axe().read_text(encoding="utf-8")
    except NpmError as error:
        lacking(f"no axe-core: {error}")
