"""Several boards at once: one table, and one board's failure leaves the others' results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import onnxruntime
import pytest

from tests.ssh.rig import MODEL

if TYPE_CHECKING:
    from tests.ssh.rig import Person, Rig


def test_two_boards_over_ssh_and_this_machine_are_one_table(rig: Rig, person: Person) -> None:
    results = person.home / "results"
    targets = (rig.url("board"), rig.url("other"), "local")
    named = [word for target in targets for word in ("--target", target)]
    done = person.edgeprof("profile", MODEL, "--runs", 50, "-o", results, *named)
    assert done.returncode == 0, done.stderr
    found = [json.loads(path.read_text()) for path in results.glob("*.json")]
    assert sorted(result["target"]["link"] for result in found) == ["local", "ssh", "ssh"]
    assert len({result["group"] for result in found}) == 1
    assert all(result["metrics"]["latency_p50_s"]["value"] > 0 for result in found)
    for name in ("board@127.0.0.1", "other@127.0.0.1", "local"):
        assert name in done.stdout


def test_one_board_that_fails_leaves_the_others(rig: Rig, person: Person) -> None:
    results = person.home / "results"
    targets = (rig.url("board"), rig.url("other", python="/nope"), "local")
    named = [word for target in targets for word in ("--target", target)]
    done = person.edgeprof("profile", MODEL, "--runs", 50, "--no-memory", "-o", results, *named)
    assert done.returncode == 3
    assert len(list(results.glob("*.json"))) == 2
    assert "/nope" in done.stderr
    assert "board@127.0.0.1" in done.stdout
    assert "local" in done.stdout


def test_a_board_may_be_named_together_with_an_unknown_host(rig: Rig, person: Person) -> None:
    results = person.home / "results"
    person.configures(f"Host stranger\n HostName 127.0.0.1\n Port {rig.port}\n User other\n HostKeyAlias stranger\n")
    named = ["--target", rig.url("board"), "--target", rig.url(None, "stranger", port=False)]
    done = person.edgeprof("profile", MODEL, "--runs", 50, "--no-memory", "-o", results, *named)
    assert done.returncode == 3
    assert "edgeprof targets trust" in done.stderr
    assert len(list(results.glob("*.json"))) == 1


@pytest.mark.skipif(
    {"AzureExecutionProvider", "CPUExecutionProvider"} != set(onnxruntime.get_available_providers()),
    reason="this wheel has other providers than most",
)
def test_a_provider_is_refused_or_fails_the_run_of_each_board_by_what_that_board_has(rig: Rig, person: Person) -> None:
    named = ["--target", rig.url("board"), "--target", "local"]
    quick = ("profile", MODEL.with_name("kws_fp32.onnx"), "--runs", 5, "--warmup", 0, "--no-memory", *named)
    absent = person.edgeprof(*quick, "--provider", "tensorrt")
    assert absent.returncode == 3
    assert absent.stderr.count("TensorrtExecutionProvider is not on") == 2
    fell = person.edgeprof(*quick, "--provider", "azure", "--format", "json")
    assert fell.returncode == 1
    for result in json.loads(fell.stdout):
        assert [(one["limit"], one["verdict"]) for one in result["findings"]] == [("run/fallback", "FAIL")]
