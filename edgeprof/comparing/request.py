"""What is asked of a comparison, and what makes no sense to ask: refused before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.comparing.regression import MAX_REGRESSION
from edgeprof.errors import UnknownName, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeprof.profiling.plan import Options
    from edgeprof.records.comparison import Price
    from edgeprof.records.quality import Guard

DEFAULT_GUARD: Guard = "balanced"
ALLOWED = ("inputs", "board", "basis", "runtime", "threads", "CPUs", "power mode", "governor", "all")
"""What may differ if it is allowed: the differences that forbid a comparison, or all of them."""
MODEL_SUFFIXES = frozenset({".tflite", ".onnx"})


class Wanted(NamedTuple):
    """What is asked of a comparison. `quality` None: outputs are compared where both models have as many of them.

    `new_options`: how NEW is run where that is not as BASE is. `inputs`: an NPZ for BASE, of which NEW gets the same
    real values; `labels`: classes for them.
    """

    max_regression: float = MAX_REGRESSION
    allow: tuple[str, ...] = ()
    quality: bool | None = None
    inputs: Path | None = None
    labels: Path | None = None
    guard: Guard | None = None
    new_options: Options | None = None
    price: Price | None = None


def is_model(path: Path) -> bool:
    """Tell whether a path names a model rather than a result."""
    return path.suffix.lower() in MODEL_SUFFIXES


def are_models(paths: Sequence[Path], wanted: Wanted) -> bool:
    """Tell whether models are to be compared, not results; refuse a mixture, and what makes no sense with either."""
    if len(paths) < 2:  # noqa: PLR2004  two are compared
        raise UsageError("one thing cannot be compared", hint="edgeprof compare BASE NEW")
    for name in wanted.allow:
        if name not in ALLOWED:
            guess = did_you_mean(name, ALLOWED)
            raise UnknownName(
                f"--allow {name!r}: nothing that forbids a comparison is called so",
                hint=f"{f'{guess}; ' if guess else ''}known: {', '.join(ALLOWED)}",
            )
    models = [is_model(path) for path in paths]
    if any(models) and not all(models):
        raise UsageError("a model and a result cannot be compared", hint="profile the model with -o first")
    if wanted.labels is not None and wanted.inputs is None:
        raise UsageError(
            "--labels without --inputs: classes of what?", hint="--inputs FILE.npz with as many inferences"
        )
    if wanted.guard is not None and wanted.labels is None:
        raise UsageError("--guard without --labels: accuracy is not known", hint="--labels FILE.csv")
    asked = wanted.inputs is not None or wanted.quality or wanted.new_options is not None
    if asked and not any(models):
        raise UsageError("results hold no outputs, and are not run again", hint="compare the models themselves")
    if asked and wanted.quality is False and wanted.inputs is not None:
        raise UsageError("--inputs with --no-quality: nothing would be done with them")
    return any(models)
