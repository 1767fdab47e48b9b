"""The PPK2's decoder against ppk2-api: word by word, and what each costs at 100,000 samples a second.

    python scripts/bench_meters.py [SECONDS]
    python scripts/bench_meters.py --write-fixture   record what ppk2-api makes of some words, for the tests

ppk2-api (GPL-2.0) gets an environment of its own and runs in a process of its own: nothing here imports it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself

from scripts.bench_rows import Row, print_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parent.parent
ENVIRONMENT = REPOSITORY / ".cache" / "ppk2-api"
VERSION = "0.9.2"
FIXTURE = REPOSITORY / "tests" / "fixtures" / "meters" / "ppk2_api_words.json"
SECONDS = 60.0
TARGET_ERROR = 0.002
TARGET_SHARE = 0.5
ALIKE = 1e-9
VOLTAGES_MV = (800, 3300, 5000)
LOSSES = (64, 640, 6400)

# Converts words as ppk2-api does. Its spike filter cannot be switched off, but without a previous range there is no
# change of range that it would smooth.
CONVERT = """
import json, sys
from ppk2_api.ppk2_api import PPK2_API
given = json.load(sys.stdin)
api = PPK2_API(None)  # opens nothing
assert api._parse_metadata(given["metadata"])
api.current_vdd = given["millivolts"]
def convert(word):
    api.prev_range, api.after_spike = None, 0
    return api._handle_raw_data(word)
json.dump([convert(word) for word in given["words"]], sys.stdout)
"""

# Reads for some seconds as the example of ppk2-api does; prints samples, processor seconds and the windows' mean.
READ = """
import json, sys, time
from ppk2_api.ppk2_api import PPK2_API
path, seconds = sys.argv[1], float(sys.argv[2])
api = PPK2_API(path, timeout=1, write_timeout=1, exclusive=True)
assert api.get_modifiers()
api.use_source_meter(); api.set_source_voltage(3300); api.toggle_DUT_power("ON")
count = marked = 0; total = 0.0
began, cpu = time.monotonic(), time.process_time()
api.start_measuring()
while time.monotonic() - began < seconds:
    data = api.get_data()
    if data:
        samples, bits = api.get_samples(data)
        count += len(samples)
        for sample, bit in zip(samples, bits):
            if bit & 1:
                total += sample; marked += 1
    time.sleep(0.001)
cpu = time.process_time() - cpu
api.stop_measuring()
json.dump({"samples": count, "cpu_s": cpu, "mean_a": total / marked * 1e-6}, sys.stdout)
"""

# The same with edgeprof, its decoding counted too.
OURS = """
import json, sys, time
from edgeprof.meters import open_meter
import numpy as np
path, seconds = sys.argv[1], float(sys.argv[2])
with open_meter(path) as meter:
    cpu = time.process_time()
    meter.start()
    time.sleep(seconds)
    recording = meter.stop()
    trace = recording.trace
    marked = trace.amps[(trace.marker & 1) == 1]
    mean = float(np.nanmean(marked))
    cpu = time.process_time() - cpu
json.dump({"samples": len(trace.amps), "gaps": int(np.isnan(trace.amps).sum()), "cpu_s": cpu, "mean_a": mean,
           "marked": len(marked), "skew_ppm": recording.clock.skew_ratio * 1e6}, sys.stdout)
"""


def run(seconds: float = SECONDS) -> list[Row]:
    """Compare every reading of the instrument, then read two fakes at once with one program each."""
    python = prepare()
    return [_words_row(python), *_reading_rows(python, seconds), _loss_row(), _lpm01a_row()]


def prepare() -> Path:
    """Return the Python of an environment that has ppk2-api and nothing else."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "ready").exists():
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"ppk2-api=={VERSION}"], check=True)
        (ENVIRONMENT / "ready").touch()
    return python


def converted(python: Path, words: list[int], millivolts: int) -> list[tuple[float, int]]:
    """Return microamperes and logic bits as ppk2-api has them."""
    from tests.unit.meters.fake_ppk2 import metadata

    given = json.dumps({"metadata": metadata().decode(), "millivolts": millivolts, "words": words})
    done = subprocess.run([python, "-c", CONVERT], input=given, stdout=subprocess.PIPE, text=True, check=True)
    return [tuple(pair) for pair in json.loads(done.stdout)]


def _words_row(python: Path) -> Row:
    import numpy as np

    words = list(range(5 << 14))
    worst = 0.0
    for millivolts in VOLTAGES_MV:
        theirs = np.array([amount for amount, _ in converted(python, words, millivolts)]) * 1e-6
        ours = _our_table(millivolts)[: len(words)]
        worst = max(worst, float(np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-9))))
    return Row(
        name="PPK2: every reading of every range, against ppk2-api",
        value=f"largest difference {worst:.1e} of the value",
        target=f"at most {ALIKE:.0e}",
        ok=worst <= ALIKE,
        conditions=f"{len(words)} words at {', '.join(map(str, VOLTAGES_MV))} mV, ppk2-api {VERSION}, no spike filter",
    )


def _our_table(millivolts: int) -> NDArray[Any]:
    from edgeprof.meters.ppk2_words import amps_table, parse_metadata
    from tests.unit.meters.fake_ppk2 import metadata

    calibration = parse_metadata(metadata().decode())
    if calibration is None:
        raise SystemExit("the fake's metadata cannot be read")
    return amps_table(calibration, millivolts / 1000)


