"""Runtimes that were put on the board by edgeprof: wheels unpacked into the agent's own folder, and found there.

Nothing outside that folder is written, and no Python of the system is touched. Each wheel has a folder of its own
under ``runtimes/``, named by its content; ``runtimes.json`` lists the sets that were installed together, the newest
first. A measuring process gets the set that holds its runtime in front of its path, so that two runtimes that need
different versions of numpy can be there at once. Wheels are archives from elsewhere: nothing in one may lie outside.
"""

import errno
import glob
import importlib
import json
import os
import platform
import re
import shutil
import stat
import struct
import sys
import sysconfig
import zipfile
import zlib
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec as find_system_spec
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from edgeprof.agent.digests import look, told
from edgeprof.agent.refusal import Refused

MOST_FILES = 20000
MOST_BYTES = 1 << 30
PART_BYTES = 1 << 20
WHEEL = re.compile(r"^[A-Za-z0-9_.]+-[A-Za-z0-9_.!+]+(-[A-Za-z0-9_.]+){3,4}\.whl$")
METADATA = re.compile(r"^numpy-([0-9][^-]*?)(-py[0-9.]+)?\.(dist|egg)-info$")
DATA = re.compile(r"^[^/]+\.data/([^/]+)/(.+)$")
MANIFEST = "edgeprof-files.json"
DISTRIBUTIONS = {
    "ai_edge_litert": ("ai_edge_litert",),
    "tflite_runtime": ("tflite_runtime", "tflite_runtime_nightly"),
    "onnxruntime": ("onnxruntime",),
}


class BadWheel(ValueError):
    """A wheel that is not taken."""

    def __init__(self, text: str, *values: object) -> None:
        super(BadWheel, self).__init__(text.format(*values))


# ── installing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def install(folder: str, wheels: Mapping[str, str], replace: int) -> List[str]:
    """Unpack wheels, file name to SHA-256 in hex of a blob that is here; return the names of all that are here then.

    `replace` drops the older sets that hold the same runtime. When it fails nothing of it is left; where the disk is
    full that is an OSError.
    """
    if os.pathsep in folder:
        raise BadWheel("the folder {} has a {!r} in its name, which no PYTHONPATH can hold", folder, os.pathsep)
    base = os.path.join(folder, "runtimes")
    os.makedirs(base, exist_ok=True)
    made: List[str] = []
    names: List[str] = []
    modules: List[str] = []
    try:
        for name, sha256 in sorted(wheels.items()):
            target = _folder_of(name, sha256)
            path = os.path.join(base, target)
            if not os.path.isdir(path):
                _unpack(_blob(folder, name, sha256), name, path, sha256)
                made.append(path)
            names.append(target)
            modules += [module for module in _modules(path) if module not in modules]
        new = {"python": _tag(), "folders": names, "wheels": sorted(wheels), "modules": modules}
        _list_first(folder, new, replace)
    except BaseException:
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
        raise
    finally:
        _forget_blobs(folder, wheels)
    _sweep(folder)
    importlib.invalidate_caches()
    return sorted({wheel for known in _own_sets(folder) for wheel in known["wheels"]})


def _folder_of(name: str, sha256: str) -> str:
    if not WHEEL.match(name) or not re.match("^[0-9a-f]{64}$", sha256):
        raise BadWheel("{!r} is no name of a wheel", name)
    return "-".join([*name.split("-")[:2], sha256[:16]])


def _blob(folder: str, name: str, sha256: str) -> str:
    path = os.path.join(folder, "blobs", sha256)
    if not os.path.exists(path):
        raise BadWheel("the wheel {} is not here", name)
    return path


