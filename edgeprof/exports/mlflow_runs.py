"""A result as an MLflow run: metrics, parameters, the basis of each figure as a tag, the result file as an artifact."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from edgeprof.errors import UsageError
from edgeprof.exports import bases, facts, figures
from edgeprof.printable import printable
from edgeprof.store import encode_result

if TYPE_CHECKING:
    from edgeprof.records.result import Result


def write(result: Result, place: str, name: str) -> str:
    """Make a run in the experiment `name` at a tracking URI (or a folder) and return its id."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its 7, doubling, wait minutes for a dead server
    if "://" not in place:  # who names a folder wants MLflow's file store, which it opens only when told so
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    try:
        client = MlflowClient(tracking_uri=place)
        known = client.get_experiment_by_name(name)
        experiment = known.experiment_id if known is not None else client.create_experiment(name)
        started = round(datetime.fromisoformat(result.created).timestamp() * 1000)
        named = printable(f"{result.model.name} on {result.target.name}")
        run = client.create_run(experiment, start_time=started, run_name=named)
        run_id = str(run.info.run_id)
        for key, value in facts(result).items():
            client.log_param(run_id, key, value[:500])
        for key, basis in bases(result).items():
            client.set_tag(run_id, f"basis.{key}", basis)
        for key, figure in figures(result):
            client.log_metric(run_id, key, figure, timestamp=started)
        client.log_text(run_id, encode_result(result).decode(), "edgeprof-result.json")
        client.set_terminated(run_id, status="FINISHED" if result.status == "complete" else "FAILED")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"MLflow lacks the module {error.name} for {place}",
            hint="pip install mlflow brings databases; a folder needs none",
        ) from error
    except (MlflowException, OSError, ImportError) as error:
        raise UsageError(
            f"MLflow does not take the result at {place}: {' '.join(str(error).split())[:300]}",
            hint="a folder, or a tracking URI such as http://127.0.0.1:5000",
        ) from error
    return run_id
