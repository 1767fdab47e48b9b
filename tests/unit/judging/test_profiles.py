from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from edgeprof.errors import EdgeprofError, FileUnreadable, UnknownName, UsageError
from edgeprof.judging.limits import Limit, judge, parse_limit
from edgeprof.judging.profiles import list_profiles, load_limits, load_profile, read_limits
from edgeprof.metrics import PERCENTILES, REGISTRY
from edgeprof.records.result import Metric
from edgeprof.report.limits import render_profile

if TYPE_CHECKING:
    from pathlib import Path

ALL = [limit for profile in list_profiles() for limit in profile.limits]
HEADER = 'schema = "edgeprof.limits/1"\n'


def limit_named(name: str) -> Limit:
    return next(limit for limit in ALL if limit.name == name)


def metric(value: float | None, basis: str = "computed", **more: object) -> Metric:
    facts = {"value": value, "basis": basis, "count": 1000, "method": "", **more}
    return Metric(**facts)  # type: ignore[arg-type]  # what a test gives is right


def verdict(limit: Limit, measured: dict[str, Metric], **how: object) -> str:
    return judge(measured, [limit], **how)[0].verdict  # type: ignore[arg-type]  # the same


def test_there_is_a_profile_for_each_of_the_names_that_people_know() -> None:
    names = {profile.name for profile in list_profiles()}
    assert names >= {"mobile", "edge", "tinyml", "realtime", "vehicle", "cloud", "serverless", "voice"}


@pytest.mark.parametrize("limit", ALL, ids=lambda limit: limit.name)
def test_every_limit_has_a_known_metric_a_line_of_its_source_and_its_words(limit: Limit) -> None:
    assert limit.metric in REGISTRY
    assert re.search(r", l\. \d+", limit.source)
    assert limit.quote
    assert limit.threshold > 0


@pytest.mark.parametrize("limit", [limit for limit in ALL if limit.metric in PERCENTILES], ids=lambda limit: limit.name)
def test_every_limit_on_a_percentile_says_why_that_one(limit: Limit) -> None:
    assert limit.statistic.startswith(f"p{PERCENTILES[limit.metric] * 100:.0f}: ")
    assert limit.statistic in limit.source


@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("mobile/model", 50_000_000),
        ("mobile/latency", 0.1),
        ("mobile/macs", 500_000_000),
        ("edge/memory", 50_000_000),
        ("tinyml/sram", 327_680),
        ("serverless/memory-hard", 2_000_000_000),
        ("medical-imaging/throughput", pytest.approx(100 / 3600)),
    ],
)
def test_thresholds_are_in_the_unit_of_their_metric(name: str, threshold: float) -> None:
    assert limit_named(name).threshold == threshold


@pytest.mark.parametrize("limit", ALL, ids=lambda limit: limit.name)
def test_no_hard_limit_is_stricter_than_the_target_of_the_same_name(limit: Limit) -> None:
    hard = next((other for other in ALL if other.name == f"{limit.name}-hard"), None)
    if hard is not None:
        worse = (
            hard.threshold >= limit.threshold if limit.comparison in {"<", "<="} else hard.threshold <= limit.threshold
        )
        assert (hard.tier, limit.tier, worse) == ("hard", "target", True)


def test_a_profile_takes_over_the_limits_of_those_that_it_extends_and_replaces_some() -> None:
    names = [limit.name for limit in load_profile("keyboard").limits]
    assert "mobile/latency" in names
    assert "keyboard/model" in names
    assert "mobile/model" not in names


def test_two_profiles_that_share_limits_give_each_of_them_once() -> None:
    names = [limit.name for limit in load_limits(["mobile", "ar"])]
    assert len(names) == len(set(names)) == 9


def test_contradictions_of_the_source_are_told() -> None:
    assert any("contradicts" in note for note in load_profile("realtime").notes)
    assert "its reason is wrong" in limit_named("smart-home/power").note


def test_an_unknown_profile_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(UnknownName) as error:
        load_limits(["moblie"])
    assert "mobile" in error.value.hint


def own(folder: Path, text: str) -> str:
    path = folder / "ours.toml"
    path.write_text(HEADER + text)
    return str(path)


def test_a_file_of_ones_own_extends_what_ships(tmp_path: Path) -> None:
    text = """
[profiles.kiosk]
extends = ["mobile"]
limits = [{ name = "model", metric = "model_bytes", comparison = "<", threshold = "8 MiB" }]
[profiles.other]
limits = [{ name = "p", metric = "parameters_count", comparison = "<", threshold = 5 }]
"""
    path = own(tmp_path, text)
    kiosk = load_limits([f"{path}:kiosk"])
    assert {limit.name: limit.threshold for limit in kiosk}["kiosk/model"] == 8 << 20
    assert len(load_limits([path])) == len(kiosk) + 1


