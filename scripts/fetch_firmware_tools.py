"""Finds QEMU for Arm boards and a cross compiler, or unpacks the distribution's into .cache/firmware-tools.

Nothing is installed and no root is needed: apt downloads the packages that this machine lacks and checks their
signatures, dpkg unpacks them. About 60 MB are downloaded, once.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts.debian import FetchError, environment_with, fetch_programs

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "firmware-tools"
PACKAGES = {"qemu-system-arm": "qemu-system-arm", "arm-none-eabi-gcc": "gcc-arm-none-eabi"}


class FirmwareTools(NamedTuple):
    """The emulator and the compiler, and where the libraries are that this machine lacks."""

    qemu: Path
    gcc: Path
    libraries: tuple[Path, ...]

    def environment(self) -> dict[str, str]:
        """Return the environment that they need."""
        found = environment_with(self.libraries)
        found["PATH"] = f"{self.gcc.parent}:{self.qemu.parent}:{found.get('PATH', '')}"
        return found


def main() -> int:
    """Fetch them and say where they are."""
    try:
        tools = fetch_firmware_tools()
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{tools.qemu}\n{tools.gcc}")
    for folder in tools.libraries:
        print(f"LD_LIBRARY_PATH={folder}")
    return 0


def fetch_firmware_tools(
    folder: Path = FOLDER, *, apt_options: Sequence[str] = (), path: str | None = None
) -> FirmwareTools:
    """Return this machine's tools, or the unpacked ones. `path` is searched for those that are installed."""
    found = fetch_programs(PACKAGES, folder, apt_options=apt_options, path=path)
    return FirmwareTools(found.paths["qemu-system-arm"], found.paths["arm-none-eabi-gcc"], found.libraries)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    sys.exit(main())
