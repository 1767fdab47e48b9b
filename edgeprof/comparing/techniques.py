"""How one model was made from another, as far as the two files show it: what an optimisation report lists. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgeprof.model.cost import model_cost
from edgeprof.model.graph import bodies, type_bits
from edgeprof.summary.static import model_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.model.graph import Graph
    from edgeprof.records.comparison import ComparedSide

CLEAR_RATIO = 0.02
"""Parameters and MACs that differ by less are the same network, exported otherwise."""
DEPTHWISE = frozenset({"DEPTHWISE_CONV_2D"})
DELEGATED = frozenset({"QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear"})
ACTIVATIONS = frozenset(
    {"RELU", "RELU6", "RELU_N1_TO_1", "Relu", "Clip", "BatchNormalization", "Add", "ADD", "MUL", "Mul"}
)


def techniques(base: Graph, new: Graph) -> tuple[str, ...]:
    """Return what was done to BASE to get NEW, a line each, with the figures that show it."""
    return tuple(_found(base, new))


def _found(base: Graph, new: Graph) -> Iterator[str]:
    if base.sha256 and base.sha256 == new.sha256:
        yield "none: both are the same file"
        return
    if base.format != new.format:
        yield f"converted from {base.format} to {new.format}"
    one, other = _weights(base), _weights(new)
    if _leading(one) != _leading(other):
        yield f"weights quantised or cast: {_types_text(one)} became {_types_text(other)}"
    yield from _boundary(base, new)
    yield from _operators(base, new)
    yield from _shrunk(base, new)


def _weights(graph: Graph) -> Counter[str]:
    """Return the stored bytes of constants by type, biases and shapes of 1 KiB and less aside where there is more."""
    found: Counter[str] = Counter()
    for body in bodies(graph):
        read = {index for operator in body.operators for index in operator.inputs if index >= 0}
        for index in read:
            tensor = body.tensors[index]
            if tensor.constant_bytes:
                found[tensor.dtype] += tensor.constant_bytes
    return found


def _leading(weights: Counter[str]) -> str:
    return max(weights, key=lambda name: weights[name] / type_bits.get(name, 8), default="")


def _types_text(weights: Counter[str]) -> str:
    total = sum(weights.values())
    parts = [
        f"{name} {count / total * 100:.0f} %" for name, count in weights.most_common(2) if count / total >= CLEAR_RATIO
    ]
    return " and ".join(parts) or "none"


def _boundary(base: Graph, new: Graph) -> Iterator[str]:
    one, other = model_facts(base), model_facts(new)
    for what, ours, theirs in (("inputs", one.inputs, other.inputs), ("outputs", one.outputs, other.outputs)):
        types = [", ".join(sorted({facts.dtype for facts in side})) for side in (ours, theirs)]
        if types[0] != types[1]:
            yield f"{what} are {types[1]} instead of {types[0]}"
    shapes = [["x".join("?" if s is None else str(s) for s in f.shape or ()) for f in m.inputs] for m in (one, other)]
    if shapes[0] != shapes[1]:
        sizes = [_elements(facts.inputs) for facts in (one, other)]
        known = None not in sizes and sizes[0] != sizes[1]
        how = f" ({(sizes[1] or 0) / (sizes[0] or 1):.2g} times as many values)" if known else ""
        yield f"input size {', '.join(shapes[0])} became {', '.join(shapes[1])}{how}"


def _elements(inputs: tuple[object, ...]) -> int | None:
    total = 0
    for facts in inputs:
        count = 1
        for size in getattr(facts, "shape", None) or ():
            if size is None:
                return None
            count *= size
        total += count
    return total


def _operators(base: Graph, new: Graph) -> Iterator[str]:
    """Compare operator counts; types of two formats have two spellings and are not compared one by one."""
    one, other = (Counter(operator.type for body in bodies(g) for operator in body.operators) for g in (base, new))
    if base.format != new.format:
        if sum(one.values()) != sum(other.values()):
            yield f"{sum(one.values())} operators became {sum(other.values())}"
        return
    gone, more = one - other, other - one
    added = {name: count for name, count in more.items() if name in DELEGATED}
    if added:
        yield f"added at the seams: {_counts(added)}"
    rest = {name: count for name, count in more.items() if name not in DELEGATED}
    removed = dict(gone)
    if removed and not rest:
        word = "fused into their neighbours or removed" if set(removed) & ACTIVATIONS else "removed"
        yield f"{word}: {_counts(removed)}"
    elif removed or rest:
        parts = [f"{_counts(removed)} less"] if removed else []
        parts += [f"{_counts(rest)} more"] if rest else []
        yield f"other operators: {', '.join(parts)}"
    if more.keys() & DEPTHWISE:
        yield "depthwise convolutions took the place of full ones"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1])[:5])


def _shrunk(base: Graph, new: Graph) -> Iterator[str]:
    one, other = model_cost(base), model_cost(new)
    figures = (
        ("parameters", one.parameters_count, other.parameters_count),
        ("MACs", one.macs_count, other.macs_count),
    )
    for what, before, after in figures:
        if before and after is not None and abs(after / before - 1) > CLEAR_RATIO:
            word = "fewer" if after < before else "more"
            yield f"{abs(1 - after / before) * 100:.1f} % {word} {what}: {before:,} became {after:,}"


def techniques_of_sides(base: ComparedSide, new: ComparedSide) -> tuple[str, ...]:
    """Return what two saved results tell, whose model files are not at hand: bits a parameter, inputs, sizes."""
    found = []
    if base.model.sha256 and base.model.sha256 == new.model.sha256:
        return ("none: both are the same file",)
    bits = [_bits(side) for side in (base, new)]
    if bits[0] and bits[1] and abs(bits[1] / bits[0] - 1) > 0.1:  # noqa: PLR2004  biases and shapes are a tenth at most
        found.append(f"weights quantised or cast: {bits[0]:.3g} bits a parameter became {bits[1]:.3g}")
    types = [", ".join(sorted({facts.dtype for facts in side.model.inputs})) for side in (base, new)]
    if types[0] != types[1]:
        found.append(f"inputs are {types[1]} instead of {types[0]}")
    for name, what in (("parameters_count", "parameters"), ("macs_count", "MACs")):
        before, after = (_figure(side, name) for side in (base, new))
        if before and after is not None and abs(after / before - 1) > CLEAR_RATIO:
            word = "fewer" if after < before else "more"
            found.append(f"{abs(1 - after / before) * 100:.1f} % {word} {what}: {before:,.0f} became {after:,.0f}")
    return tuple(found)


def _bits(side: ComparedSide) -> float | None:
    weights, count = _figure(side, "weights_bytes"), _figure(side, "parameters_count")
    return weights * 8 / count if weights and count else None


def _figure(side: ComparedSide, name: str) -> float | None:
    metric = side.metrics.get(name)
    return metric.value if metric is not None else None
