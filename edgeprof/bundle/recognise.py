"""What a file in a bundle is, told from its first bytes, and from its name where a format has no mark of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeprof.bundle.entry import Entry
    from edgeprof.records.bundle import Evidence

_first_marks: Final = {b"GGUF": "GGUF", b"RKNN": "RKNN", b"7767": "ncnn", b"\xdd\x85\x76\x00": "ncnn"}
_flatbuffer_marks: Final = {
    b"TFL3": "TFLite", b"ORTM": "ONNX Runtime (.ort)", b"ET12": "ExecuTorch", b"ET11": "ExecuTorch",
}  # fmt: skip
_ncnn_text: Final = b"7767517\n"
_names: Final = {
    ".tflite": "TFLite", ".onnx": "ONNX", ".ort": "ONNX Runtime (.ort)", ".pte": "ExecuTorch", ".gguf": "GGUF",
    ".mlmodel": "Core ML", ".ptl": "TorchScript", ".mnn": "MNN", ".rknn": "RKNN",
}  # fmt: skip
_core_ml = re.compile(r"(?:.*?/)??[^/]+\.(?:mlmodelc|mlpackage)(?=/)")
# ModelProto starts with ir_version, then one of its other fields: 2 to 8, 14, 20 or 25.
_onnx_next: Final = frozenset(b"\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2\xca")
_max_ir_version: Final = 31

_libraries: Final = (
    ("LiteRT", r"libtensorflowlite.*|libtflite.*|liblitert.*|tensorflowlite.*|_pywrap_(tensorflow_interp|litert).*"),
    ("Edge TPU", r"libedgetpu.*"),
    ("ONNX Runtime", r"libonnxruntime.*|onnxruntime|onnxruntime_pybind.*"),
    ("ExecuTorch", r"libexecutorch.*|executorch"),
    ("PyTorch", r"libpytorch.*|libtorch.*|libc10.*|torch"),
    ("ncnn", r"libncnn.*|ncnn"),
    ("MNN", r"libmnn.*|mnn"),
    ("MediaPipe", r"libmediapipe.*|mediapipetasks.*"),
    ("ML Kit", r"libmlkit.*|libbarhopper.*|mlkit.*"),
    ("llama.cpp", r"libllama.*|libggml.*|llama"),
    ("Paddle Lite", r"libpaddle_.*"),
    ("OpenVINO", r"libopenvino.*"),
    ("Qualcomm", r"libsnpe.*|libqnn.*"),
    ("TVM", r"libtvm_runtime.*"),
)  # fmt: skip
_runtimes = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _libraries)
_abis: Final = frozenset({"arm64-v8a", "armeabi-v7a", "armeabi", "x86", "x86_64", "riscv64", "mips", "mips64"})
_elf_machines: Final = {3: "x86", 40: "arm", 62: "x86_64", 183: "arm64", 243: "riscv"}
_mach_machines: Final = {0x0100000C: "arm64", 0x01000007: "x86_64", 0x0000000C: "arm"}
_mach_thin, _mach_fat = b"\xcf\xfa\xed\xfe", (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
archive_suffixes: Final = (".zip", ".apk", ".aar", ".jar", ".whl", ".ipa", ".task", ".aab", ".apks", ".xapk")


class Recognised(NamedTuple):
    """A format, and whether the content or only the name says so."""

    format: str
    evidence: Evidence
    note: str = ""


def model_format(entry: Entry) -> Recognised | None:
    """Return what kind of model an entry is, or None. ONNX has no mark: `may_be_onnx` says what is worth reading."""
    marked = _flatbuffer_marks.get(entry.head[4:8]) or _first_marks.get(entry.head[:4])
    if marked and (entry.head[:4] != _ncnn_text[:4] or entry.head.startswith(_ncnn_text)):
        return Recognised(marked, "content")
    named = _names.get(_suffix(entry.name))
    if named is None or not entry.size:
        return None
    if entry.closed:
        return Recognised(named, "name", f"not looked into: {entry.closed}")
    if named in {"Core ML", "MNN", "ONNX"}:
        return Recognised(named, "name")
    return (
        None if is_zip(entry.head) else Recognised(named, "name", f"the content is not {named}: encrypted, or packed?")
    )


def may_be_onnx(head: bytes) -> bool:
    """Return whether the first bytes can start an ONNX model."""
    if len(head) < 8 or head[0] != 0x08:  # noqa: PLR2004  no model is smaller; ir_version as a varint
        return False
    return 0 < head[1] <= _max_ir_version and head[2] in _onnx_next


def is_zip(head: bytes) -> bool:
    """Return whether the first bytes start a zip archive."""
    return head[:4] in {b"PK\x03\x04", b"PK\x05\x06"}


def is_torchscript(names: Iterable[str]) -> bool:
    """Return whether these are the entries of a TorchScript archive."""
    seen = {part for name in names for part in (name.rpartition("/")[2], *name.split("/")[1:2])}
    return "data.pkl" in seen and bool({"code", "bytecode.pkl"} & seen)


def core_ml_folder(name: str) -> str | None:
    """Return the folder that is a Core ML model, where the entry lies in one."""
    if ".mlmodelc/" not in name and ".mlpackage/" not in name:
        return None
    matched = _core_ml.match(name)
    return matched[0] if matched else None


def ncnn_weights(name: str) -> str | None:
    """Return the name of the weights that belong to an ncnn parameter file."""
    stem = name.removesuffix(".bin").removesuffix(".param")
    return f"{stem}.bin" if stem != name else None


def library_runtime(entry: Entry) -> str | None:
    """Return the ML runtime that a native library belongs to, or None."""
    base = entry.name.rpartition("/")[2]
    elf = entry.head[:4] == b"\x7fELF"
    mach = entry.head[:4] == _mach_thin or (entry.head[:4] in _mach_fat and ".framework/" in entry.name)
    if not (elf or mach or (entry.closed and ".so" in base)):
        return None
    return next((name for name, pattern in _runtimes if pattern.fullmatch(base)), None)


def library_abi(entry: Entry) -> str | None:
    """Return the processor that a library is for: by its folder, as Android names it, else by its header."""
    folder = abi_folder(entry.name)
    if folder:
        return folder
    if entry.head[:4] == b"\x7fELF":
        return _elf_machines.get(int.from_bytes(entry.head[18:20], "little"))
    if entry.head[:4] == _mach_thin:
        return _mach_machines.get(int.from_bytes(entry.head[4:8], "little"))
    return "universal" if entry.head[:4] in _mach_fat else None


def abi_folder(name: str) -> str | None:
    """Return the ABI in whose folder a library of an Android bundle lies (`lib/arm64-v8a/…`, `jni/…`)."""
    parts = name.split("/")
    known = len(parts) > 2 and parts[-2] in _abis and parts[-3] in {"lib", "jni"}  # noqa: PLR2004  lib, ABI, file
    return parts[-2] if known else None


def _suffix(name: str) -> str:
    base = name.rpartition("/")[2]
    return base[base.rfind(".") :].lower() if "." in base else ""
