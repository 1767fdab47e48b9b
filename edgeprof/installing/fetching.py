"""Wheels for another Python, fetched with pip on this machine or taken from a folder; kept for the next time.

pip's own configuration counts: indexes, proxies, certificates, credentials. Nothing is built and nothing is run.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgeprof.errors import LinkError
from edgeprof.folders import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.tags import Tag
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from edgeprof.installing.choosing import Choice

DOWNLOAD_TIMEOUT_S = 1800.0
SECRETS = re.compile(r"//[^/@\s]+@")


class WheelsUnavailable(LinkError):
    """The wheels that a board needs are not to be had here."""

    usual_hint = "--wheels FOLDER takes wheels that were fetched elsewhere"


def download(choice: Choice, folder: Path | None = None) -> list[Path]:
    """Return the wheels of a choice, from the folder of earlier ones or from the package index."""
    kept = (folder or cache_folder() / "wheels") / _key(choice)
    if kept.is_dir():
        try:
            return gather(choice, kept)
        except WheelsUnavailable:
            shutil.rmtree(kept, ignore_errors=True)  # fetched again
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix="fetching-") as part:
            _run_pip(choice, part)
            gather(choice, Path(part))
            shutil.copytree(part, kept, dirs_exist_ok=True)
    except OSError as error:
        raise WheelsUnavailable(
            f"the wheels cannot be kept in {kept}: {error.strerror}", hint="EDGEPROF_CACHE names another folder"
        ) from error
    return gather(choice, kept)


def gather(choice: Choice, folder: Path) -> list[Path]:
    """Return the newest wheel in a folder that fits, for each requirement of a choice."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    if not folder.is_dir():
        raise WheelsUnavailable(f"{folder} is no folder", hint="--wheels names a folder with .whl files")
    there = list(_fitting_wheels(choice, folder))
    found = []
    for text in choice.requirements:
        wanted = Requirement(text)
        fits = [
            (version, path)
            for name, version, path in there
            if name == canonicalize_name(wanted.name) and wanted.specifier.contains(version, prereleases=True)
        ]
        if not fits:
            raise WheelsUnavailable(
                f"no wheel of {text} for Python {choice.python} ({choice.platforms[0]}) is in {folder}",
                hint=f"{fetch_command(choice)} fetches them where there is a network",
            )
        found.append(max(fits)[1])
    return found


def fetch_command(choice: Choice, folder: str = "wheels") -> str:
    """Return what a person types on another machine to fetch the same wheels."""
    return " ".join(["pip", *_arguments(choice, folder, platforms=_shown(choice))])


def _shown(choice: Choice) -> tuple[str, ...]:
    """Return the few tags that wheels really have, for a person to type."""
    ends = ("_2_34_", "_2_28_", "_2_27_", "_2_17_", "manylinux2014_")
    return tuple(tag for tag in choice.platforms if any(end in tag for end in ends))


def _fitting_wheels(choice: Choice, folder: Path) -> Iterator[tuple[NormalizedName, Version, Path]]:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    allowed = _tags(choice)
    for path in sorted(folder.glob("*.whl")):
        try:
            name, version, _, tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        if tags & allowed:
            yield name, version, path


def _tags(choice: Choice) -> frozenset[Tag]:
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = (int(word) for word in choice.python.split("."))
    version = (major, minor)
    own = cpython_tags(version, [choice.abi], choice.platforms)
    return frozenset(own) | frozenset(compatible_tags(version, f"cp{major}{minor}", choice.platforms))


def _key(choice: Choice) -> str:
    words = "\n".join([*choice.requirements, *choice.platforms, choice.python, choice.abi])
    return f"{choice.wheel.package}-{choice.wheel.version}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"


def _run_pip(choice: Choice, folder: str) -> None:
    pip = find_pip()
    if pip is None:
        raise WheelsUnavailable(
            f"{choice.wheel.title} cannot be fetched: neither pip nor uv is here",
            hint=f"python -m ensurepip installs pip; or elsewhere: {fetch_command(choice)}, then --wheels wheels",
        )
    try:
        ended = subprocess.run(  # noqa: S603  pip, with arguments from our own table
            [*pip, *_arguments(choice, folder, platforms=choice.platforms)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
            timeout=DOWNLOAD_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise WheelsUnavailable(
            f"{choice.wheel.title} was not fetched within {DOWNLOAD_TIMEOUT_S / 60:.0f} minutes",
            hint=_elsewhere(choice),
        ) from error
    if ended.returncode:
        raise WheelsUnavailable(
            f"{choice.wheel.title} for Python {choice.python} ({choice.platforms[0]}) cannot be fetched:"
            f" {_complaint(ended.stderr)}",
            hint=choice.remark or _elsewhere(choice),
        )


def _complaint(stderr: str) -> str:
    """Return pip's last error, after its first warning: that one tells of an index that was not reached."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    warning = next((line for line in lines if line.startswith("WARNING: ")), "")
    error = next((line for line in reversed(lines) if line.startswith("ERROR: ")), lines[-1] if lines else "no word")
    parts = (warning.removeprefix("WARNING: ")[:200], error.removeprefix("ERROR: ")[:200])
    return SECRETS.sub("//", "; ".join(filter(None, parts)))


def _elsewhere(choice: Choice) -> str:
    return f"where there is a network: {fetch_command(choice)}; then --wheels wheels, or EDGEPROF_WHEELS=wheels"


def find_pip() -> list[str] | None:
    """Return how pip is called here: this Python's, one on the path, or the one that uv brings; None without any.

    Whose Python it runs under does not matter: pip fetches for another one.
    """
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    here = str(Path(sys.executable).parent)
    for name in ("pip", "pip3"):
        if path := shutil.which(name):
            return [path]
    uv = shutil.which("uv") or shutil.which("uv", path=here)
    return [uv, "tool", "run", "pip"] if uv else None


def _arguments(choice: Choice, folder: str, *, platforms: tuple[str, ...]) -> list[str]:
    tags = [word for tag in platforms for word in ("--platform", tag)]
    return [
        "download", "--only-binary=:all:", "--no-deps", "--disable-pip-version-check", "--no-input",
        "--dest", folder, "--python-version", choice.python, "--implementation", "cp", "--abi", choice.abi,
        *tags, *choice.requirements,
    ]  # fmt: skip
