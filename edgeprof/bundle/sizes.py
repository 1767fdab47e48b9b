"""Sums over a bundle: what of it is machine learning, what is stored twice, and what a device downloads."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from edgeprof.bundle.recognise import abi_folder
from edgeprof.records.bundle import Bundle, BundleKind, FoundLibrary, FoundModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeprof.bundle.entry import Entry

_downloads: Final[dict[BundleKind, str]] = {
    "apk": "the file as it is; a store may send less, one ABI and compressed again",
    "aab": "the upload; a store builds from it what one device downloads: at most the figures by ABI, and less by"
    " language and screen",
    "ipa": "the file as it is; the App Store thins and encrypts it, which changes the size that a device downloads",
    "aar": "the library as it is; in an app it is packed again",
    "whl": "the file as it is",
    "zip": "the file as it is",
    "tar": "the file as it is",
    "tar.gz": "the file as it is",
    "file": "the file as it is",
    "folder": "a folder is not downloaded as it is; the sizes are those on disk",
}


class Sizes:
    """Running sums of all entries of the bundle itself."""

    def __init__(self) -> None:
        self.count = 0
        self.unpacked = 0
        self.common = 0
        self.by_abi: Counter[str] = Counter()

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        self.count += 1
        self.unpacked += entry.size
        abi = abi_folder(entry.name)
        if entry.compressed_size is None:
            return
        if abi is None:
            self.common += entry.compressed_size
        else:
            self.by_abi[abi] += entry.compressed_size


def summed(
    kind: BundleKind,
    size: int | None,
    sizes: Sizes,
    models: Sequence[FoundModel],
    libraries: Sequence[FoundLibrary],
    notes: tuple[str, ...],
) -> Bundle:
    """Return the bundle with its sums."""
    found: tuple[FoundModel | FoundLibrary, ...] = (*models, *libraries)
    packed = [item.compressed_bytes for item in found]
    whole = sum(count for count in packed if count is not None) - sum(x.shared_compressed_bytes for x in models)
    unpacked = sum(item.bytes for item in found) - sum(model.shared_bytes for model in models)
    known = size is not None and None not in packed
    return Bundle(
        kind=kind,
        bytes=size,
        unpacked_bytes=sizes.unpacked,
        entries_count=sizes.count,
        models=tuple(models),
        libraries=tuple(libraries),
        download_bytes=size,
        download_note=_downloads[kind],
        download_by_abi_bytes={abi: sizes.common + own for abi, own in sorted(sizes.by_abi.items())},
        ml_bytes=whole if known else unpacked,
        ml_unpacked_bytes=unpacked,
        ml_share_ratio=_share(whole, size) if known else None,
        ml_unpacked_share_ratio=_share(unpacked, sizes.unpacked),
        duplicate_bytes=_doubled(models),
        notes=notes,
    )


def _doubled(models: Iterable[FoundModel]) -> int:
    return sum(model.bytes for model in models if model.same_as is not None)


def _share(part: int, whole: int | None) -> float | None:
    return min(part / whole, 1.0) if whole else None
