"""A real OpenSSH server on 127.0.0.1, in namespaces of its own, with users of its own; and people who connect to it.

The server runs as whoever runs the tests, without root in a user namespace. Its users are names for this same person;
`/etc/passwd` and `/etc/shadow` are bind-mounted inside its mount namespace alone. All of its processes are in a PID
namespace that dies with the launcher, and the launcher dies with the tests.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode

import asyncssh

from scripts.fetch_sshd import fetch_sshd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
EDGEPROF = Path(sys.executable).with_name("edgeprof")
MODEL = ROOT / "examples" / "models" / "kws_int8.tflite"
ODD_USER = """Ann "the" O'Neil $x"""
ODD_HOME = """o'neil "home" $HOME; x"""
PASSWORD = "correct horse"  # noqa: S105  of a user who exists in the tests only
CRYPTED = "$6$edgeprof$edJrjTEBL1X/XPzkk6MSPG4q5c3suH1EzdZbA74sH66Eo1VRei7zno3SRNIOKjTszLrti7XEQKwuwWhB8VYH2/"
STARTUP_S = 10.0


class User(NamedTuple):
    """A user of the board: home and login shell below the rig's folder, and what sshd's configuration says of them."""

    home: str
    login: str = "/bin/sh"
    variables: str = ""
    password: bool = False


