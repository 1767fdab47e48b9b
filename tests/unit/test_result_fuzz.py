"""Results with wrong figures inside: refused in one line that names the place, or drawn, judged and compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof.errors import ResultInvalid
from edgeprof.records.breakdowns import Breakdowns
from edgeprof.records.sound import LARGEST
from edgeprof.report import FORMATS, render
from edgeprof.store import read_result
from scripts.fuzz_result import default_corpus, fuzz, mutated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRIES = 110


@pytest.fixture(scope="module")
def corpus() -> list[bytes]:
    return default_corpus(simulated=True)


@pytest.mark.slow
def test_whatever_is_damaged_a_result_is_refused_or_can_be_used(corpus: list[bytes]) -> None:
    outcome = fuzz(corpus, seed=11, tries=TRIES)
    assert [finding.what for finding in outcome.findings] == []
    drawn = sum(count for what, count in outcome.outcomes.items() if what.startswith("drawn"))
    assert outcome.tried == TRIES
    assert drawn > TRIES / 10
    assert outcome.outcomes["refused"] > TRIES / 10


def test_the_same_seed_makes_the_same_damage(corpus: list[bytes]) -> None:
    import random

    one, other = (mutated(corpus[0], random.Random(5)) for _ in range(2))  # noqa: S311  reproducible
    assert one == other != corpus[0]


def test_undamaged_results_are_read_with_every_breakdown_that_they_hold(corpus: list[bytes], tmp_path: Path) -> None:
    held = set()
    for number, content in enumerate(corpus):
        path = tmp_path / f"{number}.json"
        path.write_bytes(content)
        result = read_result(path)
        held |= set(result.breakdowns)
        for name in FORMATS:
            assert render([result], name)
    assert {"noise", "sustained", "deadline", "memory_curve", "roofline", "energy", "battery"} <= held
    assert held <= set(Breakdowns.__struct_fields__)


def at(value: Any, *keys: Any) -> Any:  # noqa: ANN401  JSON
    for key in keys:
        value = value[key]
    return value


def put(*keys: Any) -> Callable[[Any], None]:  # noqa: ANN401  JSON
    *way, last, new = keys

    def damage(result: Any) -> None:  # noqa: ANN401  JSON
        at(result, *way)[last] = new

    return damage


def drop(*keys: Any) -> Callable[[Any], None]:  # noqa: ANN401  JSON
    *way, last = keys

    def damage(result: Any) -> None:  # noqa: ANN401  JSON
        del at(result, *way)[last]

    return damage


LONG, METERED, TIMED = 0, 1, 2
DAMAGE: dict[str, tuple[int, Callable[[Any], None], str]] = {
    "a batch of none": (LONG, put("samples", "batch", 0, 0), "$.samples.batch"),
    "one flag fewer": (LONG, drop("samples", "flags", 0), "$.samples"),
    "one duration fewer": (LONG, drop("samples", "duration_s", 0), "$.samples"),
    "a duration below 0": (LONG, put("samples", "duration_s", 0, -1e-3), "$.samples.duration_s"),
    "a sensor's time fewer": (LONG, drop("sensors", 0, "time_s", 0), "$.sensors[0]"),
    "10 to the 400": (LONG, put("metrics", "latency_p50_s", "value", 10**400), "$.metrics.latency_p50_s.value"),
    "a far number": (LONG, put("metrics", "latency_p50_s", "low", 10 * LARGEST), "$.metrics.latency_p50_s.low"),
    "a latency below 0": (LONG, put("metrics", "latency_p50_s", "value", -1.0), "$.metrics.latency_p50_s.value"),
    "a share below 0": (LONG, put("operators", 0, "share_ratio", -0.5), "$.operators[0]"),
    "no noise band": (LONG, drop("breakdowns", "noise", "launch 0", "noise_band_ratio"), "$.breakdowns.noise"),
    "noise as text": (LONG, put("breakdowns", "noise", "launch 0", "noise_band_ratio", "x"), "noise_band_ratio"),
    "no peak": (LONG, drop("breakdowns", "memory_curve", "peak"), "$.breakdowns.memory_curve"),
    "a stride of 0": (LONG, put("breakdowns", "memory_curve", "stride", 0), "$.breakdowns.memory_curve.stride"),
    "no live bytes": (LONG, drop("breakdowns", "memory_curve", "operators", 0, "live_bytes"), "operators[0]"),
    "no ratio": (LONG, drop("breakdowns", "sustained", "launch 0", "first_against_last", "ratio"), "ratio"),
    "a ratio alone": (LONG, drop("breakdowns", "sustained", "launch 0", "first_against_last", "last_p50_s"), "median"),
    "no rows": (LONG, put("breakdowns", "sustained", "launch 0", "rows", []), "$.breakdowns.sustained"),
    "heat as text": (
        LONG, put("breakdowns", "sustained", "launch 0", "rows", 0, "temperature_celsius", "hot"), "temperature_cel",
    ),
    "samples without a mean": (LONG, drop("breakdowns", "sustained", "launch 0", "throttled", "mean_s"), "mean"),
    "no rounds": (LONG, put("breakdowns", "sensors", {"cpu_s": 1.0}), "$.breakdowns.sensors"),
    "a roof without a ridge": (LONG, put("breakdowns", "roofline", "reason", ""), "$.breakdowns.roofline"),
    "a governor as a number": (LONG, put("environment", "before", "governor", {"policy0": 1}), "governor"),
    "falling edges": (TIMED, put("breakdowns", "deadline", "launch 0", "histogram", "edges_s", 0, 1e6), "histogram"),
    "no edges": (TIMED, put("breakdowns", "deadline", "launch 0", "histogram", "edges_s", []), "edges_s"),
    "a period of 0": (TIMED, put("breakdowns", "deadline", "launch 0", "period_s", 0), "period_s"),
    "no trace": (METERED, drop("breakdowns", "energy", "trace"), "$.breakdowns.energy"),
    "no cell": (METERED, drop("breakdowns", "battery", "cell"), "$.breakdowns.battery"),
    "a breakdown as a list": (METERED, put("breakdowns", "energy", []), "$.breakdowns.energy"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_a_wrong_figure_is_refused_in_one_line_with_its_place(what: str, corpus: list[bytes], tmp_path: Path) -> None:
    which, damage, place = DAMAGE[what]
    value = json.loads(corpus[which])
    damage(value)
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(value))
    with pytest.raises(ResultInvalid) as refused:
        read_result(path)
    assert refused.value.exit_code == 2
    assert refused.value.message.startswith(f"{path} is not an edgeprof result: ")
    assert place in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"schema": ' + "[" * 5000, '{"x": ' + "[" * 10**5])
def test_a_file_that_is_nested_without_end_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text(text)
    with pytest.raises(ResultInvalid, match=r"deep\.json is not an edgeprof result"):
        read_result(path)


def test_nesting_inside_an_otherwise_good_result_is_refused(corpus: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    for depth in (400, 900, 100_000):
        path.write_bytes(
            corpus[0].replace(b'"breakdowns": {', b'"breakdowns": {"x": %s1%s,' % (b"[" * depth, b"]" * depth))
        )
        try:
            result = read_result(path)
        except ResultInvalid as error:
            assert "nested too deeply" in error.message  # noqa: PT017  either answer is good
        else:
            for name in FORMATS:
                render([result], name)
