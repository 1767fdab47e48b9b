"""Records: the published schemas are current, real results satisfy them, and every figure names its unit."""

from __future__ import annotations

import json
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import jsonschema
import msgspec
import pytest

from edgeprof import profile, records
from edgeprof.metrics import REGISTRY
from edgeprof.profiling.plan import Options
from edgeprof.store import encode_result
from scripts.write_schemas import FOLDER, schemas

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeprof.records.result import Result

SCHEMA: dict[str, Any] = json.loads((FOLDER / "result.schema.json").read_text(encoding="utf-8"))
UNITS = (
    "_s", "_j", "_w", "_a", "_v", "_hz", "_bytes", "_ratio", "_celsius", "_usd", "_per_s", "_per_hz", "_c",
    "_ohm", "_error", "_macs",
)  # fmt: skip
WITHOUT_UNIT = {
    "Metric.value": "in the unit of the metric's name",
    "Metric.low": "the same",
    "Metric.high": "the same",
    "Metric.confidence": "a probability",
    "Finding.value": "in `unit`",
    "Effect.now": "in the unit of its metric's name",
    "Effect.low": "the same",
    "Effect.high": "the same",
    "Finding.threshold": "in `unit`",
    "InputTensor.scale": "of quantisation",
    "SampleColumns.start": "seconds, or counts where the counter counts no time",
    "SampleColumns.duration": "the same",
    "OperatorTicks.total": "the same",
    "Inspection.intensity": "operations a byte",
    "Roofline.intensity": "operations a byte",
    "Roofline.ridge": "operations a byte",
    "PassMeasurement.figures": "by name, each with its unit",
    "AccuracyDrop.low": "in the unit of its score",
    "AccuracyDrop.high": "the same",
    "Assumption.value": "in `unit`",
    "Assumption.low": "the same",
    "Assumption.high": "the same",
    "BatteryReport.inferences": "a count, which may be a mean",
    "Change.base": "in the unit of the metric's name",
    "Change.new": "the same",
    "Change.low": "of change_ratio",
    "Change.high": "the same",
    "Change.confidence": "a probability",
    "FirstAgainstLast.ratio": "of the last row's median to the first's",
    "FittedDtype.costs": "seconds a unit of work, by kind",
    "FittedDtype.quantile": "of log errors",
    "FittedDtype.spreads": "the same, by kind",
    "KeptRoofline.ridge": "operations a byte",
    "OutputDistance.cosine": "of an angle",
    "OutputDistance.largest_value": "in the model's own",
    "Prediction.confidence": "a probability",
    "Prediction.ratio": "to the reference model",
    "Prediction.ratio_low": "the same",
    "Prediction.ratio_high": "the same",
    "Price.requests_per_day": "a count a day",
    "RoofPoint.intensity": "operations a byte",
    "Scores.auc": "an area",
    "Scores.f1_macro": "a mean of ratios",
    "SensorSeries.value": "in `unit`",
    "SensorSeries.resolution": "in `unit`",
    "StageShare.items": "a count",
    "SensorsRead.value": "in the channel's unit",
}
MODULES = [f"edgeprof.records.{found.name}" for found in pkgutil.iter_modules(records.__path__)]


@pytest.fixture(scope="module")
def real(kws: Path) -> Result:
    return profile(kws, "sim:raspberry-pi-5", options=Options(runs=30, per_op=True), limits=["latency_p50_s<1"])


@pytest.mark.parametrize("path", schemas(), ids=lambda path: path.name)
def test_the_published_schema_is_what_the_records_say(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == schemas()[path], "run scripts/write_schemas.py"


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_real_result_satisfies_the_published_schema(real: Result) -> None:
    jsonschema.validate(json.loads(encode_result(real)), SCHEMA)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("schema",), "edgeprof.result/2"),
        (("status",), "done"),
        (("metrics", "latency_p50_s", "basis"), "guessed"),
        (("metrics", "latency_p50_s", "value"), "fast"),
        (("samples", "duration_s"), [None]),
        (("findings", 0, "verdict"), "MAYBE"),
    ],
)
def test_the_schema_refuses_what_is_wrong(real: Result, place: tuple[str | int, ...], wrong: object) -> None:
    content = json.loads(encode_result(real))
    inside = content
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, SCHEMA)


def test_the_top_of_a_result_is_what_the_interface_promises(real: Result) -> None:
    promised = (
        "schema id created status group variant tool model target board runtime environment plan metrics breakdowns"
        " samples operators sensors findings warnings advice"
    )
    assert list(json.loads(encode_result(real))) == promised.split()


def test_every_metric_of_a_real_result_is_in_the_registry(real: Result) -> None:
    assert set(real.metrics) <= set(REGISTRY)
    assert {metric.basis for name, metric in real.metrics.items() if name.startswith("latency_")} == {"simulated"}


def test_the_latencies_of_the_interface_are_all_there(real: Result) -> None:
    promised = {name for name in REGISTRY if name.startswith(("latency_", "memory_"))}
    assert promised <= set(real.metrics)


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def all_records() -> Iterator[type[msgspec.Struct]]:
    for name in MODULES:
        for kind in vars(import_module(name)).values():
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == name:
                yield kind


def holds_floats(kind: object) -> bool:
    return kind is float or any(holds_floats(inner) for inner in get_args(kind))


def test_every_field_that_holds_reals_ends_in_its_unit() -> None:
    fields = {
        f"{kind.__name__}.{name}"
        for kind in all_records()
        for name, of in get_type_hints(kind).items()
        if holds_floats(of)
    }
    assert len(fields) > 30
    assert not {field for field in fields if not field.endswith(UNITS)} - set(WITHOUT_UNIT)


def test_every_record_is_frozen() -> None:
    kinds = list(all_records())
    assert len(kinds) > 30
    assert not [kind.__name__ for kind in kinds if not kind.__struct_config__.frozen]
