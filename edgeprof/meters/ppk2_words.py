"""The Power Profiler Kit II's samples: four bytes each, and the constants that turn them into amperes.

Written from what Nordic publishes in its Power Profiler app (pc-nrfconnect-ppk, src/device/serialDevice.ts): a
little-endian word holds the ADC's reading (bits 0 to 13), the measuring range (14 to 16), a counter of samples (18 to
23) and eight logic inputs (24 to 31). Neither that app's spike filter nor any other is applied: it replaces the four
samples after a change of range by an average of what came before.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edgeprof.power.trace import Floats

    Words = NDArray[np.uint32]
else:
    Words = Any

RATE_HZ = 100_000.0
RANGES = 5
COUNTER_SAMPLES = 64
"""The counter wraps: losses of a multiple of it show only in the elapsed time."""
ADC_V = 1.8 / 163840
"""One step of the ADC at the shunt's amplifier; the 14-bit reading is four of them."""
SURE_WORDS = 8
TORN_WORDS = 2
"""How many words before a tear may not be whole."""
"""Words whose counters follow each other, before a place in the stream is taken for the start of a word."""
PIECE = 1 << 16
TOP_READING = (RANGES - 1) << 14 | 0x3FFF


class Calibration(NamedTuple):
    """The constants of one instrument for its five ranges, named as in its metadata; `defaulted` were not in there."""

    r: tuple[float, ...] = (1031.64, 101.65, 10.15, 0.94, 0.043)
    gs: tuple[float, ...] = (1.0,) * RANGES
    gi: tuple[float, ...] = (1.0,) * RANGES
    o: tuple[float, ...] = (0.0,) * RANGES
    s: tuple[float, ...] = (0.0,) * RANGES
    i: tuple[float, ...] = (0.0,) * RANGES
    ug: tuple[float, ...] = (1.0,) * RANGES
    hardware: str = ""
    defaulted: tuple[str, ...] = ()


NEVER_ZERO = ("r", "gi", "ug")
SOUND_R, SOUND_GAIN = 3.0, 2.0
"""How far from the default a sound constant may be; of instruments in use R is within 1.4 times and GI 0.94 to 1."""


def parse_metadata(text: str) -> Calibration | None:
    """Return the calibration in what the instrument answers: `NAME: VALUE` lines up to END; None if it has none.

    A constant that is missing or no number, or a resistor or gain of zero (some instruments leave the factory so), is
    replaced by Nordic's default and named in `defaulted`.
    """
    pairs = dict(re.findall(r"^\s*([A-Za-z]+\d*):\s*(\S+)\s*$", text, flags=re.MULTILINE))
    if "END" not in text or "R0" not in pairs:
        return None
    usual = Calibration()
    read: dict[str, tuple[float, ...]] = {}
    defaulted = []
    for name in ("r", "gs", "gi", "o", "s", "i", "ug"):
        values = list(getattr(usual, name))
        for position in range(RANGES):
            key = f"{name.upper()}{position}"
            value = _number(pairs.get(key, ""))
            if value is None or (value == 0 and name in NEVER_ZERO):
                defaulted.append(key)
            else:
                values[position] = value
        read[name] = tuple(values)
    return Calibration(**read, hardware=pairs.get("HW", ""), defaulted=tuple(defaulted))


def implausible(calibration: Calibration) -> list[str]:
    """Return the constants, as NAME=VALUE, that no sound instrument has: its memory was overwritten.

    Such instruments are known (devzone.nordicsemi.com/f/nordic-q-a/92921: R0 of 3e27, O1 of -2.8e15).
    """
    usual = Calibration()
    wrong = []
    for place in range(RANGES):
        for name, sound in (
            ("r", 1 / SOUND_R < calibration.r[place] / usual.r[place] < SOUND_R),
            ("o", abs(calibration.o[place]) < 4 * (1 << 14)),
            ("gi", 1 / SOUND_GAIN < calibration.gi[place] < SOUND_GAIN),
            ("ug", 1 / SOUND_GAIN < calibration.ug[place] < SOUND_GAIN),
        ):
            if not sound:
                wrong.append(f"{name.upper()}{place}={getattr(calibration, name)[place]:g}")
    return wrong


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def amps_table(calibration: Calibration, voltage_v: float) -> Floats:
    """Return the amperes of every reading, shape [131072]: indexed by bits 0 to 16 of a word, NaN for ranges 5 to 7.

    With x = (4 ADC - O) 1.8/163840 / R the current is UG (x (GS x + GI) + S V + I), each constant of the range.
    """
    import numpy as np

    table = np.full((8, 1 << 14), np.nan)
    reading = np.arange(1 << 14, dtype=np.float64) * 4
    for place in range(RANGES):
        x = (reading - calibration.o[place]) * (ADC_V / calibration.r[place])
        shunt = x * (calibration.gs[place] * x + calibration.gi[place])
        offset = calibration.s[place] * voltage_v + calibration.i[place]
        table[place] = calibration.ug[place] * (shunt + offset)
    return table.reshape(-1)


