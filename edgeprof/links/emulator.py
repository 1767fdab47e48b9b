"""Executes the microcontroller agent in unicorn, and speaks the board's UART on its standard input and output.

It never runs inside edgeprof: unicorn's engine is GPL-2.0, so it is optional and stays in this process. The machine is
the part of Arm's MPS2 that the agent's port touches: two memories, PSRAM, a UART, a timer, LEDs. The timer counts
instructions as QEMU's does under `-icount shift=6`: after n of them it has moved by ceil(8 n / 5) ticks of 25 MHz.
"""

from __future__ import annotations

import os
import select
import struct
import sys
from pathlib import Path
from typing import Any

CODE, DATA = 0x00000000, 0x20000000
MEMORY_BYTES = 4 << 20
PSRAM_BYTES = 16 << 20
PSRAM = {"cortex-m3": 0x21000000, "cortex-m4": 0x21000000, "cortex-m7": 0x60000000}
PERIPHERALS, PERIPHERAL_BYTES = 0x40000000, 0x30000
SYSTEM, SYSTEM_BYTES = 0xE0000000, 0x100000
TIMER_VALUE = 0x4
UART_DATA, UART_STATE = 0x4000, 0x4004
RECEIVED = 2
IDLE_POLLS, IDLE_INSTRUCTIONS = 500, 400
IDLE_WAIT_S = 0.05
READ_BYTES = 1 << 16
PT_LOAD = 1
FIRST_LONG = 0b11101
"""The five top bits from which on an instruction has 32 bits (Armv7-M Architecture Reference Manual, A5.1)."""


class Machine:
    """One board: what its registers answer, and how many instructions it has executed."""

    def __init__(self, elf: bytes, core: str, preloaded: bytes) -> None:
        import unicorn
        from unicorn import arm_const

        models = {
            "cortex-m3": arm_const.UC_CPU_ARM_CORTEX_M3,
            "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4,
            "cortex-m7": arm_const.UC_CPU_ARM_CORTEX_M7,
        }
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(models[core])
        regions = ((CODE, MEMORY_BYTES), (DATA, MEMORY_BYTES), (PSRAM[core], PSRAM_BYTES), (SYSTEM, SYSTEM_BYTES))
        for base, size in regions:
            self._uc.mem_map(base, size)
        self._uc.mmio_map(PERIPHERALS, PERIPHERAL_BYTES, self._read, None, self._write, None)
        self._uc.hook_add(unicorn.UC_HOOK_BLOCK, self._block)
        timer = PERIPHERALS + TIMER_VALUE
        self._uc.hook_add(unicorn.UC_HOOK_MEM_READ, self._timer_read, begin=timer, end=timer + 3)
        for address, content in loaded_segments(elf):
            self._uc.mem_write(address, content)
        self._uc.mem_write(PSRAM[core], preloaded)
        self._stack_register, self._pc_register = arm_const.UC_ARM_REG_SP, arm_const.UC_ARM_REG_PC
        self._block_at = self._block_bytes = self._reader_at = 0
        self._instructions = 0
        self._in_block: dict[int, int] = {}
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._polls = self._polled_at = 0

    def run(self) -> None:
        """Start at the reset vector; ends with the process, when standard input closes."""
        stack, entry = struct.unpack("<II", self._uc.mem_read(CODE, 8))
        self._uc.reg_write(self._stack_register, stack)
        self._uc.emu_start(entry | 1, 0xFFFFFFFF)

    def _block(self, _uc: object, address: int, size: int, _data: object) -> None:
        key = address << 16 | size
        count = self._in_block.get(key)
        if count is None:
            count = self._in_block[key] = instructions_in(bytes(self._uc.mem_read(address, size)))
        self._instructions += count
        self._block_at, self._block_bytes = address, size

    def _read(self, _uc: object, offset: int, _size: int, _data: object) -> int:
        if offset == UART_STATE:
            return RECEIVED if self._incoming or self._poll() else 0
        if offset == UART_DATA:
            return self._incoming.pop(0) if self._incoming else 0
        if offset == TIMER_VALUE:
            return ~((8 * self._executed() + 4) // 5) & 0xFFFFFFFF
        return 0

    def _timer_read(self, *_what: object) -> None:
        """Note which instruction reads the timer; the program counter is right here, not in the register's callback."""
        self._reader_at = self._uc.reg_read(self._pc_register) & ~1

    def _executed(self) -> int:
        """Return how many instructions came before the one that reads; the block that it is in was counted whole."""
        here = self._reader_at
        left = self._block_at + self._block_bytes - here
        if not 0 < left <= self._block_bytes:
            return self._instructions
        return self._instructions - instructions_in(bytes(self._uc.mem_read(here, left)))

    def _write(self, _uc: object, offset: int, _size: int, value: int, _data: object) -> None:
        if offset == UART_DATA:
            self._polls = 0
            self._outgoing.append(value & 0xFF)
            if not value & 0xFF or len(self._outgoing) >= READ_BYTES:  # a frame has ended
                self._send()

    def _send(self) -> None:
        left = memoryview(bytes(self._outgoing))
        self._outgoing.clear()
        while left:
            left = left[os.write(1, left) :]

    def _poll(self) -> bool:
        """Look for input; a board that has asked in vain many times in a row sleeps until there is some."""
        busy = self._instructions - self._polled_at > IDLE_INSTRUCTIONS
        self._polled_at = self._instructions
        self._polls = 0 if busy else self._polls + 1
        if self._polls % 16 and self._polls < IDLE_POLLS:
            return False
        wait_s = IDLE_WAIT_S if self._polls >= IDLE_POLLS else 0.0
        if wait_s and self._outgoing:
            self._send()
        if not select.select([0], [], [], wait_s)[0]:
            return False
        content = os.read(0, READ_BYTES)
        if not content:
            os._exit(0)  # the host is gone; nothing here is worth cleaning up
        self._incoming += content
        self._polls = 0
        return True


def loaded_segments(elf: bytes) -> list[tuple[int, bytes]]:
    """Return the load address and content of each PT_LOAD segment of a 32-bit little-endian ELF file."""
    if elf[:6] != b"\x7fELF\x01\x01":
        message = "not a 32-bit little-endian ELF file"
        raise ValueError(message)
    table, size, count = struct.unpack_from("<I", elf, 28)[0], *struct.unpack_from("<HH", elf, 42)
    found = []
    for index in range(count):
        kind, offset, _, physical, length, _, _, _ = struct.unpack_from("<8I", elf, table + index * size)
        if kind == PT_LOAD and length:
            found.append((physical, elf[offset : offset + length]))
    return found


def instructions_in(code: bytes) -> int:
    """Return how many Thumb-2 instructions the bytes hold: one of 32 bits begins with 0b11101, 0b11110 or 0b11111."""
    count = at = 0
    while at < len(code):
        at += 4 if code[at + 1] >> 3 >= FIRST_LONG else 2
        count += 1
    return count


def main(arguments: list[str]) -> int:
    """`emulator ELF CORE [PRELOADED]` runs until standard input closes."""
    elf, core, *preloaded = arguments
    content = Path(preloaded[0]).read_bytes() if preloaded else b""
    try:
        machine = Machine(Path(elf).read_bytes(), core, content)
    except ImportError:
        sys.stderr.write("the unicorn package is not installed: pip install 'edgeprof[emu]'\n")
        return 1
    machine.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
