"""The lists of operators against the wheels that they are of."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from edgeprof.fitting.operator_lists import operator_lists
from edgeprof.model import read_model
from edgeprof.model.tflite_schema import operator_names

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "tests" / "fixtures" / "operators"
WHEELS = {"tflite-micro": "tflm", "ai-edge-litert": "litert", "onnxruntime": "onnxruntime"}


@pytest.mark.parametrize("package", sorted(WHEELS))
def test_a_list_is_of_the_version_that_the_lock_file_names(package: str) -> None:
    locked = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    versions = {found["version"] for found in locked if found["name"] == package}
    assert getattr(operator_lists(), WHEELS[package]).version in versions


@pytest.mark.slow
def test_the_lists_are_what_the_wheels_say_operator_by_operator(tmp_path: Path) -> None:
    if importlib.util.find_spec("tflite_micro") is None:
        pytest.skip("tflite-micro is not installed")
    others = [name for name, key in WHEELS.items() if version(name) != getattr(operator_lists(), key).version]
    if others:
        pytest.skip(f"another version is installed than the list is of: {', '.join(others)}")
    # One operator is missing from each of two lists and one number is wrong: the check is to find these, and no other.
    text = (ROOT / "edgeprof" / "data" / "operators.toml").read_text(encoding="utf-8")
    ir_version = operator_lists().onnxruntime.ir_version
    for right, wrong in (
        ('\n  "TFLite_Detection_PostProcess",\n]', "\n]"),
        ("\nPOW = 1\n", "\n"),
        (f"ir_version = {ir_version}", "ir_version = 3"),
    ):
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    written = tmp_path / "operators.toml"
    written.write_text(text, encoding="utf-8")
    program = f"import pathlib, scripts.write_operator_lists as s; s.FILE = pathlib.Path({str(written)!r}); "
    command = [sys.executable, "-c", f"{program}raise SystemExit(s.main(['--check']))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    changes = [line for line in done.stdout.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    assert changes == [
        '+  "TFLite_Detection_PostProcess",',
        "+POW = 1",
        "-ir_version = 3",
        f"+ir_version = {ir_version}",
    ]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("model", "runs"),
    [
        ("detpost", True),
        ("dynamic_update_slice", True),
        ("reduce_min", True),
        ("pow", False),
        ("mixed_pow_custom", False),
    ],
)
def test_tflm_runs_what_its_list_says_and_nothing_else(model: str, runs: bool) -> None:  # noqa: FBT001  a parameter
    if importlib.util.find_spec("tflite_micro") is None:
        pytest.skip("tflite-micro is not installed")
    from tflite_micro.python.tflite_micro import runtime

    path = FIXTURES / f"{model}.tflite"
    content = path.read_bytes()
    if not runs:
        with pytest.raises(RuntimeError, match="allocate tensors"):
            runtime.Interpreter.from_bytes(content, arena_size=100_000)
        return
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=100_000)
    for index in range(len(read_model(path, digest=False).inputs)):
        details = interpreter.get_input_details(index)
        interpreter.set_input(np.zeros(details["shape"], details["dtype"]), index)
    interpreter.invoke()


def test_every_builtin_of_a_list_is_an_operator_of_the_schema() -> None:
    lists = operator_lists()
    assert lists.tflm.builtins < set(operator_names)
    assert lists.litert.builtins.keys() < set(operator_names)
    assert lists.tflm.builtins < lists.litert.builtins.keys()


def test_the_newest_of_every_domain_is_known_where_operators_of_it_are() -> None:
    runtime = operator_lists().onnxruntime
    assert runtime.opsets.keys() == runtime.domains.keys()
    for domain, found in runtime.domains.items():
        assert all(1 <= each[0] <= runtime.opsets[domain] for each in found.operators.values())
        assert not found.elsewhere & found.operators.keys()