class Decoded(NamedTuple):
    """The words that came whole, shape [n], and where some are missing.

    `gap_before` are positions in `words`, `missing` how many samples came before each: at least, for the counter counts
    modulo 64. `ends` are the byte offsets behind the words that end runs, with the words' count there, to tell how many
    words a number of bytes holds.
    """

    words: Words
    gap_before: list[int]
    missing: list[int]
    run_start_bytes: list[int]
    run_start_words: list[int]
    discarded_bytes: int


def decode(content: bytes) -> Decoded:
    """Return the words of a byte stream, in which bytes may be lost or wrong anywhere."""
    import numpy as np

    runs = list(_runs(content))
    gap_before, missing, starts, firsts = [], [], [], []
    received = used = 0
    for number, (start, words) in enumerate(runs):
        if number:
            last = int(runs[number - 1][1][-1]) >> 18
            lost = ((int(words[0]) >> 18) - last - 1) % COUNTER_SAMPLES
            between = (start - used) // 4
            gap_before.append(received)
            missing.append(lost + COUNTER_SAMPLES * max(0, math.ceil((between - lost) / COUNTER_SAMPLES)))
        starts.append(start)
        firsts.append(received)
        received += len(words)
        used = start + 4 * len(words)
    words = np.concatenate([words for _, words in runs]) if runs else np.zeros(0, np.uint32)
    return Decoded(words, gap_before, missing, starts, firsts, len(content) - 4 * received)


def _runs(content: bytes) -> Iterator[tuple[int, Words]]:
    """Give the byte offset and the words of each stretch whose counters follow each other.

    Where a whole number of words is missing, those around are taken for whole ones, as USB packets hold them. Else the
    words around may be made of two: one before it with the next one's last byte, one behind it with a byte before. And
    one more before it: where a logic byte stands in the counter's place, an idle one reads 0, which follows 63.
    """
    import numpy as np

    at = _first_word(content, 0)
    torn = False
    while at is not None:
        words = np.frombuffer(content, "<u4", (len(content) - at) // 4, at)
        words = words[: _steady_length(words)]
        following = _first_word(content, at + 4 * len(words))
        was_torn, torn = torn, following is not None and following != at + 4 * len(words)
        words = words[was_torn : max(0, len(words) - TORN_WORDS * torn)]
        if len(words):
            yield at + 4 * was_torn, words
        at = following


def _steady_length(words: Words) -> int:
    """Return after how many words a counter is not the next one."""
    import numpy as np

    for start in range(0, len(words), PIECE):
        counters = words[start : start + PIECE + 1] >> 18 & 63
        breaks = np.flatnonzero(np.diff(counters) & 63 != 1)
        if len(breaks):
            return start + int(breaks[0]) + 1
    return len(words)


def _first_word(content: bytes, at: int) -> int | None:
    """Return the first byte offset from which several words have counters that follow each other."""
    import numpy as np

    reach = 4 * SURE_WORDS
    while len(content) - at >= reach:
        block = np.frombuffer(content, np.uint8, min(PIECE, len(content) - at), at)
        counters = block[2:] >> 2
        follows = (counters[4:] - counters[:-4]) & 63 == 1
        candidates = len(block) - reach + 1
        sure = np.ones(candidates, dtype=bool)
        for word in range(SURE_WORDS - 1):
            sure &= follows[4 * word : 4 * word + candidates]
        found = np.flatnonzero(sure)
        if len(found):
            return at + int(found[0])
        at += candidates
    return None