def _unpack(wheel: str, name: str, path: str, sha256: str) -> None:
    """Unpack a wheel beside where it will be, with a list of what its files hold, and move it there whole."""
    part = "{}.{}.part".format(path, os.getpid())
    seen = look(wheel, {})
    if seen.sha256 != sha256:
        raise Refused("blob-corrupt", "the wheel {} on the board is damaged: {}".format(name, told(seen)))
    try:
        with zipfile.ZipFile(wheel) as archive:
            entries = _checked(archive, name)
            _check_space(entries, part)
            os.mkdir(part)
            left = MOST_BYTES
            for entry, inside in entries:
                left -= _write(archive, entry, os.path.join(part, *inside.split("/")), left)
                if left < 0:
                    raise BadWheel("{} unpacks to more than {} bytes", name, MOST_BYTES)
        _note_files(part, [inside for _, inside in entries])
        os.sync()  # before the folder has its name: power may be cut at any time
        os.rename(part, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, struct.error) as error:
        raise BadWheel("{} is no sound wheel: {}", name, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _checked(archive: zipfile.ZipFile, name: str) -> List[Tuple[zipfile.ZipInfo, str]]:
    """Return the files of a wheel with their places; one that could lie outside makes the wheel a bad one."""
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise BadWheel("{} has {} files, at most {} are taken", name, len(entries), MOST_FILES)
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise BadWheel("{} unpacks to more than {} bytes", name, MOST_BYTES)
    found: Dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        inside = entry.filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise BadWheel("{}: {!r} is a link or a device", name, inside)
        if inside.startswith("/") or "\\" in inside or "\0" in inside or ":" in inside.split("/")[0]:
            raise BadWheel("{}: {!r} is no path inside a wheel", name, inside)
        if [word for word in inside.rstrip("/").split("/") if word in {"", ".", ".."}]:
            raise BadWheel("{}: {!r} points outside", name, inside)
        place = _place(inside)
        if inside.endswith("/") or not place:
            continue
        if place in found:
            raise BadWheel("{}: {!r} is there twice", name, place)
        found[place] = entry
    return [(entry, place) for place, entry in found.items()]


def _place(inside: str) -> str:
    """Return where a file goes: a wheel's NAME.data holds more modules, and scripts that nobody needs here."""
    data = DATA.match(inside)
    if data is None:
        return inside
    return data.group(2) if data.group(1) in {"purelib", "platlib"} else ""


def _check_space(entries: List[Tuple[zipfile.ZipInfo, str]], part: str) -> None:
    wanted = sum(entry.file_size for entry, _ in entries)
    if shutil.disk_usage(os.path.dirname(part)).free < wanted:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), part)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: str, most: int) -> int:
    """Write one file and return its size; what the archive says of it is not believed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    size = 0
    with archive.open(entry) as source, open(path, "xb") as target:
        for content in iter(lambda: source.read(PART_BYTES), b""):
            size += len(content)
            if size > most:
                return size
            target.write(content)
    return size


def _modules(path: str) -> List[str]:
    """Return the packages at the top of an unpacked wheel."""
    return sorted(name for name in os.listdir(path) if os.path.exists(os.path.join(path, name, "__init__.py")))


# ── what is there ────────────────────────────────────────────────────────────────────────────────────────────────────


def _sets(folder: str) -> List[Dict[str, Any]]:
    try:
        with open(os.path.join(folder, "runtimes.json")) as file:
            listed = json.load(file)["sets"]
        return [known for known in listed if set(known) == {"python", "folders", "wheels", "modules"}]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _own_sets(folder: str) -> List[Dict[str, Any]]:
    """Return the sets for this Python: another one on the same board cannot load what was built for it."""
    return [known for known in _sets(folder) if known.get("python") == _tag()]


def _tag() -> str:
    return "{} {} {}".format(_abi(), sysconfig.get_platform(), struct.calcsize("P") * 8)


def _list_first(folder: str, new: Dict[str, Any], replace: int) -> None:
    """Put a set at the top of the list; `replace` drops those that hold the same runtime."""
    mine = set(new["modules"]) - {"numpy"}
    others = [known for known in _sets(folder) if known not in _own_sets(folder)]
    kept = [known for known in _own_sets(folder) if known["folders"] != new["folders"]]
    if replace:
        kept = [known for known in kept if not mine & set(known["modules"])]
    path = os.path.join(folder, "runtimes.json")
    part = "{}.{}.part".format(path, os.getpid())
    try:
        with open(part, "w") as file:
            json.dump({"sets": [new, *kept, *others]}, file, indent=1)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def _forget_blobs(folder: str, wheels: Mapping[str, str]) -> None:
    """Remove the wheels themselves, unpacked or not: a memory card is small."""
    for sha256 in wheels.values():
        try:
            os.unlink(os.path.join(folder, "blobs", sha256))
        except OSError:
            continue


def _sweep(folder: str) -> None:
    """Remove what no set uses any more; what another conversation is unpacking is left alone."""
    used = {name for known in _sets(folder) for name in known["folders"]}
    for path in glob.glob(os.path.join(glob.escape(os.path.join(folder, "runtimes")), "*")):
        words = os.path.basename(path).split(".")
        unpacking = words[-1] == "part" and os.path.exists("/proc/" + words[-2])
        if os.path.basename(path) not in used and not unpacking:
            shutil.rmtree(path, ignore_errors=True)


def drop_damaged(folder: str, module: str, busy: Callable[[], None]) -> str:
    """Remove what edgeprof had unpacked of a runtime where its files no longer hold what they held; say what it was."""
    for path in paths(folder, module):
        wrong = _wrong_file(path, busy)
        if wrong:
            shutil.rmtree(path, ignore_errors=True)
            return "what edgeprof had installed of {} was damaged and is removed: {}".format(module, wrong)
    return ""


def _note_files(path: str, names: List[str]) -> None:
    """Write down what the files of an unpacked wheel hold."""
    noted = {inside: look(os.path.join(path, *inside.split("/")), {}) for inside in names}
    with open(os.path.join(path, MANIFEST), "w") as file:
        json.dump({inside: [seen.stamp[2], seen.sha256] for inside, seen in noted.items()}, file)


def _wrong_file(path: str, busy: Callable[[], None]) -> str:
    """Return a file of an unpacked wheel that is missing or changed; nothing where all is well or nothing was noted."""
    try:
        with open(os.path.join(path, MANIFEST)) as file:
            noted: Dict[str, List[Any]] = json.load(file)
    except FileNotFoundError:
        return ""  # unpacked before such lists were written
    except (OSError, ValueError):
        return MANIFEST
    for inside, (size, sha256) in noted.items():
        place = os.path.join(path, *inside.split("/"))
        try:
            if os.stat(place).st_size != size or look(place, {}, busy).sha256 != sha256:
                return inside
        except OSError:
            return inside
    return ""


def paths(folder: str, module: str) -> List[str]:
    """Return what goes in front of the path of a process that uses this runtime; nothing where it is the system's."""
    for known in _own_sets(folder):
        found = [os.path.join(folder, "runtimes", name) for name in known["folders"]]
        if module in known["modules"] and all(os.path.isdir(path) for path in found):
            return found
    return []


