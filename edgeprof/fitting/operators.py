"""Whether a board's engine or runtime has every operator of a model, and what is wanted beside it where it has not.

What is surely refused is a FAIL: a builtin operator, an operator set or a version that the engine or runtime lacks, and
a model that was compiled for an accelerator which the board does not have. What runs once something is installed beside
the runtime is a WARN that names it: a delegate, TensorFlow's own operators, a library of custom operators, a kernel of
one's own. All graphs of a model are looked into, and what an ONNX model makes of others itself counts as those.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.estimate.features import MEASURED
from edgeprof.estimate.model import measured_engines
from edgeprof.fitting.operator_lists import operator_lists
from edgeprof.model.graph import STANDARD, bodies
from edgeprof.records.result import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeprof.fitting.engines import Engine
    from edgeprof.fitting.operator_lists import OnnxRuntimeList
    from edgeprof.model.graph import Graph, Operator
    from edgeprof.records.board import Board
    from edgeprof.records.result import Verdict

_most_named = 8
_flex = "Flex"


class Npu(NamedTuple):
    """An accelerator that models are compiled for, and what runs them on it beside the engine or runtime, if anything.

    `key` is found in the name or description of such an accelerator in a board's file.
    """

    name: str
    key: str
    delegate: str
    kernel: str


COMPILED = {
    "edgetpu-custom-op": Npu("an Edge TPU", "edgetpu", "Coral's delegate libedgetpu", "Coral's kernel"),
    # TFLM brings the kernel of this one, where it is built for an Ethos-U.
    "ethos-u": Npu("an Ethos-U", "ethosu", "Arm's Ethos-U delegate", ""),
    "NeutronGraph": Npu("an eIQ Neutron", "neutron", "NXP's Neutron delegate", "NXP's Neutron kernel"),
}
"""Custom operators that a compiler puts in the place of those that an accelerator takes over."""

BESIDE = {"ai.onnx.contrib": "onnxruntime-extensions"}
"""Domains of which it is known who brings them; others need a library of custom operators."""


class Answer(NamedTuple):
    """What speaks against a model: surely refused, not known, or wanted beside."""

    refused: list[str]
    unsure: list[str]
    beside: list[str]

    @property
    def verdict(self) -> Verdict:
        """Return the verdict of the worst of it."""
        if self.refused:
            return "FAIL"
        if self.unsure:
            return "INCONCLUSIVE"
        return "WARN" if self.beside else "PASS"


class Call(NamedTuple):
    """An operator of an ONNX model, once for each operator set that it is meant in."""

    domain: str
    type: str
    opset: int | None

    @property
    def name(self) -> str:
        """Return the name with its domain, where that is not the standard one."""
        return self.type if self.domain == STANDARD else f"{self.domain}::{self.type}"


def judge_operators(graph: Graph, board: Board, engine: Engine) -> Finding:
    """Return whether a Linux board's runtime, or the engine of any other board, has the operators of a model."""
    name, source = engine.name, f"what TFLM {operator_lists().tflm.version} registers"
    if board.kind == "linux" and graph.format == "onnx":
        name = f"ONNX Runtime {operator_lists().onnxruntime.version}"
        source, answer = f"what {name} registers", _in_onnxruntime(graph, name)
    elif board.kind == "linux":
        name = f"LiteRT {operator_lists().litert.version}"
        source, answer = f"what {name} registers", _in_litert(graph, board, name)
    elif graph.format not in engine.formats:
        answer = Answer([f"{name} runs no .{graph.format} models: convert it to an int8 .tflite first"], [], [])
    elif engine.listed:
        answer = _in_tflm(graph, board, name)
    else:
        return _as_published(graph, board, engine)
    reason = "; ".join([*answer.refused, *answer.unsure, *answer.beside])
    return _finding(name, answer.verdict, reason or f"{name} has every operator", source)


def _finding(name: str, verdict: Verdict, reason: str, source: str) -> Finding:
    return Finding(
        limit=f"operators of {name}",
        metric="macs_count",
        verdict=verdict,
        tier="hard",
        value=None,
        threshold=None,
        unit="",
        basis="computed",
        source=source,
        reason=reason,
    )


def _as_published(graph: Graph, board: Board, engine: Engine) -> Finding:
    """Judge operators of an engine without a list of them by those of the models that it was published with."""
    source = "the published results of MLPerf Tiny"
    compiled = _compiled(graph, board, linux=False)
    if compiled.refused:
        return _finding(engine.name, "FAIL", "; ".join(compiled.refused), source)
    ran = MEASURED if engine.name in measured_engines() else frozenset[str]()
    others = sorted({operator.type for operator in _operators(graph)} - ran)
    if others:
        reason = f"whether {engine.name} has {_named(others)} is not known"
        return _finding(engine.name, "INCONCLUSIVE", reason, source)
    reason = f"which operators {engine.name} has is not known; it was published with models of these same ones"
    return _finding(engine.name, "SKIP", reason, source)


def _operators(graph: Graph) -> Iterator[Operator]:
    return (operator for body in bodies(graph) for operator in body.operators)


def _named(names: Iterable[str]) -> str:
    """Return names in one list, the first few of many."""
    every = sorted(set(names))
    more = f" and {len(every) - _most_named} more" if len(every) > _most_named else ""
    return ", ".join(every[:_most_named]) + more


def _need(names: Iterable[str], what: str) -> list[str]:
    """Return a line that says what these need, nothing where there are none."""
    every = sorted(set(names))
    return [f"{_named(every)} need{'s' * (len(every) == 1)} {what}"] if every else []


