"""`ssh://`: the Linux agent on a board, over one connection. asyncssh's loop stays in a thread of this file.

The user's SSH configuration counts (Host, Match, Include, ProxyJump, ProxyCommand, agent). A host key must be known:
neither `StrictHostKeyChecking no` nor `UserKnownHostsFile none` changes that. What is run on the board is one constant
program; everything that varies goes to its standard input.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import queue
import shlex
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh

from edgeprof.agent.bundle import agent_bundle
from edgeprof.errors import BoardUnreachable, LinkError
from edgeprof.links.ssh_keys import client_options, jump_hosts, known_hosts, refused_key
from edgeprof.links.ssh_prompts import Prompts

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from edgeprof.targets import Ssh

CONNECT_TIMEOUT_S = 20.0
START_TIMEOUT_S = 60.0
CLOSE_TIMEOUT_S = 5.0
KEEPALIVE_S, KEEPALIVE_MISSES = 5, 3
SILENT_TYPES = (ConnectionError, asyncssh.Error, OSError)
COMMAND_NOT_FOUND = 127
MAGIC = b"\0EDGEPROF "
T = TypeVar("T")

# Runs under any Python 3 (and says so under Python 2): reads what is wanted as a JSON line, takes the agent when it is
# not there with the right hash, and becomes it.
BOOTSTRAP = r"""
import hashlib, json, os, sys
def line():
    text = b""
    while not text.endswith(b"\n"):
        part = os.read(0, 1)
        if not part:
            sys.exit(0)
        text += part
    return text
def say(**words):
    os.write(1, b"\0EDGEPROF " + json.dumps(words).encode() + b"\n")
want = json.loads(line().decode())
if sys.version_info < (3, 6):
    say(error="the agent needs Python 3.6 or later, %s is %s" % (sys.executable, sys.version.split()[0]))
    sys.exit(1)
base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
folder = os.path.expanduser(want["cache"]) or os.path.join(base, "edgeprof")
try:
    os.makedirs(os.path.join(folder, "blobs"), 0o700, exist_ok=True)
    path = os.path.join(folder, "agent-%s.pyz" % want["sha256"][:16])
    have = False
    if os.path.exists(path):
        with open(path, "rb") as file:
            have = hashlib.sha256(file.read()).hexdigest() == want["sha256"]
    if not have and not os.access(folder, os.W_OK):
        raise OSError(13, "not writable")
    say(have=have)
    if not have:
        content = b""
        while len(content) < want["size"]:
            part = os.read(0, min(65536, want["size"] - len(content)))
            if not part:
                sys.exit(0)
            content += part
        part = "%s.%d.part" % (path, os.getpid())
        try:
            with open(part, "wb") as file:
                file.write(content)
            os.rename(part, path)
        except OSError:
            if os.path.exists(part):
                os.unlink(part)
            raise
    say(ready=True)
except OSError as error:
    say(error="%s: %s" % (folder, error.strerror))
    sys.exit(1)
os.execv(sys.executable, [sys.executable, path, "serve", folder])
"""


def start_command(python: str) -> str:
    """Return the command line for the board's shell: an interpreter and one constant, both quoted."""
    constant = base64.b64encode(BOOTSTRAP.encode()).decode()
    return shlex.join([python, "-c", f"import base64;exec(base64.b64decode('{constant}'))"])


def open_ssh(place: Ssh, prompts: Prompts | None = None) -> SshChannel:
    """Connect, put the agent on the board where it is not there yet, and start it."""
    channel = SshChannel(place, prompts or Prompts())
    try:
        channel.connect()
        channel.start_agent()
    except BaseException:
        channel.close()
        raise
    return channel


