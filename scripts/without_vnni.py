"""Runs a command as on an x86 CPU without VNNI: `scripts/without_vnni.py .venv/bin/pytest tests/unit`.

ONNX Runtime chooses its int8 kernels by CPUID, which nothing can intercept. So its libraries are copied, the tests for
AVX-VNNI, AVX512-VNNI and AMX are patched in the copies (onnxruntime/core/mlas/lib/platform.cpp), and in a mount
namespace of the command's own the copies lie over the originals, and a /proc/cpuinfo without these flags over the real
one. Nothing is changed outside it. Needed: `unshare` and `mount`, and root or user namespaces.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "without-vnni"
FLAGS = frozenset({"avx_vnni", "avx512_vnni", "avx_vnni_int8", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16"})
ASKED = re.compile(rb"\xb8\x07\0\0\0\xb9\x01\0\0\0\x0f\xa2\xa8(\x10)[\x74\x75]")
"""mov $7, %eax; mov $1, %ecx; cpuid; test $0x10, %al: AVX-VNNI is bit 4 of EAX of leaf 7.1, which MLAS asks last."""
AVX512_VNNI = re.compile(rb"\x81[\xe0-\xe7](\x00\x08\x00\x00)")
"""and $0x800, %r32: bit 11 of ECX of leaf 7."""
AMX = re.compile(rb"\x81([\xe0-\xe7])\x00\x00\x00\x03")
"""and $0x3000000, %r32: bits 24 and 25 of EDX of leaf 7, inverted before; `or` there never gives 0."""
AND_TO_OR = 0xE0 - 0xC8
REACH = 0x400
"""How far behind the question the other tests stand, in bytes."""
INSIDE = "EDGEPROF_WITHOUT_VNNI"
"""Set in the command's environment, so that it may use this script too."""
MOUNT = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"'


class Unpatchable(Exception):
    """The machine code does not look as expected; the text says where."""


def main(arguments: list[str]) -> int:
    """Run the command; its exit code, or 2 where it cannot be run so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", metavar="COMMAND", help="what to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="…", help="its arguments")
    given = parser.parse_args(arguments)
    command = [given.command, *given.arguments]
    if INSIDE in os.environ:
        return subprocess.run(command, check=False).returncode
    try:
        pairs = [(cpuinfo(), Path("/proc/cpuinfo")), *((patched_copy(path), path) for path in libraries())]
    except Unpatchable as error:
        print(f"without_vnni: {error}", file=sys.stderr)
        return 2
    if shutil.which("unshare") is None:
        print("without_vnni: there is no unshare (util-linux) to make a mount namespace with", file=sys.stderr)
        return 2
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    mounts = [str(path.resolve()) for pair in pairs for path in pair]
    unshare = ["unshare", "--mount", "--propagation", "private", *user, "sh", "-c", MOUNT, "without_vnni"]
    return subprocess.run([*unshare, *mounts, "--", *command], env={**os.environ, INSIDE: "1"}, check=False).returncode


def libraries() -> list[Path]:
    """Return the libraries of ONNX Runtime in this Python's environment that choose kernels."""
    folders = [Path(folder) / "onnxruntime" / "capi" for folder in sys.path]
    found = [path for folder in folders for path in sorted(folder.glob("*onnxruntime*.so*")) if _asks(path)]
    if not found:
        raise Unpatchable(f"no onnxruntime in the environment of {sys.executable} asks the CPU for VNNI")
    return found


def _asks(path: Path) -> bool:
    return path.is_file() and not path.name.startswith("libonnxruntime_providers_")


def cpuinfo() -> Path:
    """Write what the kernel says of the CPU, without the flags, and return its path."""
    path = FOLDER / "cpuinfo"
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return written(path, "".join(f"{without_flags(line)}\n" for line in lines).encode(), 0o644)


def without_flags(line: str) -> str:
    """Return a line of /proc/cpuinfo without the flags."""
    name, colon, words = line.partition(":")
    if name.strip() != "flags":
        return line
    return f"{name}{colon} {' '.join(word for word in words.split() if word not in FLAGS)}"


def patched_copy(library: Path) -> Path:
    """Return the patched copy of a library, made where it is not there yet."""
    content = library.read_bytes()
    path = FOLDER / f"{library.name}.{hashlib.sha256(content + Path(__file__).read_bytes()).hexdigest()[:16]}"
    if not path.exists():
        try:
            made = patched(content)
        except Unpatchable as error:
            raise Unpatchable(f"{library}: {error}") from None
        for old in FOLDER.glob(f"{library.name}.*"):
            old.unlink(missing_ok=True)
        written(path, made, library.stat().st_mode)
    return path


def written(path: Path, content: bytes, mode: int) -> Path:
    """Write a file at once, so that a command that has the old one mounted keeps it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    part = FOLDER / f"{os.getpid()}.part"
    part.write_bytes(content)
    part.chmod(mode)
    return part.replace(path)


def patched(content: bytes) -> bytes:
    """Return the machine code whose tests for VNNI and AMX all fail. Raises Unpatchable where one is not found."""
    code = bytearray(content)
    asked = list(ASKED.finditer(content))
    if not asked:
        raise Unpatchable("the test for AVX-VNNI (cpuid leaf 7.1, EAX bit 4) is not found")
    for place in asked:
        code[place.start(1)] = 0
        one = _only(AVX512_VNNI, content, place.end(), "AVX512-VNNI (and $0x800)")
        code[one.start(1) : one.end(1)] = bytes(4)
        one = _only(AMX, content, place.end(), "AMX (and $0x3000000)")
        code[one.start(1)] -= AND_TO_OR
    return bytes(code)


def _only(pattern: re.Pattern[bytes], content: bytes, start: int, what: str) -> re.Match[bytes]:
    found = list(pattern.finditer(content, start, start + REACH))
    if len(found) != 1:
        raise Unpatchable(f"the test for {what} is found {len(found)} times behind {start:#x}, not once")
    return found[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
