"""Judges a model, an app bundle or a result without a board."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec.structs import replace

from edgeprof.bundle import looks_like_bundle, scan
from edgeprof.bundle.recognise import may_be_onnx
from edgeprof.errors import FileUnreadable
from edgeprof.file_names import written
from edgeprof.judging.limits import Limit, judge
from edgeprof.judging.marks import judge_result, run_findings
from edgeprof.judging.profiles import read_limits
from edgeprof.metrics import OF_THE_FILE, REGISTRY
from edgeprof.model.data_files import fault_text, size_bytes
from edgeprof.records.bundle import Bundle, CheckReport, FoundModel
from edgeprof.records.result import Metric, Warned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeprof.judging.limits import Gate
    from edgeprof.model.graph import Graph
    from edgeprof.records.board import Board
    from edgeprof.records.result import Basis, Result

SUMMED = ("model_bytes", "model_compressed_bytes")
LARGEST = ("weights_bytes", "parameters_count", "macs_count", "activations_total_bytes", "activations_peak_bytes")
_compressed_unasked_bytes = 32 * 2**20
_largest_digested_bytes = 2**30


def check(
    path: str | Path,
    limits: str | Path | Limit | Iterable[str | Path | Limit],
    *,
    board: str | None = None,
    accept_basis: Sequence[Basis] = (),
    gate: Gate = "target",
) -> CheckReport:
    """Judge a model, an app bundle (an archive or a folder) or an edgeprof result.

    `limits` are limits, terms (`model_bytes<10MB`), profiles or files of limits; those of `board`, its memory, are
    added. Raises EdgeprofError and nothing else.
    """
    rules = (*read_limits(limits), *(_limits_of(board) if board else ()))
    seen, never, result = _looked_at(Path(path), rules)
    if result is not None:
        judged = judge_result(result, rules, accept_basis, gate=gate, never=never)
        findings = (*run_findings(result), *judged)
    else:
        findings = judge(seen.metrics, rules, accept_basis, gate=gate, never=never)
    report = replace(seen, board=board, findings=findings)
    return replace(report, warnings=tuple(_warnings(report)))


def exit_code(report: CheckReport, *, strict: bool = False) -> int:
    """Return 5 for a partial result, 1 where a limit failed, 6 where one could not be judged under --strict, else 0."""
    verdicts = {finding.verdict for finding in report.findings}
    if report.status == "partial":
        return 5
    if "FAIL" in verdicts or (strict and "WARN" in verdicts):
        return 1
    return 6 if strict and "INCONCLUSIVE" in verdicts else 0


def never_in(result: Result) -> dict[str, str]:
    """Return the metrics that this kind of run can never have, each with the reason."""
    never: dict[str, str] = {}
    if result.board.kind == "linux":
        told = "a board that runs Linux; memory_peak_bytes is its memory"
        never = dict.fromkeys(("stack_peak_bytes", "static_ram_bytes", "sram_peak_bytes", "flash_bytes"), told)
    if result.board.kind == "mcu":
        told = "a microcontroller; sram_peak_bytes is its memory"
        never = dict.fromkeys(("memory_peak_bytes", "memory_average_bytes", "memory_file_backed_bytes"), told)
    counted = result.metrics.get("instructions_count")
    if counted is not None and counted.basis == "emulated":
        told = "an emulated run counts instructions and has no time"
        never |= {name: told for name in REGISTRY if name.startswith(("latency_", "throughput_"))}
    return never


# ── what there is to judge ───────────────────────────────────────────────────────────────────────────────────────────


class _Seen(NamedTuple):
    """A report without findings, the metrics that what is checked can never have, and the result where it is one."""

    report: CheckReport
    never: dict[str, str]
    result: Result | None = None


def _looked_at(path: Path, rules: Sequence[Limit]) -> _Seen:
    head = _head(path)
    if head.lstrip()[:1] == b"{" and not looks_like_bundle(path, head):
        return _result(path)
    told = "a file alone does not tell it; edgeprof profile measures it"
    never = {name: told for name in REGISTRY if name not in OF_THE_FILE}
    onnx = path.suffix == ".onnx" or (may_be_onnx(head) and path.suffix != ".mlmodel")
    if not looks_like_bundle(path, head) and (head[4:8] == b"TFL3" or onnx):
        return _Seen(_model(path, rules), never)
    bundle = scan(path)
    return _Seen(_blank(path, "bundle", bundle_metrics(bundle), bundle=bundle), never)


def _blank(
    path: Path,
    kind: Literal["model", "bundle", "result"],
    metrics: dict[str, Metric],
    *,
    model: FoundModel | None = None,
    bundle: Bundle | None = None,
) -> CheckReport:
    return CheckReport(
        schema="edgeprof.check/1",
        path=written(path),
        kind=kind,
        status="complete",
        board=None,
        model=model,
        bundle=bundle,
        metrics=metrics,
        findings=(),
    )


def _head(path: Path) -> bytes:
    """Return the first bytes of a regular file, nothing of a folder."""
    try:
        if path.is_dir():
            return b""
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "does not exist"
            raise FileUnreadable(f"{path} {what}", hint="name a model, an app bundle, a folder or a result")
        with path.open("rb") as file:
            return file.read(512)
    except (OSError, ValueError) as error:
        raise FileUnreadable(f"cannot read {path}: {error}") from error


def _result(path: Path) -> _Seen:
    from edgeprof.store import kept_result

    result = kept_result(path)
    return _Seen(replace(_blank(path, "result", result.metrics), status=result.status), never_in(result), result)


def _model(path: Path, rules: Sequence[Limit]) -> CheckReport:
    from edgeprof.model import read_model
    from edgeprof.summary.static import model_metrics

    graph = read_model(path, digest_up_to_bytes=_largest_digested_bytes)
    asked = any(limit.metric == "model_compressed_bytes" for limit in rules)
    metrics = {
        **model_metrics(graph),
        "model_compressed_bytes": _compressed(path, graph, asked=asked),
    }
    model = FoundModel(
        path=written(path),
        format="TFLite" if graph.format == "tflite" else "ONNX",
        evidence="content",
        bytes=graph.bytes + sum(file.bytes or 0 for file in graph.data_files if not file.same_as),
        compressed_bytes=None,
        sha256=graph.sha256 or None,
        missing_files=tuple(written(file.name) for file in graph.data_files if file.fault),
        weights_fault=fault_text(graph),
        note="; ".join(graph.warnings),
    )
    return _blank(path, "model", metrics, model=model)


def _compressed(path: Path, graph: Graph, *, asked: bool) -> Metric:
    """Return what the model's files take in an archive, which compresses each by itself."""
    names = [file.name for file in graph.data_files if not file.same_as]
    each = f" and {len(names)} with its weights, each by itself" if names else ""
    method = f"deflate of the file{each} at level 6, as in a zip archive"
    size = size_bytes(graph)
    if size is None:
        return _absent(method, fault_text(graph))
    if size > _compressed_unasked_bytes and not asked:
        told = f"a file of more than {_compressed_unasked_bytes // 2**20} MiB is compressed when a limit asks for it"
        return _absent(method, told)
    return _computed(sum(map(_deflated_bytes, (path, *(path.parent / name for name in names)))), method)


