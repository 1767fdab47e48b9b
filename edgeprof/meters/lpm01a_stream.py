"""The sample streams of ST's LPM01A: decimal text up to 5 kHz, two bytes a sample above.

As UM2269 and the public drivers of MLCommons (tiny, benchmark/runner/power_manager) and Zephyr
(scripts/pylib/power-twister-harness) have them. Text: `6409-07` is 6409e-7, a line each; between samples come
`TimeStamp: 003s 937ms, buff 00%`, `event 00 ris` and messages. Binary: four bits of exponent and twelve of value, most
significant first, `52A0` is 0x2A0 / 16^5; 0xF in the first four bits starts a packet (0xF0 0xF1 error text, F2
information text, F3 time stamp, F4 end, F5 overcurrent, F6 target off, F7 voltage) that two bytes 0xFF end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeprof.meters.elapsed import Counts
    from edgeprof.power.trace import Floats

    Bytes = NDArray[np.uint8]
else:
    Bytes = Any

LINE_BYTES = 7
"""`6409-07`, its line end apart."""
TROUBLE = re.compile(r"error|overrun|overflow|buffer full|overcurrent|lost", re.IGNORECASE)
TIME = re.compile(r"TimeStamp:\s*(\d+)s\s*(\d+)ms(?:,\s*buff\s*(\d+)%)?", re.IGNORECASE)
EVENT = re.compile(r"event\s+\d+\s+(?:ris|fal)", re.IGNORECASE)
END = re.compile(r"Acquisition completed|^\s*(?:PowerShield > )?(?:end|summary beg)", re.IGNORECASE)
PACKET = re.compile(
    rb"\xf0(?:(?P<time>\xf3)(.{4})(.)\xff\xff|(?P<text>[\xf1\xf2])(.*?)\xff\xff|(?P<bare>[\xf4\xf5\xf6])\xff\xff"
    rb"|\xf7..\xff\xff)",
    re.DOTALL,
)


class Mark(NamedTuple):
    """Something between samples: `time` (value in ms), `event`, `trouble`, `torn` or `end`, before sample `before`."""

    kind: Literal["time", "event", "trouble", "torn", "end"]
    before: int
    value: int = 0
    text: str = ""


class Stream(NamedTuple):
    """Values as sent, shape [n], NaN where a sample was torn; the byte offset behind each; what came between them."""

    values: Floats
    ends: Counts
    marks: list[Mark]


def read_text(content: bytes) -> Stream:
    """Return the samples of a text stream."""
    import numpy as np

    data = np.frombuffer(content, np.uint8)
    line_ends = np.flatnonzero(data == ord("\n"))
    starts = np.concatenate([[0], line_ends[:-1] + 1]) if len(line_ends) else np.zeros(0, np.int64)
    rows, whole = _sample_lines(data, starts, line_ends)
    values = np.full(len(starts), np.nan)
    values[whole] = _decimals(rows[whole])
    marks: list[Mark] = []
    keep = whole.copy()
    for line in np.flatnonzero(~whole):
        text = content[starts[line] : line_ends[line]].decode("latin-1").strip()
        mark = _mark(text, int(keep[:line].sum()))
        if mark is None:
            continue
        marks.append(mark)
        keep[line] = mark.kind == "torn"
        if mark.kind == "end":
            keep[line:] = False
            break
    return Stream(values[keep], line_ends[keep] + 1, marks)


def _sample_lines(data: Bytes, starts: Counts, ends: Counts) -> tuple[Bytes, NDArray[np.bool_]]:
    """Return seven bytes of each line, shape [n, 7], and which lines are a sample."""
    import numpy as np

    lengths = ends - starts
    places = np.minimum(starts[:, None] + np.arange(LINE_BYTES), len(data) - 1)
    rows = data[places]
    digits = (rows >= ord("0")) & (rows <= ord("9"))
    signed = (rows[:, 4] == ord("-")) | (rows[:, 4] == ord("+"))
    returned = (lengths > 0) & (data[np.maximum(ends - 1, 0)] == ord("\r"))
    whole = digits[:, [0, 1, 2, 3, 5, 6]].all(axis=1) & signed & (lengths - returned == LINE_BYTES)
    return rows, whole


def _decimals(rows: Bytes) -> Floats:
    import numpy as np

    digits = rows.astype(np.int64) - ord("0")
    mantissa = digits[:, :4] @ np.array([1000, 100, 10, 1])
    exponent = digits[:, 5] * 10 + digits[:, 6]
    powers = np.array([float(f"1e-{power}") for power in range(100)])
    up = rows[:, 4] == ord("+")
    amount: Floats = np.where(up, mantissa / powers[exponent], mantissa * powers[exponent])
    return amount


def _mark(text: str, before: int) -> Mark | None:
    """Return what a line between samples means; None where it means nothing."""
    stamp = TIME.search(text)
    if stamp:
        return Mark("time", before, int(stamp[1]) * 1000 + int(stamp[2]), text)
    if EVENT.search(text):
        return Mark("event", before, text=text)
    if TROUBLE.search(text):
        return Mark("trouble", before, text=text)
    if END.search(text):
        return Mark("end", before, text=text)
    return Mark("torn", before, text=text) if re.match(r"[\d+-]", text) else None


def read_binary(content: bytes) -> Stream:
    """Return the samples of a binary stream.

    Between packets there must be whole samples. An odd byte there means that one was torn, and as nothing says where,
    all that came between these two packets becomes a gap.
    """
    import numpy as np

    pieces: list[Floats] = []
    ends: list[Counts] = []
    marks: list[Mark] = []
    at = count = 0
    for packet in PACKET.finditer(content):
        values, stops, torn = _binary_piece(content, at, packet.start())
        if torn:
            marks.append(Mark("torn", count, text=f"{packet.start() - at} bytes"))
        pieces.append(values)
        ends.append(stops)
        count += len(values)
        at = packet.end()
        mark = _packet_mark(packet, count)
        if mark is not None:
            marks.append(mark)
        if mark is not None and mark.kind == "end":
            break
    else:
        values, stops, _ = _binary_piece(content, at, len(content) - (len(content) - at) % 2)
        pieces.append(values)
        ends.append(stops)
    return Stream(np.concatenate(pieces), np.concatenate(ends), marks)


def _binary_piece(content: bytes, start: int, stop: int) -> tuple[Floats, Counts, bool]:
    """Return the samples of some bytes, NaN if they cannot be told apart, and whether that is so."""
    import numpy as np

    count = (stop - start) // 2
    words = np.frombuffer(content, ">u2", count, start)
    exponent = words >> 12
    torn = bool((stop - start) % 2) or bool((exponent == 15).any())  # noqa: PLR2004  F starts a packet
    values = np.ldexp((words & 0xFFF).astype(np.float64), -4 * exponent.astype(np.int64))
    if torn:
        count = -(-(stop - start) // 2)
        values = np.full(count, np.nan)
    ends = start + 2 * np.arange(1, count + 1)
    return values, np.minimum(ends, stop), torn


def _packet_mark(packet: re.Match[bytes], before: int) -> Mark | None:
    if packet["time"]:
        return Mark("time", before, int.from_bytes(packet[2], "big") & 0x7FFFFFFF)
    if packet["text"]:
        text = packet[5].decode("latin-1").strip()
        if packet["text"] == b"\xf1":
            return Mark("trouble", before, text=text)
        return Mark("event", before, text=text) if EVENT.search(text) else None
    match packet["bare"]:
        case b"\xf4":
            return Mark("end", before)
        case b"\xf5":
            return Mark("trouble", before, text="overcurrent")
        case _:
            return None
