"""The whole path with a hook: the user's file runs in the agent's measuring process, with the real runtimes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeprof.agent.delegates import BadRequest
from edgeprof.agent.stages import stages_pass
from edgeprof.agent.timing import Speaker
from edgeprof.inputs import random_inputs
from edgeprof.links.framed import FramedSession
from edgeprof.links.local import open_local
from edgeprof.model import read_model
from edgeprof.profiling.runtime_choice import read_hook
from edgeprof.records.events import PassEnded, SamplesReceived
from edgeprof.records.result import Pass, Plan
from edgeprof.wire import POSTPROCESSING, PREPROCESSING, WARMUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.events import Event

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
KWS, KWS_ONNX = EXAMPLES / "models" / "kws_int8.tflite", EXAMPLES / "models" / "kws_fp32.onnx"
STAGE_FLAGS = PREPROCESSING | POSTPROCESSING
BOTH = """
import numpy as np

def preprocess(raw):
    return (raw // 2).astype(np.int8)

def postprocess(outputs):
    return int(outputs[0].argmax())
"""


def told(hook: str | bytes, model: Path = KWS, runs: int = 5, duration_s: float = 0.0) -> list[Event]:
    """Run a stages pass here; return what the agent said."""
    asked = Pass(kind="stages", runs=runs, warmup=2, duration_s=duration_s)
    plan = Plan(passes=(asked,), format=model.suffix[1:], hook="my/image.py")
    content = hook.encode() if isinstance(hook, str) else hook
    blobs = {"model": model.read_bytes(), "inputs": random_inputs(read_model(model), 0).blob, "hook": content}
    with FramedSession(open_local(), name="here") as session:
        return list(session.run(plan, blobs))


def ending_of(events: Sequence[Event]) -> PassEnded:
    return next(event for event in events if isinstance(event, PassEnded))


def samples_of(events: Sequence[Event]) -> list[tuple[int, int, int]]:
    """Return (start, duration, stage) of the samples after warm-up."""
    blocks = [event for event in events if isinstance(event, SamplesReceived)]
    rows = [row for block in blocks for row in zip(block.start_ticks, block.duration_ticks, block.flags, strict=True)]
    return [(start, duration, flags & STAGE_FLAGS) for start, duration, flags in rows if not flags & WARMUP]


def test_each_item_has_its_three_stages_in_order_and_no_gap_between_them() -> None:
    events = told(BOTH)
    rows = samples_of(events)
    assert ending_of(events).complete
    assert [stage for _, _, stage in rows] == [PREPROCESSING, 0, POSTPROCESSING] * 5
    for first in range(0, len(rows), 3):
        item = rows[first : first + 3]
        assert [start + duration for start, duration, _ in item[:2]] == [start for start, _, _ in item[1:]]


def test_a_slow_stage_is_slow_in_its_own_samples() -> None:
    rows = samples_of(told("import time\ndef postprocess(outputs):\n    time.sleep(0.02)\n", runs=3))
    assert min(duration for _, duration, stage in rows if stage == POSTPROCESSING) >= 20_000_000
    assert min(duration for _, duration, stage in rows if stage == 0) < 20_000_000


def test_a_stage_that_the_hook_leaves_out_has_no_sample() -> None:
    rows = samples_of(told("def preprocess(raw):\n    return [raw]\n"))
    assert [stage for _, _, stage in rows] == [PREPROCESSING, 0] * 5


def test_onnx_runtime_takes_a_dictionary_by_name() -> None:
    name = read_model(KWS_ONNX).tensors[read_model(KWS_ONNX).inputs[0]].name
    hook = f"def preprocess(raw):\n    return {{{name!r}: raw * 0.5}}\n"
    events = told(hook + "def postprocess(outputs):\n    assert outputs[0].sum()\n", KWS_ONNX)
    assert ending_of(events).complete
    assert len(samples_of(events)) == 15


def test_raw_items_come_from_the_hook_where_it_has_them_and_go_round() -> None:
    hook = """
import numpy as np
seen = []
def inputs():
    yield "first"
    yield "second"
def preprocess(raw):
    seen.append(raw)
    return np.zeros((1, 49, 10, 1), np.int8)
def postprocess(outputs):
    if len(seen) == 6:
        raise RuntimeError(" ".join(seen))
"""
    assert "first first second first second first" in ending_of(told(hook)).text


def test_the_hook_runs_on_the_board_and_never_here() -> None:
    ended = ending_of(told("import os\nraise RuntimeError('pid %d' % os.getpid())\ndef preprocess(raw): pass\n"))
    assert "RuntimeError: pid " in ended.text
    assert int(ended.text.split()[-1]) != os.getpid()


def test_a_pass_by_time_ends_when_the_time_is_over() -> None:
    events = told("import time\ndef postprocess(outputs):\n    time.sleep(0.02)\n", runs=0, duration_s=0.1)
    assert ending_of(events).complete
    assert 2 <= len(samples_of(events)) <= 2 * 5


def test_a_long_pass_sends_its_samples_in_blocks() -> None:
    rows = samples_of(told(BOTH, runs=600))
    assert [stage for _, _, stage in rows] == [PREPROCESSING, 0, POSTPROCESSING] * 600


def test_the_example_of_a_camera_frame_runs() -> None:
    model = EXAMPLES / "models" / "vww_int8.tflite"
    events = told(read_hook(EXAMPLES / "hook_image.py"), model)
    assert ending_of(events).complete
    assert len(samples_of(events)) == 15


def test_what_a_hook_raises_ends_the_pass_with_its_file_and_line() -> None:
    ended = ending_of(told("def preprocess(raw):\n    scale = 0\n    return 1 / scale\n"))
    assert (ended.failure, ended.text) == ("bad-request", "image.py:3: ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (
            "def preprocess(raw):\n    scale = 0\n    return 1 / scale\n",
            "image.py:3: ZeroDivisionError: division by zero",
        ),
        ("def postprocess(outputs):\n    return outputs['x']\n", "image.py:2: TypeError: list indices must be"),
        ("def preprocess(raw:\n", "image.py:1: SyntaxError: "),
        (
            "import tensorflow_of_the_host\ndef preprocess(raw): ...\n",
            "image.py:1: ModuleNotFoundError: No module named",
        ),
        ("def preprocess(raw):\n    open('/nowhere/x')\n", "image.py:2: FileNotFoundError: "),
        ("import sys\ndef preprocess(raw):\n    sys.exit('no camera')\n", "image.py:3: SystemExit: no camera"),
        ("def inputs(): return []\n", "image.py defines neither preprocess nor postprocess"),
        ("def inputs(): return []\ndef preprocess(raw): ...\n", "image.py: inputs() gave no item"),
        ("def preprocess(raw): ...\n", "image.py: preprocess gave NoneType for the input 'input', which takes int8"),
        (
            "def preprocess(raw):\n    return raw.astype('float32')\n",
            "image.py: preprocess gave float32 [1, 49, 10, 1] for the input 'input', which takes int8 [1, 49, 10, 1]",
        ),
        ("def preprocess(raw):\n    return [raw, raw]\n", "image.py: 2 arrays for the 1 inputs of the model"),
        ("def preprocess(raw):\n    return {'x': raw}\n", "image.py: no array for the input 'input'"),
        ("def preprocess(raw):\n    return raw[:, :9]\n", "image.py: the model does not take what preprocess gave: "),
    ],
)
def test_what_is_wrong_with_a_hook_is_told_in_one_line_with_its_place(hook: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "hook").write_text(hook)
    (tmp_path / "inputs").write_bytes(random_inputs(read_model(KWS), 0).blob)
    settings = {"hook": str(tmp_path / "hook"), "hook_name": "image.py"}
    orders = {"pass": "stages", "path": str(KWS), "inputs": str(tmp_path / "inputs"), "runtime": "ai_edge_litert",
              "threads": 1, "shapes": {}, "sha256": "00", "runs": 3, "warmup": 1, "duration_ms": 0,
              "settings": settings}  # fmt: skip
    reading, writing = os.pipe()
    speaker = Speaker(writing, 1, 65535)
    with os.fdopen(reading, "rb"), speaker._file, pytest.raises(BadRequest) as refused:  # noqa: SLF001  to close it
        stages_pass(orders, speaker)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)
