"""The microcontroller agent: what ships, how it is built, how it gets onto a board."""

from __future__ import annotations

from edgeprof.firmware.building import Built, build
from edgeprof.firmware.flashing import FlashAsked, FlashPlan, plan_flash, run_flash
from edgeprof.firmware.hello import await_hello
from edgeprof.firmware.listing import Listing, list_firmware

__all__ = [
    "Built",
    "FlashAsked",
    "FlashPlan",
    "Listing",
    "await_hello",
    "build",
    "list_firmware",
    "plan_flash",
    "run_flash",
]
