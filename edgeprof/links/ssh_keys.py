"""Host keys: which are known, refusing what is not, and trusting one that a person has looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncssh

from edgeprof.errors import BoardUnreachable, HostKeyRejected, OutputUnwritable, UsageError
from edgeprof.targets import Ssh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.links.ssh_prompts import Prompts

SSH_PORT = 22
ASK_TIMEOUT_S = 20.0


class KnownHosts(NamedTuple):
    """What the known_hosts files hold, which file a new key goes to, and the name that the host has in them."""

    content: bytes
    file: Path
    name: str
    port: int


def known_hosts(place: Ssh) -> KnownHosts:
    """Read the known_hosts files that the user's SSH configuration names; a missing one knows nobody."""
    options = _configured(place)
    named = options.known_hosts
    paths = [Path(str(path)).expanduser() for path in named] if isinstance(named, list) and named else []
    paths = paths or [Path("~/.ssh/known_hosts").expanduser()]
    content = b"".join(_understood(path.read_bytes()) for path in paths if path.is_file())
    name = options.host_key_alias or options.host or place.host
    # asyncssh takes an empty value for its default, so an empty file is a blank line.
    return KnownHosts(content or b"\n", paths[0], str(name), int(options.port or SSH_PORT))


def _understood(content: bytes) -> bytes:
    """Leave out the lines that asyncssh would stumble over; OpenSSH skips them too."""
    kept = []
    for line in content.splitlines():
        try:
            asyncssh.import_known_hosts(line.decode())
        except ValueError:
            continue
        kept.append(line + b"\n")
    return b"".join(kept)


def jump_hosts(place: Ssh, seen: tuple[str, ...] = ()) -> tuple[Ssh, ...]:
    """Return the hosts on the way to a place in order, as ProxyJump in the user's SSH configuration names them.

    asyncssh would open them by itself, but with `UserKnownHostsFile none` it would take any key of theirs.
    """
    named = _configured(place).tunnel
    if not isinstance(named, str) or place.host in seen:
        return ()
    hops = [_jump_host(text) for text in named.split(",")]
    if hops[0].host == place.host:  # `Host *` names the jump host for itself too
        return ()
    return (*jump_hosts(hops[0], (*seen, place.host)), *hops)


def _jump_host(text: str) -> Ssh:
    user, _, where = text.strip().removeprefix("ssh://").rpartition("@")
    host, _, port = where.rpartition(":") if where.rpartition(":")[2].isdigit() else (where, "", "")
    return Ssh(host=host.strip("[]"), user=user or None, port=int(port) if port else None)


def _configured(place: Ssh) -> asyncssh.SSHClientConnectionOptions:
    try:
        return asyncssh.SSHClientConnectionOptions(**_where(place), host=place.host, client_keys=None, agent_path=None)
    except (asyncssh.ConfigParseError, ValueError, OSError) as error:
        raise UsageError(f"the SSH configuration for {place.host} cannot be used: {error}") from error


def _where(place: Ssh) -> dict[str, Any]:
    where: dict[str, Any] = {"config": ()}
    if place.port is not None:
        where["port"] = place.port
    if place.user is not None:
        where["username"] = place.user
    return where


