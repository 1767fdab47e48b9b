"""Builds the disks and the kernel of a virtual Raspberry Pi in .cache/virtual-pi.

    fetch_virtual_pi.py [--wheels] [SUITE…]

`--wheels` fetches the runtimes that its tests put on it too, and does not fail outside CI where nothing can be had.

A disk is a small arm64 Debian made of its packages: bookworm has Python 3.11, bullseye has 3.9. apt downloads them with
package lists of their own and checks their signatures; no root is needed and nothing of this machine is changed. A
disk is built anew when what it is made from changes. There are no keys and no users' files on it: those come at boot.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts.debian import (
    OPTIONS,
    FetchError,
    Programs,
    fetch_programs,
    fresh_folder,
    planned,
    run,
    search_path,
    system_program,
)
from scripts.initramfs import File, cpio, module_files

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "virtual-pi"
SUITES = ("bookworm", "bullseye")
PYTHONS = {"bookworm": ((3, 11), (2, 36)), "bullseye": ((3, 9), (2, 31))}  # and their glibc
WHEELS = FOLDER / "cache" / "wheels"
TOOLS = {"qemu-system-aarch64": "qemu-system-arm", "fdtput": "device-tree-compiler", "mke2fs": "e2fsprogs"}
TOOLS_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "http://deb.debian.org/debian"
KERNEL_SUITE = "bookworm"
KERNEL = "linux-image-arm64"
MODULES = ("virtio_mmio", "virtio_blk", "virtio_net", "virtio_rng", "crc32c_generic", "ext4")
PACKAGES = (
    *("base-files", "bash", "coreutils", "dash", "grep", "hostname", "libc-bin", "libgomp1", "libstdc++6", "mount"),
    *("openssh-server", "procps", "python3", "sed"),
)
LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian")
MERGED = ("bin", "sbin", "lib")
DISK = "1200M"  # sparse; a runtime with numpy takes 150 MB of it
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
    "pi:x:1000:1000::/home/pi:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ntty:x:5:\nvideo:x:44:pi\npi:x:1000:\nnogroup:x:65534:\n",
    "etc/shadow": "root:*:19000::::::\nsshd:*:19000::::::\npi:*:19000::::::\nnobody:*:19000::::::\n",
    "etc/hostname": "raspberrypi\n",
    "etc/hosts": "127.0.0.1 localhost raspberrypi\n",
}


COMPILE = """#!/bin/busybox sh
# What Debian does when it installs Python: without compiled files each start of Python would compile its library.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do insmod "$module"; done
tries=100
while [ ! -b /dev/vda ] && [ $tries -gt 0 ]; do tries=$((tries - 1)); usleep 20000; done
mkdir /root
mount -t ext4 /dev/vda /root
mount -t devtmpfs devtmpfs /root/dev
mkdir -p /root/dev/shm
mount -t tmpfs tmpfs /root/dev/shm
chroot /root /bin/sh -c '/usr/bin/python3 -m compileall -q -j 2 /usr/lib/python3*' && echo "library is compiled"
umount /root/dev/shm /root/dev
umount /root && poweroff -f
"""


class VirtualPiFiles(NamedTuple):
    """What a virtual Pi starts from: the emulator, a kernel with its first files, and a disk that is only read."""

    tools: Programs
    kernel: Path
    initramfs: Path
    disk: Path


def main(arguments: Sequence[str]) -> int:
    """Build the disks of these suites, or of the first, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; the first where none is")
    parser.add_argument("--wheels", action="store_true", help="fetch the runtimes of its tests, too")
    asked = parser.parse_args(arguments)
    unknown = [suite for suite in asked.suites if suite not in SUITES]
    if unknown:
        parser.error(f"no suite {', '.join(unknown)}; there are {', '.join(SUITES)}")
    for suite in asked.suites or SUITES[:1]:
        began = time.monotonic()
        try:
            files = fetch_virtual_pi(suite)
        except FetchError as error:
            print(error, file=sys.stderr)
            return 1 if os.environ.get("CI") or not asked.wheels else 0
        if asked.wheels:
            fetch_wheels(suite)
        used = files.disk.stat().st_blocks * 512
        print(f"{files.disk}: {used / 1e6:.0f} MB, {time.monotonic() - began:.1f} s")
    return 0


