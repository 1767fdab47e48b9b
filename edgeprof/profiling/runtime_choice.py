"""Which runtime, delegate, providers and CPUs a person asks for; what makes no sense is refused before the board."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, assert_never

from edgeprof.bounded import read_bounded
from edgeprof.errors import UnknownName, UsageError, did_you_mean
from edgeprof.profiling.session_options import parse_runtime_options
from edgeprof.records.result import Warned
from edgeprof.summary.delegation import accelerators
from edgeprof.targets import Emu, Local, MlperfTiny, Qemu, Serial, Sim, Ssh

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeprof.profiling.plan import Options
    from edgeprof.records.result import Plan
    from edgeprof.targets import Target

LARGEST_HOOK_BYTES = 1 << 20
RUNTIMES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime", "onnxruntime": "onnxruntime"}
"""What a person calls a runtime, and the module that it is on the board."""
FORMATS = {"ai_edge_litert": "tflite", "tflite_runtime": "tflite", "onnxruntime": "onnx"}
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "acl": "ACLExecutionProvider",
    "armnn": "ArmNNExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "vitisai": "VitisAIExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
    "azure": "AzureExecutionProvider",
}
"""Short names of ONNX Runtime's execution providers (onnxruntime.ai/docs/execution-providers)."""
HIGHEST_CPU = 4095
STAGES = ("preprocess", "postprocess")


def parse_runtime(text: str) -> str:
    """Return the runtime's module; `litert`, `tflite`, `onnxruntime` or the module itself."""
    if text in FORMATS:
        return text
    if text.lower() in RUNTIMES:
        return RUNTIMES[text.lower()]
    hint = did_you_mean(text, RUNTIMES) or f"known: {', '.join(RUNTIMES)}"
    raise UnknownName(f"unknown runtime {text!r}", hint=hint)


def parse_delegate(text: str) -> str:
    """Return `xnnpack`, `none`, or a delegate library on the board, with its options as `?key=value&…`."""
    if text.lower() in {"xnnpack", "none"}:
        return text.lower()
    path = text.partition("?")[0]
    if path.startswith("/") or ("/" not in path and ".so" in path):
        return text
    if "/" in path:
        hint = f"its absolute path there, such as /usr/lib/{Path(path).name}"
        raise UsageError(f"the delegate {text!r} is a relative path, and the board has another folder", hint=hint)
    hint = did_you_mean(text, ("xnnpack", "none")) or "xnnpack, none, or a library such as /usr/lib/libedgetpu.so.1"
    raise UnknownName(f"unknown delegate {text!r}", hint=hint)


def parse_providers(names: Iterable[str]) -> tuple[str, ...]:
    """Return ONNX Runtime's names of execution providers, in the order of preference."""
    found = tuple(_provider(name) for name in names)
    if len(set(found)) < len(found):
        raise UsageError(f"a provider is named twice: {', '.join(found)}", hint="each once, the preferred one first")
    return found


def _provider(name: str) -> str:
    written = next((full for full in PROVIDERS.values() if full.lower() == name.lower()), "")
    if written:
        return written
    if re.fullmatch(r"[A-Za-z0-9]+ExecutionProvider", name):
        return name
    if name.lower() in PROVIDERS:
        return PROVIDERS[name.lower()]
    hint = did_you_mean(name, PROVIDERS) or f"known: {', '.join(PROVIDERS)}, or ONNX Runtime's own name of it"
    raise UnknownName(f"unknown provider {name!r}", hint=hint)


def parse_cpus(text: str) -> tuple[int, ...]:
    """Return the CPUs of a list such as `0-3,6`, as taskset(1) takes it, in order."""
    found: set[int] = set()
    for part in text.split(","):
        matched = re.fullmatch(r"\s*(\d{1,5})(?:-(\d{1,5}))?\s*", part)
        if matched is None:
            raise UsageError(f"--cpus {text!r}: {part!r} is no CPU or range", hint="--cpus 0-3,6")
        first, last = int(matched[1]), int(matched[2] or matched[1])
        if first > last or last > HIGHEST_CPU:
            raise UsageError(
                f"--cpus {text!r}: {part.strip()!r} is not a range upward within 0-{HIGHEST_CPU}", hint="--cpus 0-3,6"
            )
        found.update(range(first, last + 1))
    return tuple(sorted(found))


# ── what goes together ───────────────────────────────────────────────────────────────────────────────────────────────


class _Wish(NamedTuple):
    option: str
    value: str


def settled_choice(options: Options, format_name: str, target: Target) -> Options:
    """Return the options with the names that the board knows; what the target or the format cannot have is refused.

    `format_name`: `tflite`, `onnx` or `firmware`. Raises UsageError.
    """
    options = options._replace(
        runtime=parse_runtime(options.runtime) if options.runtime else "",
        delegate=parse_delegate(options.delegate) if options.delegate else "",
        providers=parse_providers(options.providers),
        runtime_options=parse_runtime_options(options.runtime_options),
        cpus=tuple(sorted(set(options.cpus))),
    )
    _check_target(_wishes(options), target)
    _check_required(options)
    match format_name:
        case "onnx":
            _check_onnx(options)
        case "tflite":
            _check_tflite(options)
        case _:
            pass  # a model in the firmware: its target has refused every wish
    return options


