"""Refits the estimator from a table of published results, prints its cross-validation and writes its coefficients.

    python scripts/fit_estimator.py                                   refit and write edgeprof/data/estimator.json
    python scripts/fit_estimator.py --results CSV --models FOLDER     from another table, other copies of the models
    python scripts/fit_estimator.py --check                           only cross-validate, write nothing

The table is other people's work: the results of MLPerf Tiny v0.5 to v1.3 (github.com/mlcommons/tiny_results_v*,
Apache-2.0). It is not part of this project, and no figure of it is: what is written are coefficients of a fit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script finds only its own folder by itself
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads make these small systems 30 times slower on a busy machine

import msgspec
from msgspec.structs import replace

from scripts.estimator_fit import fit
from scripts.estimator_table import MODELS, RESULTS, ROOT, cores_by_engine, model_digests, read_models, read_table
from scripts.estimator_validation import Summary, board_medians, summarise, validate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgeprof.estimate.features import Features
    from scripts.estimator_table import TableRow
    from scripts.estimator_validation import Validation

WRITTEN = ROOT / "edgeprof" / "data" / "estimator.json"
SOURCE = "MLPerf Tiny results v0.5 to v1.3, closed division, int8, programmable cores without accelerators (mlcommons)"


def main(arguments: Sequence[str]) -> int:
    """Validate, print, write."""
    options = _parser().parse_args(arguments)
    if not options.results.is_file() or not options.models.is_dir():
        print(f"no table {options.results} or no folder {options.models}: name them with --results and --models")
        return 2
    rows, models = read_table(options.results), read_models(options.models)
    validation = validate(rows, models)
    if options.figures:
        print(json.dumps(summarise(validation)._asdict()))
        return 0
    _print(validation)
    if not options.check:
        _write(rows, models, options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the table, CSV")
    parser.add_argument("--models", type=Path, default=MODELS, help="the folder of the int8 models that it names")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--figures", action="store_true", help="print the figures of the cross-validation as JSON only")
    return parser


def _print(validation: Validation) -> None:
    for board, median, p90, count in board_medians(validation):
        print(f"  without {board:20} {count:3} rows   median {median:5.1%}   p90 {p90:5.1%}")
    summary = summarise(validation)
    for name in Summary._fields:
        value = getattr(summary, name)
        if not isinstance(value, dict):
            print(f"  {name:38} {value if isinstance(value, int) else f'{value:.3f}'}")


def _write(rows: Sequence[TableRow], models: Mapping[str, Features], options: argparse.Namespace) -> None:
    fitted = fit(rows, models, source=SOURCE)
    others = {
        engine: cores for engine, cores in cores_by_engine(options.results).items() if engine not in fitted.engines
    }
    fitted = replace(fitted, model_sha256=model_digests(options.models), other_engines=others)
    content = msgspec.json.format(msgspec.json.encode(fitted), indent=2)
    partial = WRITTEN.with_suffix(".part")
    partial.write_bytes(content + b"\n")
    partial.replace(WRITTEN)
    sizes = f"{len(fitted.cores)} core classes, {len(fitted.engines)} engines"
    print(f"{fitted.rows} of {len(rows)} rows, {sizes}: {WRITTEN}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
