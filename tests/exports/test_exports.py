"""Exports against the real libraries, offline: what is written is read back by them."""

from __future__ import annotations

import builtins
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgeprof.api import profile
from edgeprof.errors import EdgeprofError
from edgeprof.exports import export
from edgeprof.wire import WARMUP

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.records.result import Result


@pytest.fixture(scope="module")
def real(kws: Path) -> Result:
    return profile(kws, "sim:raspberry-pi-5", runs=40)


def test_mlflow_reads_back_metrics_parameters_and_bases(real: Result, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    place = str(tmp_path / "runs")
    run_id = export(real, "mlflow", place, "kws")
    run = MlflowClient(tracking_uri=place).get_run(run_id)
    assert run.data.metrics["latency_p50_s"] == real.metrics["latency_p50_s"].value
    assert run.data.params["model"] == real.model.name
    assert run.data.tags["basis.latency_p50_s"] == "simulated"
    assert run.info.status == "FINISHED"
    assert not [name for name, metric in real.metrics.items() if metric.value is None and name in run.data.metrics]


def test_tensorboard_reads_back_each_scalar_and_the_histogram(real: Result, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    folder = export(real, "tensorboard", str(tmp_path), "kws")
    events = EventAccumulator(folder)
    events.Reload()
    for name, metric in real.metrics.items():
        if metric.value is None:
            assert f"edgeprof/{name}" not in events.Tags()["scalars"]
        else:
            assert events.Scalars(f"edgeprof/{name}")[0].value == pytest.approx(metric.value, rel=1e-6)
    buckets = make_ndarray(events.Tensors("edgeprof/latency_s")[0].tensor_proto)
    assert buckets[:, 2].sum() == sum(not flags & WARMUP for flags in real.samples.flags)


@pytest.mark.parametrize("tracker", ["mlflow", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_named_with_its_extra(
    tracker: str, real: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401  what import takes
        if name.split(".", maxsplit=1)[0] == tracker:
            raise ModuleNotFoundError(f"No module named {tracker!r}")
        return known(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for module in [name for name in sys.modules if name.startswith("edgeprof.exports.")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(EdgeprofError, match="is not installed") as caught:
        export(real, tracker, str(tmp_path), "kws")
    assert f"edgeprof[{tracker}]" in caught.value.hint


def test_an_mlflow_server_that_is_not_there_is_told_in_seconds(real: Result) -> None:
    with pytest.raises(EdgeprofError, match=r"MLflow does not take the result at http://127\.0\.0\.1:1"):
        export(real, "mlflow", "http://127.0.0.1:1", "kws")