# ── TFLite models ────────────────────────────────────────────────────────────────────────────────────────────────────


def _in_tflm(graph: Graph, board: Board, name: str) -> Answer:
    tflm, every = operator_lists().tflm, list(_operators(graph))
    missing = [operator.type for operator in every if not operator.custom and operator.type not in tflm.builtins]
    foreign = {each.type for each in every if each.custom} - tflm.custom - COMPILED.keys()
    flex = {kind for kind in foreign if kind.startswith(_flex)}
    compiled = _compiled(graph, board, linux=False)
    return Answer(
        [
            *([f"{name} has no {_named(missing)}"] if missing else []),
            *_need(flex, f"TensorFlow's Flex delegate, which {name} does not have"),
            *compiled.refused,
        ],
        compiled.unsure,
        [*_need(foreign - flex, f"a kernel of your own in {name}"), *compiled.beside],
    )


def _in_litert(graph: Graph, board: Board, name: str) -> Answer:
    litert, every = operator_lists().litert, list(_operators(graph))
    missing = [operator.type for operator in every if not operator.custom and operator.type not in litert.builtins]
    newer = {
        f"{name} has {operator.type} up to version {litert.builtins[operator.type]}, the model's is {operator.version}"
        for operator in every
        if not operator.custom and operator.version > litert.builtins.get(operator.type, operator.version)
    }
    foreign = {each.type for each in every if each.custom} - litert.custom - COMPILED.keys()
    flex = {kind for kind in foreign if kind.startswith(_flex)}
    compiled = _compiled(graph, board, linux=True)
    return Answer(
        [*([f"{name} has no {_named(missing)}"] if missing else []), *sorted(newer), *compiled.refused],
        compiled.unsure,
        [
            *_need(flex, "TensorFlow's Flex delegate"),
            *_need(foreign - flex, "a library of custom operators"),
            *compiled.beside,
        ],
    )


def _compiled(graph: Graph, board: Board, *, linux: bool) -> Answer:
    """Judge what was compiled for an accelerator: by whether the board has one, and who runs it there."""
    answer = Answer([], [], [])
    for kind in sorted({operator.type for operator in _operators(graph) if operator.custom} & COMPILED.keys()):
        npu = COMPILED[kind]
        beside = npu.delegate if linux else npu.kernel
        if _has(board, npu):
            answer.beside.extend([f"{kind} needs {beside}"] if beside else [])
        elif not (board.accelerators or board.memory or board.ram_options_bytes):
            answer.unsure.append(f"{kind} needs {npu.name}, and whether {board.name} has one is not known")
        else:
            answer.refused.append(f"{kind} needs {npu.name}, which {board.name} does not have")
    return answer


def _has(board: Board, npu: Npu) -> bool:
    said = (f"{each.name} {each.description}" for each in board.accelerators)
    return any(npu.key in re.sub("[^a-z0-9]", "", text.lower()) for text in said)


# ── ONNX models ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _in_onnxruntime(graph: Graph, name: str) -> Answer:
    runtime = operator_lists().onnxruntime
    missing, elsewhere, outside = [], [], defaultdict[str, list[str]](list)
    for call in _calls(graph):
        if call.domain not in runtime.domains:
            outside[BESIDE.get(call.domain, "a library of custom operators")].append(call.name)
        elif call.type in runtime.domains[call.domain].elsewhere:
            elsewhere.append(call.name)
        elif not _runs(call, runtime):
            missing.append(f"{call.name} in operator set {call.opset}" if call.opset else call.name)
    return Answer(
        [*_too_new(graph, runtime, name), *([f"{name} has no {_named(missing)}"] if missing else [])],
        [],
        [
            *_need(elsewhere, "another execution provider than the CPU's"),
            *(line for what, names in sorted(outside.items()) for line in _need(names, what)),
        ],
    )


def _too_new(graph: Graph, runtime: OnnxRuntimeList, name: str) -> list[str]:
    """Return what of the file's versions the runtime is too old for."""
    said = [
        f"{name} has operator set {runtime.opsets[domain]} of {domain} at most, the model's is {number}"
        for domain, number in sorted(graph.opsets.items())
        if number > runtime.opsets.get(domain, number)
    ]
    if graph.ir_version is not None and graph.ir_version > runtime.ir_version:
        said.append(f"{name} reads IR version {runtime.ir_version} at most, the model's is {graph.ir_version}")
    return said


def _runs(call: Call, runtime: OnnxRuntimeList) -> bool:
    sets = runtime.domains[call.domain].operators.get(call.type)
    if sets is None or call.opset is None:
        return sets is not None
    # A set that is too new is told of itself; its operators are judged by the newest that is known.
    opset = min(call.opset, runtime.opsets.get(call.domain, call.opset))
    return sets[0] <= opset and (len(sets) == 1 or opset <= sets[1])


def _calls(graph: Graph) -> set[Call]:
    """Return the operators of a model; those that it makes of others itself are looked into, and are none."""
    own = {(function.domain, function.name): function for function in graph.functions}
    todo = [((operator.domain, operator.type), graph.opsets) for operator in _operators(graph)]
    found, seen = set(), set()
    while todo:
        (domain, kind), opsets = todo.pop()
        function = own.get((domain, kind))
        if function is None:
            found.add(Call(domain or STANDARD, kind, opsets.get(domain or STANDARD)))
        elif (domain, kind) not in seen:
            seen.add((domain, kind))
            todo += [(call, function.opsets) for call in function.calls]
    return found
