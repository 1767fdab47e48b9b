"""The order in which ONNX nodes can run. Files are to be sorted; runtimes sort what is not, and so does this."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from edgeprof.errors import ModelInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.model.onnx_proto import RawGraph, RawNode


def in_order(nodes: list[RawNode]) -> list[tuple[int, RawNode]]:
    """Return the nodes with their places in the file, each after those that make its inputs.

    The file's order is kept wherever it can be. Raises ModelInvalid naming a node of a cycle.
    """
    makers = {output: place for place, node in enumerate(nodes) for output in node.outputs if output}
    needs = [{makers[name] for name in _names(node) if name in makers} for node in nodes]
    if all(not need or max(need) < place for place, need in enumerate(needs)):
        return list(enumerate(nodes))
    return [(place, nodes[place]) for place in _sorted(nodes, needs)]


def bodies(node: RawNode) -> list[RawGraph]:
    """Return the graphs inside a node; of an If, the branch that is taken when the condition holds comes first."""
    found: list[RawGraph] = []
    for _, value in sorted(node.attributes.items(), key=lambda item: item[0], reverse=True):
        if isinstance(value, list):
            found += value
    return found


def _names(node: RawNode) -> Iterator[str]:
    """Yield every name that a node or a node inside its bodies reads."""
    yield from node.inputs
    for body in bodies(node):
        yield from (output.name for output in body.outputs)
        for inner in body.nodes:
            yield from _names(inner)


def _sorted(nodes: list[RawNode], needs: list[set[int]]) -> list[int]:
    waiting = [len(need) for need in needs]
    users: list[list[int]] = [[] for _ in nodes]
    for place, need in enumerate(needs):
        for maker in need:
            users[maker].append(place)
    ready = [place for place, count in enumerate(waiting) if not count]
    heapify(ready)
    order: list[int] = []
    while ready:
        place = heappop(ready)
        order.append(place)
        for user in users[place]:
            waiting[user] -= 1
            if not waiting[user]:
                heappush(ready, user)
    if len(order) < len(nodes):
        stuck = nodes[next(place for place, count in enumerate(waiting) if count)]
        raise ModelInvalid(
            f"the graph has a cycle: node {stuck.name or stuck.outputs[:1]!r} ({stuck.type}) needs itself"
        )
    return order
