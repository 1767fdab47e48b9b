"""Offering a runtime to a board that has none that works: the next candidate each time that the last one failed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeprof.errors import LinkError
from edgeprof.installing.choosing import Choice, Fitting, board_python, choose_wheels
from edgeprof.installing.fetching import WheelsUnavailable, download, gather

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Offer = Callable[[Mapping[str, Any], str], dict[str, bytes] | None]
    """Called with the agent's identity and the model's format; returns wheels by file name, None when none is left."""

BY_HAND = {"tflite": "pip install ai-edge-litert", "onnx": "pip install onnxruntime"}


def make_offer(
    *,
    install: bool,
    wheels: str | Path | None = None,
    ask: Callable[[str], bool] | None = None,
    runtime: str = "",
) -> Offer | None:
    """Return what a session calls when no runtime works there; None when nothing is to be offered.

    `wheels` (or EDGEPROF_WHEELS) is a folder to take wheels from instead of the index. Without `install`, `ask` is
    asked once. The offer returns the files of the best wheels that fit, then, called again, of the next best.
    """
    if not install and ask is None:
        return None
    given = wheels or os.environ.get("EDGEPROF_WHEELS")
    folder = Path(given) if given else None
    left: list[Choice] = []
    asked = handed = False

    def offer(identity: Mapping[str, Any], format_name: str) -> dict[str, bytes] | None:
        nonlocal asked, handed
        if not asked:
            asked = True
            fitting = _fitting(identity, format_name, runtime)
            if fitting.choices and (install or (ask is not None and ask(_question(fitting.choices[0])))):
                left.extend(fitting.choices)
        try:
            found = _next_wheels(left, folder)
        except WheelsUnavailable:
            if handed:
                return None  # why the last one did not work says more
            raise
        handed = True
        return found

    return offer


def install_hint(
    format_name: str, identity: Mapping[str, Any], capabilities: tuple[str, ...], runtime: str = ""
) -> str:
    """Return what to do where no runtime works: the option when something fits, else why nothing does."""
    by_hand = BY_HAND.get(format_name, "edgeprof doctor --target TARGET shows what is there")
    fitting = _fitting(identity, format_name, runtime)
    if "install" not in capabilities or not (fitting.choices or fitting.unfit):
        return f"install one there: {by_hand}"
    if fitting.choices:
        best = fitting.choices[0].wheel.title
        return f"--install-runtime puts {best} into edgeprof's own folder there, without internet; by hand: {by_hand}"
    return f"none fits {board_python(identity)}: {fitting.reasons}"


def _fitting(identity: Mapping[str, Any], format_name: str, runtime: str) -> Fitting:
    python = board_python(identity)
    return choose_wheels(format_name, python, runtime) if python is not None else Fitting(choices=(), unfit=())


def _question(choice: Choice) -> str:
    return f"No runtime works there. Put {choice.wheel.title} into edgeprof's own folder on the board?"


def _next_wheels(left: list[Choice], folder: Path | None) -> dict[str, bytes] | None:
    """Return the wheels of the first choice that is to be had, and take it and those before it off the list."""
    first: WheelsUnavailable | None = None
    while left:
        try:
            paths = _wheels(left.pop(0), folder)
            return {path.name: path.read_bytes() for path in paths}
        except WheelsUnavailable as error:
            first = first or error
            if folder is None:
                break  # without a network the next one is not to be had either
        except OSError as error:
            raise LinkError(f"a wheel cannot be read: {error}") from error
    if first is not None:
        raise first
    return None


def _wheels(choice: Choice, folder: Path | None) -> list[Path]:
    return gather(choice, folder) if folder is not None else download(choice)