class SshChannel:
    """A connection with the agent's process on it."""

    def __init__(self, place: Ssh, prompts: Prompts) -> None:
        self._place = place
        self._prompts = prompts
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"ssh:{place.host}", daemon=True)
        self._thread.start()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._process: asyncssh.SSHClientProcess[bytes] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._received: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._words = b""
        self._lost = ""
        self._closed = False

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> None:
        """Connect without asking; where that is refused and a person is there, ask for passphrase or password."""
        self._connection = self._wait(self._connect(), CONNECT_TIMEOUT_S * 20)

    async def _connect(self) -> asyncssh.SSHClientConnection:
        place = self._place
        try:
            return await self._attempt(place, ask=False)
        except (asyncssh.PermissionDenied, asyncssh.KeyImportError) as error:
            if not self._prompts.possible():
                raise BoardUnreachable(
                    f"{place.host} refused to let {place.user or 'you'} in: {error}",
                    hint="add a key to ssh-agent, or run this on a terminal to be asked for the password",
                ) from error
        try:
            return await self._attempt(place, ask=True)
        except (asyncssh.PermissionDenied, asyncssh.KeyImportError) as error:
            raise BoardUnreachable(f"{place.host} refused to let {place.user or 'you'} in: {error}") from error

    async def _attempt(self, place: Ssh, *, ask: bool) -> asyncssh.SSHClientConnection:
        """Connect to a place by way of its jump hosts; each must be known as the board must."""
        way: asyncssh.SSHClientConnection | None = None
        for hop in (*await asyncio.to_thread(jump_hosts, place), place):
            try:
                connection = await self._hop(hop, way, ask=ask)
            except BaseException:
                if way is not None:
                    way.close()
                raise
            if way is not None:
                connection.set_tunnel(way)
            way = connection
        if way is None:
            raise AssertionError
        return way

    async def _hop(
        self, place: Ssh, way: asyncssh.SSHClientConnection | None, *, ask: bool
    ) -> asyncssh.SSHClientConnection:
        known = await asyncio.to_thread(known_hosts, place)
        offered: list[asyncssh.SSHKey] = []
        options = client_options(place, known, self._prompts if ask else None, offered)
        try:
            async with asyncio.timeout(None if ask else CONNECT_TIMEOUT_S):
                return await asyncssh.connect(
                    place.host, **options, tunnel=way,
                    keepalive_interval=KEEPALIVE_S, keepalive_count_max=KEEPALIVE_MISSES,
                )  # fmt: skip
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
            raise refused_key(place, known, offered, error) from error
        except (asyncssh.PermissionDenied, asyncssh.KeyImportError):
            raise
        except TimeoutError as error:
            raise _unreachable(place, f"no connection in {CONNECT_TIMEOUT_S:.0f} s") from error
        except SILENT_TYPES as error:
            raise _unreachable(place, str(error) or type(error).__name__) from error

    def start_agent(self) -> None:
        """Start the agent, after giving it to the board where it is not there with the right hash."""
        self._wait(self._start_agent(), START_TIMEOUT_S)

    async def _start_agent(self) -> None:
        if self._connection is None:
            message = "start_agent before connect"
            raise RuntimeError(message)
        bundle = agent_bundle()
        command = start_command(self._place.python)
        try:
            self._process = await self._connection.create_process(command, encoding=None)
            self._tasks.append(asyncio.create_task(self._read_errors(self._process)))
            want = {"sha256": bundle.sha256, "size": len(bundle.content), "cache": self._place.cache}
            self._process.stdin.write(json.dumps(want).encode() + b"\n")
            answer, rest = await self._answer(self._process, b"")
            if not answer.get("have"):
                self._process.stdin.write(bundle.content)
            _, rest = await self._answer(self._process, rest)
        except SILENT_TYPES as error:
            if self._process is not None:  # it ended before it could be spoken to; its last words say why
                raise await self._did_not_start(self._process, b"") from error
            raise LinkError(f"the agent cannot be started on {self._place.host}: {error}") from error
        if rest:
            self._received.put(rest)
        self._tasks.append(asyncio.create_task(self._read_frames(self._process)))

    async def _answer(self, process: asyncssh.SSHClientProcess[bytes], text: bytes) -> tuple[dict[str, Any], bytes]:
        """Return the bootstrap's next words and what came after them; a shell's banner before them is skipped.

        `text` is what has come already: the bootstrap's answers may arrive as one.
        """
        while MAGIC not in text or b"\n" not in text.split(MAGIC, 1)[1]:
            part = await process.stdout.read(1 << 16)
            if not part:
                raise await self._did_not_start(process, text)
            text += part
        line, rest = text.split(MAGIC, 1)[1].split(b"\n", 1)
        words: dict[str, Any] = json.loads(line)
        if "error" in words:
            raise LinkError(
                f"the agent cannot be put on {self._place.host}: {words['error']}",
                hint="?cache=/another/folder after the host puts it elsewhere, ?python=/path names another Python",
            )
        return words, rest

    async def _did_not_start(self, process: asyncssh.SSHClientProcess[bytes], text: bytes) -> LinkError:
        with contextlib.suppress(*SILENT_TYPES, TimeoutError):
            await asyncio.wait_for(process.wait_closed(), CLOSE_TIMEOUT_S)
        await asyncio.sleep(0)
        words = self.last_words() or text.decode("utf-8", "replace").strip()[-200:]
        if process.exit_status == COMMAND_NOT_FOUND:
            return LinkError(
                f"there is no {self._place.python} on {self._place.host}: {words}",
                hint="install Python 3.6 or later there, or name it with ?python=/path/to/python",
            )
        return LinkError(f"the agent did not start on {self._place.host}{': ' + words if words else ''}")

    async def _read_frames(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        try:
            while part := await process.stdout.read(1 << 16):
                self._received.put(part)
        except SILENT_TYPES as error:
            self._lost = str(error)
        self._received.put(None)

    async def _read_errors(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        with contextlib.suppress(*SILENT_TYPES):
            while part := await process.stderr.read(1 << 12):
                self._words = (self._words + part)[-2000:]

    # ── the channel ──────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, timeout_s: float) -> bytes:
        """Return what the agent sent."""
        try:
            content = self._received.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            raise TimeoutError from None
        if content is None:
            self._received.put(None)
            raise EOFError
        return content

    def write(self, content: bytes) -> None:
        """Write all of it."""
        if self._process is None or self._closed:
            raise BrokenPipeError
        self._wait(self._write(self._process, content), START_TIMEOUT_S)

    async def _write(self, process: asyncssh.SSHClientProcess[bytes], content: bytes) -> None:
        try:
            process.stdin.write(content)
            await process.stdin.drain()
        except asyncssh.Error as error:
            raise BrokenPipeError(str(error)) from error

    def put_blob(self, path: str, content: bytes) -> bool:
        """Put a file on the board over SFTP; False where the board has none or it fails, and frames will do."""
        return self._wait(self._put_blob(path, content), 3600.0)

    async def _put_blob(self, path: str, content: bytes) -> bool:
        if self._connection is None:
            return False
        try:
            async with self._connection.start_sftp_client() as sftp:
                try:
                    async with sftp.open(path, "wb") as file:
                        await file.write(content)
                except SILENT_TYPES:
                    with contextlib.suppress(*SILENT_TYPES):
                        await sftp.remove(path)
                    return False
        except SILENT_TYPES:
            return False
        return True

    def last_words(self) -> str:
        """Return the last line of the agent's standard error, or why the connection was lost."""
        lines = self._words.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else self._lost

    def cancel(self) -> None:
        """Wake a blocked read."""
        self._received.put(None)

    def close(self) -> None:
        """Close the agent's standard input, at which it ends by itself, then the connection and the loop."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(*SILENT_TYPES, TimeoutError):
            self._wait(self._close(), CLOSE_TIMEOUT_S * 3)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_TIMEOUT_S)
        self._loop.close()

    async def _close(self) -> None:
        if self._process is not None:
            with contextlib.suppress(*SILENT_TYPES):
                self._process.stdin.write_eof()
            with contextlib.suppress(*SILENT_TYPES, TimeoutError):
                await asyncio.wait_for(self._process.wait_closed(), CLOSE_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            self._connection.close()
            with contextlib.suppress(*SILENT_TYPES, TimeoutError):
                await asyncio.wait_for(self._connection.wait_closed(), CLOSE_TIMEOUT_S)

    def _wait(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Run a coroutine on the loop and wait for it from this thread."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise LinkError(f"{self._place.host} did not answer within {timeout_s:.0f} s") from None
        except KeyboardInterrupt:
            future.cancel()
            raise


def _unreachable(place: Ssh, reason: str) -> BoardUnreachable:
    port = f" port {place.port}" if place.port else ""
    return BoardUnreachable(
        f"{place.host}{port} cannot be reached: {reason}",
        hint="is it powered and on this network? ssh to it by hand shows more",
    )
