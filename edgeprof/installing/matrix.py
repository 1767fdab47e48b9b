"""The matrix of wheels as data: `data/runtimes.toml`."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct


class RuntimeWheel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of one runtime, and what it needs.

    `pythons` "3.11"; `glibc` the least version an architecture; `numpy` a version specifier, empty: any; `needs` CPU
    features, an architecture, without which it dies of an illegal instruction, as the `issues` tell.
    """

    module: str
    package: str
    version: str
    format: str
    pythons: tuple[str, ...]
    glibc: dict[str, str]
    source: str
    numpy: str = ""
    needs: dict[str, tuple[str, ...]] = {}
    issues: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Return package and version."""
        return f"{self.package} {self.version}"


class NumpyWheels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For which architectures the package index has wheels of numpy."""

    architectures: tuple[str, ...]


class Matrix(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rows, the best first."""

    numpy: NumpyWheels
    runtimes: tuple[RuntimeWheel, ...]


@cache
def runtime_matrix() -> Matrix:
    """Return the matrix that ships with edgeprof."""
    text = resources.files("edgeprof").joinpath("data/runtimes.toml").read_bytes()
    return msgspec.toml.decode(text, type=Matrix)
