"""Getting in: keys, an agent, passphrases, passwords; what is typed is typed on a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncssh
import pytest

from scripts.fetch_sshd import fetch_sshd
from tests.ssh.rig import EDGEPROF, MODEL, ODD_USER, PASSWORD, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.ssh.rig import Person, Rig

PASSPHRASE = "open sesame"  # noqa: S105  of a key that lives as long as a test


def test_a_key_lets_in_and_the_result_is_of_the_ssh_link(rig: Rig, person: Person) -> None:
    done = person.profile(rig.url())
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["target"]["link"] == "ssh"
    assert result["status"] == "complete"
    assert result["metrics"]["latency_p50_s"]["value"] > 0
    assert result["metrics"]["latency_p50_s"]["basis"] == "measured"


def test_a_key_in_an_agent_lets_in(rig: Rig, stranger: Person, ssh_agent: str) -> None:
    stranger.knows(rig.known_host())
    asyncio.run(_add_to_agent(ssh_agent, rig.key))
    refused = stranger.profile(rig.url())
    assert refused.returncode == 3
    assert "refused to let board in" in refused.stderr
    assert "ssh-agent" in refused.stderr

    stranger.environment["SSH_AUTH_SOCK"] = ssh_agent
    done = stranger.profile(rig.url())
    assert done.returncode == 0, done.stderr


def test_a_key_that_the_board_does_not_know_is_refused_with_what_to_do(rig: Rig, stranger: Person) -> None:
    stranger.knows(rig.known_host())
    stranger.has_key(asyncssh.generate_private_key("ssh-ed25519"))
    done = stranger.profile(rig.url())
    assert done.returncode == 3
    assert "refused to let board in" in done.stderr
    assert "add a key to ssh-agent" in done.stderr


def test_the_passphrase_of_a_key_is_asked_for_on_the_terminal(rig: Rig, stranger: Person) -> None:
    stranger.knows(rig.known_host())
    stranger.has_key(rig.key, passphrase=PASSPHRASE)
    code, shown = _typed(stranger, rig.url(), {"Passphrase for": PASSPHRASE})
    assert code == 0, shown
    assert PASSPHRASE not in shown
    assert not _files_with(stranger.home, PASSPHRASE)


def test_a_wrong_passphrase_is_refused(rig: Rig, stranger: Person) -> None:
    stranger.knows(rig.known_host())
    stranger.has_key(rig.key, passphrase=PASSPHRASE)
    code, shown = _typed(stranger, rig.url(), {"Passphrase for": "wrong"})
    assert code == 3, shown
    assert "Traceback" not in shown


def test_without_a_terminal_an_encrypted_key_is_refused_and_nothing_is_asked(rig: Rig, stranger: Person) -> None:
    stranger.knows(rig.known_host())
    stranger.has_key(rig.key, passphrase=PASSPHRASE)
    done = stranger.profile(rig.url())
    assert done.returncode == 3
    assert "ssh-agent" in done.stderr
    assert "terminal" in done.stderr


def test_a_password_is_asked_for_on_the_terminal(rig: Rig, stranger: Person) -> None:
    stranger.knows(rig.known_host())
    code, shown = _typed(stranger, rig.url("word"), {"Password for": PASSWORD})
    assert code == 0, shown
    assert PASSWORD not in shown
    assert not _files_with(stranger.home, PASSWORD)


def test_a_wrong_password_is_asked_for_three_times_and_refused(rig: Rig, stranger: Person) -> None:
    stranger.knows(rig.known_host())
    code, shown = _typed(stranger, rig.url("word"), {"Password for": "wrong"})
    assert code == 3, shown
    assert shown.count("Password for") == 3
    assert "refused to let word in" in shown


def test_what_a_server_asks_by_keyboard_interactive_is_asked_on_the_terminal(rig: Rig, stranger: Person) -> None:
    """OpenSSH needs PAM for it, so the server is asyncssh's; it lets in and then has no shell."""
    with _asking_server(rig) as port:
        stranger.knows(rig.known_host().replace(str(rig.port), str(port)))
        code, shown = _typed(stranger, f"ssh://board@127.0.0.1:{port}", {"One-time code": "123456"})
    assert code == 3, shown
    assert "refused to let" not in shown
    assert "127.0.0.1" in shown


def test_a_user_name_and_a_home_with_spaces_and_quotes_are_no_obstacle(rig: Rig, person: Person) -> None:
    done = person.profile(rig.url(ODD_USER), options=("--runs", 20, "--per-op"))
    assert done.returncode == 0, done.stderr
    kept = rig.home(ODD_USER) / ".cache" / "edgeprof"
    assert list(kept.glob("agent-*.pyz"))
    assert len(list((kept / "blobs").iterdir())) == 2


# ── terminals, agents, servers ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def ssh_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an ssh-agent and return its socket; a socket's path is short."""
    folder = tmp_path_factory.mktemp("agent")
    socket = str(folder / "socket")
    found = fetch_sshd()
    with subprocess.Popen(
        [found.agent, "-D", "-a", socket], env=found.environment(), stdout=subprocess.DEVNULL
    ) as process:
        try:
            assert eventually(lambda: os.path.exists(socket))  # noqa: PTH110  a socket is no file
            yield socket
        finally:
            process.terminate()


async def _add_to_agent(socket: str, key: asyncssh.SSHKey) -> None:
    async with asyncssh.connect_agent(socket) as agent:
        await agent.add_keys([key])


def _typed(person: Person, target: str, answers: dict[str, str], timeout_s: float = 60) -> tuple[int, str]:
    """Run edgeprof on a terminal and type an answer to each question; return its exit code and what was shown."""
    ours, theirs = os.openpty()
    setsid = shutil.which("setsid")
    assert setsid is not None
    options = ["--quiet", "--no-memory", "--runs", "20", "--target", target]
    process = subprocess.Popen(
        [setsid, "--ctty", "--wait", EDGEPROF, "profile", MODEL, *options],
        env=person.environment, cwd=person.home, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    killer = threading.Timer(timeout_s, process.kill)
    killer.start()
    shown, answered = b"", 0
    try:
        while part := _read(ours):
            shown += part
            for question, answer in answers.items():
                waiting = shown[answered:].find(question.encode())
                if waiting >= 0 and shown.rstrip(b"\n").endswith(b": "):
                    answered = len(shown)
                    time.sleep(0.1)  # until the terminal's echo is off
                    os.write(ours, answer.encode() + b"\n")
    finally:
        killer.cancel()
        os.close(ours)
    return process.wait(timeout_s), shown.decode("utf-8", "replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other side is closed
        return b""


def _files_with(folder: Path, secret: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


@contextmanager
def _asking_server(rig: Rig) -> Iterator[int]:
    class Asking(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:  # noqa: ARG002  asyncssh's
            return True

        def kbdint_auth_supported(self) -> bool:
            return True

        def get_kbdint_challenge(
            self,
            username: str,  # noqa: ARG002  asyncssh's
            lang: str,  # noqa: ARG002  the same
            submethods: str,  # noqa: ARG002  the same
        ) -> tuple[str, str, str, list[tuple[str, bool]]]:
            return "", "", "", [("One-time code: ", False)]

        def validate_kbdint_response(self, username: str, responses: list[str]) -> bool:  # type: ignore[override]  # noqa: ARG002
            return responses == ["123456"]

    def no_shell(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stderr.write(b"no shell here\n")
        process.exit(1)

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        asyncssh.listen(
            "127.0.0.1", 0, server_factory=Asking, server_host_keys=[rig.host_key], process_factory=no_shell,
            encoding=None,
        )
    )  # fmt: skip
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.get_port()
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