def _reading_rows(python: Path, seconds: float) -> list[Row]:
    from tests.unit.meters.instruments import fake_instrument

    began = time.monotonic()
    with fake_instrument("fake_ppk2") as for_us, fake_instrument("fake_ppk2") as for_them:
        with ThreadPoolExecutor(2) as pool:
            us = pool.submit(_read, Path(sys.executable), OURS, f"ppk2://{for_us.path}?voltage=3300mV", seconds)
            them = pool.submit(_read, python, READ, for_them.path, seconds)
            ours, theirs = us.result(), them.result()
        sent = for_us.told()["sent"]
    truth = _mean_in_windows(ours["samples"])
    error = ours["mean_a"] / truth - 1
    share = ours["cpu_s"] / theirs["cpu_s"]
    conditions = f"{time.monotonic() - began:.0f} s, two fakes and two readers at once, load {os.getloadavg()[0]:.1f}"
    return [
        Row(
            name="PPK2 at 100 kS/s over a pty: samples lost",
            value=f"{sent - ours['samples'] + ours['gaps']} of {sent}; {ours['gaps']} in gaps",
            target="0",
            ok=ours["samples"] == sent and ours["gaps"] == 0,
            conditions=f"{conditions}; clock fitted to {ours['skew_ppm']:+.1f} ppm",
        ),
        Row(
            name="PPK2: mean current in the marked windows",
            value=f"{ours['mean_a'] * 1e3:.4f} mA, truth {truth * 1e3:.4f} mA: {error:+.3%}",
            target=f"within {TARGET_ERROR:.1%}",
            ok=abs(error) <= TARGET_ERROR,
            conditions=f"{ours['marked']} samples with D0 high; ppk2-api with its spike filter"
            f" {theirs['mean_a'] / truth - 1:+.3%}",
        ),
        Row(
            name="PPK2: processor time beside ppk2-api",
            value=f"{share:.2f}: {ours['cpu_s'] / seconds:.1%} of a core against {theirs['cpu_s'] / seconds:.1%}",
            target=f"at most {TARGET_SHARE}",
            ok=share <= TARGET_SHARE,
            conditions=f"{conditions}; decoding included; ppk2-api read {theirs['samples']} samples",
        ),
    ]


def _loss_row() -> Row:
    """Lose as many samples as the counter counts, which it cannot show."""
    found = []
    for lost in LOSSES:
        ours, told = _record("fake_ppk2", "ppk2", f"drop:{lost}@500000")
        found.append((lost, ours["gaps"], told["lost"]))
    return Row(
        name="PPK2: losses of a multiple of 64 samples",
        value=", ".join(f"{lost} lost: {gaps} in gaps" for lost, gaps, _ in found),
        target="each found",
        ok=all(gaps == lost for lost, gaps, _ in found),
        conditions=f"one loss in the middle of 10 s each, told by the elapsed time; load {os.getloadavg()[0]:.1f}",
    )


def _lpm01a_row() -> Row:
    ours, told = _record("fake_lpm01a", "lpm01a", rate="100kHz")
    return Row(
        name="LPM01A at 100 kS/s over a pty: samples lost",
        value=f"{told['sent'] - ours['samples'] + ours['gaps']} of {told['sent']}",
        target="0",
        ok=ours["samples"] == told["sent"] and ours["gaps"] == 0,
        conditions=f"10 s, binary; {ours['cpu_s'] / 10:.1%} of a core",
    )


def _record(fake: str, kind: str, fault: str = "", rate: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """Record a million samples with edgeprof; return what came and what the fake says."""
    from tests.unit.meters.instruments import fake_instrument

    options = ["--samples", "1000000", *(["--fault", fault] if fault else [])]
    with fake_instrument(fake, *options) as running:
        url = f"{kind}://{running.path}?voltage=3300mV{'&rate=' + rate if rate else ''}"
        ours = _read(Path(sys.executable), OURS, url, 11.0)
        return ours, running.told()


def _read(python: Path, program: str, path: str, seconds: float) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-c", program, path, str(seconds)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True
    )
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def _mean_in_windows(samples: int) -> float:
    """Return the true mean of the samples with D0 high among so many from the start."""
    import numpy as np

    from tests.unit.meters.fake_ppk2 import CYCLE, WINDOWS, true_amps

    amps = np.resize(true_amps(), samples)
    place = np.arange(samples) % CYCLE
    marked = np.logical_or.reduce([(place >= start) & (place < end) for start, end in WINDOWS])
    return float(amps[marked].mean())


def write_fixture() -> None:
    """Record what ppk2-api makes of words from all ranges, with logic bits and counters."""
    readings = [0, 1, 40, 257, 1000, 4095, 8191, 12_345, 16_383]
    words = [
        (place * 37 + number) % 256 << 24 | (number * 7) % 64 << 18 | place << 14 | reading
        for place in range(5)
        for number, reading in enumerate(readings)
    ]
    cases = [
        {
            "millivolts": millivolts,
            "words": words,
            "microamps": [amount for amount, _ in converted(prepare(), words, millivolts)],
            "bits": [bits for _, bits in converted(prepare(), words, millivolts)],
        }
        for millivolts in VOLTAGES_MV
    ]
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    FIXTURE.write_text(json.dumps({"made_by": f"ppk2-api {VERSION}, spike filter off", "cases": cases}) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=SECONDS)
    parser.add_argument("--write-fixture", action="store_true", help="record what ppk2-api makes of some words")
    asked = parser.parse_args()
    if asked.write_fixture:
        write_fixture()
    else:
        print_rows(run(asked.seconds))
