"""What is in an app bundle, and what checking a file against limits gives."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from edgeprof.records.result import (
    Finding,
    Metric,
    Warned,
)

BundleKind = Literal["apk", "aab", "ipa", "aar", "whl", "zip", "tar", "tar.gz", "folder", "file"]
Evidence = Literal["content", "name"]


class FoundModel(Struct, frozen=True, kw_only=True):
    """A model inside a bundle. `path` has a `!/` where it goes into an archive inside the bundle.

    `bytes` is its size unpacked, `compressed_bytes` what it takes in the archive, null where the archive is
    compressed as a whole. `metrics` are those of formats that edgeprof reads; otherwise `note` says why there are none.
    `missing_files` hold weights of the model and are not there, or not as it declares them, which `weights_fault`
    tells: the size is that without them. Of `bytes` and `compressed_bytes`, `shared_bytes` and
    `shared_compressed_bytes` are those of files of weights that are counted with another model already. `sha256` is
    null where weights lie in other files of a bundle.
    """

    path: str
    format: str
    evidence: Evidence
    bytes: int
    compressed_bytes: int | None
    sha256: str | None = None
    same_as: str | None = None
    metrics: dict[str, Metric] = {}
    missing_files: tuple[str, ...] = ()
    weights_fault: str = ""
    shared_bytes: int = 0
    shared_compressed_bytes: int = 0
    note: str = ""


class FoundLibrary(Struct, frozen=True, kw_only=True):
    """A native library of an ML runtime, and the processor that it is for."""

    path: str
    runtime: str
    abi: str | None
    bytes: int
    compressed_bytes: int | None


class Bundle(Struct, frozen=True, kw_only=True):
    """What was found in an archive or a folder.

    `bytes` is the size of the archive file, null for a folder; `download_bytes` is what `download_note` says.
    """

    kind: BundleKind
    bytes: int | None
    unpacked_bytes: int
    entries_count: int
    models: tuple[FoundModel, ...]
    libraries: tuple[FoundLibrary, ...]
    download_bytes: int | None
    download_note: str
    download_by_abi_bytes: dict[str, int] = {}
    ml_bytes: int = 0
    ml_unpacked_bytes: int = 0
    ml_share_ratio: float | None = None
    ml_unpacked_share_ratio: float | None = None
    duplicate_bytes: int = 0
    notes: tuple[str, ...] = ()


class CheckReport(Struct, frozen=True, kw_only=True):
    """A model, a bundle or a result, judged."""

    schema: Literal["edgeprof.check/1"]
    path: str
    kind: Literal["model", "bundle", "result"]
    status: Literal["complete", "partial"]
    board: str | None
    model: FoundModel | None
    bundle: Bundle | None
    metrics: dict[str, Metric]
    findings: tuple[Finding, ...]
    warnings: tuple[Warned, ...] = ()
