"""Boots a virtual Raspberry Pi: QEMU's virt machine with a Pi's processor and device tree, reached over SSH.

It listens on 127.0.0.1 alone and reaches nothing itself. Its disk is only read, what it writes is gone with it; it is
killed at the end of the block, and by the kernel when this process dies. Keys are made for each boot.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlencode

import asyncssh

from scripts.debian import run
from scripts.initramfs import File, cpio
from tests.ssh.rig import free_port
from tests.virtual_pi.models import COOL_MILLICELSIUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractAsyncContextManager

    from scripts.fetch_virtual_pi import VirtualPiFiles
    from tests.virtual_pi.models import PiModel

BOARD = Path(__file__).with_name("board")
BOOT_S = 120.0  # it takes 5 s, on a machine that has nothing else to do
POLL_S = 0.1
RUNS_S, STOPS_S = 0.002, 0.02  # it runs for less than an inference takes, so that each is slowed
WATCHED_S = 0.0005
CPU_CLOCK = 2  # CPUCLOCK_SCHED of the kernel's posix-timers.h: the time that all threads of a process ran
CORES = 2
MEMORY = "1536M"
GUEST = "10.0.2.15"
PLACES = {  # a file of board/, and where it is on the Pi
    "start": ("usr/lib/virtual-pi/start", 0o755),
    "weather": ("usr/lib/virtual-pi/weather", 0o755),
    "vcgencmd": ("usr/bin/vcgencmd", 0o755),
    "sshd_config": ("etc/ssh/virtual_pi_config", 0o644),
}


class VirtualPi:
    """A Pi that boots when it is entered and is gone afterwards."""

    def __init__(self, model: PiModel, files: VirtualPiFiles) -> None:
        self.model = model
        self.port = 0
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._files = files
        self._folder = tempfile.TemporaryDirectory(prefix="edgeprof-pi-")
        self._qemu: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Boot and wait for the SSH server."""
        try:
            self._boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _boot(self) -> None:
        folder = Path(self._folder.name)
        tree = self._device_tree(folder / "board.dtb")
        initramfs = folder / "initramfs"
        initramfs.write_bytes(self._files.initramfs.read_bytes() + cpio(self._board()))
        self.port = free_port()
        network = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-{GUEST}:22"
        command = [
            *("setpriv", "--pdeathsig", "KILL", *self._machine(), "-nodefaults", "-display", "none", "-no-reboot"),
            *("-serial", f"file:{folder / 'console'}", "-append", "console=ttyAMA0 quiet panic=-1"),
            *("-kernel", str(self._files.kernel), "-initrd", str(initramfs), "-dtb", str(tree)),
            *("-snapshot", "-drive", f"if=none,id=disk,format=raw,file={self._files.disk}"),
            *("-device", "virtio-blk-device,drive=disk", "-device", "virtio-rng-device"),
            *("-netdev", network, "-device", "virtio-net-device,netdev=net"),
        ]
        environment = {**self._files.tools.environment(), "TMPDIR": str(folder)}
        with (folder / "qemu").open("wb") as log:
            self._qemu = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._wait()

    def _machine(self) -> list[str]:
        qemu = str(self._files.tools.paths["qemu-system-aarch64"])
        return [qemu, "-M", "virt", "-cpu", self.model.cpu, "-smp", str(CORES), "-m", MEMORY]

    def _device_tree(self, path: Path) -> Path:
        """Return the machine's own device tree, in which it says that it is a Pi."""
        environment = self._files.tools.environment()
        machine = self._machine()
        machine[2] += f",dumpdtb={path}"
        run([*machine, "-display", "none", "-nodefaults"], environment=environment)
        fdtput = [str(self._files.tools.paths["fdtput"]), "-t", "s", str(path), "/"]
        run([*fdtput, "model", self.model.device_tree_model], environment=environment)
        run([*fdtput, "compatible", *self.model.compatible], environment=environment)
        return path

    def _board(self) -> dict[str, File]:
        """Return the files that make a board of the machine; `init` lays them where they are on one."""
        ours = {place: File((BOARD / name).read_bytes(), mode) for name, (place, mode) in PLACES.items()}
        settings = f"COOL_MILLICELSIUS={COOL_MILLICELSIUS}\nCLOCK_KHZ={self.model.clock_khz}\n"
        ours["usr/lib/virtual-pi/settings"] = File(settings.encode())
        if self.model.pmic:
            ours["usr/lib/virtual-pi/pmic"] = File(self.model.pmic.encode())
        ours["etc/ssh/virtual_pi_host_key"] = File(self.host_key.export_private_key(), 0o600)
        ours["home/pi/.ssh/authorized_keys"] = File(self.key.export_public_key(), 0o600)
        return {
            "init": File((BOARD / "init").read_bytes(), 0o755),
            **{f"overlay/{place}": file for place, file in ours.items()},
            **{f"sensors/{path}": File(text.encode()) for path, text in self.model.sensors().items()},
        }

    def _wait(self) -> None:
        until = time.monotonic() + BOOT_S
        while not self._answers():
            if self._qemu is None or self._qemu.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the virtual {self.model.board} does not answer: {self.log()}")
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        # QEMU takes a connection before the guest listens, and closes it then.
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    @contextlib.contextmanager
    def slowed(self) -> Iterator[None]:
        """Let it run a tenth of the time, as a processor does that throttles; its own clock goes on.

        What counts is the time that it ran, not that it could have: other processes may have had this machine.
        """
        done = threading.Event()
        throttle = threading.Thread(target=self._stop_and_go, args=(done,))
        throttle.start()
        try:
            yield
        finally:
            done.set()
            throttle.join()

    def _stop_and_go(self, done: threading.Event) -> None:
        assert self._qemu is not None
        ran = ~self._qemu.pid << 3 | CPU_CLOCK
        while not done.is_set():
            until = time.clock_gettime(ran) + RUNS_S
            while time.clock_gettime(ran) < until and not done.wait(WATCHED_S):
                pass
            self._qemu.send_signal(signal.SIGSTOP)
            done.wait(STOPS_S)
            self._qemu.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill it and all that it started."""
        if self._qemu is not None:
            os.killpg(self._qemu.pid, signal.SIGKILL)
            self._qemu.wait()
            self._qemu = None
        self._folder.cleanup()

    def log(self) -> str:
        """Return the last words of the emulator and of the console."""
        found = [Path(self._folder.name) / name for name in ("qemu", "console")]
        return "\n".join(path.read_text(encoding="utf-8", errors="replace")[-4000:] for path in found if path.is_file())

    def url(self, **query: str) -> str:
        """Return the target that it is."""
        return f"ssh://pi@127.0.0.1:{self.port}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")

    def run(self, command: str) -> str:
        """Run a command of a shell there as `pi` and return what it wrote."""
        return asyncio.run(self._run(command))

    async def _run(self, command: str) -> str:
        async with self._connection() as connection:
            return str((await connection.run(command, check=True)).stdout)

    def put(self, files: Iterable[Path], folder: str) -> None:
        """Copy files into a folder there."""
        asyncio.run(self._put(files, folder))

    async def _put(self, files: Iterable[Path], folder: str) -> None:
        async with self._connection() as connection, connection.start_sftp_client() as sftp:
            await sftp.makedirs(folder, exist_ok=True)
            await sftp.put([str(path) for path in files], folder)

    def _connection(self) -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
        known = asyncssh.import_known_hosts(self.known_host())
        found: AbstractAsyncContextManager[asyncssh.SSHClientConnection] = asyncssh.connect(
            "127.0.0.1", self.port, username="pi", client_keys=[self.key], known_hosts=known, config=None
        )
        return found

    def known_host(self) -> str:
        """Return the line of a known_hosts file that trusts it."""
        return f"[127.0.0.1]:{self.port} {self.host_key.export_public_key().decode().strip()}\n"
