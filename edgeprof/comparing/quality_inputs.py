"""The same inputs for models that store them otherwise: fp32 beside int8, NHWC beside NCHW.

Values are real ones. Where one of the models quantises an input, they are drawn from that model's own codes, so that
it can represent every one of them and no error of the inputs is taken for one of the outputs. Random ones show that the
outputs are the same, where they are; where they are not, they show nothing of what the model is for.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeprof.comparing.layouts import reshaped, turned
from edgeprof.comparing.output_pairs import paired_outputs, pairing_note
from edgeprof.comparing.quality import real_values, stored_values
from edgeprof.inputs import input_arrays, model_inputs, settled_shape
from edgeprof.summary.static import model_facts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgeprof.model.graph import Graph
    from edgeprof.records.result import InputTensor

MOST_INFERENCES, FEWEST_INFERENCES, MOST_BYTES = 16, 2, 4 << 20
RANDOM = "random inputs: how far they agree is no accuracy, give real ones with --inputs"
"""They drive activations beyond what a quantised model was calibrated for; it cuts them off there, a float model does
not. MLPerf Tiny's kws, int8 and float, agrees with itself on a quarter of them (3 to 8 % of the activations of a layer
at the highest code), and in full on a sample of what it was trained for (none there)."""


class Unmatched(Exception):
    """Two models cannot be given the same inputs; the text says why."""


class Matched(NamedTuple):
    """Stored values a model, keyed by its own names, first axis: inferences; the last repeats the first."""

    arrays: tuple[dict[str, NDArray[Any]], ...]
    source: str
    notes: tuple[str, ...]
    random: bool


def input_facts(graph: Graph) -> tuple[InputTensor, ...]:
    """Return the inputs that a caller has to give."""
    wanted = {tensor.name for tensor in model_inputs(graph)}
    return tuple(facts for facts in model_facts(graph).inputs if facts.name in wanted)


def matched_inputs(
    base: Graph, news: Sequence[Graph], seed: int, given: Path | None = None, most: int = MOST_INFERENCES
) -> list[Matched | str]:
    """Return for each of NEW the real inputs that it shares with BASE, seeded or from an NPZ file for BASE.

    BASE gets the same ones whatever NEW is, since it is run once. A text says why a NEW cannot be given them.
    Raises UsageError for a file that does not fit BASE.
    """
    orders: list[tuple[InputTensor, ...] | str] = [_ordered(base, new) for new in news]
    source, real, drawn_notes = _base_values(
        base, [order for order in orders if not isinstance(order, str)], seed, given, most
    )
    found: list[Matched | str] = []
    for new, order in zip(news, orders, strict=True):
        try:
            found.append(order if isinstance(order, str) else _matched(base, new, order, real, source, drawn_notes))
        except Unmatched as reason:
            found.append(str(reason))
    return found


def _ordered(base: Graph, new: Graph) -> tuple[InputTensor, ...] | str:
    if not paired_outputs(base, new).places:
        return f"BASE has {len(base.outputs)} outputs, NEW {len(new.outputs)}, and none of one name"
    try:
        return _in_order(input_facts(base), input_facts(new))
    except Unmatched as reason:
        return str(reason)


def _base_values(
    base: Graph, orders: Sequence[tuple[InputTensor, ...]], seed: int, given: Path | None, most: int
) -> tuple[str, dict[str, NDArray[Any]], list[str]]:
    """Return where BASE's values come from, and the real ones by name."""
    import numpy as np

    facts, notes = input_facts(base), list[str]()
    if given is not None:
        theirs = input_arrays(base, given, as_reals=True)
        return given.name, {one.name: _real(theirs[one.name], one) for one in facts}, notes
    shapes = {tensor.name: settled_shape(tensor) for tensor in model_inputs(base)}
    count = _inferences(facts, shapes, most)
    chance = np.random.default_rng(seed)
    real = {
        one.name: _drawn(chance, [one, *(order[at] for order in orders)], (count, *shapes[one.name]), notes)
        for at, one in enumerate(facts)
    }
    return f"{count} random inferences (seed {seed})", real, [*notes, RANDOM]