def _check_target(wishes: list[_Wish], target: Target) -> None:
    match target.place:
        case Local() | Ssh():
            pass
        case Sim() | Serial() | MlperfTiny() | Qemu() | Emu():
            if wishes:
                wish = wishes[0]
                raise UsageError(
                    f"{wish.option} {wish.value} cannot be done on {target.name}: it has one engine and no Python",
                    hint=f"leave {wish.option} out, or measure on --target local or ssh://user@host",
                )
        case place:
            assert_never(place)


def _check_required(options: Options) -> None:
    """Refuse a share of the nodes for nobody: without a provider or delegate all of them are the CPU's."""
    if options.require_delegated_ratio is None or accelerators(options.delegate, options.providers):
        return
    named = _wishes(options._replace(runtime="", cpus=(), hook=None))
    told = f"{named[0].option} {named[0].value} delegates nothing" if named else "nothing is named to delegate to"
    raise UsageError(
        f"--require-delegated: {told}",
        hint="name what is to take the nodes, --provider NAME for .onnx or --delegate NAME for .tflite",
    )


def _wishes(options: Options) -> list[_Wish]:
    given = (
        ("--runtime", options.runtime),
        ("--delegate", options.delegate),
        ("--provider", ", ".join(options.providers)),
        ("--runtime-option", ", ".join(options.runtime_options)),
        ("--cpus", ",".join(map(str, options.cpus))),
        ("--hook", str(options.hook or "")),
    )
    return [_Wish(option, value) for option, value in given if value]


def _check_onnx(options: Options) -> None:
    if options.runtime and FORMATS[options.runtime] != "onnx":
        raise UsageError(f"{options.runtime} cannot run a .onnx model", hint="--runtime onnxruntime, or leave it out")
    if options.delegate:
        known = options.delegate in PROVIDERS
        raise UsageError(
            f"--delegate {options.delegate} is for .tflite models; ONNX Runtime has execution providers",
            hint=f"--provider {options.delegate}" if known else f"--provider, one of {', '.join(PROVIDERS)}",
        )


def _check_tflite(options: Options) -> None:
    if options.runtime_options:
        raise UsageError(
            f"--runtime-option {options.runtime_options[0]} is for .onnx models: LiteRT has no such options",
            hint="leave it out; --delegate none|xnnpack chooses LiteRT's kernels",
        )
    if options.runtime and FORMATS[options.runtime] != "tflite":
        raise UsageError(
            f"{options.runtime} cannot run a .tflite model", hint="--runtime litert or tflite, or leave it out"
        )
    if options.providers:
        short = next((name for name, full in PROVIDERS.items() if full == options.providers[0]), options.providers[0])
        hints = {"cpu": "--delegate none", "xnnpack": "--delegate xnnpack"}
        raise UsageError(
            f"--provider {short} is for .onnx models; LiteRT has delegates",
            hint=hints.get(short, "--delegate with the path of the delegate's library on the board"),
        )


def choice_warnings(plan: Plan) -> tuple[Warned, ...]:
    """Warn of more threads than CPUs to run on."""
    threads = max((asked.threads for asked in plan.passes), default=1)
    if not plan.cpus or threads <= len(plan.cpus):
        return ()
    cpus = ",".join(map(str, plan.cpus))
    return (
        Warned(
            code="threads-over-cpus",
            text=f"{threads} threads share {len(plan.cpus)} CPU{'s' * (len(plan.cpus) > 1)} ({cpus}) and wait in turn",
            advice=f"--threads {len(plan.cpus)}, or name more CPUs with --cpus",
        ),
    )


# ── the hook ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_hook(path: str | Path) -> bytes:
    """Return the content of a hook file; it is parsed here and executed only on the board."""
    name = Path(path).name
    content = read_bounded(Path(path), LARGEST_HOOK_BYTES, "the hook")
    try:
        tree = ast.parse(content, filename=name)
    except SyntaxError as error:
        place = f":{error.lineno}" if error.lineno else ""  # NUL bytes have no line
        raise UsageError(f"the hook {name}{place}: {error.msg}", hint=f"python3 {path} shows the same") from error
    except ValueError as error:
        raise UsageError(f"the hook {name} is no Python file: {error}", hint="name a .py file") from error
    if not _defined(tree) & set(STAGES):
        hint = "def preprocess(raw): return arrays, def postprocess(outputs): …, and where wanted def inputs(): yield …"
        raise UsageError(f"the hook {name} defines neither preprocess nor postprocess", hint=hint)
    return content


def _defined(tree: ast.Module) -> set[str]:
    """Return the names that a module binds anywhere, also by import, by assignment or under an `if`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.alias(name=name, asname=other):
                names.add(other or name)
            case _:
                continue
    return names if "*" not in names else names | set(STAGES)
