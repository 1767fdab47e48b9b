"""Writes edgeprof/data/operators.toml: the operators of TFLM, LiteRT and ONNX Runtime, asked of the installed wheels.

`--check` asks again, of LiteRT's custom operators only those that are listed, and fails where the file is another one.

TFLM and LiteRT are given a model of one operator each, and their answer says whether they looked its name up in vain.
As names of custom operators every text in their library is tried, so that no list of somebody else's is needed. ONNX
Runtime tells its schemas and the kernels of its CPU provider; the newest operator sets and IR it takes are tried out.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import tomllib
from collections import defaultdict
from difflib import unified_diff
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from edgeprof.model.graph import STANDARD
from edgeprof.model.tflite_schema import operator_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FILE = Path(__file__).resolve().parent.parent / "edgeprof" / "data" / "operators.toml"
CUSTOM = 32
NEWEST_TRIED = 64
_no_last = 2**31 - 1
_name_in_library = re.compile(rb"(?<=\0)[A-Za-z][A-Za-z0-9_.:/-]{2,60}(?=\0)")
ONNX_DOMAINS = (
    "", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft", "com.microsoft.nchwc",
    "com.microsoft.experimental", "com.ms.internal.nhwc",
)  # fmt: skip


class Asked(NamedTuple):
    """An operator that is looked up: its builtin code, or its name as a custom one, and its version."""

    code: int
    custom: str | None = None
    version: int = 1


def main(arguments: list[str]) -> int:
    """Write the file, or say whether it is what the wheels say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the wheels say otherwise")
    checked = parser.parse_args(arguments).check
    current = FILE.read_text(encoding="utf-8") if FILE.is_file() else ""
    names = [*tomllib.loads(current)["litert"]["custom"], "MyOp"] if checked else texts_of(litert_library())
    text = f"{HEAD}\n{tflm_table(texts_of(tflm_library()))}\n{litert_table(names)}\n{onnx_table()}"
    if checked:
        changes = unified_diff(current.splitlines(), text.splitlines(), str(FILE), "the wheels", n=0, lineterm="")
        print("\n".join(changes))
        return int(current != text)
    FILE.write_text(text, encoding="utf-8")
    print(FILE)
    return 0


HEAD = """# Which operators an engine or runtime has. scripts/write_operator_lists.py writes this file; do not edit it.
#
# tflm and litert: a model of one operator was given to the wheel's interpreter for each name; listed is what it did not
# look up in vain. Custom operators were found by trying every text in the wheel's library as a name. litert.builtins
# says up to which version of each.
# onnxruntime: operator sets in which an operator has a kernel of the CPU provider, or is made of others that have:
# [from] or [from, to]. `elsewhere` are known by name only: another execution provider may have them.
"""


# ── one operator, looked up ──────────────────────────────────────────────────────────────────────────────────────────


