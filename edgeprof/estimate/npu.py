"""What Arm's own compiler says of a model on an Ethos-U: its estimate, not a measurement and not ours.

ethos-u-vela (Apache-2.0) compiles for one accelerator configuration and estimates cycles by its own model of the
hardware and of a memory system that it assumes. It runs in a process of its own: it is large, it may crash on a file,
and what it writes it writes into a folder that is gone afterwards.
"""

from __future__ import annotations

import csv
import math
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, NamedTuple

from edgeprof.errors import ModelUnsupported, RuntimeUnusable, UnknownName

if TYPE_CHECKING:
    from edgeprof.records.board import Accelerator, Board

CONFIGS = (
    "ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512",
    "ethos-u85-128", "ethos-u85-256", "ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048",
)  # fmt: skip
"""What ethos-u-vela can compile for: the product and its MACs a cycle."""

TIMEOUT_S = 300.0
KIB = 1024
INSTALL = 'pip install "edgeprof[vela]"'
_MODULE = "import sys; from ethosu.vela.vela import main; sys.exit(main(sys.argv[1:]))"
_ON_CPU = re.compile(r"CPU operators = (\d+)")
_SAID = re.compile(r"\b(?:Error|error|RuntimeError|Exception):?.*")


class NpuEstimate(NamedTuple):
    """What vela says of one model: cycles of the accelerator's clock, bytes, and what it was told and assumed.

    `cycles` are None with the reason where operators are left to the processor: vela counts none of theirs. No seconds
    are given: they follow from the accelerator's clock, which vela only assumes.
    """

    config: str
    version: str
    cycles: float | None
    sram_bytes: int | None
    flash_bytes: int | None
    cpu_operators: int
    method: str
    reason: str = ""
    basis: Literal["estimated"] = "estimated"

    def latency_s(self, clock_hz: float | None) -> float | None:
        """Return the seconds at a clock, None where either is not known."""
        return None if self.cycles is None or not clock_hz else self.cycles / clock_hz


def ethos_u(board: Board) -> Accelerator | None:
    """Return a board's Ethos-U, if it has one."""
    return next((each for each in board.accelerators if each.name.startswith("ethos-u")), None)


def vela_config(board: Board) -> tuple[str | None, str]:
    """Return the configuration of a board's Ethos-U, or None and why it is not known.

    Its MACs a cycle follow from peak and clock, two operations a MAC, where the board's file has both.
    """
    found = ethos_u(board)
    if found is None:
        return None, f"{board.name} has no Ethos-U"
    if found.peak_int8_dense_ops_per_s is None or found.clock_hz is None:
        return None, f"no source says how many MACs a cycle the {found.name} of {board.name} has"
    config = f"{found.name}-{round(found.peak_int8_dense_ops_per_s / found.clock_hz / 2)}"
    return (config, "") if config in CONFIGS else (None, f"ethos-u-vela knows no {config}")


def vela_estimate(model: Path, config: str, *, timeout_s: float = TIMEOUT_S) -> NpuEstimate:
    """Compile a .tflite model for an accelerator and return what vela estimates.

    Raises UnknownName for a configuration that it does not know, ModelUnsupported for a file that it does not compile,
    RuntimeUnusable where it is not installed.
    """
    if config not in CONFIGS:
        raise UnknownName(f"unknown accelerator {config!r}", hint=f"known: {', '.join(CONFIGS)}")
    if model.suffix != ".tflite":
        raise ModelUnsupported(f"{model.name} is no .tflite file, and an Ethos-U runs nothing else")
    version = vela_version()
    with TemporaryDirectory(prefix="edgeprof-vela-") as folder:
        said = _compiled(model.resolve(), config, Path(folder), timeout_s)
        summaries = list(Path(folder).glob("*_summary_*.csv"))
        if not summaries:
            raise ModelUnsupported(f"ethos-u-vela {version} wrote no summary of {model.name}")
        with summaries[0].open(encoding="utf-8", newline="") as file:
            summary = next(csv.DictReader(file))
    return _estimate(summary, said, config, version)


def vela_version() -> str:
    """Return the version of ethos-u-vela; raise RuntimeUnusable where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ethos-u-vela")
    except PackageNotFoundError as error:
        raise RuntimeUnusable("ethos-u-vela is not installed; it estimates Ethos-U boards", hint=INSTALL) from error


def _compiled(model: Path, config: str, folder: Path, timeout_s: float) -> str:
    """Run the compiler and return what it printed."""
    command = [
        sys.executable, "-c", _MODULE, str(model), "--accelerator-config", config, "--output-dir", str(folder),
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter, arguments in a list
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ModelUnsupported(f"ethos-u-vela was not done with {model.name} after {timeout_s:g} s") from error
    if done.returncode:
        words = _SAID.findall(done.stderr + done.stdout) or ["without a word"]
        raise ModelUnsupported(f"ethos-u-vela does not compile {model.name}: {words[-1][:300]}")
    return done.stdout


def _estimate(summary: dict[str, str], said: str, config: str, version: str) -> NpuEstimate:
    found = _ON_CPU.search(said)
    on_cpu = int(found[1]) if found else 0
    cycles = float(summary["cycles_total"])
    known = on_cpu == 0 and math.isfinite(cycles) and cycles > 0
    return NpuEstimate(
        config=config,
        version=version,
        cycles=cycles if known else None,
        sram_bytes=_bytes(summary, "sram_memory_used") if known else None,
        flash_bytes=_bytes(summary, "on_chip_flash_memory_used", "off_chip_flash_memory_used") if known else None,
        cpu_operators=on_cpu,
        method=f"estimated by ethos-u-vela {version} for {config},"
        f" which assumes {summary['system_config']} and {summary['memory_mode']}",
        reason="" if known else f"{on_cpu} operators are left to the processor, whose time vela does not estimate",
    )


def _bytes(summary: dict[str, str], *names: str) -> int:
    """Return columns that vela gives in KiB."""
    return round(sum(float(summary[name]) for name in names) * KIB)