USERS = {
    "board": User("home"),
    "other": User("other"),
    ODD_USER: User(ODD_HOME),
    "banner": User("banner", login="banner-shell"),
    "bash": User("bash", login="/bin/bash"),
    "readonly": User("readonly"),
    "full": User("full", variables="XDG_CACHE_HOME={folder}/full-disk"),
    "nearly-full": User("nearly-full", variables="XDG_CACHE_HOME={folder}/nearly-full-disk"),
    "slow": User("slow", variables="PYTHONPATH={folder}/slow-python"),
    "word": User("word", password=True),
}
BANNER_SHELL = """#!/bin/sh
echo 'Welcome to the board!'
echo 'This notice has two lines and no end'
printf 'EDGEPROF is welcome \\000 too' >&2
exec /bin/sh "$@"
"""
SLOW_PYTHON = """
import sys, time
if "measure" in sys.orig_argv:
    time.sleep(60)
"""
CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey "{folder}/host_key"
AuthorizedKeysFile "{folder}/authorized_keys"
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
Subsystem sftp internal-sftp
LogLevel VERBOSE
"""


class Rig:
    """The server. `folder` holds all of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self._launcher: subprocess.Popen[bytes] | None = None

    # ── starting and ending ──────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Write what the server needs, start it, and wait until it answers."""
        found = fetch_sshd()
        self.port = free_port()
        self._write_files(found.helpers)
        script = self.folder / "start.sh"
        script.write_text(self._script(str(found.sshd)), encoding="utf-8")
        user = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
        with (self.folder / "log").open("wb") as log:
            self._launcher = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", *user, "--mount", "--pid", "--fork", "--kill-child=KILL",
                 "/bin/sh", str(script)],
                env=found.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        if not eventually(self._answers, STARTUP_S):
            self.stop()
            raise RuntimeError(f"sshd does not answer: {self.log()}")

    def _answers(self) -> bool:
        if self._launcher is not None and self._launcher.poll() is not None:
            raise RuntimeError(f"sshd ended: {self.log()}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def stop(self) -> None:
        """End the server and all that it started."""
        if self._launcher is not None:
            self._launcher.kill()
            self._launcher.wait()
            self._launcher = None

    def log(self) -> str:
        """Return what sshd wrote."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def _write_files(self, helpers: Mapping[str, Path]) -> None:
        self._write("host_key", self.host_key.export_private_key(), mode=0o600)
        self._write("authorized_keys", self.key.export_public_key())
        self._write("banner-shell", BANNER_SHELL.encode(), mode=0o755)
        for user in USERS.values():
            (self.folder / user.home).mkdir()
        self._write("bash/.bashrc", b"echo 'bash says hello'\necho 'and to you' >&2\n")
        (self.folder / "slow-python").mkdir()
        self._write("slow-python/sitecustomize.py", SLOW_PYTHON.encode())
        for name in ("temporary", "full-disk", "nearly-full-disk"):
            (self.folder / name).mkdir()
        self._write("passwd", self._passwd().encode())
        self._write("shadow", "".join(f"{name}:{self._hash(user)}:1::::::\n" for name, user in USERS.items()).encode())
        self._write("sshd_config", self._configuration(helpers).encode())

    def _write(self, name: str, content: bytes, mode: int = 0o644) -> None:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)

    def _passwd(self) -> str:
        known = Path("/etc/passwd").read_text(encoding="utf-8")
        system = "".join(f"{line}\n" for line in known.splitlines() if not line.startswith("sshd:"))
        ids = f"{os.geteuid()}:{os.getegid()}"
        ours = [
            f"{name}:x:{ids}::{self.folder / user.home}:{self.folder / user.login}\n" for name, user in USERS.items()
        ]
        return system + "sshd:x:64999:65534::/run/sshd:/usr/sbin/nologin\n" + "".join(ours)

    @staticmethod
    def _hash(user: User) -> str:
        return CRYPTED if user.password else "*"

    def _configuration(self, helpers: Mapping[str, Path]) -> str:
        text = CONFIGURATION.format(port=self.port, folder=self.folder)
        if helpers:
            text += f'SshdSessionPath "{helpers["sshd-session"]}"\n'
        if "sshd-auth" in helpers:
            text += f'SshdAuthPath "{helpers["sshd-auth"]}"\n'
        temporary = f"TMPDIR={self.folder}/temporary"
        for name, user in USERS.items():
            if user.variables:
                text += f"Match User {name}\nSetEnv {temporary} {user.variables.format(folder=self.folder)}\n"
            if user.password:
                text += f"Match User {name}\nPubkeyAuthentication no\nPasswordAuthentication yes\n"
        return text + f"Match all\nSetEnv {temporary}\n"

    def _script(self, sshd: str) -> str:
        """Return what runs inside the namespaces before sshd does."""
        from edgeprof.agent.bundle import agent_bundle

        folder = shlex.quote(str(self.folder))
        agent_kib = len(agent_bundle().content) // 1024 + 1
        private = "mount --make-rprivate / && mkdir -p /run/sshd &&" if os.geteuid() == 0 else ""
        return f"""
set -e
cd {folder}
{private} true
mount --bind passwd /etc/passwd
mount --bind shadow /etc/shadow
mount -t tmpfs -o ro edgeprof readonly
mount -t tmpfs -o size={max(4, agent_kib // 8 * 4)}k edgeprof full-disk
mount -t tmpfs -o size={(agent_kib // 4 + 1) * 4 + 24}k edgeprof nearly-full-disk
exec {shlex.quote(sshd)} -D -e -f sshd_config
"""

    # ── what goes on there ───────────────────────────────────────────────────────────────────────────────────────

    def processes(self) -> dict[int, str]:
        """Return the command lines of all processes behind the server's own, by process id."""
        if self._launcher is None:
            return {}
        parents = {
            pid: _parent(pid) for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
        }
        found = {}
        for pid in parents:
            above = parents.get(pid)
            while above not in {None, 0, self._launcher.pid}:
                above = parents.get(above)
            if above == self._launcher.pid:
                found[pid] = _command_line(pid)
        return found

    def sessions(self) -> list[int]:
        """Return the processes of sshd that serve a connection."""
        return [pid for pid, line in self.processes().items() if line.startswith("sshd") and "[listener]" not in line]

    def guests(self) -> dict[int, str]:
        """Return what runs on the board and is not sshd: the shell, the agent, its measuring processes."""
        return {pid: line for pid, line in self.processes().items() if line and not line.startswith("sshd")}

    def home(self, user: str) -> Path:
        """Return a user's home folder."""
        return self.folder / USERS[user].home

    def names(self) -> set[str]:
        """Return the path of everything below the users' homes and the board's temporary folder."""
        folders = [self.folder / "temporary", *(self.folder / user.home for user in USERS.values())]
        return {str(path) for folder in folders for path in folder.rglob("*")}

    def seen_inside(self, folder: Path) -> set[str]:
        """Return the paths below a folder as the board sees it: its own mounts are no one else's."""
        listener = next(pid for pid, line in self.processes().items() if "[listener]" in line)
        return {str(path) for path in Path(f"/proc/{listener}/root{folder}").rglob("*")}

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────────

    def url(self, user: str | None = "board", host: str = "127.0.0.1", *, port: bool = True, **query: str) -> str:
        """Return a target: this server, and the Python that runs the tests."""
        who = f"{quote(user, safe='')}@" if user else ""
        where = f"{host}:{self.port}" if port else host
        return f"ssh://{who}{where}?{urlencode({'python': sys.executable, **query}, quote_via=quote)}"

    def known_host(self, host: str = "127.0.0.1") -> str:
        """Return the line of a known_hosts file that trusts this server."""
        return f"[{host}]:{self.port} {self.host_key.export_public_key().decode().strip()}\n"


class Person:
    """Somebody with a home folder of their own: keys, SSH configuration, known hosts, results."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ssh = home / ".ssh"
        self.ssh.mkdir(mode=0o700, parents=True)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
        self.environment |= {
            "HOME": str(home),
            "EDGEPROF_STATE": str(home / "state"),
            "EDGEPROF_CACHE": str(home / "cache"),
            "EDGEPROF_CONFIG": str(home / "config"),
            "NO_COLOR": "1",
        }

    def knows(self, text: str) -> None:
        """Write known_hosts."""
        (self.ssh / "known_hosts").write_text(text, encoding="utf-8")

    def configures(self, text: str, name: str = "config") -> None:
        """Write a file of the SSH configuration."""
        (self.ssh / name).write_text(text, encoding="utf-8")

    def has_key(self, key: asyncssh.SSHKey, name: str = "id_ed25519", passphrase: str | None = None) -> Path:
        """Write a private key."""
        path = self.ssh / name
        key.write_private_key(path, passphrase=passphrase)
        path.chmod(0o600)
        return path

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start edgeprof, in a session of its own."""
        return subprocess.Popen(
            [EDGEPROF, *map(str, arguments)],
            env=self.environment, cwd=self.home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def edgeprof(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run edgeprof to its end."""
        return self.ended(self.start(*arguments))

    def profile(self, *targets: str, options: tuple[object, ...] = ("--runs", 20)) -> subprocess.CompletedProcess[str]:
        """Profile the keyword-spotting model, latency alone."""
        named = [word for target in targets for word in ("--target", target)]
        return self.edgeprof("profile", MODEL, "--no-memory", "--format", "json", *options, *named)

    @staticmethod
    def ended(process: subprocess.Popen[str], timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Wait for the end of a process; one that does not end is killed, and the test fails."""
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def samples(self) -> int:
        """Return how many blocks of samples, warm-up left out, the newest journal holds."""
        journals = sorted((self.home / "state" / "runs").glob("*/journal.jsonl"))
        lines = journals[-1].read_text(encoding="utf-8").splitlines() if journals else []
        events = [json.loads(line) for line in lines if line.endswith("}")]
        return sum(event["event"] == "samples-received" and not event["flags"][0] & 1 for event in events)

    def events(self) -> list[str]:
        """Return the kinds of the events in the newest journal."""
        journals = sorted((self.home / "state" / "runs").glob("*/journal.jsonl"))
        lines = journals[-1].read_text(encoding="utf-8").splitlines() if journals else []
        return [json.loads(line)["event"] for line in lines if line.endswith("}")]


def _parent(pid: int) -> int | None:
    try:
        return int(
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
        )
    except (OSError, IndexError):
        return None


def _command_line(pid: int) -> str:
    try:
        content = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return content.replace(b"\0", b" ").decode("utf-8", "replace").strip()


def eventually(holds: Callable[[], object], timeout_s: float = 10.0) -> bool:
    """Wait until something holds; False when it does not in time."""
    until = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running_rig(folder: Path) -> Iterator[Rig]:
    """Start a server in a folder and end it."""
    rig = Rig(folder)
    rig.start()
    try:
        yield rig
    finally:
        rig.stop()


@functools.cache
def shared_rig() -> Rig:
    """Return the one server of this process; it ends with the process."""
    folder = Path(tempfile.mkdtemp(prefix="edgeprof-sshd-"))
    rig = Rig(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(rig.stop)
    rig.start()
    return rig


@contextlib.contextmanager
def as_somebody(rig: Rig) -> Iterator[Person]:
    """Be somebody in this process who has a key for the server and knows it: what asyncssh reads is in their home."""
    with tempfile.TemporaryDirectory(prefix="edgeprof-person-") as home:
        person = Person(Path(home))
        person.has_key(rig.key)
        person.knows(rig.known_host())
        before = {name: os.environ.get(name) for name in ("HOME", "SSH_AUTH_SOCK")}
        os.environ["HOME"] = home
        os.environ.pop("SSH_AUTH_SOCK", None)
        try:
            yield person
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
