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
LARGEST_REGRESSION = 10.0
MODEL_SUFFIXES = frozenset({".tflite", ".onnx"})


class Wanted(NamedTuple):
    """What is asked of a comparison. `quality` None: outputs are compared where both models have as many of them.

    `min_agreement`: how far outputs have to agree, None as far as is usual. `new_options`: how NEW is run where that is
    not as BASE is. `inputs`: an NPZ for BASE, of which NEW gets the same real values; `labels`: classes for them.
    """

    max_regression: float = MAX_REGRESSION
    min_agreement: float | None = None
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


class Sides(NamedTuple):
    """What is compared, and where each is run: BASE first."""

    paths: tuple[Path, ...]
    targets: tuple[str, ...]


def sides_of(paths: Sequence[Path], targets: Sequence[str]) -> Sides:
    """Return a path and a target for each side: one target for all, one model for all targets, or as many of both.

    Raises UsageError for one thing alone, and where it cannot be told which model goes to which target.
    """
    paths, targets = tuple(paths), tuple(targets) or ("local",)
    several = len(targets) > 1
    if several and not any(is_model(path) for path in paths):
        raise UsageError("two targets with results, which are not run again", hint="compare the models themselves")
    if len(paths) == 1 and not several:
        model = is_model(paths[0])
        both = ", or edgeprof compare MODEL --target A --target B" if model else ""
        raise UsageError("one thing cannot be compared", hint=f"edgeprof compare BASE NEW{both}")
    if not several or len(paths) == 1:
        return Sides(paths * len(targets) if several else paths, targets if several else targets * len(paths))
    if len(targets) != len(paths):
        raise UsageError(
            f"{len(paths)} models and {len(targets)} targets: it cannot be told which model goes where",
            hint="one --target for all, or one for each model in their order",
        )
    return Sides(paths, targets)


def are_models(paths: Sequence[Path], wanted: Wanted) -> bool:
    """Tell whether models are to be compared, not results; refuse a mixture, and what makes no sense with either."""
    _refuse_shares(wanted)
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
    of_outputs = wanted.inputs is not None or wanted.min_agreement is not None
    asked = of_outputs or wanted.quality or wanted.new_options is not None
    if asked and not any(models):
        raise UsageError("results hold no outputs, and are not run again", hint="compare the models themselves")
    if asked and wanted.quality is False and wanted.inputs is not None:
        raise UsageError("--inputs with --no-quality: nothing would be done with them")
    return any(models)


def _refuse_shares(wanted: Wanted) -> None:
    """Raise UsageError for a regression or an agreement that is no share, or that nothing would be judged by."""
    if not 0 <= wanted.max_regression <= LARGEST_REGRESSION:
        raise UsageError(f"a regression of {wanted.max_regression:g} is no share", hint="0.03 are 3 %")
    if wanted.min_agreement is None:
        return
    if not 0 <= wanted.min_agreement <= 1:
        raise UsageError(f"an agreement of {wanted.min_agreement:g} is no share", hint="0.99 are 99 %")
    if wanted.quality is False:
        raise UsageError("--min-agreement with --no-quality: outputs would not be compared")
