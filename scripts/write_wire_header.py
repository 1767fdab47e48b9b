"""Writes firmware_stubs/core/ep_wire_ids.h from edgeprof/wire.py; `--check` fails where the file is another one."""

from __future__ import annotations

import argparse
import re
import struct
import sys
from pathlib import Path

from edgeprof import wire

HEADER = Path(__file__).resolve().parent.parent / "firmware_stubs" / "core" / "ep_wire_ids.h"


def main(arguments: list[str]) -> int:
    """Write the header, or say whether it is current."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file is another one")
    check = parser.parse_args(arguments).check
    wanted = header()
    if check:
        current = HEADER.is_file() and HEADER.read_text(encoding="utf-8") == wanted
        if not current:
            print(f"{HEADER} is not what edgeprof/wire.py says: run {sys.argv[0]}", file=sys.stderr)
        return 0 if current else 1
    HEADER.write_text(wanted, encoding="utf-8")
    print(HEADER)
    return 0


def header() -> str:
    """Return the numbers of the protocol as C."""
    lines = [
        "/* Written by scripts/write_wire_header.py from edgeprof/wire.py. Do not edit. */",
        "#ifndef EP_WIRE_IDS_H",
    ]
    lines += ["#define EP_WIRE_IDS_H", ""]
    lines += [_define("MAJOR", wire.MAJOR), _define("MINOR", wire.MINOR), _define("AUTO", wire.AUTO)]
    lines += [_define("FIRST_FRAME_BYTES", wire.FIRST_FRAME_BYTES), _define("SAMPLE_BYTES", wire.SAMPLE_BYTES), ""]
    for message, layout in wire.LAYOUTS.items():
        name = _words(message.__name__)
        lines.append(_define(f"MSG_{name}", layout.type, form="0x{:02x}u"))
        fixed = struct.calcsize("<" + "".join(code for _, code in layout.fixed))
        lines.append(_define(f"FIXED_{name}", fixed))
        lines += [_define(f"TAG_{name}_{field.upper()}", tag) for field, tag, _ in layout.tagged]
    groups = {
        "UNIT": wire.COUNTER_UNITS,
        "BASIS": wire.BASES,
        "PASS": wire.PASSES,
        "MARK": wire.MARKS,
        "FAILURE": wire.FAILURES,
    }
    for group, names in groups.items():
        lines += ["", *(_define(f"{group}_{_words(name)}", number) for number, name in enumerate(names))]
    lines.append("")
    lines += [_define(f"CAN_{_words(name)}", 1 << bit, form="0x{:04x}u") for bit, name in enumerate(wire.CAPABILITIES)]
    flags = {"WARMUP": wire.WARMUP, "PREEMPTED": wire.PREEMPTED, "THROTTLED": wire.THROTTLED}
    flags["AFTER_SEND"] = wire.AFTER_SEND
    blobs = {"ABSENT": wire.BLOB_ABSENT, "PARTIAL": wire.BLOB_PARTIAL, "PRESENT": wire.BLOB_PRESENT}
    lines += ["", *(_define(f"FLAG_{name}", value) for name, value in flags.items())]
    lines += ["", *(_define(f"BLOB_{name}", value) for name, value in blobs.items()), "", "#endif", ""]
    return "\n".join(lines)


def _define(name: str, value: int, form: str = "{}u") -> str:
    return f"#define EP_{name} {form.format(value)}"


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", name).upper()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
