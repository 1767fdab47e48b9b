"""A Power Profiler Kit II on a pseudo-terminal: 100,000 words a second of a current whose truth is known.

    python -m tests.unit.meters.fake_ppk2 [--fault KIND[:AMOUNT]@SAMPLE]… [--samples N] [--clock-ppm PPM]

Its words are made from the published conversion, solved for the ADC's reading: not by the decoder under test. Faults:
`drop:N` loses N samples, `torn:B` loses B bytes of a sample, `wrong` garbles a sample, `unplug` takes the port away.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.unit.meters.pty_instrument import STEP_S, Fault, Port, parse_fault, report, serve, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE_HZ = 100_000
CYCLE = 200_000
"""Samples after which the current repeats; a multiple of 64, so that the counter does too."""
WINDOWS = ((40_000, 90_000), (120_000, 170_000))
"""Where D0 is high in each cycle."""
VOLTAGE_V = 3.3
NAMES = ("R", "GS", "GI", "O", "S", "I", "UG")
CONSTANTS: dict[str, tuple[float, ...]] = {
    "R": (1003.3506, 101.5865, 10.3027, 0.9636, 0.0564),
    "GS": (0.0, 112.789, 18.0115, 2.4217, 0.0729),
    "GI": (1.0, 0.9695, 0.9609, 0.9519, 0.9582),
    "O": (112.942, 75.4627, 64.602, 50.4983, 87.2177),
    "S": (0.000000048, 0.000000596, 0.000005281, 0.000062577, 0.002940743),
    "I": (-0.000000104, -0.000001443, 0.000036439, -0.000374119, -0.009388455),
    "UG": (1.0, 1.0, 1.0, 1.0, 1.0),
}
TOPS_A = (40e-6, 450e-6, 4.5e-3, 50e-3)
"""Above these the instrument changes to the next range."""


def metadata() -> bytes:
    """Return what the instrument answers to a request for its constants."""
    lines = ["Calibrated: 0"]
    for name in NAMES:
        digits = 9 if name in {"S", "I"} else 4
        lines += [f"{name}{place}: {value:.{digits}f}" for place, value in enumerate(CONSTANTS[name])]
        if name == "O":
            lines += ["VDD: 3300", "HW: 9173", "mode: 2"]
    return "\n".join([*lines, "IA: 56", "END\n"]).encode()


def true_amps() -> NDArray[np.float64]:
    """Return the current of one cycle, shape [CYCLE]: asleep, idle, and busy in the windows."""
    time_s = np.arange(CYCLE) / RATE_HZ
    amps = np.full(CYCLE, 12e-6)
    amps[20_000:] = 1.8e-3 + 0.2e-3 * np.sin(2 * np.pi * 217 * time_s[20_000:])
    for start, end in WINDOWS:
        inside = time_s[start:end]
        amps[start:end] = 21e-3 + 4e-3 * np.sin(2 * np.pi * 50 * inside) + 1e-3 * np.sin(2 * np.pi * 1733 * inside)
        amps[start + 1000 : start + 1400] = 0.12  # a peak in the highest range
    amps[190_000:] = 150e-6
    return amps


def make_words() -> NDArray[np.uint32]:
    """Return the words of one cycle, shape [CYCLE], the counter from 0."""
    amps = true_amps()
    ranges = np.searchsorted(TOPS_A, amps)
    readings = np.zeros(CYCLE, np.uint32)
    for place in range(5):
        chosen = ranges == place
        steps = 4.0 * np.arange(1 << 14)
        x = (steps - CONSTANTS["O"][place]) * (1.8 / 163840 / CONSTANTS["R"][place])
        curve = x * (CONSTANTS["GS"][place] * x + CONSTANTS["GI"][place])
        curve += CONSTANTS["S"][place] * VOLTAGE_V + CONSTANTS["I"][place]
        middles = (curve[1:] + curve[:-1]) / 2
        readings[chosen] = np.searchsorted(middles, amps[chosen])
    logic = np.zeros(CYCLE, np.uint32)
    for start, end in WINDOWS:
        logic[start:end] |= 1
    counter = np.arange(CYCLE, dtype=np.uint32) & np.uint32(63)
    fields = (logic << 24, counter << 18, ranges.astype(np.uint32) << 14, readings)
    words: NDArray[np.uint32] = np.bitwise_or.reduce(fields).astype(np.uint32)
    return words


class FakePpk2:
    """Answers commands and streams."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.port = Port()
        self.options = options
        self.cycle = make_words().astype("<u4").tobytes() * 2
        self.state: dict[str, Any] = {"regulator_mv": None, "mode": None, "running": None}
        self.sent_bytes = 0

    def handle(self, commands: bytes) -> bool:
        """Obey; False when the stream has ended by being unplugged."""
        while commands:
            code, commands = commands[0], commands[1:]
            match code:
                case 0x19:
                    self.port.send(metadata())
                case 0x0D:
                    self.state["regulator_mv"] = int.from_bytes(commands[:2], "big")
                    commands = commands[2:]
                case 0x11:
                    self.state["mode"], commands = {1: "ampere", 2: "source"}[commands[0]], commands[1:]
                case 0x0C:
                    self.state["running"], commands = bool(commands[0]), commands[1:]
                case 0x06:
                    if not self.run():
                        return False
                case _:
                    pass
        return True

    def run(self) -> bool:
        """Stream until the host says stop."""
        faults: list[Fault] = self.options.fault
        sent = lost = 0
        further = b""
        for first, behind, fault in stream(RATE_HZ, 1 + self.options.clock_ppm * 1e-6, faults, self.options.samples):
            self.send(first, behind)
            sent += behind - first
            if fault is not None and fault.kind == "unplug":
                self.port.unplug()
                report(sent=sent, lost=lost, bytes=self.sent_bytes, **self.state)
                return False
            if fault is not None:
                lost += fault.amount if fault.kind == "drop" else 1
                self.damage(fault)
            heard = self.port.commands(0)
            if heard is None or heard.startswith(b"\x07"):
                further = (heard or b"")[1:]
                break
            time.sleep(STEP_S)
        report(sent=sent, lost=lost, bytes=self.sent_bytes, **self.state)
        return self.handle(further)

    def send(self, first: int, behind: int) -> None:
        """Send these samples."""
        while first < behind:
            start = first % CYCLE
            count = min(behind - first, CYCLE)
            content = self.cycle[4 * start : 4 * (start + count)]
            self.port.send(content)
            self.sent_bytes += len(content)
            first += count

    def damage(self, fault: Fault) -> None:
        """Send the sample of a fault in part, or garbled; the stream goes on behind it."""
        start = 4 * (fault.at % CYCLE)
        match fault.kind:
            case "torn":
                self.port.send(self.cycle[start : start + 4 - fault.amount % 4])
            case "wrong":
                self.port.send(b"\xa5\x5a\xff\x3c")
            case _:
                pass


def main() -> None:
    """Be the instrument until the test has ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault", type=parse_fault, action="append", default=[])
    parser.add_argument("--samples", type=int)
    parser.add_argument("--clock-ppm", type=float, default=0.0)
    parser.add_argument("--nice", type=int, default=0)
    options = parser.parse_args()
    os.nice(options.nice)
    fake = FakePpk2(options)
    serve(fake.port, fake.handle)


if __name__ == "__main__":
    main()
