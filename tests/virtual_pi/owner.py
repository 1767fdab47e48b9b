"""Somebody who owns a virtual Pi and profiles on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tests.ssh.rig import ROOT, Person

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.virtual_pi.boot import VirtualPi

KWS = ROOT / "examples" / "models" / "kws_int8.tflite"
KWS_ONNX = ROOT / "examples" / "models" / "kws_fp32.onnx"
PATIENCE_S = 600.0  # an emulated processor is slow, and two of them share two cores with other tests
RUNS = ("--runs", 20, "--warmup", 3)  # how many says nothing where time is emulated


class Profiled(NamedTuple):
    """How `edgeprof profile` ended, and its result."""

    ended: subprocess.CompletedProcess[str]
    result: dict[str, Any]

    @classmethod
    def of(cls, ended: subprocess.CompletedProcess[str]) -> Self:
        """Read the result from what it wrote; empty where it wrote none."""
        return cls(ended, json.loads(ended.stdout) if ended.stdout else {})

    def warned(self) -> set[str]:
        """Return the codes of the result's warnings."""
        return {warning["code"] for warning in self.result["warnings"]}


class Owner(Person):
    """A person with a key for a Pi; the wheels that were fetched once are kept in a folder of the repository's."""

    def __init__(self, pi: VirtualPi, home: Path, cache: Path) -> None:
        super().__init__(home / "home")
        self.pi = pi
        self.environment["EDGEPROF_CACHE"] = str(cache)
        self.has_key(pi.key)
        self.knows(pi.known_host())

    def edgeprof(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run edgeprof to its end."""
        return self.ended(self.start(*arguments), timeout_s=PATIENCE_S)

    def profiled(self, model: Path, *options: object, **query: str) -> Profiled:
        """Profile a model on the Pi and return its result."""
        target = self.pi.url(**query)
        return Profiled.of(self.edgeprof("profile", model, "--target", target, "--format", "json", *(options or RUNS)))

    def runs(self) -> set[Path]:
        """Return the journals of the runs that were begun."""
        return set((self.home / "state" / "runs").glob("*/journal.jsonl"))
