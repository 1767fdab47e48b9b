"""Which nodes of a model a delegate or execution provider really took: a runtime that falls back says nothing of it.

LiteRT and TensorFlow Lite list the nodes that a delegate took beside the DELEGATE nodes that stand for them, and do not
say which is which; what lies between a DELEGATE node's inputs and outputs is what it took. ONNX Runtime from 1.24 on
tells which provider each node was given to; before that only its profile does.
"""

import json
import os
import tempfile
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

CPU = "CPUExecutionProvider"
MOST_NAMES = 50
LONGEST_NAME = 100
UNKNOWN = ("delegation-unknown", "this runtime does not tell which nodes ran where")
DELEGATE_NODE = "DELEGATE"  # Subgraph::ReplaceNodeSubsetsWithDelegateKernels names every delegate's node so


class BadRequest(Exception):
    """What was asked for cannot be had on this board."""

    def __init__(self, text: str, *values: object) -> None:
        super(BadRequest, self).__init__(text.format(*values) if values else text)


class Choice(NamedTuple):
    """What was asked of a runtime: empty is its own choice. `watched`: nothing but the model may be loaded.

    `options`: of ONNX Runtime's session, each KEY=VALUE.
    """

    delegate: str = ""
    providers: Tuple[str, ...] = ()
    watched: bool = False
    options: Tuple[str, ...] = ()


class Description(NamedTuple):
    """What a runtime really uses, and notes (code, text) where that is not what was asked for."""

    detail: Dict[str, Any]
    notes: List[Tuple[str, str]]


class Node(NamedTuple):
    """A node of the graph: its operator, its name, and the tensors that it reads and writes."""

    type: str
    name: str
    inputs: List[int]
    outputs: List[int]


# ── TensorFlow Lite and LiteRT ───────────────────────────────────────────────────────────────────────────────────────


def interpreter_options(module: Any, choice: Choice) -> Dict[str, Any]:  # noqa: ANN401  a runtime's module
    """Return what an Interpreter has to be constructed with."""
    if choice.providers:
        raise BadRequest("execution providers belong to ONNX Runtime, not to {}", module.__name__)
    if choice.options:
        raise BadRequest("session options belong to ONNX Runtime, not to {}", module.__name__)
    if choice.delegate in {"", "xnnpack"}:
        return {}  # XNNPACK is what the wheels apply by default
    if choice.delegate == "none":
        resolvers = getattr(module, "OpResolverType", None)
        if resolvers is None:
            raise BadRequest("{} is too old to leave its default delegate out", module.__name__)
        return {"experimental_op_resolver_type": resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES}
    path, options = split_options(choice.delegate)
    try:
        return {"experimental_delegates": [module.load_delegate(path, options)]}
    except (OSError, AttributeError, ValueError, RuntimeError) as error:
        words = " ".join(str(error).split()) or "its library gave no reason"
        raise BadRequest("the delegate {} cannot be loaded: {}", path, words) from error


def split_options(text: str) -> Tuple[str, Dict[str, str]]:
    """Take `path?key=value&…` apart."""
    from urllib.parse import parse_qsl

    path, _, query = text.partition("?")
    return path, dict(parse_qsl(query, keep_blank_values=True))


def read_nodes(interpreter: Any) -> Optional[List[Node]]:  # noqa: ANN401  a runtime's interpreter
    """Return the nodes of the main graph in the order of their numbers, None where the runtime does not list them."""
    inner: Any = getattr(interpreter, "_interpreter", None)
    if not all(hasattr(inner, name) for name in ("NumNodes", "NodeName", "NodeInputs", "NodeOutputs", "TensorName")):
        return None
    nodes = []
    for index in range(inner.NumNodes()):
        outputs = [int(tensor) for tensor in inner.NodeOutputs(index)]
        name = _tensor_name(inner, outputs[0]) if outputs else ""
        nodes.append(Node(str(inner.NodeName(index)), name, [int(t) for t in inner.NodeInputs(index)], outputs))
    return nodes


