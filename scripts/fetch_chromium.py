"""Finds Chromium, or unpacks the distribution's headless one into .cache/chromium: nothing is installed, without root.

apt checks the signatures of what it downloads; the libraries that this machine lacks, and a font, come along.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts.debian import FetchError, download, environment_with, fresh_folder, libraries, search_path, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "chromium"
INSTALLED = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core")
PROGRAM = "usr/lib/chromium/chromium-headless-shell"
"""What the package's own script in usr/bin starts, under a path that only an installed package has."""
FONTS_CONFIG = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>{fonts}</dir><dir>/usr/share/fonts</dir><cachedir>{cache}</cachedir></fontconfig>
"""


class Browser(NamedTuple):
    """A browser that runs here, and where the libraries and fonts are that this machine lacks."""

    path: Path
    libraries: tuple[Path, ...]
    fonts: Path | None

    def environment(self) -> dict[str, str]:
        """Return the environment that it needs."""
        fonts = {"FONTCONFIG_FILE": str(self.fonts)} if self.fonts else {}
        return environment_with(self.libraries) | fonts


def main() -> int:
    """Fetch it and say where it is."""
    try:
        found = fetch_chromium()
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    print(found.path)
    return 0


def fetch_chromium(folder: Path = FOLDER, installed: Sequence[str] = INSTALLED) -> Browser:
    """Return this machine's browser, or the unpacked one."""
    system = next((found for name in installed if (found := shutil.which(name, path=search_path()))), None)
    if system is not None:
        return Browser(Path(system), (), None)
    path, fonts = folder / PROGRAM, folder / "fonts.conf"
    if not (path.is_file() and fonts.is_file()):
        with fresh_folder(folder) as fresh:
            download(PACKAGES, fresh / "debs")
            unpack(fresh / "debs", fresh)
            shutil.rmtree(fresh / "debs")
            where = {"fonts": folder / "usr" / "share" / "fonts", "cache": folder / "font-cache"}
            (fresh / fonts.name).write_text(FONTS_CONFIG.format(**where), encoding="utf-8")
    if not path.is_file():
        message = f"{PACKAGES[0]} was fetched and has no {PROGRAM}"
        raise FetchError(message)
    return Browser(path, libraries(folder), fonts)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    sys.exit(main())
