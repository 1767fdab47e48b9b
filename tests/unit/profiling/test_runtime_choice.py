"""What --runtime, --delegate, --provider, --cpus and --hook take, and what does not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.errors import EdgeprofError, FileUnreadable, UnknownName, UsageError
from edgeprof.profiling.plan import Options
from edgeprof.profiling.runtime_choice import (
    choice_warnings,
    parse_cpus,
    parse_delegate,
    parse_providers,
    parse_runtime,
    read_hook,
    settled_choice,
)
from edgeprof.profiling.session_options import parse_runtime_options
from edgeprof.records.result import Pass, Plan
from edgeprof.targets import resolve_target

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = resolve_target("local")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("litert", "ai_edge_litert"),
        ("tflite", "tflite_runtime"),
        ("ONNXRuntime", "onnxruntime"),
        ("ai_edge_litert", "ai_edge_litert"),
    ],
)
def test_a_runtime_is_called_as_people_call_it(text: str, name: str) -> None:
    assert parse_runtime(text) == name


def test_an_unknown_runtime_gets_the_names_that_look_like_it() -> None:
    with pytest.raises(UnknownName) as refused:
        parse_runtime("liteRT2")
    assert "litert" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "delegate"),
    [
        ("XNNPACK", "xnnpack"),
        ("none", "none"),
        ("/usr/lib/libarmnnDelegate.so?backends=CpuAcc,GpuAcc", "/usr/lib/libarmnnDelegate.so?backends=CpuAcc,GpuAcc"),
        ("libedgetpu.so.1", "libedgetpu.so.1"),
    ],
)
def test_a_delegate_is_xnnpack_none_or_a_library(text: str, delegate: str) -> None:
    assert parse_delegate(text) == delegate


def test_a_relative_path_is_refused_because_it_is_on_the_board() -> None:
    with pytest.raises(UsageError, match="relative path") as refused:
        parse_delegate("./build/libmine.so")
    assert "/usr/lib/libmine.so" in refused.value.hint


def test_a_delegate_without_a_library_is_unknown() -> None:
    with pytest.raises(UnknownName) as refused:
        parse_delegate("gpu")
    assert "libedgetpu.so.1" in refused.value.hint


def test_providers_keep_their_order_and_get_their_full_names() -> None:
    found = parse_providers(("tensorrt", "CUDA", "CPUExecutionProvider"))
    assert found == ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


def test_a_provider_that_no_one_has_heard_of_yet_is_taken_by_its_full_name() -> None:
    assert parse_providers(("NextYearExecutionProvider",)) == ("NextYearExecutionProvider",)


@pytest.mark.parametrize(("names", "message"), [(("cudda",), "unknown provider 'cudda'"), (("cpu", "cpu"), "twice")])
def test_providers_that_are_unknown_or_doubled_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_providers(names)


def test_cpus_are_single_ones_and_ranges() -> None:
    assert parse_cpus("6,0-3, 2") == (0, 1, 2, 3, 6)


@pytest.mark.parametrize("text", ["", "3-1", "a", "0,", "-1", "0-99999", "0x3", "1-2-3", "99999999999999999999"])
def test_what_is_no_list_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--cpus"):
        parse_cpus(text)


@given(st.text(max_size=30))
def test_any_text_is_cpus_or_an_error_of_ours(text: str) -> None:
    try:
        found = parse_cpus(text)
    except EdgeprofError:
        return
    assert found == tuple(sorted(set(found)))


# ── what goes together ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_choice_comes_back_with_the_names_that_the_board_knows() -> None:
    given_options = Options(runtime="litert", delegate="None", cpus=(3, 1, 3))
    found = settled_choice(given_options, "tflite", LOCAL)
    assert (found.runtime, found.delegate, found.cpus) == ("ai_edge_litert", "none", (1, 3))
    assert settled_choice(Options(providers=("cuda",)), "onnx", LOCAL).providers == ("CUDAExecutionProvider",)


@pytest.mark.parametrize(
    ("options", "format_name", "message", "hint"),
    [
        (Options(runtime="onnxruntime"), "tflite", "onnxruntime cannot run a .tflite", "--runtime litert"),
        (Options(runtime="litert"), "onnx", "ai_edge_litert cannot run a .onnx", "--runtime onnxruntime"),
        (Options(delegate="xnnpack"), "onnx", "for .tflite models", "--provider xnnpack"),
        (Options(delegate="/usr/lib/libx.so"), "onnx", "for .tflite models", "one of cpu, cuda"),
        (Options(providers=("xnnpack",)), "tflite", "for .onnx models", "--delegate xnnpack"),
        (Options(providers=("cpu",)), "tflite", "for .onnx models", "--delegate none"),
        (Options(providers=("cuda",)), "tflite", "for .onnx models", "the delegate's library"),
    ],
)
def test_what_belongs_to_the_other_format_is_refused_with_its_counterpart(
    options: Options, format_name: str, message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        settled_choice(options, format_name, LOCAL)
    assert hint in refused.value.hint


@pytest.mark.parametrize("target", ["sim:raspberry-pi-5", "qemu:mps2-an386", "emu:cortex-m4", "serial:///dev/ttyACM0"])
@pytest.mark.parametrize(
    "options",
    [
        Options(runtime="litert"),
        Options(delegate="none"),
        Options(cpus=(0,)),
        Options(hook="hook.py"),
    ],
)
def test_a_target_without_runtimes_refuses_every_choice_and_takes_none(target: str, options: Options) -> None:
    place = resolve_target(target)
    with pytest.raises(UsageError, match="has one engine and no Python"):
        settled_choice(options, "tflite", place)
    assert settled_choice(Options(), "tflite", place) == Options()


def test_more_threads_than_cpus_is_a_warning() -> None:
    def warned(threads: int, cpus: tuple[int, ...]) -> list[str]:
        plan = Plan(passes=(Pass(kind="latency", threads=threads),), cpus=cpus)
        return [warning.code for warning in choice_warnings(plan)]

    assert warned(4, (0, 1)) == ["threads-over-cpus"]
    assert warned(2, (0, 1)) == warned(4, ()) == []


# ── the hook ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_hook_is_read_and_not_executed(tmp_path: Path) -> None:
    path = tmp_path / "hook.py"
    path.write_text("raise SystemExit\ndef preprocess(raw): ...\n")
    assert read_hook(path) == path.read_bytes()


@pytest.mark.parametrize(
    "source",
    ["from mine import preprocess", "postprocess = lambda outputs: None", "if 1:\n    def preprocess(raw): ...",
     "from mine import *"],
)  # fmt: skip
def test_a_stage_may_be_defined_in_any_way(source: str, tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_text(source)
    assert read_hook(tmp_path / "hook.py")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"def preprocess(raw:\n", r"the hook hook.py:1: "),
        (b"def preprocesss(raw): ...\n", "defines neither preprocess nor postprocess"),
        (b"\0\0", r"the hook hook\.py(?!:None).* null bytes"),
        (b"", "defines neither"),
    ],
)
def test_a_hook_that_cannot_work_is_refused_before_the_board(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_hook(tmp_path / "hook.py")


def test_a_hook_that_is_missing_or_a_folder_is_said_so(tmp_path: Path) -> None:
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(FileUnreadable, match="cannot read the hook"):
            read_hook(path)


# ── options of ONNX Runtime's session ────────────────────────────────────────────────────────────────────────────────


def test_options_are_taken_as_onnx_runtime_calls_them() -> None:
    given_ones = (" session.x64quantprecision = 1", "ep.nnapi.partitioning_stop_ops=a,b", "session.x64quantprecision=1")
    wanted = ("session.x64quantprecision=1", "ep.nnapi.partitioning_stop_ops=a,b")
    assert parse_runtime_options(given_ones) == wanted


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("session.x64quantprecison=1", "session.x64quantprecision"),
        ("x64quantprecision=1", "session.x64quantprecision"),
        ("wholly.other=1", "such as session.x64quantprecision=1; onnxruntime_session_options_config_keys.h lists them"),
        ("session.x64quantprecision", "such as session.x64quantprecision=1"),
        ("session.x64quantprecision=", "such as session.x64quantprecision=1"),
        ("=1", "such as session.x64quantprecision=1"),
        ("", "such as session.x64quantprecision=1"),
        ("session.record_ep_graph_assignment_info=0", "it is set where a provider is named"),
        (f"session.dynamic_block_base={'4' * 2000}", "such as"),
    ],
)
def test_an_option_that_would_be_ignored_or_is_not_theirs_is_refused(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_runtime_options([text])
    assert hint in refused.value.hint


def test_an_option_cannot_have_two_values() -> None:
    with pytest.raises(UsageError, match="given twice: 0 and 1"):
        parse_runtime_options(["session.x64quantprecision=0", "session.x64quantprecision=1"])


@pytest.mark.parametrize(("format_name", "target"), [("tflite", "local"), ("onnx", "sim:raspberry-pi-5")])
def test_options_are_for_onnx_runtime_on_a_board_that_has_it(format_name: str, target: str) -> None:
    options = Options(runtime_options=("session.x64quantprecision=1",))
    with pytest.raises(UsageError, match=r"--runtime-option session\.x64quantprecision=1"):
        settled_choice(options, format_name, resolve_target(target))
