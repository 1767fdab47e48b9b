"""The script that runs a command as on a CPU without VNNI: what it patches, what it refuses, and that it works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from scripts.without_vnni import Unpatchable, libraries, patched, without_flags

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "without_vnni.py"
ASKED = bytes.fromhex("b807000000 b901000000 0fa2 a810 7438")
AND_AMX, OR_AMX = bytes.fromhex("81e100000003"), bytes.fromhex("81c900000003")
AND_VNNI, AND_NOTHING = bytes.fromhex("81e700080000"), bytes.fromhex("81e700000000")
GAP = bytes(200)
SEEN = """
import sys
import numpy as np
import onnxruntime
from edgeprof.agent.board_state import board_state
from tests.unit.model.test_signed_weights import CASES, outputs
fast, exact = (outputs(CASES["Conv"][0], precise=precise) for precise in (False, True))
print("vnni" in " ".join(board_state()["cpu_features"]), np.array_equal(fast, exact))
"""


def test_each_question_about_vnni_and_amx_is_answered_with_no() -> None:
    code = GAP.join((ASKED, AND_AMX, AND_VNNI))
    mended = GAP.join((ASKED.replace(b"\xa8\x10", b"\xa8\x00"), OR_AMX, AND_NOTHING))
    far = bytes(0x500)
    assert patched(far.join((code, code))) == far.join((mended, mended))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (AND_VNNI, "AVX-VNNI (cpuid leaf 7.1, EAX bit 4) is not found"),
        (ASKED + AND_AMX, r"AVX512-VNNI (and $0x800) is found 0 times"),
        (ASKED + AND_AMX + AND_VNNI + AND_VNNI, r"AVX512-VNNI (and $0x800) is found 2 times"),
        (ASKED + AND_VNNI, r"AMX (and $0x3000000) is found 0 times"),
        (ASKED + bytes(0x500) + AND_AMX + AND_VNNI, "is found 0 times"),
    ],
)
def test_code_that_does_not_look_as_expected_is_refused_and_says_what_is_missing(code: bytes, text: str) -> None:
    with pytest.raises(Unpatchable) as refused:
        patched(code)
    assert text in str(refused.value)


def test_only_the_flags_of_vnni_and_amx_are_left_out() -> None:
    assert without_flags("flags\t\t: fma avx2 avx512_vnni amx_int8 avx_vnni rdpid") == "flags\t\t: fma avx2 rdpid"
    assert without_flags("model name\t: avx_vnni") == "model name\t: avx_vnni"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86 CPUs have VNNI")
def test_the_libraries_are_those_that_python_loads() -> None:
    assert {path.parent for path in libraries()} == {Path(onnxruntime.__file__).parent / "capi"}


def _namespaces() -> bool:
    """Tell whether this process may make a mount namespace; containers often may not."""
    if shutil.which("unshare") is None:
        return False
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        *user,
        "mount",
        "--bind",
        "/etc/hosts",
        "/proc/cpuinfo",
    ]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86 CPUs have VNNI")
def test_a_command_finds_a_cpu_without_vnni_whose_int8_kernels_saturate() -> None:
    if not _namespaces():
        pytest.skip("this process may not make a mount namespace")
    done = subprocess.run(
        [sys.executable, SCRIPT, sys.executable, "-c", SEEN],
        cwd=SCRIPT.parent.parent,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["False", "False"]), done.stderr


def test_without_a_command_it_explains_itself() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the following arguments are required: COMMAND" in done.stderr