def find_spec(folder: str, module: str, beside: str = "") -> Optional[ModuleSpec]:
    """Find a module as a process that uses the runtime `beside` will: edgeprof's own first, else the system's."""
    own = paths(folder, beside or module)
    return (PathFinder.find_spec(module, own) if own else None) or find_system_spec(module)


def version(folder: str, module: str) -> str:
    """Return the version of a runtime without importing it; empty where nothing tells."""
    for path in paths(folder, module) or sys.path:
        for name in DISTRIBUTIONS.get(module, ()):
            for found in glob.glob(os.path.join(glob.escape(path), name + "-*.dist-info")):
                return os.path.basename(found)[len(name) + 1 : -len(".dist-info")]
    return ""


def with_origin(folder: str, found: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what a probe found with the version of a runtime that could not say its own, and who put it there."""
    told = dict(found)
    told["version"] = told.get("version") or version(folder, told["name"])
    if told["works"] and paths(folder, told["name"]):
        told["reason"] = "installed by edgeprof"
    return told


def environment(folder: str, orders: Mapping[str, Any]) -> Dict[str, str]:
    """Return the environment of a measuring process: its runtimes come first on its path."""
    second = (orders.get("settings") or {}).get("second") or {}
    own = paths(folder, str(orders.get("runtime", ""))) + paths(folder, str(second.get("runtime", "")))
    # ONNX Runtime would keep a database in the user's home, and phone home.
    found = dict(os.environ, ORT_DISABLE_TELEMETRY="1")
    if own:
        found["PYTHONPATH"] = os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])
    return found


# ── which wheels fit ─────────────────────────────────────────────────────────────────────────────────────────────────


def _abi() -> str:
    """Return what a wheel must be built for to run here."""
    threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    flags = getattr(sys, "abiflags", "").replace("t", "").replace("d", "")
    return "cp{}{}{}{}".format(sys.version_info[0], sys.version_info[1], flags, threaded)


def interpreter() -> Dict[str, Any]:
    """Return what decides which wheels fit this Python. What the system does not say is absent."""
    known = {
        "version": list(sys.version_info[:3]),
        "implementation": platform.python_implementation().lower(),
        "abi": _abi(),
        "pointer_bits": struct.calcsize("P") * 8,
        "platform": sysconfig.get_platform(),
        "machine": platform.machine(),
        "glibc": _glibc(),
        "numpy": _numpy(),
    }
    return {name: value for name, value in known.items() if value}


def _glibc() -> str:
    """Return the version of glibc; musl has none."""
    try:
        words = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except (ValueError, OSError, AttributeError):
        return ""
    return words[1] if len(words) == 2 and words[0] == "glibc" else ""


def _numpy() -> str:
    """Return the version of the system's numpy from its metadata: importing it takes a second on a small board."""
    for path in sys.path:
        try:
            names = os.listdir(path or ".") if not os.path.isfile(path) else []
        except OSError:
            continue
        for found in map(METADATA.match, names):
            if found is not None:
                return found.group(1)
    return ""
