"""What can be reached from here: named targets, serial ports, emulators, the simulator."""

from __future__ import annotations

from msgspec import Struct

from edgeprof.targets import named_targets

# Who makes the USB bridge or the debug probe of a board that is plugged in; the chip behind it says more.
USB_VENDORS = {
    0x0483: "STMicroelectronics (ST-LINK or a board's own USB)",
    0x1366: "SEGGER J-Link (Nordic DKs among others)",
    0x1915: "Nordic Semiconductor",
    0x2E8A: "Raspberry Pi (Pico)",
    0x303A: "Espressif (ESP32's own USB)",
    0x10C4: "Silicon Labs CP210x bridge",
    0x1A86: "WCH CH340 bridge",
    0x0403: "FTDI bridge",
    0x2341: "Arduino",
    0x0D28: "Arm DAPLink",
}


class Reachable(Struct, frozen=True, kw_only=True):
    """One line of `edgeprof targets list`."""

    name: str
    kind: str
    description: str
    board: str | None = None
    file: str | None = None
    """The `edgeprof.toml` that names it."""


def list_reachable() -> tuple[Reachable, ...]:
    """Return this machine, the named targets, the serial ports that are plugged in, the emulators and the simulator."""
    here = Reachable(name="local", kind="local", description="this machine")
    sim = Reachable(name="sim:BOARD", kind="sim", description="a simulated board: edgeprof boards list names them")
    return (here, *_named(), *_serial_ports(), *_emulators(), sim)


def _named() -> tuple[Reachable, ...]:
    named, file = named_targets()
    return tuple(
        Reachable(name=name, kind="named", description=f"{entry.url} ({file})", board=entry.board, file=str(file))
        for name, entry in named.items()
    )


def _serial_ports() -> tuple[Reachable, ...]:
    from serial.tools.list_ports import comports

    found = []
    for port in sorted(comports()):
        if port.vid is None:
            continue  # a serial port of the machine itself
        vendor = USB_VENDORS.get(port.vid, port.manufacturer or "unknown maker")
        what = f"{port.product or 'USB serial'}, {vendor}, USB {port.vid:04x}:{port.pid:04x}"
        found.append(Reachable(name=f"serial://{port.device}", kind="serial", description=what))
    return tuple(found)


def _emulators() -> tuple[Reachable, ...]:
    """Return each emulated core and board; one whose emulator is not installed says what installs it."""
    from edgeprof.links.emu import missing_unicorn
    from edgeprof.links.firmware_files import CORES
    from edgeprof.links.qemu import MACHINES, missing_qemu

    counted = "counts instructions, exactly"
    unicorn, qemu = missing_unicorn(), missing_qemu()
    cores = tuple(
        Reachable(name=f"emu:{core}", kind="emu", description=f"an emulated {core}: {unicorn or counted}")
        for core in CORES
    )
    boards = tuple(
        Reachable(name=f"qemu:{name}", kind="qemu", description=f"QEMU's board, a {board.core}: {qemu or counted}")
        for name, board in MACHINES.items()
    )
    return (*cores, *boards)