@pytest.mark.parametrize(
    "text",
    [
        "profiles = 3",
        "[profiles.a]\nlimit = []",
        '[profiles.a]\nlimits = [{ name = "x", metric = "model_bytes", comparison = "=", threshold = 1 }]',
        '[profiles.a]\nlimits = [{ name = "x", metric = "model_bytes", comparison = "<", threshold = "1 parsec" }]',
        '[profiles.a]\nlimits = [{ name = "x", metric = "model_bytes", comparison = "<", threshold = inf }]',
        '[profiles.a]\nlimits = [{ name = "x", metric = "nonsense_s", comparison = "<", threshold = 1 }]',
        '[profiles.a]\nextends = ["b"]\n[profiles.b]\nextends = ["a"]',
        '[profiles.a]\nextends = ["nowhere"]',
        (
            '[profiles.a]\nlimits = [{ name = "x", metric = "model_bytes", comparison = "<", threshold = 1 },'
            ' { name = "x", metric = "model_bytes", comparison = "<", threshold = 2 }]'
        ),
        "[profiles.a",
        "\0",
    ],
)
def test_a_file_that_is_not_right_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        load_limits([own(tmp_path, text)])


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable):
        load_limits([tmp_path / "none.toml"])
    with pytest.raises(UnknownName, match="has no profile"):
        load_limits([own(tmp_path, "[profiles.a]\n") + ":mobile"])
    (tmp_path / "large.toml").write_bytes(b"#" * 2_000_000)
    with pytest.raises(EdgeprofError, match="larger"):
        load_limits([tmp_path / "large.toml"])


def test_limits_may_be_given_in_any_way() -> None:
    given = parse_limit("model_bytes<1MB")
    assert read_limits([given, "model_bytes<1MB", "cloud"]) == (given, *load_limits(["cloud"]))


# ── the profiles, judged ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missed_target_fails_unless_the_gate_is_hard() -> None:
    seen = {"model_bytes": metric(54_000_000)}
    assert verdict(limit_named("mobile/model"), seen) == "FAIL"
    assert verdict(limit_named("mobile/model"), seen, gate="hard") == "WARN"


def test_a_broken_hard_limit_fails_whatever_the_gate() -> None:
    seen = {"model_bytes": metric(201_000_000)}
    finding = judge(seen, [limit_named("mobile/model-hard")], gate="hard")[0]
    assert (finding.verdict, finding.tier) == ("FAIL", "hard")
    assert "hard limit" in finding.reason


@pytest.mark.parametrize(
    "seen", [{}, {"battery_life_s": metric(60, "measured")}, {"battery_life_s": metric(60, "declared")}]
)
def test_what_is_for_information_only_never_gates(seen: dict[str, Metric]) -> None:
    assert verdict(limit_named("mobile/battery"), seen) == "SKIP"


def test_what_can_never_be_had_is_skipped_with_the_reason() -> None:
    finding = judge({}, [limit_named("mobile/latency")], never={"latency_p95_s": "no board"})[0]
    assert (finding.verdict, finding.reason) == ("SKIP", "not applicable: no board")


def test_what_was_not_measured_is_inconclusive() -> None:
    assert verdict(limit_named("mobile/latency"), {}) == "INCONCLUSIVE"


def test_a_percentile_passes_by_its_upper_bound_alone() -> None:
    limit = limit_named("mobile/latency")
    assert verdict(limit, {"latency_p95_s": metric(0.05, "measured", high=0.06)}) == "PASS"
    assert verdict(limit, {"latency_p95_s": metric(0.05, "measured", high=0.11)}) == "INCONCLUSIVE"
    assert verdict(limit, {"latency_p95_s": metric(0.05, "measured")}) == "INCONCLUSIVE"


def test_a_simulated_latency_counts_only_when_it_is_let() -> None:
    seen = {"latency_p95_s": metric(0.05, "simulated", high=0.06)}
    assert verdict(limit_named("mobile/latency"), seen) == "INCONCLUSIVE"
    assert verdict(limit_named("mobile/latency"), seen, accepted=["simulated"]) == "PASS"


def test_what_is_too_much_already_by_its_lower_bound_fails() -> None:
    macs = Metric(value=None, basis="computed", count=None, method="", reason="one model is not read", low=6e9)
    finding = judge({"macs_count": macs}, [limit_named("mobile/macs-hard")])[0]
    assert (finding.verdict, "at least" in finding.reason) == ("FAIL", True)
    small = Metric(value=None, basis="computed", count=None, method="", reason="one model is not read", low=6)
    assert verdict(limit_named("mobile/macs-hard"), {"macs_count": small}) == "INCONCLUSIVE"


def test_a_size_is_told_in_the_unit_that_the_limit_is_stated_in() -> None:
    reason = judge({"model_bytes": metric(54_000_000)}, [limit_named("mobile/model")])[0].reason
    assert "54,000,000 B" in reason
    assert "50 MB" in reason


@pytest.mark.parametrize("profile", [one.name for one in list_profiles()])
def test_a_profile_shown_as_toml_is_a_file_that_says_the_same(tmp_path: Path, profile: str) -> None:
    shipped = load_profile(profile)
    (tmp_path / "ours.toml").write_text(render_profile(shipped, "toml"))
    own = load_profile(f"{tmp_path / 'ours.toml'}:{profile}")
    renamed = [msgspec.structs.replace(one, name=f"{profile}/{one.name.partition('/')[2]}") for one in shipped.limits]
    assert list(own.limits) == renamed
    assert (own.title, own.notes, own.extends) == (shipped.title, shipped.notes, ())


def test_odd_texts_and_thresholds_come_through_toml(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(
        HEADER + '[profiles."a b.c"]\ntitle = "\\"quoted\\" \\\\ µ"\n'
        '[[profiles."a b.c".limits]]\nname = "p 99"\nmetric = "latency_p99_s"\ncomparison = "<"\n'
        'threshold = 0.0123456789\nnote = "two lines"\n'
    )  # fmt: skip
    odd = load_profile(f"{tmp_path / 'odd.toml'}:a b.c")
    (tmp_path / "again.toml").write_text(render_profile(odd, "toml"))
    again = load_profile(f"{tmp_path / 'again.toml'}:a b.c")
    assert again == odd
    assert again.limits[0].threshold == 0.0123456789
