"""Which wheels fit a board's Python, and why the others do not: pure, from the facts that its agent said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgeprof.installing.matrix import RuntimeWheel, runtime_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# A 32-bit userland runs on a 64-bit kernel too (Raspberry Pi OS does that), and then the kernel's name is no help.
NAMES_OF_32_BITS = {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}
OLDEST_GLIBC = {"x86_64": 5}
"""The first glibc 2.x that has a manylinux tag; 17 on the other architectures (PEP 600)."""
LEGACY_TAGS = {"x86_64": {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}}


class BoardPython(Struct, frozen=True, kw_only=True):
    """The Python that runs the agent. `glibc` None: another C library, such as musl.

    `architecture` is that of the Python, not of the kernel; `cpu_features` None: the kernel does not tell; `numpy`:
    the version that the system has, empty: none.
    """

    version: tuple[int, int]
    architecture: str
    glibc: tuple[int, int] | None = None
    implementation: str = "cpython"
    abi: str = ""
    cpu_features: frozenset[str] | None = None
    numpy: str = ""

    @property
    def minor(self) -> str:
        """Return the version as wheels and people name it."""
        return f"{self.version[0]}.{self.version[1]}"

    def __str__(self) -> str:
        libc = f"glibc {self.glibc[0]}.{self.glibc[1]}" if self.glibc else "no glibc"
        return f"Python {self.minor}, {self.architecture}, {libc}"


class Choice(Struct, frozen=True, kw_only=True):
    """Wheels that fit: what pip is asked for, and for which Python."""

    wheel: RuntimeWheel
    requirements: tuple[str, ...]
    platforms: tuple[str, ...]
    python: str
    abi: str
    remark: str = ""


class Unfit(Struct, frozen=True, kw_only=True):
    """A version that does not fit, and why."""

    wheel: RuntimeWheel
    reason: str

    def __str__(self) -> str:
        return f"{self.wheel.title}: {self.reason}"


class Fitting(Struct, frozen=True, kw_only=True):
    """All that is known for a format: what fits, the best first, and what does not."""

    choices: tuple[Choice, ...]
    unfit: tuple[Unfit, ...]

    @property
    def reasons(self) -> str:
        """Return why the others do not fit, a package's versions once where the reason is the same."""
        told = {(unfit.wheel.package, unfit.reason): str(unfit) for unfit in reversed(self.unfit)}
        return "; ".join(reversed(told.values()))


def board_python(identity: Mapping[str, Any]) -> BoardPython | None:
    """Return the facts from what a Linux agent said of itself; None where it said none."""
    said = identity.get("interpreter")
    if not isinstance(said, dict) or len(said.get("version", ())) < 2:  # noqa: PLR2004  major and minor
        return None
    machine = str(said.get("platform", "")).removeprefix("linux-") or str(said.get("machine", ""))
    if said.get("pointer_bits") == 32:  # noqa: PLR2004  bits
        machine = NAMES_OF_32_BITS.get(machine, machine)
    features = identity.get("cpu_features", identity.get("state", {}).get("cpu_features"))
    major, minor = (int(number) for number in said["version"][:2])
    return BoardPython(
        version=(major, minor),
        architecture=machine,
        glibc=_glibc(str(said.get("glibc", ""))),
        implementation=str(said.get("implementation", "cpython")),
        abi=str(said.get("abi", "")),
        cpu_features=None if features is None else frozenset(features),
        numpy=str(said.get("numpy", "")),
    )


def choose_wheels(format_name: str, python: BoardPython, runtime: str = "") -> Fitting:
    """Return what fits this Python, the best first, and why the rest does not; `runtime` restricts it to one module."""
    rows = [row for row in runtime_matrix().runtimes if row.format == format_name and runtime in {"", row.module}]
    reasons = [(row, _misfit(row, python)) for row in rows]
    return Fitting(
        choices=tuple(_choice(row, python) for row, reason in reasons if not reason),
        unfit=tuple(Unfit(wheel=row, reason=reason) for row, reason in reasons if reason),
    )


def lacking(row: RuntimeWheel, architecture: str, features: frozenset[str] | None) -> tuple[str, ...]:
    """Return the CPU features that this version needs and the CPU does not have; none where the CPU's are not known."""
    if features is None:
        return ()
    return tuple(name for name in row.needs.get(architecture, ()) if name not in features)


def _misfit(row: RuntimeWheel, python: BoardPython) -> str:
    """Return why a version does not fit, the weightiest reason; empty when it does."""
    return next(_misfits(row, python), "")


def _misfits(row: RuntimeWheel, python: BoardPython) -> Iterator[str]:
    architecture = python.architecture
    if python.implementation != "cpython":
        yield f"no wheel for {python.implementation}"
    if architecture not in row.glibc:
        bits = " 32-bit" if architecture.startswith("armv") or architecture == "i686" else ""
        yield f"no{bits} wheel ({architecture})"
    if python.minor not in row.pythons:
        yield f"no wheel for Python {python.minor}"
    if python.abi.endswith("t"):
        yield f"no wheel for a free-threaded Python ({python.abi})"
    if python.glibc is None:
        yield "no wheel for a system without glibc, such as musl"
    elif python.glibc < _version(row.glibc[architecture]):
        yield f"glibc {python.glibc[0]}.{python.glibc[1]} < {row.glibc[architecture]}"
    if missing := lacking(row, architecture, python.cpu_features):
        yield f"needs {', '.join(missing)}, which this CPU does not have"


def _choice(row: RuntimeWheel, python: BoardPython) -> Choice:
    requirements = [f"{row.package}=={row.version}"]
    remark = ""
    # The system's numpy does only where the index has none: two versions of it in one process do not mix.
    if python.architecture in runtime_matrix().numpy.architectures or not _numpy_does(row, python):
        requirements.append(f"numpy{row.numpy}")
    if python.architecture not in runtime_matrix().numpy.architectures and len(requirements) > 1:
        remark = (
            f"the package index has no numpy for {python.architecture}: sudo apt install python3-numpy there, or"
            " fetch from https://www.piwheels.org/simple"
        )
    return Choice(
        wheel=row,
        requirements=tuple(requirements),
        platforms=tuple(wheel_platforms(python.architecture, python.glibc)),
        python=python.minor,
        abi=python.abi or f"cp{python.version[0]}{python.version[1]}",
        remark=remark,
    )


def _numpy_does(row: RuntimeWheel, python: BoardPython) -> bool:
    from packaging.specifiers import SpecifierSet

    return bool(python.numpy) and SpecifierSet(row.numpy).contains(python.numpy, prereleases=True)


def wheel_platforms(architecture: str, glibc: tuple[int, int] | None) -> Iterator[str]:
    """Yield the platform tags of wheels that run there, the newest first (PEP 600), and of what is built there."""
    legacy = LEGACY_TAGS.get(architecture, {17: "manylinux2014"})
    if glibc is not None:
        for minor in range(glibc[1], OLDEST_GLIBC.get(architecture, 17) - 1, -1):
            yield f"manylinux_2_{minor}_{architecture}"
            if minor in legacy:
                yield f"{legacy[minor]}_{architecture}"
    yield f"linux_{architecture}"


def _glibc(text: str) -> tuple[int, int] | None:
    words = text.split(".")
    return (int(words[0]), int(words[1])) if len(words) > 1 and words[0].isdigit() and words[1].isdigit() else None


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
