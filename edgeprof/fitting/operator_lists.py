"""Which operators TFLM, LiteRT and ONNX Runtime have, as their wheels told `scripts/write_operator_lists.py`."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct


class TflmList(Struct, frozen=True, forbid_unknown_fields=True):
    """The builtin and the custom operators that TFLM registers."""

    version: str
    builtins: frozenset[str]
    custom: frozenset[str]


class LitertList(Struct, frozen=True, forbid_unknown_fields=True):
    """LiteRT's builtin operators, each up to a version, and its custom ones."""

    version: str
    custom: frozenset[str]
    builtins: dict[str, int]


class Domain(Struct, frozen=True, forbid_unknown_fields=True):
    """An ONNX domain: the operator sets in which each operator runs, [from] or [from, to], and what only others run."""

    elsewhere: frozenset[str]
    operators: dict[str, tuple[int, ...]]


class OnnxRuntimeList(Struct, frozen=True, forbid_unknown_fields=True):
    """The newest operator sets and IR version that ONNX Runtime reads, and what its CPU provider runs."""

    version: str
    ir_version: int
    opsets: dict[str, int]
    domains: dict[str, Domain]


class OperatorLists(Struct, frozen=True, forbid_unknown_fields=True):
    """All lists."""

    tflm: TflmList
    litert: LitertList
    onnxruntime: OnnxRuntimeList


@cache
def operator_lists() -> OperatorLists:
    """Return the lists that ship with edgeprof."""
    content = resources.files("edgeprof").joinpath("data/operators.toml").read_bytes()
    return msgspec.toml.decode(content, type=OperatorLists)
