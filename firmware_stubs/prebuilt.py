# ruff: noqa: INP001 (a program of the Makefile, no package)
"""Builds the ELF files that the package ships for the `emu` link, and records what they were built with.

`prebuilt.py FOLDER` writes them there instead of edgeprof/data/firmware. The same compiler gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parent
SHIPPED = FIRMWARE.parent / "edgeprof" / "data" / "firmware"
PORTS = {"cortex-m3": "mps2-an385", "cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}


def main(arguments: list[str]) -> int:
    """Build and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SHIPPED, help="where the files go")
    write_prebuilt(parser.parse_args(arguments).folder, dict(os.environ))
    return 0


def write_prebuilt(folder: Path, environment: dict[str, str]) -> dict[str, object]:
    """Build the agents of all cores into a folder; return what is recorded of them."""
    folder.mkdir(parents=True, exist_ok=True)
    build = folder / "build"
    files = {}
    for core, port in PORTS.items():
        command = ["make", "-s", "-C", str(FIRMWARE), f"PORT={port}", f"BUILD={build}"]
        subprocess.run(command, check=True, env=environment)  # noqa: S603  our own Makefile
        elf = folder / f"{core}.elf"
        strip = ["arm-none-eabi-strip", "--strip-unneeded", "-o", str(elf), str(build / port / "agent.elf")]
        subprocess.run(strip, check=True, env=environment)  # noqa: S603  the same
        files[elf.name] = {
            "port": port,
            "sha256": hashlib.sha256(elf.read_bytes()).hexdigest(),
            "bytes": elf.stat().st_size,
        }
    version = subprocess.run(
        ["arm-none-eabi-gcc", "--version"],  # noqa: S607  found where make finds it
        check=True,
        env=environment,
        capture_output=True,
        text=True,
    ).stdout.splitlines()[0]
    record: dict[str, object] = {
        "compiler": version,
        "flags": "-O2 -fno-schedule-insns, agent -Os",
        "sources_sha256": sources(),
        "files": files,
    }
    (folder / "firmware.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    subprocess.run(["rm", "-r", str(build)], check=True)  # noqa: S603, S607  what make left
    return record


def sources() -> str:
    """Return a hash over all that goes into the files."""
    digest = hashlib.sha256()
    for path in sorted([*FIRMWARE.glob("core/*"), *FIRMWARE.glob("ports/**/*"), FIRMWARE / "Makefile"]):
        if path.is_file():
            digest.update(f"{path.relative_to(FIRMWARE)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