def _tensor_name(inner: Any, tensor: int) -> str:  # noqa: ANN401  a runtime's interpreter
    try:
        return str(inner.TensorName(tensor, 0))
    except TypeError:  # without subgraphs
        return str(inner.TensorName(tensor))


def taken_nodes(nodes: Sequence[Node]) -> List[Set[int]]:
    """Return the numbers of the nodes that each DELEGATE node stands for, in the order of the DELEGATE nodes."""
    made_by = {
        tensor: index for index, node in enumerate(nodes) if node.type != DELEGATE_NODE for tensor in node.outputs
    }
    return [_between(nodes, made_by, node) for node in nodes if node.type == DELEGATE_NODE]


def _between(nodes: Sequence[Node], made_by: Dict[int, int], delegate: Node) -> Set[int]:
    given = set(delegate.inputs)
    found: Set[int] = set()
    waiting = list(delegate.outputs)
    while waiting:
        tensor = waiting.pop()
        index = made_by.get(tensor)
        if tensor not in given and index is not None and index not in found:
            found.add(index)
            waiting += nodes[index].inputs
    return found


def describe_tflite(choice: Choice, nodes: Optional[Sequence[Node]], own: int) -> Description:
    """Say who runs what; the first `own` DELEGATE nodes are of a library that was named, the others of XNNPACK."""
    asked = choice.delegate not in {"", "none"}
    detail: Dict[str, Any] = {"delegate": choice.delegate or "default"}
    if nodes is None:
        return Description(detail, [UNKNOWN] if asked and not choice.watched else [])
    whole = {index for index, node in enumerate(nodes) if node.type != DELEGATE_NODE}
    parts = taken_nodes(nodes)
    mine, rest = set().union(*parts[:own]), set().union(*parts[own:])
    detail["nodes"] = len(whole)
    detail["delegates"] = [
        {"name": name, "nodes": len(taken), "parts": count}
        for name, taken, count in ((choice.delegate, mine, own), ("xnnpack", rest, len(parts) - own))
        if count
    ]
    if parts:
        detail["not_delegated"] = _named(nodes, whole - mine - rest)
    if not asked:
        return Description(detail, [])
    taken = rest if choice.delegate == "xnnpack" else mine
    left = _named(nodes, whole - taken)
    detail["asked"] = _asked([choice.delegate], len(taken), left)
    return Description(detail, _notes_of("the delegate " + choice.delegate, len(taken), left))


def _asked(names: Sequence[str], taken: int, left: Dict[str, Any]) -> Dict[str, Any]:
    """Return how many of the nodes those took that were named, and which they left."""
    return {"names": list(names), "taken": taken, "nodes": taken + left["count"], "left": left}


def _named(nodes: Sequence[Node], chosen: Set[int]) -> Dict[str, Any]:
    names = ["{} {}".format(nodes[index].type, nodes[index].name).strip() for index in sorted(chosen)]
    return _capped(names)


def _capped(names: Sequence[str]) -> Dict[str, Any]:
    return {"count": len(names), "names": [name[:LONGEST_NAME] for name in names[:MOST_NAMES]]}


def _notes_of(who: str, taken: int, left: Dict[str, Any]) -> List[Tuple[str, str]]:
    if not left["count"]:
        return []
    total = taken + left["count"]
    if not taken:
        return [("cpu-fallback", "{} took none of the {} nodes; all ran without it".format(who, total))]
    names = ", ".join(left["names"])
    if left["count"] > len(left["names"]):
        names += " and {} more".format(left["count"] - len(left["names"]))
    text = "{} took {} of {} nodes; {} ran without it: {}"
    return [("partial-delegation", text.format(who, taken, total, left["count"], names))]


# ── ONNX Runtime ─────────────────────────────────────────────────────────────────────────────────────────────────────


def wanted_providers(choice: Choice) -> List[str]:
    """Return the providers that a session is made with."""
    if choice.delegate:
        raise BadRequest("delegates belong to LiteRT and TensorFlow Lite; ONNX Runtime has execution providers")
    return list(choice.providers) or [CPU]


