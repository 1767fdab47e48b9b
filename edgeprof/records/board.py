"""What is known about a board: facts about hardware, each figure with its source.

A fact that is not known is absent, never 0. A figure is in the SI unit that its name ends in. Dotted paths name a
figure: ``power.idle_a``, ``memory.sram.bytes``, ``cores.cpu.max_clock_hz``; the parts of a list go by their name.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

BOARD_SCHEMA: Literal["edgeprof.board/1"] = "edgeprof.board/1"

BoardKind: TypeAlias = Literal["linux", "mcu", "emulated"]
MemoryKind: TypeAlias = Literal["flash", "sram", "tcm", "ram", "psram", "external-flash"]
Grade: TypeAlias = Literal["A", "Aq", "B", "C", "D", "E"]

INTERNAL_RAM_KINDS: tuple[MemoryKind, ...] = ("sram", "tcm")
FLASH_KINDS: tuple[MemoryKind, ...] = ("flash", "external-flash")


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one figure comes from. Two sources of one field that disagree are both here.

    Grades: A vendor's document, Aq vendor's document quoted by a third party, B upstream machine-readable file,
    C published measurement, D secondary page, E derived by arithmetic that `source` shows.
    """

    field: str
    value: str
    source: str
    grade: Grade


class Core(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of processor core on the board. The first one listed is the one that runs the model."""

    name: str
    model: str
    count: int | None = None
    max_clock_hz: int | None = None
    peak_int8_dense_ops_per_s: float | None = None
    """Of one core, as its instruction set bounds it: two operations per multiply-accumulate. Nothing reaches it."""


class Accelerator(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GPU, NPU or the like. Peaks are of all `count` units together; no dense figure is ever a sparse one."""

    name: str
    description: str = ""
    count: int | None = None
    clock_hz: int | None = None
    includes: tuple[str, ...] = ()
    """Accelerators whose peaks this entry's figures already count: a vendor's total. Never add them again."""
    peak_int8_dense_ops_per_s: float | None = None
    peak_int8_sparse_ops_per_s: float | None = None
    peak_fp16_dense_flop_per_s: float | None = None
    peak_fp32_dense_flop_per_s: float | None = None


class MemoryRegion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One range of addresses. Regions of one `contiguous_group` lie next to each other and can hold one buffer."""

    name: str
    kind: MemoryKind
    bytes: int
    contiguous_group: str | None = None
    base: int | None = None
    contiguous: bool = True
    """False: made of parts that need not lie next to each other, so it never counts as one block."""


class PowerMode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One mode of `nvpmodel`. A result without its mode compares with nothing."""

    id: int
    name: str
    power_w: float | None = None
    default: bool = False


class Power(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Currents and powers, each with the condition it holds for. Where a source gives a range, the point is absent.

    `headline_a_per_hz` is the data sheet's run current per hertz (1e-12 A/Hz is 1 µA/MHz). Inference draws up to
    2.3 times as much, so no estimate of inference energy or battery life may use it; `inference_w` is for that.
    """

    supply_v: float | None = None
    supply_range_v: tuple[float, float] | None = None
    psu_a: float | None = None
    range_w: tuple[float, float] | None = None
    idle_a: float | None = None
    active_a: float | None = None
    active_range_a: tuple[float, float] | None = None
    active_condition: str = ""
    stress_a: float | None = None
    inference_w: float | None = None
    inference_condition: str = ""
    headline_a_per_hz: float | None = None
    sleep_a: float | None = None
    sleep_range_a: tuple[float, float] | None = None
    sleep_condition: str = ""
    sensor: str = ""


class Board(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One board as sold, or one emulated machine."""

    schema: Literal["edgeprof.board/1"] = BOARD_SCHEMA
    id: str
    name: str
    vendor: str
    kind: BoardKind
    soc: str = ""
    isa: tuple[str, ...] = ()
    """Features that matter to kernels: neon, fp16, dotprod, i8mm, dsp, mve, fpu, …"""
    cores: tuple[Core, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    caches: str = ""
    memory: tuple[MemoryRegion, ...] = ()
    ram_options_bytes: tuple[int, ...] = ()
    """The sizes that the board is sold with, where there are several; the board at hand says which it has."""
    memory_bandwidth_bytes_per_s: float | None = None
    power: Power = Power()
    power_modes: tuple[PowerMode, ...] = ()
    throttle: str = ""
    throttle_celsius: float | None = None
    """The temperature at which the clock first drops."""
    price_usd: float | None = None
    uart_baud: int | None = None
    flash_tool: str = ""
    zephyr_id: str = ""
    probe_rs_chip: str = ""
    platformio_id: str = ""
    device_tree: tuple[str, ...] = ()
    """What the kernel calls the board: `compatible` strings, or the start of its `model`."""
    notes: tuple[str, ...] = ()
    disagreements: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
