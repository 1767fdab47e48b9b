"""Bundles for tests: what an app holds, and what a hostile one claims."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MODELS = Path(__file__).resolve().parents[3] / "examples" / "models"
KWS = (MODELS / "kws_int8.tflite").read_bytes()
KWS_ONNX = (MODELS / "kws_fp32.onnx").read_bytes()
RESNET = (MODELS / "resnet8_int8.tflite").read_bytes()
ELF_MACHINES = {"arm64-v8a": 183, "armeabi-v7a": 40, "x86_64": 62}


def noise(size: int, seed: int = 1) -> bytes:
    """Return bytes that do not compress."""
    return random.Random(seed).randbytes(size)  # noqa: S311  the same bytes each time


def library(abi: str, size: int = 5_000) -> bytes:
    """Return what starts like a shared library for a processor."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00" + ELF_MACHINES[abi].to_bytes(2, "little") + noise(size)


def zipped(files: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files: Iterable[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar archive of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def torchscript() -> bytes:
    """Return what has the entries of a TorchScript archive."""
    return zipped([("net/data.pkl", b"\x80\x02}."), ("net/code/__torch__.py", b"x"), ("net/data/0", noise(500))])


def app() -> bytes:
    """Return an Android app with models of many formats, one of them twice, and runtimes for three processors."""
    files = [
        ("AndroidManifest.xml", b"<manifest/>" * 50),
        ("classes.dex", b"dex\n035\0" + noise(20_000)),
        ("assets/kws.tflite", KWS),
        ("assets/old/kws.dat", KWS),
        ("assets/kws.onnx", KWS_ONNX),
        ("res/raw/words", KWS_ONNX + b"\xc8\x01\x01"),
        ("assets/hand.task", zipped([("hand.tflite", RESNET)], zipfile.ZIP_STORED)),
        ("assets/speech.pte", b"\x10\0\0\0ET12" + noise(1_000)),
        ("assets/llm.gguf", b"GGUF\x03\0\0\0" + noise(1_000)),
        ("assets/face.mlmodelc/coremldata.bin", noise(100)),
        ("assets/face.mlmodelc/weights/weight.bin", noise(900)),
        ("assets/seg.ptl", torchscript()),
        ("assets/det.param", b"7767517\n75 83\nInput in 0 1 in\n"),
        ("assets/det.bin", noise(700)),
    ]
    files += [(f"lib/{abi}/libtensorflowlite_jni.so", library(abi)) for abi in ELF_MACHINES]
    files += [(f"lib/{abi}/libapp.so", library(abi, 3_000)) for abi in ELF_MACHINES]
    return zipped(files)


def patched_directory(archive: bytes, offset: int, value: int, size: int = 4) -> bytes:
    """Return the archive with one field of its first directory entry changed."""
    start = archive.index(b"PK\x01\x02") + offset
    return archive[:start] + value.to_bytes(size, "little") + archive[start + size :]


def overlapping(count: int, kernel_bytes: int) -> bytes:
    """Return an archive whose entries all share one compressed kernel."""
    archive = zipped([("0", bytes(kernel_bytes))])
    start, end = archive.index(b"PK\x01\x02"), archive.index(b"PK\x05\x06")
    directory = archive[start:end] * count
    tail = bytearray(archive[end:])
    tail[8:12] = count.to_bytes(2, "little") * 2
    tail[12:16] = len(directory).to_bytes(4, "little")
    return archive[:start] + directory + bytes(tail)


def gzip_bomb(size: int) -> bytes:
    """Return a tar in gzip whose one file of zeros has `size` bytes."""
    info = tarfile.TarInfo("zeros")
    info.size = size
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as file:
        file.write(info.tobuf())
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return out.getvalue()
