"""An X-NUCLEO-LPM01A on a pseudo-terminal, with a current whose truth is known, as text or as binary.

    python -m tests.unit.meters.fake_lpm01a [--fault KIND[:AMOUNT]@SAMPLE]… [--samples N] [--no-stamps] [--old]

Faults: `drop:N` loses N samples and complains of a full buffer, `quiet:N` loses them without a word, `torn` sends a
sample in part, `unplug` takes the port away.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np

from tests.unit.meters.pty_instrument import STEP_S, Port, parse_fault, report, serve, stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CYCLE_S = 2.0
WINDOWS_S = ((0.4, 0.9), (1.2, 1.7))
"""D7 falls at each start and each end: an event."""
VOLTAGE_V = 3.3
STAMP_S = 0.25
PROMPT = "\r\nPowerShield > "


def true_amps(rate_hz: float) -> NDArray[np.float64]:
    """Return the current of one cycle: idle, and busy in the windows."""
    time_s = np.arange(round(CYCLE_S * rate_hz)) / rate_hz
    amps = 0.8e-3 + 0.1e-3 * np.sin(2 * np.pi * 37 * time_s)
    for start, end in WINDOWS_S:
        inside = (time_s >= start) & (time_s < end)
        amps[inside] = 6.4e-3 + 1e-3 * np.sin(2 * np.pi * 11 * time_s[inside])
    return amps


def text_of(value: float) -> bytes:
    """Return four digits and a power of ten: 640.9e-6 is 6409-07."""
    exponent = 0
    while value < 1000 and exponent < 30:
        value, exponent = value * 10, exponent + 1
    return f"{round(value):04d}-{exponent:02d}\r\n".encode()


def binary_of(values: Sequence[float] | NDArray[np.float64]) -> bytes:
    """Return four bits of exponent and twelve of value of each: 640.9e-6 is 52A0."""
    scaled = np.array(values, np.float64)
    exponent = np.zeros(len(scaled), np.int64)
    for _ in range(14):
        small = scaled * 16 < 4096
        scaled[small] *= 16
        exponent[small] += 1
    return (exponent << 12 | np.minimum(scaled.round().astype(np.int64), 0xFFF)).astype(">u2").tobytes()


class FakeLpm01a:
    """Answers lines and streams."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.port = Port()
        self.options = options
        self.settings: dict[str, str] = {}
        self.line = b""

    def handle(self, commands: bytes) -> bool:
        """Obey whole lines; False when the stream has ended by being unplugged."""
        self.line += commands
        while b"\n" in self.line:
            line, _, self.line = self.line.partition(b"\n")
            if not self.obey(line.decode().strip()):
                return False
        return True

    def obey(self, command: str) -> bool:
        """Carry one command out."""
        name, _, value = command.partition(" ")
        if name == "stop":
            return True
        if name == "eventsrc" and self.options.old:
            self.say(f"{PROMPT}error {command}\r\nError detail: unknown command\r\n")
            return True
        self.settings[name] = value
        if name == "pwr":
            self.prepare()
        self.say(f"{PROMPT}ack {command}\r\n\r\n")
        return self.run() if name == "start" else True

    def say(self, text: str) -> None:
        """Send text."""
        self.port.send(text.encode())

    def prepare(self) -> None:
        """Work out what will be sent: the host does not wait behind start."""
        kilo = self.settings["freq"].endswith("k")
        self.rate_hz = rate_hz = float(self.settings["freq"].removesuffix("k")) * (1000 if kilo else 1)
        self.binary = self.settings["format"] == "bin_hexa"
        amps = true_amps(rate_hz)
        values = amps * VOLTAGE_V / rate_hz if self.settings["output"] == "energy" else amps
        self.cycle_samples = len(values)
        self.cycle = binary_of(values) if self.binary else b"".join(text_of(float(value)) for value in values)

    def run(self) -> bool:
        """Stream until the host says stop, or what was asked for is sent."""
        rate_hz, cycle = self.rate_hz, self.cycle_samples
        width = len(self.cycle) // cycle
        events = sorted(round(edge * rate_hz) for window in WINDOWS_S for edge in window)
        stamps = max(1, round(STAMP_S * rate_hz))
        sent = lost = 0
        cuts = {*events, *range(0, cycle, stamps)}
        for first, behind, fault in stream(rate_hz, 1.0, self.options.fault, self.options.samples):
            at = first
            while at < behind:
                if at % cycle in events:
                    self.event()
                if at % stamps == 0 and not self.options.no_stamps:
                    self.stamp(round(at / rate_hz * 1000))
                inside = at % cycle
                until = min([cut for cut in cuts if cut > inside], default=cycle) - inside
                until = min(until, behind - at)
                self.port.send(self.cycle[width * inside : width * (inside + until)])
                at += until
            sent += behind - first
            if fault is not None and fault.kind == "unplug":
                self.port.unplug()
                report(sent=sent, lost=lost, **self.settings)
                return False
            if fault is not None:
                lost += fault.amount or 1
                self.damage(fault.kind)
            if b"stop" in (self.port.commands(0) or b""):
                break
            time.sleep(STEP_S)
        report(sent=sent, lost=lost, **self.settings)
        if self.options.samples:
            self.port.commands(60)
        end = b"\xf0\xf4\xff\xff" if self.binary else b""
        self.port.send(end + f"{PROMPT}Acquisition completed\r\nsummary beg\r\nsummary end\r\n".encode())
        return True

    def event(self) -> None:
        """Tell of an edge of D7."""
        self.port.send(b"\xf0\xf2event 00 ris\xff\xff" if self.binary else b"event 00 ris\r\n")

    def stamp(self, milliseconds: int) -> None:
        """Tell the instrument's time."""
        if self.binary:
            self.port.send(b"\xf0\xf3" + milliseconds.to_bytes(4, "big") + b"\x00\xff\xff")
        else:
            self.say(f"TimeStamp: {milliseconds // 1000:03d}s {milliseconds % 1000:03d}ms, buff 00%\r\n")

    def damage(self, kind: str) -> None:
        """Complain, or send a part of a sample."""
        match kind:
            case "drop":
                text = b"error: buffer overrun"
                self.port.send(b"\xf0\xf1" + text + b"\xff\xff" if self.binary else text + b"\r\n")
            case "torn":
                self.port.send(b"\x42" if self.binary else b"64-07\r\n")
            case _:
                pass


def main() -> None:
    """Be the instrument until the test has ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault", type=parse_fault, action="append", default=[])
    parser.add_argument("--samples", type=int)
    parser.add_argument("--no-stamps", action="store_true")
    parser.add_argument("--old", action="store_true", help="firmware without events")
    fake = FakeLpm01a(parser.parse_args())
    serve(fake.port, fake.handle)


if __name__ == "__main__":
    main()
