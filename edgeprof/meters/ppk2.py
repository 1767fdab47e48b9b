"""Nordic's Power Profiler Kit II on its USB serial port: 100,000 samples a second of current and eight logic inputs.

The commands are those of Nordic's Power Profiler app (pc-nrfconnect-ppk, src/constants.ts): one byte and its arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.errors import BoardUnreachable
from edgeprof.meters.capture import drain, heard_text, listen
from edgeprof.meters.ppk2_words import (
    COUNTER_SAMPLES,
    RANGES,
    RATE_HZ,
    TOP_READING,
    Calibration,
    amps_table,
    decode,
    implausible,
    parse_metadata,
)
from edgeprof.meters.recorded_port import RecordedPort
from edgeprof.meters.recording import Facts, Received, assemble
from edgeprof.power.trace import Accuracy

if TYPE_CHECKING:
    from typing import Self

    from edgeprof.links.serial_port import SerialChannel
    from edgeprof.meters.addresses import Ppk2Address
    from edgeprof.meters.capture import Captured
    from edgeprof.meters.elapsed import Counts
    from edgeprof.meters.ppk2_words import Decoded
    from edgeprof.meters.recording import Recording
    from edgeprof.power.trace import Floats

BAUD = 115200  # of no meaning on USB
AVERAGE_START = b"\x06"
AVERAGE_STOP = b"\x07"
DEVICE_RUNNING = b"\x0c"
REGULATOR = b"\x0d"
POWER_MODE = b"\x11"
GET_METADATA = b"\x19"
AMPERE, SOURCE = b"\x01", b"\x02"
OFF, ON = b"\x00", b"\x01"
ANSWER_S = 2.0
ATTEMPTS = 2
TYPICAL_ACCURACY = (0.10, 0.10, 0.10, 0.10, 0.15)
RESOLUTION_A = (0.2e-6, 0.5e-6, 5e-6, 50e-6, 1e-3)
"""Of each range, as Nordic's specification of the PPK2 has them; typical, and of averages."""
ACCURACY_SOURCE = "Nordic's specification of the PPK2: typically 10 % of an average, 15 % above 50 mA"


class Ppk2:
    """The instrument, held open: it supplies or connects the board from entering on."""

    def __init__(self, address: Ppk2Address, source: str = "") -> None:
        self._address = address
        self._source = source or f"ppk2://{address.port}"
        self._line = RecordedPort("a PPK2", begin=AVERAGE_START, end=AVERAGE_STOP)
        self._calibration = Calibration()

    @property
    def facts(self) -> Facts:
        """What is known of the instrument; its calibration once it is open."""
        notes = [
            f"power is current times {self._address.voltage_v:g} V, which is set and not measured"
            if self._address.mode == "source"
            else f"power is current times {self._address.voltage_v:g} V, which is declared and not measured",
            "no spike filter: samples are as they were read",
        ]
        if self._calibration.defaulted:
            notes.append(f"not calibrated: {', '.join(self._calibration.defaulted)} are Nordic's defaults")
        accuracy = Accuracy(TYPICAL_ACCURACY[0], None, RESOLUTION_A[0] * self._address.voltage_v, ACCURACY_SOURCE)
        return Facts("Nordic PPK2", self._source, RATE_HZ, accuracy, tuple(notes))

    def __enter__(self) -> Self:
        self._line.open(self._address.port, BAUD, self._prepare)
        return self

    def __exit__(self, *_: object) -> None:
        self._line.leave([DEVICE_RUNNING + OFF] if self._address.after == "off" else [])

    def _prepare(self, channel: SerialChannel) -> None:
        """End what an earlier program left running, read the calibration, then supply the board."""
        self._calibration = _read_calibration(channel, self._address.port)
        volts = round(self._address.voltage_v * 1000).to_bytes(2, "big")
        channel.write(REGULATOR + volts)
        channel.write(POWER_MODE + (SOURCE if self._address.mode == "source" else AMPERE))
        channel.write(DEVICE_RUNNING + ON)

    def start(self) -> None:
        """Record from now on."""
        self._line.start()

    def stop(self) -> Recording:
        """End the recording and return it; nothing that came is lost, also where the instrument was unplugged."""
        return self._record(self._line.stop())

    def _record(self, captured: Captured) -> Recording:
        import numpy as np

        decoded = decode(captured.content)
        table = amps_table(self._calibration, self._address.voltage_v)
        readings = decoded.words & 0x1FFFF
        amps = table[readings]
        received = Received(
            amps=amps,
            marker=(decoded.words >> 24).astype(np.uint8),
            volts=self._address.voltage_v,
            missing_before=dict(zip(decoded.gap_before, decoded.missing, strict=True)),
            count_at_arrival=_words_at(decoded, np.array(captured.ends, np.int64)),
            host_time_s=np.array(captured.host_time_s),
            lost=captured.lost,
        )
        notes = _notes(decoded, int((readings == TOP_READING).sum()))
        facts = self.facts._replace(
            accuracy=_accuracy((readings >> 14).astype(np.int64), amps, self._address.voltage_v)
        )
        return assemble(received, facts, quantum=COUNTER_SAMPLES, threshold=COUNTER_SAMPLES / 2, notes=notes)


