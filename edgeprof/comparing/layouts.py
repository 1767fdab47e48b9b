"""When two shapes hold the same values: axes of 1 left out or put in, NHWC beside NCHW. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGE_RANK = 4


class Turned(NamedTuple):
    """The order in which an image's axes are read, and what that is called."""

    axes: tuple[int, ...]
    name: str


TURNS = (Turned((0, 3, 1, 2), "NHWC to NCHW"), Turned((0, 2, 3, 1), "NCHW to NHWC"))


def reshaped(have: Sequence[int], wanted: Sequence[int]) -> bool:
    """Tell whether only axes of 1 are left out or put in."""
    return [size for size in have if size != 1] == [size for size in wanted if size != 1]


def turned(have: Sequence[int], wanted: Sequence[int]) -> Turned | None:
    """Return how the axes of an image are to be read so that it has the shape that is wanted; None where none does."""
    if len(have) != IMAGE_RANK or len(wanted) != IMAGE_RANK:
        return None
    return next((turn for turn in TURNS if tuple(have[axis] for axis in turn.axes) == tuple(wanted)), None)


def alike(have: Sequence[int], wanted: Sequence[int]) -> bool:
    """Tell whether two shapes hold the same values, laid out in one way or the other."""
    return reshaped(have, wanted) or turned(have, wanted) is not None
