"""Sweeps: one model over several thread counts and batch sizes, a result each, one after the other on a board.

The batch of a sweep is the model's own: the first dimension of its inputs, so that one inference handles that many
items. It has nothing to do with `Options.batch`, which is how many inferences one timed sample holds.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.errors import EdgeprofError, Interrupted, ModelUnsupported, UsageError, did_you_mean
from edgeprof.inputs import model_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgeprof.model.graph import Graph, Shape, Tensor
    from edgeprof.profiling.plan import Options
    from edgeprof.records.result import Result

MOST_VARIANTS = 64
MOST = {"threads": 1024, "batch": 65_536}
"""What can be swept, and up to what."""
EXAMPLE = "--sweep threads=1,2,4 --sweep batch=1,8,32"


class Sweep(NamedTuple):
    """What varies: a name of MOST and its values, in the order in which they were given."""

    axes: tuple[tuple[str, tuple[int, ...]], ...]


class Variant(NamedTuple):
    """One combination; `threads` None and no `shapes`: that is not swept. `name` is like `threads=2 batch=8`."""

    name: str
    threads: int | None
    shapes: dict[str, tuple[int, ...]]

    def applied(self, options: Options) -> Options:
        """Return the options of this variant."""
        return options if self.threads is None else options._replace(threads=self.threads)


# ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────────────


def parse_sweep(texts: Sequence[str]) -> Sweep:
    """Return the sweep that `threads=1,2,4` and `batch=1,8,32` ask for; raise UsageError for anything else."""
    axes = tuple(_axis(text) for text in texts)
    names = [name for name, _ in axes]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--sweep {name} is given {names.count(name)} times", hint=f"such as {EXAMPLE}")
    count = prod(len(values) for _, values in axes)
    if count > MOST_VARIANTS:
        raise UsageError(f"the sweep has {count} combinations; at most {MOST_VARIANTS} can be done")
    return Sweep(axes)


def _axis(text: str) -> tuple[str, tuple[int, ...]]:
    name, equals, values = text.partition("=")
    if not equals or name not in MOST:
        hint = (name not in MOST and did_you_mean(name, MOST)) or f"such as {EXAMPLE}"
        raise UsageError(f"--sweep {text!r} is none of {', '.join(f'{known}=N,N,…' for known in MOST)}", hint=hint)
    found = []
    for value in values.split(","):
        if not value.strip().isdecimal() or not 1 <= int(value) <= MOST[name]:
            raise UsageError(f"--sweep {text!r}: {value!r} is no whole number from 1 to {MOST[name]:,}")
        found.append(int(value))
    if len(set(found)) < len(found):
        raise UsageError(f"--sweep {text!r} has a value twice")
    return name, tuple(found)


def sweep_of(variant: str | None) -> dict[str, int]:
    """Return what a result's variant says, such as {"threads": 2, "batch": 8}; empty where it is none of a sweep."""
    pairs = [part.partition("=") for part in (variant or "").split()]
    if any(name not in MOST or not value.isdecimal() for name, _, value in pairs):
        return {}
    return {name: int(value) for name, _, value in pairs}


# ── what it comes to for a model ─────────────────────────────────────────────────────────────────────────────────────


def variants(sweep: Sweep, graph: Graph, shapes: Mapping[str, tuple[int, ...]] | None = None) -> tuple[Variant, ...]:
    """Return the combinations in order, the last axis fastest. `graph` is read without `shapes`, the user's own.

    Raises ModelUnsupported where the batch of an .onnx model is fixed (what a .tflite model refuses, its runtime says)
    and UsageError where another size is open that `shapes` does not settle.
    """
    found = []
    for values in product(*[values for _, values in sweep.axes]):
        chosen = {name: value for (name, _), value in zip(sweep.axes, values, strict=True)}
        batched = _batched(graph, chosen["batch"], shapes or {}) if "batch" in chosen else {}
        name = " ".join(f"{name}={value}" for name, value in chosen.items())
        found.append(Variant(name, chosen.get("threads"), batched))
    return tuple(found)


def _batched(graph: Graph, batch: int, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the inputs with this first dimension."""
    inputs = [tensor for tensor in model_inputs(graph) if tensor.shape != ()]
    if graph.format == "onnx":
        inputs = [tensor for tensor in inputs if tensor.shape is None or tensor.shape[0] is None]
        if not inputs:
            raise _fixed(graph)
    return {tensor.name: (batch, *_behind(tensor, shapes)) for tensor in inputs}


def _behind(tensor: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the sizes behind the first one."""
    shape: Shape | None = shapes.get(tensor.name, tensor.shape)
    known = tuple(size for size in (shape or ())[1:] if size is not None)
    if shape is None or len(known) < len(shape) - 1:
        raise UsageError(
            f"--sweep batch: input {tensor.name!r} ({_drawn(shape)}) leaves more open than its first size",
            hint=f"--shape {tensor.name}=1x3x224x224 settles the others",
        )
    return known


def _fixed(graph: Graph) -> EdgeprofError:
    shapes = ", ".join(f"{tensor.name!r} is {_drawn(tensor.shape)}" for tensor in model_inputs(graph))
    return ModelUnsupported(
        f"--sweep batch: the first size of every input of {graph.name} is fixed ({shapes}); an open one is wanted",
        hint="export it with a dynamic batch (dynamic_axes, or dynamic_shapes, of torch.onnx.export)",
    )


def _drawn(shape: Shape | None) -> str:
    if shape is None:
        return "of any rank"
    return "x".join("?" if size is None else str(size) for size in shape) or "a scalar"


# ── running it ───────────────────────────────────────────────────────────────────────────────────────────────────────


def run_variants(
    chosen: Sequence[Variant], run: Callable[[Variant], Result]
) -> tuple[list[Result], list[EdgeprofError]]:
    """Run them one after the other, never two at a time on a board; what one is refused for leaves the others.

    A run that breaks off (Ctrl-C, a lost link) ends the sweep: what came before it is kept, and the rest is named.
    """
    results: list[Result] = []
    failures: list[EdgeprofError] = []
    for at, variant in enumerate(chosen):
        try:
            results.append(run(variant))
        except Interrupted as error:
            return results, [*failures, error]
        except EdgeprofError as error:
            failures.append(_named(error, variant))
            continue
        if any(warned.code == "broken-off" for warned in results[-1].warnings):
            left = len(chosen) - at - 1
            ended = Interrupted(f"the sweep ended with {variant.name}: {left} of {len(chosen)} variants were not run")
            return results, [*failures, ended] if left else failures
    return results, failures


def _named(error: EdgeprofError, variant: Variant) -> EdgeprofError:
    return type(error)(f"{variant.name}: {error.message}" if variant.name else error.message, hint=error.hint)