def _read_calibration(channel: SerialChannel, port: str) -> Calibration:
    heard = b""
    for _ in range(ATTEMPTS):
        channel.write(AVERAGE_STOP)
        drain(channel)
        channel.write(GET_METADATA)
        heard = listen(channel, b"END", ANSWER_S)
        calibration = parse_metadata(heard.decode("latin-1"))
        if calibration is not None:
            _refuse_damaged(calibration, port)
            return calibration
    raise BoardUnreachable(
        f"{port} does not answer as a PPK2: no calibration, but {heard_text(heard)}",
        hint="is this the PPK2's port? it has two with newer firmware: try the other; is its switch on?",
    )


def _refuse_damaged(calibration: Calibration, port: str) -> None:
    wrong = implausible(calibration)
    if wrong:
        raise BoardUnreachable(
            f"the PPK2 at {port} has a damaged calibration: {', '.join(wrong)}; every current would be wrong",
            hint="compare with Nordic's Power Profiler app; Nordic's support restores a lost calibration",
        )


def _words_at(decoded: Decoded, ends: Counts) -> Counts:
    """Return how many words were complete at these byte offsets."""
    import numpy as np

    if not decoded.run_start_bytes:
        return np.zeros(len(ends), np.int64)
    starts = np.array(decoded.run_start_bytes, np.int64)
    firsts = np.array([*decoded.run_start_words, len(decoded.words)], np.int64)
    run = np.maximum(np.searchsorted(starts, ends, side="right") - 1, 0)
    inside = np.maximum(ends - starts[run], 0) // 4
    counts: Counts = np.minimum(firsts[run] + inside, firsts[run + 1])
    return counts


def _accuracy(ranges: Counts, amps: Floats, voltage_v: float) -> Accuracy | None:
    """Return the maker's accuracy of the ranges that were used: the gain by charge, the step by time."""
    import numpy as np

    charge = np.bincount(ranges, np.nan_to_num(np.abs(amps)), minlength=8)[:RANGES]
    time_share = np.bincount(ranges, minlength=8)[:RANGES]
    if not charge.sum():
        return None
    gain = float(charge @ np.array(TYPICAL_ACCURACY) / charge.sum())
    step_a = float(time_share @ np.array(RESOLUTION_A) / time_share.sum())
    return Accuracy(gain, None, step_a * voltage_v, ACCURACY_SOURCE)


def _notes(decoded: Decoded, at_top: int) -> tuple[str, ...]:
    notes = []
    if decoded.discarded_bytes:
        notes.append(f"{decoded.discarded_bytes} bytes of torn samples were left out")
    if at_top:
        notes.append(f"{at_top} samples at the end of the highest range: the true current may be higher")
    return tuple(notes)
