"""The microcontroller agent as text: what ships, what was built, what was flashed and who answered."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edgeprof.report.columns import Cell, Column, columns, page, wrapped
from edgeprof.report.drawing import drawn
from edgeprof.units import format_bytes, format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeprof.firmware import Built, FlashPlan, Listing  # noqa: TC004  encoded only: no annotation is read
    from edgeprof.records.events import AgentIdentified  # noqa: TC004  the same

SHOWN = ("text", "data", "bss", "stack")


class Flashed(Struct, frozen=True, kw_only=True):
    """A board that was flashed; `agent` is who answered, None where no port was named to ask on."""

    plan: FlashPlan
    took_s: float
    agent: AgentIdentified | None


@drawn
def render_listing(listing: Listing, format_name: str) -> str:
    """Return what ships and what can be built."""
    if format_name == "json":
        return _json(listing)
    paper = page()
    lines = [paper.styled("Agents that ship, for emu: and qemu:", "bold")]
    lines += columns(
        paper,
        [Column("core"), Column("port"), *[Column(name, right=True) for name in ("file", *SHOWN)], Column("")],
        [
            [agent.core, agent.port, format_bytes(agent.bytes), *_sizes(agent.sections),
             Cell("" if agent.intact else "not the file that was recorded", "red")]
            for agent in listing.prebuilt
        ],
    )  # fmt: skip
    lines += [
        f"{compiler}; {flags}" for compiler, flags in dict.fromkeys((a.compiler, a.flags) for a in listing.prebuilt)
    ]
    lines += ["", paper.styled("Ports that can be built", "bold")]
    if listing.sources is None:
        lines += wrapped(f"none here: {listing.hint}", paper.width)
        return "\n".join(lines)
    lines += columns(
        paper,
        [Column("port"), Column("core"), Column("board", wrap=True), Column("state"), Column("flash tools", wrap=True)],
        [[port.id, port.core, port.description, port.state, ", ".join(port.tools) or "—"] for port in listing.ports],
    )
    return "\n".join([*lines, f"sources: {listing.sources}"])


@drawn
def render_built(built: Built, format_name: str) -> str:
    """Return what was built, by section."""
    if format_name == "json":
        return _json(built)
    rows = [[name, f"{size:,}", format_bytes(size)] for name, size in built.sections.items()]
    sizes = columns(page(), [Column("section"), Column("bytes", right=True), Column("", right=True)], rows)
    return "\n".join(
        [
            built.path,
            f"{built.port}, {built.core}, {built.state}",
            *sizes,
            f"compiler: {built.compiler}",
            f"flags:    {built.flags}",
            f"sha256:   {built.sha256}",
        ]
    )


@drawn
def render_plan(plan: FlashPlan, format_name: str) -> str:
    """Return what would be done."""
    if format_name == "json":
        return _json(plan)
    if not plan.arguments:
        return f"copy {shlex.quote(plan.image)} to {plan.drive or 'the drive that has INFO_UF2.TXT'}"
    return shlex.join(plan.arguments)


@drawn
def render_flashed(flashed: Flashed, format_name: str) -> str:
    """Return what was flashed and who answered."""
    if format_name == "json":
        return _json(flashed)
    lines = [f"{flashed.plan.image}: flashed with {flashed.plan.tool} in {format_duration(flashed.took_s)}"]
    if flashed.plan.file:
        lines.append(f"as {flashed.plan.file} says")
    agent = flashed.agent
    if agent is None:
        return "\n".join([*lines, "not asked who answers: --port names the serial port to ask on"])
    counter = f"{agent.counter_unit}, {agent.counter_hz:,} Hz"
    lines += [
        f"{agent.agent} answers: {agent.board}, protocol {agent.protocol}, counter {counter}",
        f"engine: {agent.engine}",
    ]
    if flashed.plan.board not in {"", agent.board}:
        lines.append(
            f"! it calls itself {agent.board}, what was flashed calls itself {flashed.plan.board}: right port?"
        )
    if flashed.plan.serial and flashed.plan.serial.url.startswith("/"):
        lines.append(f"edgeprof profile MODEL --target serial://{flashed.plan.serial.url}")
    return "\n".join(lines)


def _sizes(sections: Mapping[str, int]) -> list[str]:
    return [f"{sections.get(f'.{name}', 0):,}" for name in SHOWN]


def _json(record: object) -> str:
    return msgspec.json.format(msgspec.json.encode(record), indent=1).decode()
