"""Damage results at random: what is read can be drawn, judged, compared and exported, and what is not is refused so.

    python scripts/fuzz_result.py --seconds 60 --seed 1 result.json ...

Without files it profiles an example model on simulated boards, and where that can be done on an emulated one and here.
The JSON of a finding is written into the current folder. Exits with 1 on a finding.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgeprof
from edgeprof.answers import battery_life, export, readiness
from edgeprof.battery.options import BatteryOptions
from edgeprof.comparing.saved_results import compare_saved
from edgeprof.errors import EdgeprofError, ResultInvalid
from edgeprof.judging.checking import check
from edgeprof.report import FORMATS, render
from edgeprof.report.battery import render_battery
from edgeprof.report.comparison import render_comparisons
from edgeprof.report.findings import render_check
from edgeprof.report.readiness import render_readiness
from edgeprof.store import encode_result, read_result
from scripts.fuzzing import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

_models = Path(__file__).resolve().parents[1] / "examples"
_cell = BatteryOptions(cell="CR2450", period_s=600.0, sleep_a=2e-6, supply_v=3.0, regulator="none")
_wrong: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, -(2**70), 10**400, 0.5, -0.5, 1e308, -1e308, 5e-324, "", "x", "\x1b[31m", "9",
    [], [0], [None], ["x"], {}, {"x": 1}, {"launch 0": {}}, [[]], [{}],
)  # fmt: skip
_texts = ("", "x", "\x1b[31m", "9", "n" * 3000, "a\nb", "|`<b>&", "complete", "tflite", "latency_p50_s", "simulated")
_marks = ("1e400", "NaN", "-Infinity", "[" * 100_000, '{"a":' * 50_000, "")
_most_items = 4


def fuzz(corpus: list[bytes], seed: int, *, tries: int | None = None, seconds: float | None = None) -> Outcome:
    """Mutate and use until the tries are done or the time is over; the same seed makes the same inputs."""
    chance = random.Random(seed)  # noqa: S311 (a reproducible sequence is wanted, not a secret)
    outcomes: Counter[str] = Counter()
    findings: list[Finding] = []
    tried, end = 0, time.monotonic() + (seconds or 1e9)
    with tempfile.TemporaryDirectory() as folder:
        while (tries is None or tried < tries) and time.monotonic() < end:
            original = corpus[tried % len(corpus)]
            content = mutated(original, chance)
            tried += 1
            try:
                outcomes[use(content, original, Path(folder))] += 1
            except Exception:  # noqa: BLE001 (whatever comes out is what is looked for)
                findings.append(Finding(traceback.format_exc(limit=-3), content))
    return Outcome(tried, outcomes, findings)


def mutated(original: bytes, chance: random.Random) -> bytes:
    """Return a result with one to three of its values wrong."""
    value = json.loads(original)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        holder, key = chance.choice(places)
        what = chance.random()
        if what < 0.2:  # noqa: PLR2004 (a share)
            del holder[key]
        elif what < 0.3 and isinstance(holder, list):  # noqa: PLR2004 (a share)
            holder.insert(key, holder[key])
        elif what < 0.7 and isinstance(holder[key], int | float):  # noqa: PLR2004 (a share)
            holder[key] = _other_number(holder[key], chance)
        elif what < 0.7 and isinstance(holder[key], str):  # noqa: PLR2004 (a share)
            holder[key] = chance.choice(_texts)
        elif what < 0.7 and isinstance(holder[key], list):  # noqa: PLR2004 (a share)
            holder[key] = holder[key][: chance.randrange(len(holder[key]) + 1)]
        else:
            holder[key] = chance.choice(_wrong)
    text = json.dumps(value, ensure_ascii=False).encode()
    if chance.random() < 0.01:  # noqa: PLR2004 (a share)
        at = text.index(b":", chance.randrange(len(text) // 2)) + 1
        text = text[:at] + chance.choice(_marks).encode() + text[at:]
    return text


def _other_number(number: float, chance: random.Random) -> float:
    """Return a number of the same type, near or far."""
    if isinstance(number, int):
        return chance.choice((0, 1, -1, number + 1, number - 1, -number, number * 10**6, 2**62, 10**18, 10**29))
    return number * chance.choice((-1.0, 0.0, 1e-9, 1e9, 1e25, 1e-60, 1.5, 1e150))


def _places(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Yield holder and key of each value; of a long list only of some items."""
    if isinstance(value, dict):
        keys: Any = list(value)
    elif isinstance(value, list):
        keys = range(len(value)) if len(value) <= _most_items else (0, 1, len(value) // 2, len(value) - 1)
    else:
        return
    for key in keys:
        yield value, key
        yield from _places(value[key])


def use(content: bytes, original: bytes, folder: Path) -> str:
    """Read a result and do with it all that can be done; return what came of it."""
    path, base = folder / "result.json", folder / "base.json"
    path.write_bytes(content)
    base.write_bytes(original)
    try:
        result = read_result(path)
    except ResultInvalid as error:
        if "\n" in error.message or not error.message.startswith(str(path)):
            raise AssertionError(f"not one line that names the file: {error.message!r}") from error
        return "refused"
    for name in FORMATS:
        render([result], name)
    for name in ("table", "html"):
        render([read_result(base), result], name)
    again = folder / "again.json"
    again.write_bytes(encode_result(result))
    read_result(again)
    told = 0
    for number, step in enumerate(STEPS):
        try:
            step(path, base, folder)
        except EdgeprofError as error:
            if "\n" in error.message:
                raise AssertionError(f"not one line: {error.message!r}") from error
            told += 1 << number
    return f"drawn, {told:x} told"


def _compare(path: Path, base: Path, _folder: Path) -> None:
    for one, other in ((base, path), (path, base)):
        found = compare_saved(one, other, allow=("all",))
        for name in ("table", "markdown", "json", "junit"):
            render_comparisons(found, name)


def _check(path: Path, _base: Path, _folder: Path) -> None:
    for name in ("table", "markdown", "json", "junit"):
        render_check(check(path, ["mobile", "edge", "realtime", "tinyml"], accept_basis=("simulated",)), name)


def _readiness(path: Path, _base: Path, _folder: Path) -> None:
    for name in ("table", "markdown", "json"):
        render_readiness(readiness(path), name)


def _battery(path: Path, _base: Path, _folder: Path) -> None:
    for name in ("table", "markdown", "html", "json"):
        render_battery(battery_life(_cell, path), name)


def _export(path: Path, _base: Path, folder: Path) -> None:
    export(path, "tensorboard", folder / "events")


STEPS: list[Callable[[Path, Path, Path], None]] = [_compare, _check, _readiness, _battery]


def default_corpus(*, simulated: bool = False) -> list[bytes]:
    """Return results of simulated boards; unless `simulated` also of an emulated one and of this machine."""
    kws = _models / "models" / "kws_int8.tflite"
    runs: list[tuple[str, dict[str, Any]]] = [
        ("sim:raspberry-pi-5?fault=throttle&after=60", {"duration_s": 30.0, "per_op": True}),
        ("sim:nucleo-l4r5zi", {"runs": 60, "power": "onboard", "battery": _cell, "limits": ["tinyml"]}),
        ("sim:raspberry-pi-4b?clock=1.2GHz", {"runs": 60, "period_s": 0.002, "launches": 2, "limits": ["mobile"]}),
        ("emu:cortex-m4", {"per_op": True}),
        ("local", {"runs": 50, "per_op": True, "hook": str(_models / "hook_image.py")}),
    ]
    found = []
    for target, asked in runs[:3] if simulated else runs:
        try:
            result = edgeprof.profile(kws, target, history=False, **asked)
        except EdgeprofError as error:
            print(f"without {target}: {error.message}", file=sys.stderr)
            continue
        found.append(_thinned(encode_result(result)))
    return found


def _thinned(content: bytes) -> bytes:
    """Return a result with as few samples as show everything, so that many of them can be tried."""
    value = json.loads(content)
    for columns in (value["samples"], *value["sensors"]):
        for name, column in columns.items():
            if isinstance(column, list):
                columns[name] = column[:40]
    return json.dumps(value).encode()


def main() -> int:
    """Run the fuzzer from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--tries", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--export", action="store_true", help="write each into TensorBoard, too: slow")
    options = parser.parse_args()
    if options.export:
        STEPS.append(_export)
    corpus = [path.read_bytes() for path in options.results] or default_corpus()
    outcome = fuzz(corpus, options.seed, tries=options.tries, seconds=options.seconds)
    print(f"{outcome.tried} inputs from {len(corpus)} results, seed {options.seed}; {dict(outcome.outcomes)}")
    seen: Counter[str] = Counter(finding.what.strip().splitlines()[-1][:100] for finding in outcome.findings)
    for number, finding in enumerate(outcome.findings[:20]):
        path = Path(f"fuzz-result-{options.seed}-{number}.json")
        path.write_bytes(finding.input)
        print(f"FOUND {path}: {finding.what}")
    print(f"{len(outcome.findings)} findings: {dict(seen)}")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
