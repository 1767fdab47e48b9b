"""ST's X-NUCLEO-LPM01A ("PowerShield") on its USB serial port: supplies 1.8 to 3.3 V and measures what is drawn.

Commands are lines of text that are acknowledged, as in UM2269 and in MLCommons' tiny (benchmark/runner/power_manager).
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from edgeprof.errors import BoardUnreachable, UsageError
from edgeprof.meters.capture import drain, heard_text, listen
from edgeprof.meters.lpm01a_stream import read_binary, read_text
from edgeprof.meters.recorded_port import RecordedPort
from edgeprof.meters.recording import Facts, Received, assemble
from edgeprof.power.trace import Accuracy

if TYPE_CHECKING:
    from typing import Self

    from edgeprof.links.serial_port import SerialChannel
    from edgeprof.meters.addresses import Lpm01aAddress
    from edgeprof.meters.capture import Captured
    from edgeprof.meters.lpm01a_stream import Mark, Stream
    from edgeprof.meters.recording import Recording
    from edgeprof.power.trace import Bits

BAUD = 3_686_400
TEXT_UP_TO_HZ = 5000
"""Above it the text format holds out for a second only."""
ENERGY_UP_TO_HZ = 10_000
ANSWER_S = 3.0
LATE_S = 0.005
"""Without time stamps from the instrument, losses shorter than this are not noticed."""
STAMP_STEP_MS = 2
"""Time stamps are whole milliseconds: two may be one apart from the truth each."""
ACCURACY = Accuracy(0.02, None, None, "ST, UM2243: better than 2 %, stated for a steady current")


class Lpm01a:
    """The instrument, held open: it supplies the board from entering on."""

    def __init__(self, address: Lpm01aAddress, source: str = "") -> None:
        self._address = address
        self._source = source or f"lpm01a://{address.port}"
        self._line = RecordedPort("an LPM01A", begin=b"start\r\n", end=b"stop\r\n")
        self._marker = True
        self._output = address.output or ("energy" if address.rate_hz <= ENERGY_UP_TO_HZ else "current")
        self._binary = address.rate_hz > TEXT_UP_TO_HZ
        if self._output == "energy" and address.rate_hz > ENERGY_UP_TO_HZ:
            raise UsageError(
                f"the LPM01A integrates energy up to 10 kHz, not at {address.rate_hz:g} Hz",
                hint="?rate=10kHz, or ?output=current, which samples the current instead",
            )

    @property
    def facts(self) -> Facts:
        """What is known of the instrument."""
        volts = f"{self._address.voltage_v:g} V, which is set and not measured"
        notes = [
            f"samples are integrated energy; current is it over the sample's time and {volts}"
            if self._output == "energy"
            else f"power is sampled current times {volts}"
        ]
        if self._marker:
            notes.append("bit 0 of the marker changes at each falling edge of D7")
        return Facts("ST LPM01A", self._source, self._address.rate_hz, ACCURACY, tuple(notes))

    def __enter__(self) -> Self:
        self._line.open(self._address.port, BAUD, self._prepare)
        return self

    def __exit__(self, *_: object) -> None:
        off = [b"pwr off\r\n"] if self._address.after == "off" else []
        self._line.leave([*off, b"hrc\r\n"])

    def _prepare(self, channel: SerialChannel) -> None:
        """End what an earlier program left running, set everything that a recording depends on, supply the board."""
        channel.write(b"stop\r\n")
        drain(channel)
        _command(channel, "htc", self._address.port)
        for command in ("acqtime inf", "trigdelay 0", "trigsrc sw"):
            _command(channel, command, self._address.port)
        self._marker = _accepted(channel, "eventsrc d7 fal")  # older firmware has none
        rate = self._address.rate_hz
        for command in (
            f"output {self._output}",
            f"format {'bin_hexa' if self._binary else 'ascii_dec'}",
            f"freq {rate / 1000:g}k" if rate >= 1000 else f"freq {rate:g}",  # noqa: PLR2004  as its list names them
            f"volt {self._address.voltage_v * 1000:.0f}m",
            "pwr on nostatus",
        ):
            _command(channel, command, self._address.port)

    def start(self) -> None:
        """Record from now on."""
        self._line.start()

    def stop(self) -> Recording:
        """End the recording and return it; nothing that came is lost, also where the instrument was unplugged."""
        return self._record(self._line.stop())

    def _record(self, captured: Captured) -> Recording:
        import numpy as np

        begin = captured.content.find(b"ack start") + len(b"ack start")
        begin += len(captured.content[begin:]) - len(captured.content[begin:].lstrip(b"\r\n"))
        stream = (read_binary if self._binary else read_text)(captured.content[begin:])
        scale = self._address.rate_hz / self._address.voltage_v if self._output == "energy" else 1.0
        missing, notes, stamped = losses_by_stamps(stream, self._address.rate_hz)
        received = Received(
            amps=stream.values * scale,
            marker=_marker_bits(stream) if self._marker else None,
            volts=self._address.voltage_v,
            missing_before=missing,
            count_at_arrival=np.searchsorted(stream.ends + begin, np.array(captured.ends, np.int64), side="right"),
            host_time_s=np.array(captured.host_time_s),
            lost=captured.lost,
            integrated=self._output == "energy",
        )
        if stamped:
            told = f"counted against the instrument's time stamps: a loss below {STAMP_STEP_MS} ms would not be noticed"
            return assemble(received, self.facts, quantum=1, threshold=None, notes=(*notes, told))
        threshold = max(1.0, LATE_S * self._address.rate_hz)
        return assemble(received, self.facts, quantum=1, threshold=threshold, notes=notes)


def _command(channel: SerialChannel, command: str, port: str) -> None:
    """Send a command that must be accepted."""
    heard = _ask(channel, command)
    if b"ack " + command.encode() in heard:
        return
    if b"error" in heard:
        raise UsageError(
            f"the LPM01A at {port} refuses {command!r}: {heard_text(heard)}",
            hint="its firmware may be old: STM32CubeMonitor-Power updates it; 1.0.6 is the oldest that is known to do",
        )
    raise BoardUnreachable(
        f"{port} does not answer {command!r} as an LPM01A: {heard_text(heard)}",
        hint="is this the LPM01A's port, and does its display show the start screen? its reset button helps",
    )


def _accepted(channel: SerialChannel, command: str) -> bool:
    return b"ack " + command.encode() in _ask(channel, command)


def _ask(channel: SerialChannel, command: str) -> bytes:
    """Send a command and return what comes up to the line behind its acknowledgement or error."""
    channel.write(command.encode() + b"\r\n")
    until, heard = time.monotonic() + ANSWER_S, b""
    while time.monotonic() < until:
        heard += listen(channel, b"\n", 0.2)
        for word in (b"ack ", b"error "):
            if word in heard and b"\n" in heard[heard.index(word) :]:
                return heard
    return heard


def _marker_bits(stream: Stream) -> Bits:
    """Return bit 0 for each sample: it changes at each event."""
    import numpy as np

    bits = np.zeros(len(stream.values) + 1, np.uint8)
    for mark in stream.marks:
        if mark.kind == "event":
            bits[mark.before] ^= 1
    changed: Bits = (np.cumsum(bits[:-1]) & 1).astype(np.uint8)
    return changed


def losses_by_stamps(stream: Stream, rate_hz: float) -> tuple[dict[int, int], tuple[str, ...], bool]:
    """Return what is missing before which sample, the notes on it, and whether time stamps told how much.

    Between two stamps there must be as many samples as their difference says, to two milliseconds. What is missing is
    laid where the instrument complained or a sample was torn, else before the later stamp.
    """
    missing: dict[int, int] = {}
    notes = []
    stamps = [mark for mark in stream.marks if mark.kind == "time"]
    troubles = [mark for mark in stream.marks if mark.kind in {"trouble", "torn"}]
    for first, second in itertools.pairwise(stamps):
        expected = (second.value - first.value) * rate_hz / 1000
        lost = round(expected - (second.before - first.before))
        if lost > max(1.0, STAMP_STEP_MS * rate_hz / 1000):
            inside = [mark.before for mark in troubles if first.before <= mark.before <= second.before]
            place = inside[0] if inside else second.before
            missing[place] = missing.get(place, 0) + lost
            if not inside:
                notes.append(f"{lost} samples are missing somewhere from {first.value} ms to {second.value} ms")
    for mark in troubles:
        if mark.kind == "trouble":
            missing.setdefault(mark.before, 1)
    notes += _troubles_told(troubles)
    return missing, tuple(notes), len(stamps) > 1


def _troubles_told(troubles: list[Mark]) -> list[str]:
    said = [mark for mark in troubles if mark.kind != "torn"]
    told = [f"the instrument said {mark.text!r} before sample {mark.before}" for mark in said]
    torn = len(troubles) - len(said)
    return [*told, *([f"{torn} torn samples"] if torn else [])]