def fetch_wheels(suite: str) -> None:
    """Fetch the runtime that edgeprof puts on the Pi for a `.tflite` model, to where its tests look for it."""
    from edgeprof.errors import EdgeprofError
    from edgeprof.installing import BoardPython, choose_wheels, download

    version, glibc = PYTHONS[suite]
    board = BoardPython(version=version, architecture="aarch64", glibc=glibc)
    try:
        download(choose_wheels("tflite", board).choices[0], WHEELS)
    except EdgeprofError as error:
        print(f"{error.message}: {error.hint}", file=sys.stderr)


def fetch_virtual_pi(suite: str, folder: Path = FOLDER) -> VirtualPiFiles:
    """Return the files of a virtual Pi, built where they are missing or made from something else."""
    folder.mkdir(parents=True, exist_ok=True)
    tools = fetch_programs(TOOLS, folder / "tools", path=TOOLS_PATH)
    kernel = folder / f"kernel-{_fingerprint(KERNEL_SUITE, KERNEL, *MODULES)}"
    if not kernel.is_dir():
        with fresh_folder(kernel) as fresh:
            _build_kernel(fresh)
        _drop_others(kernel, "kernel-*")
    root = folder / f"{suite}-{_fingerprint(suite, *PACKAGES)}"
    if not root.is_dir():
        with fresh_folder(root) as fresh:
            _build_disk(suite, fresh, tools)
            _compile_library(VirtualPiFiles(tools, kernel / "vmlinuz", kernel / "initramfs", fresh / "disk"))
        _drop_others(root, f"{suite}-*")
    return VirtualPiFiles(tools, kernel / "vmlinuz", kernel / "initramfs", root / "disk")


def _fingerprint(*words: str) -> str:
    """Return a name for what is made from these words by the code that makes it."""
    sources = [Path(__file__), Path(__file__).with_name("initramfs.py")]
    content = b"\0".join([*(word.encode() for word in words), *(path.read_bytes() for path in sources)])
    return hashlib.sha256(content).hexdigest()[:12]


def _drop_others(kept: Path, pattern: str) -> None:
    for path in kept.parent.glob(pattern):
        if path != kept and not path.name.endswith(".new"):
            shutil.rmtree(path, ignore_errors=True)


# ── kernel ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _build_kernel(folder: Path) -> None:
    """Unpack a kernel and write its first files: busybox and the modules that find the disk and the network."""
    options = _apt(KERNEL_SUITE, folder)
    meta = run(["apt-cache", *options, "--no-all-versions", "show", KERNEL], folder)
    depends = next(line for line in meta.splitlines() if line.startswith("Depends:"))
    tree = folder / "tree"
    for package in (depends.split()[1], "busybox-static"):
        run(["apt-get", *options, "download", package], folder)
    for deb in folder.glob("*.deb"):
        run(["dpkg", "-x", str(deb), str(tree)])
        deb.unlink()
    (modules,) = (tree / "lib" / "modules").iterdir()
    files = {"bin/busybox": File((tree / "bin" / "busybox").read_bytes(), 0o755)}
    for at, path in enumerate(module_files(modules, MODULES)):
        files[f"modules/{at:02}-{path.name}"] = File(path.read_bytes())
    (folder / "initramfs").write_bytes(cpio(files))
    next((tree / "boot").glob("vmlinuz-*")).rename(folder / "vmlinuz")
    shutil.rmtree(tree)
    shutil.rmtree(folder / "apt")


