"""How a model file is opened, and how much a reader will do for one file before it refuses.

The ceilings keep a hostile file from costing more than 2 s or 300 MB; no real model comes near them.
"""

from __future__ import annotations

import mmap
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from edgeprof.errors import FileUnreadable, ModelInvalid, ModelUnsupported, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edgeprof.model.graph import Shape

max_file_bytes: Final = 4 * 2**30
max_operators: Final = 30_000
max_tensors: Final = 80_000
max_items: Final = 1_000_000
max_rank: Final = 32
max_elements: Final = 2**42
max_depth: Final = 32
max_name_bytes: Final = 65_536


class Budget:
    """What is left of the work and of the counts that one file may ask for. Overspending raises ModelUnsupported."""

    def __init__(self) -> None:
        self.items = max_items
        self.operators = max_operators
        self.tensors = max_tensors

    def spend(self, items: int) -> None:
        """Take some fields, numbers or characters from what the file may hold."""
        self.items -= items
        if self.items < 0:
            raise ModelUnsupported(f"the graph has more than {max_items:,} fields and numbers outside its weights")

    def spend_operators(self, count: int) -> None:
        """Take some operators from what the file may hold."""
        self.operators -= count
        if self.operators < 0:
            raise ModelUnsupported(f"the model has more than {max_operators:,} operators")

    def spend_tensors(self, count: int) -> None:
        """Take some tensors from what the file may hold."""
        self.tensors -= count
        if self.tensors < 0:
            raise ModelUnsupported(f"the model has more than {max_tensors:,} tensors")


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Yield the file as read-only memory, without reading it.

    Raises FileUnreadable for what is not a readable file and ModelInvalid for one that is empty or too large.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise FileUnreadable(f"{path} is {kind}; a .tflite or .onnx file is wanted")
        _refuse_size(path, status.st_size)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            yield memory
    except OSError as error:
        raise FileUnreadable(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        # A name with a NUL in it, or a file that became empty since it was looked at.
        raise FileUnreadable(f"{path} cannot be read: {error}") from error


def checked_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape unless no tensor can have it. Raises ModelInvalid naming the tensor."""
    if len(shape) > max_rank:
        raise ModelInvalid(f"tensor {name!r} has {len(shape)} dimensions; at most {max_rank} make sense")
    count = 1
    for size in shape:
        count *= max(size, 1)
    if count > max_elements:
        raise ModelInvalid(f"tensor {name!r} claims {count:.3g} elements; at most 2^42 make sense")
    return shape


def check_shapes(
    shapes: Mapping[str, tuple[int, ...]], inputs: Mapping[str, Shape | None], *, resizable: bool = False
) -> None:
    """Raise UsageError for a name that is no input of the model, or a shape that this input cannot have.

    `resizable`: the runtime may be asked for another first size than the file has.
    """
    for name, shape in shapes.items():
        if name not in inputs:
            listed = ", ".join(f"{known} {drawn(signature)}" for known, signature in inputs.items())
            raise UsageError(f"the model has no input {name!r}; it has {listed}", hint=did_you_mean(name, inputs))
        signature = inputs[name]
        fits = signature is None or (
            len(signature) == len(shape)
            and all(
                known in {None, size} or (resizable and axis == 0)
                for axis, (known, size) in enumerate(zip(signature, shape, strict=True))
            )
        )
        if not fits or min(shape, default=0) < 0:
            raise UsageError(f"input {name!r} cannot have the shape {drawn(shape)}; the model wants {drawn(signature)}")


def drawn(shape: Shape | None) -> str:
    """Return a shape as people write it, ? for what varies."""
    return "of any rank" if shape is None else f"({','.join('?' if size is None else str(size) for size in shape)})"


def _refuse_size(path: Path, size: int) -> None:
    if size == 0:
        raise ModelInvalid(f"{path} is empty")
    if size > max_file_bytes:
        raise ModelInvalid(
            f"{path} has {size / 2**30:.1f} GiB; a model file of at most {max_file_bytes // 2**30} GiB is wanted",
            hint="export an ONNX model of this size with external data",
        )