def client_options(
    place: Ssh, known: KnownHosts, prompts: Prompts | None, offered: list[asyncssh.SSHKey]
) -> dict[str, Any]:
    """Return what asyncssh.connect needs; with `prompts`, passphrases and passwords are asked for."""

    class Client(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002  asyncssh's
            """Note a key that is not known; it is not accepted."""
            offered.append(key)
            return False

        async def password_auth_requested(self) -> str | None:
            """Ask for the password, at most three times."""
            return await asyncio.to_thread(prompts.password, place) if prompts else None

        async def kbdint_auth_requested(self) -> str | None:
            """Take part in keyboard-interactive authentication only where a person is asked."""
            return "" if prompts else None

        async def kbdint_challenge_received(
            self,
            name: str,  # noqa: ARG002  asyncssh's
            instructions: str,  # noqa: ARG002  the same
            lang: str,  # noqa: ARG002  the same
            prompts_given: Sequence[tuple[str, bool]],
        ) -> list[str] | None:
            """Ask what the server asks."""
            return await asyncio.to_thread(prompts.answers, prompts_given) if prompts else None

    port = known.port if known.port != SSH_PORT else None
    options = {
        **_where(place),
        # By name alone, as OpenSSH does: asyncssh would also take a key that is known for the address.
        "known_hosts": asyncssh.match_known_hosts(known.content, known.name, "", port)[:3],
        # The kinds of key that are known come first; the others are asked for too, so that another key shows itself.
        "server_host_key_algs": "+ssh-ed25519,ecdsa-sha2-*,rsa-sha2-*",
        "client_factory": Client,
        "ignore_encrypted": True,
    }
    if prompts is not None:
        options["passphrase"] = prompts.passphrase
        options["ignore_encrypted"] = False
    return options


def refused_key(
    place: Ssh, known: KnownHosts, offered: list[asyncssh.SSHKey], error: asyncssh.Error
) -> HostKeyRejected:
    """Return the error for a host key that is unknown, changed or revoked."""
    seen = f" ({offered[0].get_algorithm()} {offered[0].get_fingerprint()})" if offered else ""
    port = known.port if known.port != SSH_PORT else None
    trusted, _, revoked, *_ = asyncssh.match_known_hosts(known.content, known.name, "", port)
    if offered and offered[0] in revoked:
        return HostKeyRejected(f"the host key of {place.host}{seen} is revoked in {known.file}")
    if trusted:
        return HostKeyRejected(
            f"THE HOST KEY OF {place.host.upper()} HAS CHANGED{seen}: someone may be listening in, or the board was"
            f" installed anew. {known.file} holds another one",
            hint=_forget(known),
        )
    if not offered and not isinstance(error, asyncssh.HostKeyNotVerifiable):
        return HostKeyRejected(f"{place.host} and edgeprof have no way in common to agree on keys: {error}")
    return HostKeyRejected(
        f"the host key of {place.host}{seen} is not known", hint=f"edgeprof targets trust {_trust_name(place)}"
    )


def _trust_name(place: Ssh) -> str:
    user = f"{place.user}@" if place.user else ""
    port = f":{place.port}" if place.port else ""
    return f"ssh://{user}{place.host}{port}" if user or port else place.host


def _known_name(known: KnownHosts) -> str:
    return known.name if known.port == SSH_PORT else f"'[{known.name}]:{known.port}'"


# ── trusting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def fetch_key(place: Ssh) -> asyncssh.SSHKey:
    """Ask a host for its key, trusting nothing."""
    try:
        key = asyncio.run(asyncio.wait_for(asyncssh.get_server_host_key(place.host, **_asked(place)), ASK_TIMEOUT_S))
    except TimeoutError as error:
        raise BoardUnreachable(f"{place.host} cannot be reached: no answer in {ASK_TIMEOUT_S:.0f} s") from error
    except (OSError, asyncssh.Error) as error:
        raise BoardUnreachable(f"{place.host} cannot be reached: {error}") from error
    if key is None:
        raise BoardUnreachable(f"{place.host} showed no host key")
    return key


def _asked(place: Ssh) -> dict[str, Any]:
    asked = _where(place)
    asked.pop("username", None)
    return asked


class OfferedKey(NamedTuple):
    """The key that a host shows, and what is known of it."""

    host: str
    algorithm: str
    fingerprint: str
    known: bool
    changed: bool
    file: Path
    forget: str
    entry: KnownHosts
    key: asyncssh.SSHKey

    def trust(self) -> None:
        """Add the key to known_hosts."""
        add_key(self.entry, self.key)


def offer(place: Ssh) -> OfferedKey:
    """Ask a host for its key and compare it with what is known."""
    key = fetch_key(place)
    known = known_hosts(place)
    port = known.port if known.port != SSH_PORT else None
    trusted, *_ = asyncssh.match_known_hosts(known.content, known.name, "", port)
    return OfferedKey(
        host=place.host,
        algorithm=key.get_algorithm(),
        fingerprint=key.get_fingerprint(),
        known=key in trusted,
        changed=bool(trusted) and key not in trusted,
        file=known.file,
        forget=_forget(known),
        entry=known,
        key=key,
    )


def _forget(known: KnownHosts) -> str:
    return f"if you know why, ssh-keygen -R {_known_name(known)} -f {known.file} forgets the old key"


def add_key(known: KnownHosts, key: asyncssh.SSHKey) -> None:
    """Append a key to the known_hosts file."""
    name = known.name if known.port == SSH_PORT else f"[{known.name}]:{known.port}"
    line = f"{name} {key.export_public_key().decode().strip()}\n"
    try:
        known.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        needs_newline = known.file.is_file() and known.file.read_bytes()[-1:] not in {b"", b"\n"}
        with known.file.open("a", encoding="utf-8") as file:
            file.write("\n" + line if needs_newline else line)
        known.file.chmod(0o600)
    except OSError as error:
        raise OutputUnwritable(f"cannot write {known.file}: {error.strerror}") from error
