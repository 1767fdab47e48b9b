"""A host key is known or it is refused, and no option of the SSH configuration opens the door."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

import asyncssh
import pytest

if TYPE_CHECKING:
    from tests.ssh.rig import Person, Rig


@pytest.fixture
def visitor(rig: Rig, stranger: Person) -> Person:
    """Return somebody who has a key for the server and does not know it."""
    stranger.has_key(rig.key)
    return stranger


def _public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


def test_an_unknown_host_is_refused_with_the_command_that_trusts_it(rig: Rig, visitor: Person) -> None:
    done = visitor.profile(rig.url())
    assert done.returncode == 3
    assert rig.host_key.get_fingerprint() in done.stderr
    assert "is not known" in done.stderr
    assert f"edgeprof targets trust ssh://board@127.0.0.1:{rig.port}" in done.stderr
    assert "Accepted" not in rig.log().rpartition("Connection from")[2]


def test_an_unknown_host_is_refused_where_others_are_known(rig: Rig, visitor: Person) -> None:
    visitor.knows(f"elsewhere {_public(rig.host_key)}\n")
    done = visitor.profile(rig.url())
    assert done.returncode == 3
    assert "is not known" in done.stderr


def test_the_host_is_reached_once_it_is_trusted(rig: Rig, visitor: Person) -> None:
    trusted = visitor.edgeprof("targets", "trust", f"ssh://board@127.0.0.1:{rig.port}", "--yes")
    assert trusted.returncode == 0, trusted.stderr
    assert rig.host_key.get_fingerprint() in trusted.stdout
    done = visitor.profile(rig.url())
    assert done.returncode == 0, done.stderr


def test_trusting_needs_a_person_or_a_yes(rig: Rig, visitor: Person) -> None:
    refused = visitor.edgeprof("targets", "trust", f"ssh://board@127.0.0.1:{rig.port}")
    assert refused.returncode == 2
    assert rig.host_key.get_fingerprint() in refused.stdout
    assert not (visitor.ssh / "known_hosts").exists()


def test_a_changed_key_is_refused_loudly(rig: Rig, visitor: Person) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    visitor.knows(f"[127.0.0.1]:{rig.port} {_public(other)}\n")
    done = visitor.profile(rig.url())
    assert done.returncode == 3
    assert "THE HOST KEY OF 127.0.0.1 HAS CHANGED" in done.stderr
    assert rig.host_key.get_fingerprint() in done.stderr
    assert f"ssh-keygen -R '[127.0.0.1]:{rig.port}'" in done.stderr
    assert "targets trust" not in done.stderr


def test_a_key_of_another_kind_is_a_changed_key(rig: Rig, visitor: Person) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    visitor.knows(f"[127.0.0.1]:{rig.port} {_public(other)}\n")
    done = visitor.profile(rig.url())
    assert done.returncode == 3
    assert "HAS CHANGED" in done.stderr


def test_trusting_does_not_replace_a_changed_key(rig: Rig, visitor: Person) -> None:
    other = f"[127.0.0.1]:{rig.port} {_public(asyncssh.generate_private_key('ssh-ed25519'))}\n"
    visitor.knows(other)
    done = visitor.edgeprof("targets", "trust", f"ssh://board@127.0.0.1:{rig.port}", "--yes")
    assert done.returncode == 3
    assert (visitor.ssh / "known_hosts").read_text() == other


def test_a_revoked_key_is_refused(rig: Rig, visitor: Person) -> None:
    visitor.knows(rig.known_host() + f"@revoked * {_public(rig.host_key)}\n")
    done = visitor.profile(rig.url())
    assert done.returncode == 3
    assert "revoked" in done.stderr


def test_hashed_names_in_known_hosts_count(rig: Rig, visitor: Person) -> None:
    salt = b"0123456789abcdefghij"
    name = f"[127.0.0.1]:{rig.port}".encode()
    digest = hmac.new(salt, name, hashlib.sha1).digest()
    hashed = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    visitor.knows(f"{hashed} {_public(rig.host_key)}\n")
    done = visitor.profile(rig.url())
    assert done.returncode == 0, done.stderr


def test_a_name_is_not_known_because_another_name_of_its_address_is(rig: Rig, visitor: Person) -> None:
    """As in OpenSSH: who answers for a name must have been trusted by this name."""
    visitor.knows(rig.known_host("127.0.0.1"))
    done = visitor.profile(rig.url(host="localhost"))
    assert done.returncode == 3, done.stderr
    assert "is not known" in done.stderr


def test_lines_of_known_hosts_that_mean_nothing_are_left_out(rig: Rig, visitor: Person) -> None:
    visitor.knows(f"nonsense\n# a remark\n|9|x|y ssh-ed25519 AAAA\n@what is this\n{rig.known_host()}\n\n")
    done = visitor.profile(rig.url())
    assert done.returncode == 0, done.stderr


def test_every_named_known_hosts_file_counts(rig: Rig, visitor: Person) -> None:
    visitor.configures(rig.known_host(), name="second hosts")
    visitor.configures('UserKnownHostsFile ~/.ssh/first_hosts "~/.ssh/second hosts"\n')
    done = visitor.profile(rig.url())
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "options",
    [
        "StrictHostKeyChecking no",
        "StrictHostKeyChecking accept-new",
        "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null",
        "UserKnownHostsFile none",
        "StrictHostKeyChecking off\nUserKnownHostsFile ~/.ssh/missing",
        "NoHostAuthenticationForLocalhost yes",
        "VerifyHostKeyDNS yes",
        "CheckHostIP no",
    ],
)
def test_no_option_lets_an_unknown_host_pass(rig: Rig, visitor: Person, options: str) -> None:
    visitor.configures(f"Host *\n{options}\n")
    done = visitor.profile(rig.url())
    assert done.returncode == 3, done.stderr
    assert "is not known" in done.stderr
    assert not (visitor.ssh / "known_hosts").exists()


@pytest.mark.parametrize("option", ["StrictHostKeyChecking no", "UserKnownHostsFile none"])
def test_no_option_lets_an_unknown_jump_host_pass(rig: Rig, visitor: Person, option: str) -> None:
    visitor.knows(rig.known_host("localhost"))  # the board behind it is known
    visitor.configures(f"Host localhost\nProxyJump board@127.0.0.1:{rig.port}\nHost *\n{option}\n")
    done = visitor.profile(rig.url(host="localhost"))
    assert done.returncode == 3, done.stderr


def test_a_changed_key_of_a_jump_host_is_refused(rig: Rig, visitor: Person) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    visitor.knows(rig.known_host("localhost") + f"[127.0.0.1]:{rig.port} {_public(other)}\n")
    visitor.configures(f"Host localhost\nProxyJump board@127.0.0.1:{rig.port}\n")
    done = visitor.profile(rig.url(host="localhost"))
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "127.0.0.1" in done.stderr
