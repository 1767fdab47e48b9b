from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "fuzz_bundle.py"


def fuzzer() -> Any:  # noqa: ANN401  a script has no type
    spec = importlib.util.spec_from_file_location("fuzz_bundle", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_bundle"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_damaged_bundles_are_scanned_or_refused_and_nothing_else() -> None:
    script = fuzzer()
    outcome = script.fuzz(script.default_corpus(), seconds=math.inf, seed=3, tries=400)
    assert outcome.tried == 400
    assert outcome.findings == []
