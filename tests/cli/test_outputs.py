"""A run's outputs are checked: right ones pass, a fast but wrong build fails."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof.agent.runtimes import read_inputs
from edgeprof.inputs import random_inputs
from edgeprof.model import read_model
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("unicorn") is None or importlib.util.find_spec("tflite_micro") is None,
    reason="unicorn or tflite-micro is not installed",
)
EMULATED = ("--target", "emu:cortex-m4")
AS_JSON = ("--format", "json", "--no-memory")

WRONG_BUILD = """
import struct, sys, zlib
from msgspec.structs import replace
from edgeprof import program
from edgeprof.cli import main

packed = program.pack_program

def broken(graph, path):
    found = packed(graph, path)
    content = bytearray(found.content)
    {change}
    struct.pack_into("<I", content, 12, zlib.crc32(content[16:]))
    return replace(found, content=bytes(content))

program.pack_program = broken
sys.exit(main())
"""
ONE_WEIGHT = "content[found.core_bytes // 2] ^= 0x40"
LEFT_OUT = 'struct.pack_into("<I", content, 24, struct.unpack_from("<I", content, 24)[0] - 1)'


def wrong_build(change: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `edgeprof` with a packer that makes a mistake."""
    return subprocess.run(
        [sys.executable, "-c", WRONG_BUILD.format(change=change), *map(str, arguments)],
        env=dict(os.environ),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def outputs_finding(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the finding on the outputs."""
    assert run.stdout, run.stderr
    (finding,) = (found for found in json.loads(run.stdout)["findings"] if found["limit"] == "outputs")
    return dict(finding)


@pytest.mark.parametrize("name", ["kws_int8.tflite", "vww_int8.tflite"])
def test_an_emulated_board_is_checked_unasked_and_agrees_byte_for_byte(edgeprof: Cli, kws: Path, name: str) -> None:
    run = edgeprof("profile", kws.with_name(name), *EMULATED, *AS_JSON)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    finding = outputs_finding(run)
    assert (finding["verdict"], finding["tier"], finding["basis"]) == ("PASS", "hard", "emulated")
    assert finding["reason"].startswith("3 inferences equal to tflite-micro 0.")
    assert finding["reason"].endswith("byte for byte")
    metrics = result["metrics"]
    assert (metrics["output_max_abs_error"]["value"], metrics["output_agreement_ratio"]["value"]) == (0, 1)
    assert metrics["output_max_abs_error"]["basis"] == "emulated"
    assert "tflite-micro" in metrics["output_agreement_ratio"]["method"]


def test_the_check_is_part_of_the_table_and_costs_little_more_than_the_run(edgeprof: Cli, kws: Path) -> None:
    costs_s = []
    for check in ("--check-outputs", "--no-check-outputs"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = edgeprof("profile", kws, *EMULATED, check)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run.returncode == 0, run.stderr
        assert ("byte for byte" in run.stdout) == ("Output agreement" in run.stdout) == (check == "--check-outputs")
        costs_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    checked_s, unchecked_s = costs_s
    assert checked_s < 2.5 * unchecked_s, costs_s


def test_a_build_with_one_wrong_weight_fails_with_exit_code_1(kws: Path) -> None:
    run = wrong_build(ONE_WEIGHT, "profile", kws, *EMULATED, *AS_JSON)
    assert run.returncode == 1, run.stderr
    finding = outputs_finding(run)
    assert finding["verdict"] == "FAIL"
    assert finding["value"] > finding["threshold"] == 0
    assert "on the board" in finding["reason"]
    assert json.loads(run.stdout)["status"] == "complete"


def test_a_faster_build_that_leaves_an_operator_out_fails(edgeprof: Cli, kws: Path) -> None:
    right = edgeprof("profile", kws, *EMULATED, *AS_JSON, "--no-check-outputs")
    wrong = wrong_build(LEFT_OUT, "profile", kws, *EMULATED, *AS_JSON)
    counts = [json.loads(run.stdout)["metrics"]["instructions_count"]["value"] for run in (right, wrong)]
    assert counts[1] < counts[0]
    assert outputs_finding(wrong)["verdict"] == "FAIL"
    assert wrong.returncode == 1


def test_the_check_can_be_left_out(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws, *EMULATED, *AS_JSON, "--no-check-outputs")
    result = json.loads(run.stdout)
    assert run.returncode == 0
    assert result["findings"] == []
    assert [asked["kind"] for asked in result["plan"]["passes"]] == ["latency"]
    assert not any(name.startswith("output_") for name in result["metrics"])


def test_this_machine_is_checked_when_asked_within_two_steps(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws, "--runs", 5, *AS_JSON, "--check-outputs")
    finding = outputs_finding(run)
    assert run.returncode == 0, run.stderr
    assert (finding["verdict"], finding["basis"], finding["threshold"]) == ("PASS", "measured", 2 / 256)
    assert finding["source"].startswith("LiteRT's reference kernels")
    unasked = edgeprof("profile", kws, "--runs", 5, *AS_JSON)
    assert json.loads(unasked.stdout)["findings"] == []


def test_an_onnx_model_has_no_oracle_and_the_check_is_skipped_with_the_reason(edgeprof: Cli, kws: Path) -> None:
    run = edgeprof("profile", kws.with_name("kws_fp32.onnx"), "--runs", 5, *AS_JSON, "--check-outputs", "--strict")
    assert run.returncode == 0, run.stderr
    finding = outputs_finding(run)
    assert (finding["verdict"], finding["reason"]) == ("SKIP", "there is no oracle for ONNX models")


def test_a_limit_judges_the_agreement(edgeprof: Cli, kws: Path) -> None:
    limits = ("--limit", "output_agreement_ratio>=1", "--accept-basis", "emulated")
    run = edgeprof("profile", kws, *EMULATED, *AS_JSON, *limits)
    assert [finding["verdict"] for finding in json.loads(run.stdout)["findings"]] == ["PASS", "PASS"]


def test_the_first_of_several_inputs_is_what_one_input_would_be(kws: Path) -> None:
    graph = read_model(kws)
    one, three = read_inputs(random_inputs(graph, 7).blob), read_inputs(random_inputs(graph, 7, 3).blob)
    assert (one.tensors, one.inferences[0]) == (three.tensors, three.inferences[0])
    assert len({row[0] for row in three.inferences}) == 3
