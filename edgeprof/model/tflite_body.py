"""What is read of a TFLite subgraph before its shapes are settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edgeprof.model.graph import Shape, Subgraph


class Body(NamedTuple):
    """A subgraph with the two shapes of each tensor: what a runtime allocates, and what the file lets vary."""

    graph: Subgraph
    signatures: tuple[Shape | None, ...]