def model_of(asked: Asked) -> bytes:
    """Return a model of two operators: an ADD that lacks an input, and the one that is asked for.

    All operators are looked up before the first is prepared, and this ADD never is: so nothing of what is asked for is
    ever run, whatever it needs.
    """
    tensors = [schema.TensorT([1, 4], 0, 0, name) for name in "abc"]
    operators = [schema.OperatorT(0, [0], [1]), schema.OperatorT(1, [1], [2])]
    codes = [
        schema.OperatorCodeT(0, None, 1, 0),
        schema.OperatorCodeT(min(asked.code, 127), asked.custom, asked.version, asked.code),
    ]
    graph = schema.SubGraphT(tensors, [0], [2], operators, "main")
    builder = flatbuffers.Builder(1024)
    builder.Finish(schema.ModelT(3, codes, [graph], "", [schema.BufferT()]).Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def custom_alone(asked: Asked) -> bytes:
    """Return a model of nothing but the custom operator: LiteRT looks those up when it prepares them."""
    tensors = [schema.TensorT([1, 4], 0, 0, name) for name in "ab"]
    graph = schema.SubGraphT(tensors, [0], [1], [schema.OperatorT(0, [0], [1])], "main")
    builder = flatbuffers.Builder(1024)
    codes = [schema.OperatorCodeT(CUSTOM, asked.custom, 1, CUSTOM)]
    builder.Finish(schema.ModelT(3, codes, [graph], "", [schema.BufferT()]).Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def known(every: list[Asked], knows: Callable[[Asked], bool]) -> Iterator[Asked]:
    """Yield those that are known, asking in a process of its own: what dies of an operator has found it."""
    start = 0
    while start < len(every):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            with os.fdopen(writing, "wb", buffering=0) as out:
                for asked in every[start:]:
                    out.write(b"?")
                    out.write(b"y" if knows(asked) else b"n")
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as answers:
            said = answers.read()
        os.waitpid(child, 0)
        told = said.replace(b"?", b"")
        yield from (asked for asked, answer in zip(every[start:], told, strict=False) if answer == ord("y"))
        start += len(told)
        if said.endswith(b"?"):
            yield every[start]
            start += 1


def texts_of(library: Path) -> list[str]:
    """Return every text in a library that could be the name of an operator."""
    return sorted({text.decode() for text in _name_in_library.findall(library.read_bytes())})


def builtins() -> list[Asked]:
    """Return every builtin operator of the schema."""
    return [Asked(code) for code, name in enumerate(operator_names) if name != "CUSTOM"]


# ── TFLM ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def tflm_library() -> Path:
    """Return the library of the tflite-micro wheel."""
    from tflite_micro.python.tflite_micro import runtime

    return Path(runtime.__file__).with_name("_runtime.so")


def in_tflm(asked: Asked) -> bool:
    """Tell whether TFLM has an operator; it says why it does not take a model on standard error alone."""
    from tflite_micro.python.tflite_micro import runtime

    with tempfile.TemporaryFile() as said:
        before = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            runtime.Interpreter.from_bytes(model_of(asked), arena_size=20_000)
        except (RuntimeError, AttributeError):  # AttributeError: VAR_HANDLE's options are read and are not there
            pass
        finally:
            os.dup2(before, 2)
            os.close(before)
        said.seek(0)
        return b"Failed to get registration" not in said.read()


def tflm_table(names: Iterable[str]) -> str:
    """Return the table of TFLM, these names tried as custom operators."""
    found = [operator_names[asked.code] for asked in known(builtins(), in_tflm)]
    custom = [str(asked.custom) for asked in known([Asked(CUSTOM, name) for name in names], in_tflm)]
    return f'[tflm]\nversion = "{version("tflite-micro")}"\nbuiltins = {_listed(found)}\ncustom = {_listed(custom)}\n'


# ── LiteRT ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def litert_library() -> Path:
    """Return the library of the ai-edge-litert wheel."""
    from ai_edge_litert import interpreter

    return Path(interpreter.__file__).with_name("libpywrap_litert_common.so")


def in_litert(asked: Asked) -> bool:
    """Tell whether LiteRT has an operator."""
    from ai_edge_litert import interpreter

    plain = interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    content = custom_alone(asked) if asked.code == CUSTOM else model_of(asked)
    try:
        found = interpreter.Interpreter(model_content=content, experimental_op_resolver_type=plain)
        if asked.code == CUSTOM:
            found.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        return not re.search("Didn't find op|unresolved custom op|Flex delegate", str(error))
    return True


def litert_table(names: Iterable[str]) -> str:
    """Return the table of LiteRT, these names tried as custom operators."""
    newest: dict[int, int] = {}
    for number in range(1, NEWEST_TRIED):
        every = [asked._replace(version=number) for asked in builtins()]
        taken = [asked.code for asked in known(every, in_litert)]
        newest |= dict.fromkeys(taken, number)
        if number > max(newest.values()) + 1:
            break
    custom = [str(asked.custom) for asked in known([Asked(CUSTOM, name) for name in names], in_litert)]
    lines = [f"{operator_names[code]} = {number}" for code, number in sorted(newest.items())]
    title = f'[litert]\nversion = "{version("ai-edge-litert")}"\ncustom = {_listed(custom)}\n'
    return "\n".join([f"{title}\n[litert.builtins]", *lines, ""])


# ── ONNX Runtime ─────────────────────────────────────────────────────────────────────────────────────────────────────


def onnx_table() -> str:
    """Return the table of ONNX Runtime."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    title = f'[onnxruntime]\nversion = "{version("onnxruntime")}"\nir_version = {_newest_ir()}\n'
    newest = {domain: _newest_opset(domain) for domain in ONNX_DOMAINS}
    written = {domain: domain or STANDARD for domain in ONNX_DOMAINS}
    lines = [title, "[onnxruntime.opsets]", *(f'"{written[domain]}" = {at}' for domain, at in newest.items() if at), ""]
    for domain in ONNX_DOMAINS:
        runs, elsewhere = _operators(domain, newest[domain] or 1)
        lines += [f'[onnxruntime.domains."{written[domain]}"]', f"elsewhere = {_listed(elsewhere)}"]
        lines += [
            f'[onnxruntime.domains."{written[domain]}".operators]',
            *(f"{name} = {at}" for name, at in runs.items()),
            "",
        ]
    return "\n".join(lines)


def refusal(opsets: dict[str, int], ir_version: int, kind: str = "Identity", inputs: int = 1) -> str:
    """Return the name of the error with which ONNX Runtime refuses a model of one operator, nothing if it takes it."""
    import onnxruntime
    from onnx import TensorProto, helper

    names = [f"x{index}" for index in range(inputs)]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node(kind, names, ["y"])], "g", given, [out])
    imports = [helper.make_opsetid(domain, number) for domain, number in opsets.items()]
    content = helper.make_model(graph, opset_imports=imports, ir_version=ir_version).SerializeToString()
    failures = onnxruntime.capi.onnxruntime_pybind11_state
    try:
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except (failures.Fail, failures.InvalidGraph, failures.NotImplemented) as error:
        return type(error).__name__
    return ""


def _newest_ir() -> int:
    return max(number for number in range(1, NEWEST_TRIED) if not refusal({"": 13}, number))


def _newest_opset(domain: str) -> int | None:
    """Return the newest operator set of a domain that is taken, None where none is refused."""
    taken = [number for number in range(1, NEWEST_TRIED) if not refusal({"": 13, domain: number}, 8)]
    return None if taken[-1] == NEWEST_TRIED - 1 else taken[-1]


def _operators(domain: str, newest: int) -> tuple[dict[str, list[int]], list[str]]:
    """Return the operator sets in which each operator runs, and the names that the CPU provider only knows."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    since: dict[str, dict[int, bool]] = defaultdict(dict)
    for each in state.get_all_operator_schema():
        if each.domain == domain:
            since[each.name][each.since_version] = not each.deprecated
    kernels: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for each in state.get_all_opkernel_def():
        if each.domain == domain and each.provider == "CPUExecutionProvider":
            kernels[each.op_name].append(tuple(each.version_range))
    runs: dict[str, list[int]] = {}
    for name, versions in sorted(since.items()):
        at = [opset for opset in range(1, newest + 1) if _runs(domain, name, opset, versions, kernels[name])]
        if at:
            # No operator went and came again but as another one; the last stretch is the one that is told.
            first = max(opset for opset in at if opset - 1 not in at)
            runs[name] = [first] if at[-1] == newest else [first, at[-1]]
    return runs, sorted(name for name in since if name not in runs and domain.startswith("com."))


def _runs(domain: str, name: str, opset: int, versions: dict[int, bool], kernels: list[tuple[int, int]]) -> bool:
    defined = max((number for number in versions if number <= opset), default=None)
    if defined is None or not versions[defined]:
        return False
    if (domain, name) == ("", "Constant"):
        return True  # it becomes a stored tensor before there are kernels
    # ORT's kernel_registry.cc: a kernel without a last version is for the form of its first version alone.
    fits = any(defined == first or first < defined <= last < _no_last for first, last in kernels)
    return fits or (domain == "" and _made_of_others(name, opset, defined))


def _made_of_others(name: str, opset: int, defined: int) -> bool:
    """Tell whether a standard operator is defined by others, all of which run."""
    import onnx

    if not onnx.defs.has(name):
        return False
    found: Any = onnx.defs.get_schema(name, max_inclusive_version=defined)
    if not (found.has_function or found.has_context_dependent_function):
        return False
    # Its inputs may be of another type than the float that it is given: that is refused in other words.
    return refusal({"": opset}, 8, name, found.min_input) != "NotImplemented"


# ── TOML ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _listed(names: list[str]) -> str:
    """Return names as an array, in lines of at most 120."""
    if not names:
        return "[]"
    lines, line = [], "  "
    for name in names:
        word = f'"{name}", '
        if len(line) + len(word) > 120:  # noqa: PLR2004  a line of this repository
            lines.append(line.rstrip())
            line = "  "
        line += word
    lines.append(line.rstrip())
    return "\n".join(["[", *(each for each in lines if each), "]"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