# ── disk ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _build_disk(suite: str, folder: Path, tools: Programs) -> None:
    """Unpack the packages of a system and write them to a disk image."""
    options = _apt(suite, folder)
    debs, tree = folder / "debs", folder / "tree"
    debs.mkdir()
    run(["apt-get", *options, "download", *planned(PACKAGES, debs, options)], debs)
    for name in MERGED:
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    for deb in sorted(debs.glob("*.deb")):
        _unpack_merged(deb, tree)
    for path, text in ACCOUNTS.items():
        (tree / path).write_text(text, encoding="utf-8")
    if not (tree / "bin" / "sh").exists():
        (tree / "bin" / "sh").symlink_to("dash")
    _write_image(tree, folder / "disk", tools)
    shutil.rmtree(debs)
    shutil.rmtree(tree)
    shutil.rmtree(folder / "apt")


def _unpack_merged(deb: Path, tree: Path) -> None:
    """Unpack a package into a tree whose /bin, /sbin and /lib lead to /usr, which `dpkg -x` would replace."""
    left_out = [f"--exclude=./{path}/*" for path in LEFT_OUT]
    options = ["--keep-directory-symlink", "--no-same-owner", "--warning=no-timestamp"]
    command = [system_program("tar"), "-x", "-C", str(tree), *options]
    with subprocess.Popen([system_program("dpkg-deb"), "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as archive:
        unpacked = subprocess.run(
            [*command, *left_out], stdin=archive.stdout, capture_output=True, text=True, check=False
        )
    if archive.returncode or unpacked.returncode:
        raise FetchError(f"{deb.name} cannot be unpacked: {unpacked.stderr.strip() or archive.returncode}")


def _write_image(tree: Path, disk: Path, tools: Programs) -> None:
    """Write a file system; all files in it belong to root, also when the one who builds it is somebody else."""
    as_root = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user"]
    options = ["-q", "-t", "ext4", "-O", "^has_journal", "-d", str(tree)]
    run([*as_root, str(tools.paths["mke2fs"]), *options, str(disk), DISK], environment=tools.environment())


def _compile_library(files: VirtualPiFiles) -> None:
    """Start the disk once, to compile Python's library with the Python that is on it."""
    folder = files.disk.parent
    initramfs = folder / "initramfs"
    initramfs.write_bytes(files.initramfs.read_bytes() + cpio({"init": File(COMPILE.encode(), 0o755)}))
    said = run(
        [
            *(str(files.tools.paths["qemu-system-aarch64"]), "-M", "virt", "-cpu", "cortex-a76", "-smp", "2"),
            *("-m", "1G", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"),
            *("-kernel", str(files.kernel), "-initrd", str(initramfs), "-append", "console=ttyAMA0 quiet panic=-1"),
            *("-drive", f"if=none,id=disk,format=raw,file={files.disk}", "-device", "virtio-blk-device,drive=disk"),
        ],
        environment=files.tools.environment(),
    )
    if "library is compiled" not in said:
        raise FetchError(f"Python's library on {files.disk} cannot be compiled: {said[-2000:]}")
    initramfs.unlink()


# ── packages of another architecture ─────────────────────────────────────────────────────────────────────────────────


def _apt(suite: str, folder: Path) -> list[str]:
    """Fetch the lists of a suite for arm64 into a folder and return the options with which apt uses those alone."""
    if shutil.which("apt-get", path=search_path()) is None:
        raise FetchError("there is no apt-get to fetch Debian for arm64 with")
    if not KEYRING.is_file():
        raise FetchError(f"{KEYRING} is not here to check Debian's signatures with; install debian-archive-keyring")
    apt = folder / "apt"
    for name in ("lists/partial", "archives/partial", "parts"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    sources = apt / "sources.list"
    sources.write_text(f"deb [arch=arm64 signed-by={KEYRING}] {_mirror()} {suite} main\n", encoding="utf-8")
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": apt / "parts",
        "Dir::State": apt,
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt,
        "Acquire::Languages": "none",
        "Acquire::Check-Valid-Until": "false",  # a suite that has ended is signed once and for all
    }
    options = [*OPTIONS, *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    run(["apt-get", *options, "update"], folder)
    return options


def _mirror() -> str:
    """Return the mirror of Debian that this machine uses, or the one that is everybody's."""
    sites = run(["apt-get", "indextargets", "--format", "$(REPO_URI)"]).split()
    return next((site for site in sites if site.rstrip("/").endswith("/debian")), MIRROR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