def _deflated_bytes(path: Path) -> int:
    packer, count = zlib.compressobj(6, zlib.DEFLATED, -15), 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            count += len(packer.compress(piece))
    return count + len(packer.flush())


# ── bundles ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def bundle_metrics(bundle: Bundle) -> dict[str, Metric]:
    """Return the sums of all models' sizes, since all are downloaded, and the largest of what each one needs to run."""
    if not bundle.models:
        return dict.fromkeys((*SUMMED, *LARGEST), _absent("from the models", "no model was found in it"))
    count = f"{len(bundle.models)} model{'s' if len(bundle.models) > 1 else ''}"
    missing = [model for model in bundle.models if model.missing_files]
    packed = [
        model.compressed_bytes - model.shared_compressed_bytes
        for model in bundle.models
        if model.compressed_bytes is not None
    ]
    total = sum(model.bytes - model.shared_bytes for model in bundle.models)
    method = f"sum of {count}, unpacked, each stored copy counted"
    packed_method = f"sum of {count} as the archive stores them"
    return {
        "model_bytes": replace(_absent(method, f"{missing[0].path}: {missing[0].weights_fault}"), low=total)
        if missing
        else _computed(total, method),
        "model_compressed_bytes": _packed(packed, bundle, packed_method),
        **{name: _largest(name, bundle.models) for name in LARGEST},
    }


