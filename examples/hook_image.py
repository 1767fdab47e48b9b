"""A hook for `edgeprof profile vww_int8.tflite --hook hook_image.py`: the whole path of a camera frame on the board.

The frame is cut to a square, scaled down to 96x96 and brought onto the model's int8 grid; the two scores become a
decision. Only what the board has may be imported: numpy is there with every runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FRAME = (240, 320, 3)
SIDE = 96


def inputs() -> Iterator[NDArray[np.uint8]]:
    """Yield frames as a camera gives them, here seeded noise."""
    source = np.random.default_rng(0)
    for _ in range(8):
        yield source.integers(0, 256, FRAME, dtype=np.uint8)


def preprocess(frame: NDArray[np.uint8]) -> list[NDArray[np.int8]]:
    """Return the model's inputs: the middle of the frame, every so many pixels, as int8."""
    height, width, _ = frame.shape
    side = min(height, width)
    square = frame[(height - side) // 2 :, (width - side) // 2 :][:side, :side]
    picked = np.arange(SIDE) * side // SIDE
    return [(square[picked][:, picked].astype(np.int16) - 128).astype(np.int8)[np.newaxis]]


def postprocess(outputs: list[NDArray[np.int8]]) -> bool:
    """Return whether there is a person; outputs is a list in the model's order."""
    nobody, person = outputs[0][0]
    return bool(person > nobody)
