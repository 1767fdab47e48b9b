"""Writes the JSON Schemas of results and of board files into `edgeprof/data/`; a test checks that they are current."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import msgspec

from edgeprof.boards import board_json_schema
from edgeprof.records.result import Result

FOLDER = Path(__file__).resolve().parents[1] / "edgeprof" / "data"


def schemas() -> dict[Path, str]:
    """Return each file with the text that it should have."""
    result = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Result)}
    return {
        FOLDER / f"{name}.schema.json": json.dumps(schema, indent=1, sort_keys=True) + "\n"
        for name, schema in (("result", result), ("board", board_json_schema()))
    }


def main() -> int:
    """Write the files and say which of them changed."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in schemas().items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(text, encoding="utf-8")
        print(f"{'unchanged' if text == before else 'written  '} {path.relative_to(FOLDER.parents[1])}")
    return 0


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    sys.exit(main())
