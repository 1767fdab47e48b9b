"""Writes what a Linux kernel starts from: a cpio archive of files, and the modules of a kernel in loading order.

The format is "newc" of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst; archives that are
joined together count as one, later files in place of earlier ones.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

FOLDER_MODE = stat.S_IFDIR | 0o755
ALIGNMENT = 4
END = "TRAILER!!!"


class File(NamedTuple):
    """A file of the archive and who may read or run it."""

    content: bytes
    mode: int = 0o644


def cpio(files: Mapping[str, File]) -> bytes:
    """Return an archive of these files by path, with the folders above them; all belong to root."""
    folders = sorted({parent for path in files for parent in _parents(path)})
    entries = [_entry(path, FOLDER_MODE, b"") for path in folders]
    entries += [_entry(path, stat.S_IFREG | file.mode, file.content) for path, file in files.items()]
    return b"".join([*entries, _entry(END, 0, b"")])


def module_files(folder: Path, wanted: Iterable[str]) -> list[Path]:
    """Return the files of kernel modules with all that they depend on, each after what it needs.

    `folder` is a kernel's folder below /lib/modules; a module says what it depends on in its .modinfo section.
    """
    files = {path.stem.replace("-", "_"): path for path in folder.rglob("*.ko")}
    ordered: list[Path] = []

    def visit(name: str) -> None:
        path = files[name.replace("-", "_")]
        if path in ordered:
            return
        for needed in _depends(path.read_bytes()):
            visit(needed)
        ordered.append(path)

    for name in wanted:
        visit(name)
    return ordered


def _depends(module: bytes) -> Sequence[str]:
    found = [part[len(b"depends=") :] for part in module.split(b"\0") if part.startswith(b"depends=")]
    return [name for name in found[0].decode().split(",") if name] if found else []


def _parents(path: str) -> list[str]:
    words = path.split("/")[:-1]
    return ["/".join(words[: at + 1]) for at in range(len(words))]


def _entry(path: str, mode: int, content: bytes) -> bytes:
    name = path.encode() + b"\0"
    # magic, inode, mode, uid, gid, links, mtime, size, four device numbers, length of the name, no checksum
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return _padded(head) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % ALIGNMENT)