def _packed(packed: Sequence[int], bundle: Bundle, method: str) -> Metric:
    """Return what all models take in the archive, where each is compressed by itself and there."""
    fault = next((f"{model.path}: {model.weights_fault}" for model in bundle.models if model.weights_fault), "")
    if len(packed) < len(bundle.models):
        return _absent(method, "the models are not compressed one by one")
    return _absent(method, fault) if fault else _computed(sum(packed), method)


def _largest(name: str, models: Sequence[FoundModel]) -> Metric:
    known = [
        (figure.value, model) for model in models if (figure := model.metrics.get(name)) and figure.value is not None
    ]
    method = f"the largest of {len(models)} models"
    if len(known) < len(models):
        seen = {id(model) for _, model in known}
        model = next(model for model in models if id(model) not in seen)
        figure = model.metrics.get(name)
        told = f"{model.path}: {figure.reason if figure else model.note or 'not read'}"
        return replace(_absent(method, told), low=max((value for value, _ in known), default=None))
    value, model = max(known, key=lambda pair: pair[0])
    return _computed(value, f"{method}: {model.path}" if len(models) > 1 else f"of {model.path}")


def _computed(value: float, method: str) -> Metric:
    return Metric(value=value, basis="computed", count=1, method=method)


def _absent(method: str, reason: str) -> Metric:
    return Metric(value=None, basis="computed", count=None, method=method, reason=reason)


# ── boards, and what is to be said beside the findings ───────────────────────────────────────────────────────────────


def _limits_of(name: str) -> Iterator[Limit]:
    """Yield what a board's memory allows at most; edgeprof fit counts runtime, stack and arena too."""
    from edgeprof.boards import flash_bytes, largest_contiguous_sram_bytes, load_board
    from edgeprof.targets import board_folders

    board = load_board(name, board_folders())
    flash, sram, ram = flash_bytes(board), largest_contiguous_sram_bytes(board), _ram(board)
    if flash is not None:
        yield _board_limit(board, "flash", "model_bytes", flash, "all flash; the program needs some of it")
    if sram is not None and board.kind != "linux":
        yield _board_limit(board, "sram", "activations_peak_bytes", sram[0], f"{sram[1]}, the largest block of SRAM")
    if ram is not None:
        yield _board_limit(board, "ram", "model_bytes", ram, "all RAM; the system needs some of it")


def _ram(board: Board) -> int | None:
    if board.kind != "linux":
        return None
    fitted = sum(region.bytes for region in board.memory if region.kind == "ram")
    return min(board.ram_options_bytes, default=fitted or None)


def _board_limit(board: Board, name: str, metric: str, size: int, what: str) -> Limit:
    return Limit(
        name=f"{board.id}/{name}",
        metric=metric,
        comparison="<=",
        threshold=size,
        tier="hard",
        bases=("computed",),
        source=f"{board.name}: {what}; a necessary condition, edgeprof fit tells the rest",
    )


def _warnings(report: CheckReport) -> Iterator[Warned]:
    if report.findings and not any(finding.verdict in {"PASS", "WARN", "FAIL"} for finding in report.findings):
        untold = any(finding.metric not in report.metrics for finding in report.findings)
        open_ = any(finding.verdict == "INCONCLUSIVE" for finding in report.findings)
        advice = "; ".join([*([_told(report)] if untold else []), *(["--strict makes that fail"] if open_ else [])])
        yield Warned(code="nothing-judged", text="none of these limits could be judged here", advice=advice)
    for note in report.bundle.notes if report.bundle else ():
        yield Warned(code="bundle", text=note, advice="")
    if report.bundle and report.bundle.duplicate_bytes:
        copies = [model for model in report.bundle.models if model.same_as]
        text = (
            f"{len(copies)} model{'s are' if len(copies) > 1 else ' is'} stored more than once, {copies[0].path} among"
        )
        yield Warned(
            code="duplicates",
            text=f"{text} them: {report.bundle.duplicate_bytes:,} bytes",
            advice="keep one copy and share it",
        )


def _told(report: CheckReport) -> str:
    """Return in words what there is to judge by: a file's own figures, or those that this result was made for."""
    known = [name for name, metric in report.metrics.items() if metric.value is not None]
    if report.kind != "result":
        return f"a {report.kind} by itself tells {', '.join(known[:3])} and the like"
    measured = [name for name in known if report.metrics[name].basis != "computed"] or known
    return f"this result tells {', '.join(measured[:3])} and the like" if measured else "this result tells no figure"
