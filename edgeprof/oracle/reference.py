"""What a model's outputs ought to be: asked of an independent implementation, in a process of its own.

tflite-micro computes what microcontrollers are to compute, byte for byte. Without it LiteRT's reference kernels tell
the outputs to within two quantisation steps: the two round differently. Neither is ever imported into edgeprof.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
from msgspec import Struct

from edgeprof.agent.runtimes import read_inputs
from edgeprof.oracle.agreement import (
    OracleOutputs,
    agreement_finding,
    agreement_metrics,
    compare_outputs,
    output_kinds,
    skipped_finding,
)
from edgeprof.oracle.child import NOT_INSTALLED
from edgeprof.records.result import OutputTensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.agent.runtimes import Inputs
    from edgeprof.model.graph import Graph
    from edgeprof.records.result import Finding, Measurement, Metric

Engine = Literal["tflite-micro", "litert"]
ENGINES: tuple[Engine, ...] = ("tflite-micro", "litert")
TITLES: dict[Engine, str] = {"tflite-micro": "tflite-micro", "litert": "LiteRT's reference kernels"}
INSTALL: dict[Engine, str] = {"tflite-micro": "pip install 'edgeprof[exact]'", "litert": "pip install ai-edge-litert"}
TOLERANCE_STEPS: dict[Engine, int] = {"tflite-micro": 0, "litert": 2}
TIMEOUT_S = 60.0
CHILD = Path(__file__).with_name("child.py")
SEEDED_INFERENCES = 3
MOST_SERIAL_BYTES = 16384


class Told(Struct, frozen=True):
    """What the child says of one output."""

    inference: int
    dtype: str
    shape: tuple[int, ...]
    bytes: int


class Answer(Struct, frozen=True):
    """What the child says before the bytes of all outputs."""

    version: str
    outputs: tuple[Told, ...]


def oracle_outputs(
    model: Path,
    inputs_blob: bytes,
    *,
    engines: Sequence[Engine] = ENGINES,
    python: str = sys.executable,
    timeout_s: float = TIMEOUT_S,
) -> OracleOutputs:
    """Return what a .tflite gives for each inference of an input blob, by the first engine that can tell. Never raises.

    `python` is an interpreter that has one of them. A damaged model is told as the reason, too.
    """
    from edgeprof.errors import EdgeprofError
    from edgeprof.model import read_model

    try:
        graph = read_model(model, digest=False)
        inputs = read_inputs(inputs_blob)
    except (EdgeprofError, ValueError, KeyError) as error:
        return OracleOutputs(reason=f"no oracle for {model.name}: {error}")
    if graph.format != "tflite":
        return OracleOutputs(reason=f"there is no oracle for {graph.format} models")
    return _first_answer(model, graph, inputs, engines, python, timeout_s)


def _first_answer(
    model: Path, graph: Graph, inputs: Inputs, engines: Sequence[Engine], python: str, timeout_s: float
) -> OracleOutputs:
    request = _request(graph, inputs)
    names = tuple(graph.tensors[index].name for index in graph.outputs)
    reasons: list[str] = []
    for engine in engines:
        asked = _ask(engine, model, request, python, timeout_s)
        if isinstance(asked, str):
            reasons.append(asked)
            continue
        return OracleOutputs(
            name=f"{TITLES[engine]} {asked.version}",
            tolerance_steps=TOLERANCE_STEPS[engine],
            outputs=_named(asked.outputs, names),
            reason="; ".join(reasons),
        )
    return OracleOutputs(reason="; ".join(reasons))


def _request(graph: Graph, inputs: Inputs) -> bytes:
    """Return the child's input: the inferences with their tensors in the model's own order."""
    by_name = {facts.name: at for at, facts in enumerate(inputs.tensors)}
    order = [by_name.get(graph.tensors[index].name, at) for at, index in enumerate(graph.inputs)]
    order = [at for at in order if at < len(inputs.tensors)]
    first = inputs.inferences[0] if inputs.inferences else []
    head = {
        "inferences": len(inputs.inferences),
        "outputs": len(graph.outputs),
        "inputs": [{"shape": inputs.tensors[at].shape, "bytes": len(first[at])} for at in order if first],
    }
    return json.dumps(head).encode() + b"\n" + b"".join(row[at] for row in inputs.inferences for at in order)


class _Answered(NamedTuple):
    version: str
    outputs: tuple[OutputTensor, ...]


def _named(outputs: tuple[OutputTensor, ...], names: tuple[str, ...]) -> tuple[OutputTensor, ...]:
    return tuple(
        msgspec.structs.replace(output, name=names[at % len(names)] if names else "")
        for at, output in enumerate(outputs)
    )


def _ask(engine: Engine, model: Path, request: bytes, python: str, timeout_s: float) -> _Answered | str:
    """Run the child to its end; a text is why it has no answer."""
    import subprocess

    # -P: modules of this package beside the child are not to be taken for others of the same name.
    command = [python, "-P", str(CHILD), engine, str(model)]
    title = TITLES[engine]
    try:
        done = subprocess.run(  # noqa: S603  our own script
            command,
            input=request,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
    except KeyboardInterrupt:  # the run is over; its result is not to be lost
        return f"stopped by Ctrl-C while {title} ran"
    except subprocess.TimeoutExpired:
        return f"{title} did not answer within {timeout_s:g} s"
    except OSError as error:
        return f"{python} could not be started: {error.strerror}"
    if done.returncode == NOT_INSTALLED:
        return f"{engine} is not installed: {INSTALL[engine]}"
    if done.returncode != 0:
        return f"{title} cannot run the model: {_last_words(done.returncode, done.stderr)}"
    return _answered(done.stdout) or f"{title} gave no answer that can be read"


def _last_words(code: int, printed: bytes) -> str:
    lines = [line.strip() for line in printed.decode("utf-8", "replace").splitlines() if line.strip()]
    said = lines[-1][:200] if lines else "it said nothing"
    if code >= 0:
        return said
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"it ended by {name}: {said}"


def _answered(content: bytes) -> _Answered | None:
    head, _, body = content.partition(b"\n")
    try:
        answer = msgspec.json.decode(head, type=Answer)
    except msgspec.MsgspecError:
        return None
    if sum(told.bytes for told in answer.outputs) != len(body):
        return None
    outputs = []
    at = 0
    for told in answer.outputs:
        content = body[at : at + told.bytes]
        outputs.append(
            OutputTensor(inference=told.inference, name="", dtype=told.dtype, shape=told.shape, content=content)
        )
        at += told.bytes
    return _Answered(answer.version, tuple(outputs))


# ── the check of a run ───────────────────────────────────────────────────────────────────────────────────────────────


class Checked(NamedTuple):
    """What the check of the outputs adds to a result."""

    metrics: dict[str, Metric]
    findings: tuple[Finding, ...]


def can_be_checked(graph: Graph | None) -> bool:
    """Tell whether there may be an oracle for a model; None is one that is in the firmware."""
    return graph is not None and graph.format == "tflite"


def seeded_inferences(graph: Graph, *, emulated: bool) -> int:
    """Return how many random inferences are checked: 3, fewer where their bytes would be long on a serial line."""
    from edgeprof.inputs import model_inputs, settled_shape
    from edgeprof.model.graph import type_bits

    one = sum(prod(settled_shape(t)) * type_bits.get(t.dtype, 8) // 8 for t in model_inputs(graph))
    fitting = SEEDED_INFERENCES if emulated or not one else MOST_SERIAL_BYTES // one
    return max(1, min(SEEDED_INFERENCES, fitting))


def check_outputs(
    model: Path, graph: Graph | None, inputs_blob: bytes, measurement: Measurement, *, program: bool
) -> Checked:
    """Return the figures and the verdict on the outputs that a run brought back.

    A `program` is run by kernels that are to equal TFLM's; what runs a model file on its own kernels is compared with
    LiteRT's reference kernels, within 2 steps.
    """
    if graph is None or not can_be_checked(graph):
        what = "models that are in the firmware" if graph is None else "ONNX models"
        return Checked({}, (skipped_finding(f"there is no oracle for {what}"),))
    asked = [measured for measured in measurement.passes if measured.kind == "outputs"]
    given = tuple(output for measured in asked for output in measured.outputs)
    why = next((_why_incomplete(m.failure, m.failure_text) for m in asked if not m.complete), "")
    basis = measurement.basis
    if not given:
        nothing = OracleOutputs()
        finding = agreement_finding(None, nothing, basis, why=why)
        return Checked(agreement_metrics(None, nothing, basis, why=why), (finding,))
    oracle = oracle_outputs(model, inputs_blob, engines=ENGINES if program else ENGINES[::-1])
    tolerance = None if program else max(TOLERANCE_STEPS.values())
    kinds = output_kinds(graph)
    agreement = compare_outputs(given, oracle, kinds, tolerance_steps=tolerance) if oracle.outputs else None
    finding = agreement_finding(
        agreement, oracle, basis, kinds, tolerance_steps=tolerance, own_kernels=not program, why=why
    )
    return Checked(agreement_metrics(agreement, oracle, basis), (finding,))


def _why_incomplete(failure: str, text: str) -> str:
    told = {"lost": "the run ended before the outputs came", "unsupported": "the agent cannot send outputs"}
    return text or told.get(failure, f"the outputs pass failed: {failure}")
