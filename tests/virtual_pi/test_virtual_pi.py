"""A Raspberry Pi as edgeprof meets it: over SSH, without a runtime and without internet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.virtual_pi.owner import KWS, RUNS, Owner, Profiled

if TYPE_CHECKING:
    from tests.virtual_pi.boot import VirtualPi

pytestmark = pytest.mark.timeout(700)
BARE = "~/bare"  # a cache of edgeprof's on the board that nothing was ever put into
RUNTIMES = {"3.11": ("2.3.0", "glibc 2.36"), "3.9": ("2.1.0", "glibc 2.31")}


@pytest.fixture(scope="session")
def kws(owner: Owner) -> Profiled:
    """Profile the keyword-spotting model; the first time a runtime is put on the board."""
    options = ("--no-memory", "--install-runtime", "--sensors", "1s", "--limit", "latency_p50_s<100")
    return owner.profiled(KWS, *RUNS, *options)


def test_a_board_without_a_runtime_is_told_which_one_fits(owner: Owner, python: str) -> None:
    version, _ = RUNTIMES[python]
    done = owner.profiled(KWS, cache=BARE).ended
    assert done.returncode == 3, done.stderr
    assert "--install-runtime" in done.stderr
    assert f"ai-edge-litert {version}" in done.stderr


def test_doctor_says_what_is_missing_what_fits_and_that_it_is_an_emulator(owner: Owner, python: str) -> None:
    version, glibc = RUNTIMES[python]
    done = owner.edgeprof("doctor", "--target", owner.pi.url(cache=BARE))
    said = " ".join(done.stdout.split())
    assert done.returncode != 0, said
    assert "MISSING" in said
    assert "ai-edge-litert" in said
    assert version in said
    assert glibc in said
    assert "emulated" in said


def test_the_runtime_comes_from_the_host_and_is_kept_in_a_folder_of_edgeprofs(kws: Profiled, pi: VirtualPi) -> None:
    assert kws.ended.returncode == 0, kws.ended.stderr
    assert kws.result["status"] == "complete"
    assert kws.result["runtime"]["name"] == "ai_edge_litert"
    assert "ai_edge_litert" in pi.run("ls ~/.cache/edgeprof/runtimes")
    assert "None" in pi.run("python3 -c 'import importlib.util as i; print(i.find_spec(\"ai_edge_litert\"))'")


def test_the_board_is_recognised_by_its_device_tree(kws: Profiled, pi: VirtualPi) -> None:
    assert kws.result["board"]["id"] == pi.model.board


def test_every_figure_of_a_run_is_emulated_and_passes_no_limit_on_hardware(kws: Profiled) -> None:
    measured = {name: metric["basis"] for name, metric in kws.result["metrics"].items() if metric["count"]}
    assert measured["latency_p50_s"] == "emulated"
    assert set(measured.values()) == {"emulated"}
    (finding,) = [finding for finding in kws.result["findings"] if finding["metric"] == "latency_p50_s"]
    assert finding["verdict"] == "INCONCLUSIVE"


def test_the_state_of_the_board_is_in_the_result(kws: Profiled, pi: VirtualPi) -> None:
    before = kws.result["environment"]["before"]
    assert "asimd" in before["cpu_features"]
    assert ("asimddp" in before["cpu_features"]) == (pi.model.cpu == "cortex-a76")
    assert before["governor"] == {"policy0": "ondemand"}
    assert 45.0 in before["temperature_celsius"].values()


def test_temperature_and_power_were_read_while_it_ran(kws: Profiled) -> None:
    assert _values(kws, "temperature") == {45.0}
    assert kws.result["metrics"]["temperature_peak_celsius"]["value"] == pytest.approx(45.0)


def test_power_is_that_of_the_board_and_no_rail_is_counted_twice(kws: Profiled, pi: VirtualPi) -> None:
    """The rails of an INA3221 lie inside one another, those of a Pi 5 beside one another: their roles say so."""
    rails = [series for series in kws.result["sensors"] if series["quantity"] == "power" and series.get("value")]
    summed = [series for series in rails if series.get("role") in {"board-total", "module-rails"}]
    assert sum(series["value"][0] for series in summed) == pytest.approx(pi.model.power_w, rel=1e-3)
    assert {series["role"] for series in summed} == {"module-rails" if pi.model.pmic else "board-total"}


def _values(profiled: Profiled, quantity: str) -> set[float]:
    """Return what the sensors of a quantity said during a run."""
    series = [series for series in profiled.result["sensors"] if series["quantity"] == quantity]
    return {value for one in series for value in one.get("value", ())}
