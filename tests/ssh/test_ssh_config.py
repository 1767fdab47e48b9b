"""The user's SSH configuration counts: aliases, Include, Match, jump hosts, proxies."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ssh.rig import Person, Rig

RELAY = """
import os, selectors, socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as there, selectors.DefaultSelector() as ready:
    open(sys.argv[3], "w").close()
    ready.register(0, selectors.EVENT_READ)
    ready.register(there, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            content = os.read(key.fd, 65536)
            if not content:
                sys.exit()
            if key.fd == 0:
                there.sendall(content)
            else:
                os.write(1, content)
"""


def test_an_alias_gives_host_port_user_and_key(rig: Rig, stranger: Person) -> None:
    key = stranger.has_key(rig.key, name="a key with spaces")
    stranger.knows(rig.known_host())
    stranger.configures(f'Host lab-pi\n HostName 127.0.0.1\n Port {rig.port}\n User board\n IdentityFile "{key}"\n')
    done = stranger.profile(rig.url(None, "lab-pi", port=False))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"]["name"].startswith("ssh://lab-pi")


def test_the_url_goes_before_the_configuration(rig: Rig, person: Person) -> None:
    person.configures("Host 127.0.0.1\n Port 1\n User nobody-here\n")
    done = person.profile(rig.url())
    assert done.returncode == 0, done.stderr


def test_included_files_and_match_blocks_count(rig: Rig, person: Person) -> None:
    (person.ssh / "config.d").mkdir()
    person.configures("Include config.d/*\n")
    person.configures("Match host lab-*\n HostName 127.0.0.1\n User board\n", name="config.d/boards")
    person.configures(f"Host lab-pi\n Port {rig.port}\n", name="config.d/ports")
    done = person.profile(rig.url(None, "lab-pi", port=False))
    assert done.returncode == 0, done.stderr


def test_a_host_key_alias_is_the_name_in_known_hosts(rig: Rig, stranger: Person) -> None:
    stranger.has_key(rig.key)
    stranger.configures(f"Host lab-pi\n HostName 127.0.0.1\n Port {rig.port}\n User board\n HostKeyAlias the-pi\n")
    refused = stranger.profile(rig.url(None, "lab-pi", port=False))
    assert refused.returncode == 3
    assert "edgeprof targets trust lab-pi" in refused.stderr
    stranger.knows(f"the-pi {rig.host_key.export_public_key().decode()}")
    done = stranger.profile(rig.url(None, "lab-pi", port=False))
    assert done.returncode == 0, done.stderr


def test_trusting_an_alias_makes_it_reachable(rig: Rig, stranger: Person) -> None:
    stranger.has_key(rig.key)
    stranger.configures(f"Host lab-pi\n HostName 127.0.0.1\n Port {rig.port}\n User board\n")
    trusted = stranger.edgeprof("targets", "trust", "lab-pi", "--yes")
    assert trusted.returncode == 0, trusted.stderr
    done = stranger.profile(rig.url(None, "lab-pi", port=False))
    assert done.returncode == 0, done.stderr


def test_a_board_behind_a_jump_host_is_reached(rig: Rig, person: Person) -> None:
    person.knows(rig.known_host() + rig.known_host("localhost"))
    person.configures(
        f"Host gate\n HostName 127.0.0.1\n Port {rig.port}\n User other\n"
        f"Host lab-pi\n HostName localhost\n Port {rig.port}\n User board\n ProxyJump gate\n"
    )
    done = person.profile(rig.url(None, "lab-pi", port=False))
    assert done.returncode == 0, done.stderr
    assert "Accepted publickey for other" in rig.log()


def test_several_jump_hosts_are_passed_in_order(rig: Rig, person: Person) -> None:
    person.knows(rig.known_host() + rig.known_host("localhost"))
    person.configures(
        f"Host lab-pi\n HostName localhost\n Port {rig.port}\n User board\n"
        f" ProxyJump other@127.0.0.1:{rig.port},bash@localhost:{rig.port}\n"
    )
    logged = rig.log().count("Accepted publickey")
    done = person.profile(rig.url(None, "lab-pi", port=False))
    assert done.returncode == 0, done.stderr
    users = [line.split()[3] for line in rig.log().splitlines() if line.startswith("Accepted publickey")][logged:]
    assert users == ["other", "bash", "board"]


def test_a_jump_host_for_all_hosts_is_not_on_the_way_to_itself(rig: Rig, person: Person) -> None:
    person.knows(rig.known_host() + rig.known_host("localhost"))
    person.configures(f"Host *\n Port {rig.port}\n User board\n ProxyJump 127.0.0.1\n")
    assert person.profile(rig.url(None, "127.0.0.1", port=False)).returncode == 0
    done = person.profile(rig.url(None, "localhost", port=False))
    assert done.returncode == 0, done.stderr


def test_a_proxy_command_is_the_way_to_the_board(rig: Rig, person: Person, tmp_path: Path) -> None:
    relay, used = tmp_path / "relay.py", tmp_path / "used"
    relay.write_text(RELAY, encoding="utf-8")
    person.configures(
        f"Host lab-pi\n HostName 127.0.0.1\n Port {rig.port}\n User board\n"
        f" ProxyCommand {sys.executable} {relay} %h %p {used}\n"
    )
    done = person.profile(rig.url(None, "lab-pi", port=False))
    assert done.returncode == 0, done.stderr
    assert used.exists()


def test_a_named_target_is_a_board_over_ssh_with_a_declared_basis(rig: Rig, person: Person) -> None:
    (person.home / "edgeprof.toml").write_text(
        f'[targets.lab-pi]\nurl = "{rig.url()}"\nbasis = "emulated"\n', encoding="utf-8"
    )
    done = person.profile("lab-pi")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["latency_p50_s"]["basis"] == "emulated"


@pytest.mark.parametrize(
    "text", ["Host *\n Port many\n", "Include\n", "Match\n", "Host *\n HostName a b\n", "Match exec\n"]
)
def test_a_broken_configuration_is_said_to_be_broken(rig: Rig, person: Person, text: str) -> None:
    person.configures(text)
    done = person.profile(rig.url())
    assert done.returncode == 2, done.stderr
    assert "SSH configuration" in done.stderr


def test_a_host_that_refuses_connections_is_said_to_be_unreachable(person: Person) -> None:
    done = person.profile("ssh://board@127.0.0.1:1")
    assert done.returncode == 3
    assert "127.0.0.1 port 1 cannot be reached" in done.stderr
    assert "powered" in done.stderr


def test_a_host_without_an_address_is_said_to_be_unreachable(person: Person) -> None:
    done = person.profile("ssh://board@no-such-board.invalid")
    assert done.returncode == 3
    assert "no-such-board.invalid cannot be reached" in done.stderr
