"""Results that are compared: two files, or two folders whose results belong together by target and variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgeprof.comparing.regression import MAX_REGRESSION
from edgeprof.comparing.results import compared, differences
from edgeprof.comparing.techniques import techniques_of_sides
from edgeprof.errors import FileUnreadable, UsageError
from edgeprof.file_names import written
from edgeprof.records.result import Warned
from edgeprof.store import kept_result, now, read_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edgeprof.records.comparison import Comparison, Difference, Price
    from edgeprof.records.result import Result


def compare_saved(
    base: Path,
    new: Path,
    *,
    max_regression: float = MAX_REGRESSION,
    allow: Sequence[str] = (),
    price: Price | None = None,
) -> tuple[Comparison, ...]:
    """Compare two results, or each result of a folder with the one of the same target and variant in the other."""
    folders = base.is_dir() or new.is_dir()
    pairs = _pairs(base, new) if folders else [(kept_result(base), kept_result(new))]
    created = now()
    names = ("", "") if folders else _names(pairs[0], (base, new))
    found = []
    for one, other in pairs:
        refuse(one, other, allow)
        whole = compared(
            one, other, created, max_regression=max_regression, names=names, advice=_finer(one, other)
        )  # fmt: skip
        found.append(
            replace(
                whole,
                techniques=techniques_of_sides(whole.base, whole.new),
                price=price,
                warnings=(*whole.warnings, *_broken_off(one, other)),
            )
        )
    return tuple(found)


def _finer(base: Result, new: Result) -> str:
    """Return what would tell more than two runs, where the same target can run both models."""
    if base.target.name != new.target.name or base.target.link not in {"local", "ssh", "sim"}:
        return ""
    return f"edgeprof compare BASE NEW with the models themselves, --target {base.target.name}, tells more"


def _broken_off(base: Result, new: Result) -> tuple[Warned, ...]:
    """Return a word of each side whose run did not come to its end."""
    sides = [name for name, result in (("BASE", base), ("NEW", new)) if result.status == "partial"]
    if not sides:
        return ()
    text = f"{' and '.join(sides)}: the run did not come to its end"
    return (Warned(code="broken-off", text=text, advice="profile it again, and compare what is whole"),)


def _names(pair: tuple[Result, Result], paths: Sequence[Path]) -> tuple[str, str]:
    """Return the models' names, with the files' where the models are called the same."""
    one, other = (result.variant or result.model.name for result in pair)
    if one != other:
        return "", ""
    ours, theirs = names_apart(paths)
    return f"{one} ({ours})", f"{other} ({theirs})"


def names_apart(paths: Sequence[Path]) -> list[str]:
    """Return the files' names, with as much of their folders as tells them apart; the same file has one name."""
    resolved = [path.resolve() for path in paths]
    for depth in range(1, 5):
        names = [written("/".join(path.parts[-depth:])) for path in resolved]
        if len(set(names)) == len(set(resolved)):
            return names
    return [written(path) for path in resolved]


def refuse(base: Result, new: Result, allow: Iterable[str]) -> None:
    """Raise UsageError where the two are not comparable, unless what differs is allowed."""
    refuse_differences(differences(base, new), allow)


def refuse_differences(found: Iterable[Difference], allow: Iterable[str]) -> None:
    """Raise UsageError where one of the differences forbids a comparison and is not allowed."""
    allowed = set(allow)
    told = [x for x in found if x.forbids and not {x.what, "all"} & allowed]
    if not told:
        return
    text = "; ".join(f"{x.what}: {x.base} against {x.new}" for x in told)
    options = " ".join(f"--allow {_quoted(x.what)}" for x in told)
    raise UsageError(f"these two are not comparable: {text}", hint=f"{options} compares them all the same")


def _quoted(what: str) -> str:
    return f"'{what}'" if " " in what else what


def _pairs(base: Path, new: Path) -> list[tuple[Result, Result]]:
    for path in (base, new):
        if not path.exists():
            raise FileUnreadable(f"there is no {path}")
        if not path.is_dir():
            raise UsageError(
                f"{path} is a file and the other side a folder of results",
                hint="compare two files, or two folders that edgeprof profile -o FOLDER wrote",
            )
    ours, theirs = _results_of(base), _results_of(new)
    both = [key for key in ours if key in theirs]
    if not both:
        raise UsageError(
            f"no result of {base} has its counterpart in {new}: {_named(ours)} against {_named(theirs)}",
            hint="results belong together by target and variant",
        )
    return [(ours[key], theirs[key]) for key in both]


def _results_of(folder: Path) -> dict[tuple[str, str], Result]:
    found: dict[tuple[str, str], Result] = {}
    for path in sorted(folder.glob("*.json")):
        if path.name.endswith(".samples.json"):
            continue
        result = read_result(path)
        key = (result.target.name, result.variant or "")
        if key in found:
            raise UsageError(
                f"{folder} holds two results of {_named([key])}: which one is to be compared cannot be told",
                hint="compare the two files that you mean",
            )
        found[key] = result
    if not found:
        raise FileUnreadable(f"there is no result in {folder}", hint="edgeprof profile -o FOLDER writes them there")
    return found


def _named(keys: Iterable[tuple[str, str]]) -> str:
    return ", ".join(" ".join(part for part in key if part) for key in keys)