def _matched(
    base: Graph, new: Graph, order: Sequence[InputTensor], real: dict[str, NDArray[Any]], source: str, drawn: list[str]
) -> Matched:
    import numpy as np

    notes = list(drawn)
    settled = {tensor.name: settled_shape(tensor) for tensor in model_inputs(new)}
    stored: tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]] = ({}, {})
    for one, other in zip(input_facts(base), order, strict=True):
        values = real[one.name]
        shape = _settled_by(values.shape[1:], other, settled[other.name])
        moved = _laid_out(values, shape, other.name, notes)
        for side, tensor, given in ((0, one, values), (1, other, moved)):
            codes = stored_values(given, tensor)
            stored[side][tensor.name] = np.concatenate([codes, codes[:1]])
    note = pairing_note(base, new)
    return Matched(stored, source, (*notes, note) if note else tuple(notes), random=RANDOM in drawn)


def _in_order(base: Sequence[InputTensor], new: Sequence[InputTensor]) -> tuple[InputTensor, ...]:
    """Return NEW's inputs in the order of BASE's: by name where the names are the same, else as they come."""
    if len(base) != len(new):
        raise Unmatched(f"BASE takes {len(base)} inputs, NEW {len(new)}")
    by_name = {facts.name: facts for facts in new}
    if set(by_name) == {facts.name for facts in base}:
        return tuple(by_name[facts.name] for facts in base)
    return tuple(new)


def _inferences(facts: Sequence[InputTensor], shapes: dict[str, tuple[int, ...]], most: int) -> int:
    """Return how many random inferences are made: 16, fewer of large inputs, which a board has to be sent."""
    import numpy as np

    one = sum(prod(shapes[t.name]) * np.dtype(t.dtype).itemsize for t in facts)
    return max(FEWEST_INFERENCES, min(most, MOST_BYTES // max(1, one)))


def _real(values: NDArray[Any], facts: InputTensor) -> NDArray[Any]:
    return real_values(values, facts.scale, facts.zero_point)


def _drawn(chance: Any, tensors: Sequence[InputTensor], shape: tuple[int, ...], notes: list[str]) -> NDArray[Any]:  # noqa: ANN401  numpy's generator
    """Return real values: from the codes of a model that quantises, uniform in [-1, 1) where none does."""
    import numpy as np

    quantised = next((facts for facts in tensors if facts.scale is not None), None)
    whole = next((facts for facts in tensors if np.dtype(facts.dtype).kind in "iu"), None)
    source = quantised or whole
    if source is None:
        return np.asarray(chance.random(shape) * 2 - 1, dtype=np.float32)
    kind = np.dtype(source.dtype)
    if kind.itemsize > 2:  # noqa: PLR2004  most likely indices
        return np.zeros(shape)
    if quantised is None and len({facts.dtype for facts in tensors}) > 1:
        notes.append(f"{tensors[0].name}: the same numbers were given as {source.dtype} and as floats, without a scale")
    limits = np.iinfo(kind)
    return _real(chance.integers(limits.min, limits.max, shape, endpoint=True), source)


def _settled_by(have: tuple[int, ...], wanted: InputTensor, settled: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that NEW wants, sizes that it leaves open as BASE has them."""
    sizes = wanted.shape or ()
    if len(sizes) != len(have):
        return settled
    return tuple(one if size is None else size for size, one in zip(sizes, have, strict=True))


def _laid_out(real: NDArray[Any], shape: tuple[int, ...], name: str, notes: list[str]) -> NDArray[Any]:
    """Return the values in the shape of the other model: axes of 1 left out or put in, or NHWC to NCHW and back."""
    have = real.shape[1:]
    if have == shape:
        return real
    if turn := turned(have, shape):
        notes.append(f"{name}: {turn.name}")
        return real.transpose(0, *(axis + 1 for axis in turn.axes))
    if reshaped(have, shape):
        return real.reshape(-1, *shape)
    raise Unmatched(f"BASE takes {list(have)}, NEW's {name} {list(shape)}")