def describe_onnx(
    wanted: Sequence[str],
    available: Sequence[str],
    providers: Sequence[str],
    assigned: Optional[List[Tuple[str, str]]],
    refused: str = "",
    *,
    fused: bool = False,
) -> Description:
    """Say which provider runs what; `assigned` is (provider, node) of every node, None where it is not known.

    `refused`: why one could not be used. `fused`: what a provider took may be one entry, however many nodes it is.
    """
    detail: Dict[str, Any] = {"providers": list(providers)}
    accelerators = [name for name in wanted if name != CPU]
    used = [name for name in accelerators if name in providers]
    notes = _missing([name for name in accelerators if name not in providers], used, available, refused)
    if accelerators and not used:
        detail["asked"] = {"names": accelerators, "taken": 0}
    if not used or assigned is None:
        return Description(detail, notes)
    left = _capped([name for provider, name in assigned if provider == CPU])
    taken = {name: len([1 for provider, _ in assigned if provider == name]) for name in used}
    total = sum(taken.values())
    detail["nodes"], detail["on_cpu"] = len(assigned), left
    detail["taken"] = taken
    if not fused or not total or not left["count"]:
        detail["asked"] = _asked(accelerators, total, left)
    if total and not taken[used[0]]:
        notes.append(("provider-unused", _unused(used[0], taken, len(assigned))))
    return Description(detail, notes + _notes_of(" and ".join(used), total, left))


def _unused(first: str, taken: Dict[str, int], nodes: int) -> str:
    others = ", ".join("{} took {}".format(name, count) for name, count in taken.items() if count)
    return "{}, which was to be preferred, took none of the {} nodes; {}".format(first, nodes, others)


def _missing(missing: List[str], present: List[str], available: Sequence[str], refused: str) -> List[Tuple[str, str]]:
    if not missing:
        return []
    names = ", ".join(missing)
    why = refused or "this ONNX Runtime was built with " + ", ".join(available)
    if not refused and set(missing) <= set(available):
        why = "it is listed, and a library, driver or device that it needs is not there"
    if present:
        text = "{} could not be used and left the model to {}; {}"
        return [("provider-missing", text.format(names, ", ".join(present), why))]
    return [("cpu-fallback", "{} could not be used and every node ran on the CPU; {}".format(names, why))]


def assigned_nodes(session: Any) -> Optional[List[Tuple[str, str]]]:  # noqa: ANN401  ONNX Runtime's session
    """Return (provider, node) of every node, None where this ONNX Runtime does not tell."""
    ask = getattr(session, "get_provider_graph_assignment_info", None)
    if ask is None:
        return None
    return [
        (str(part.ep_name), "{} {}".format(node.op_type, node.name).strip())
        for part in ask()
        for node in part.get_nodes()
    ]


def profiled_nodes(
    onnxruntime: Any,  # noqa: ANN401  a runtime's module
    path: str,
    wanted: List[str],
    inputs: Dict[str, Any],
) -> Optional[List[Tuple[str, str]]]:
    """Return (provider, node) of every node by the profile of one run in a session of its own, None if that fails."""
    folder = tempfile.mkdtemp(prefix="edgeprof-")
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(folder, "profile")
        session = onnxruntime.InferenceSession(path, options, providers=wanted)
        session.run(None, inputs)
        with open(session.end_profiling()) as file:
            return nodes_of_profile(json.load(file))
    except Exception:  # noqa: BLE001  what a runtime raises for a model with made-up inputs has no common class
        return None
    finally:
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)


def nodes_of_profile(events: Sequence[Dict[str, Any]]) -> List[Tuple[str, str]]:
    """Return (provider, node) of every kernel in ONNX Runtime's profile."""
    found = []
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith("_kernel_time"):
            words = event.get("args", {})
            text = "{} {}".format(words.get("op_name", ""), name[: -len("_kernel_time")])
            found.append((str(words.get("provider", "")), text.strip()))
    return found
