"""A result as a TensorBoard event file: a scalar a metric, the latency samples as a histogram, the rest as text.

TensorBoard's own writer and summary protocol buffers; TensorFlow is not needed.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from edgeprof.errors import OutputUnwritable
from edgeprof.exports import bases, facts, figures
from edgeprof.wire import WARMUP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.records.result import Result


def write(result: Result, place: str, name: str) -> str:
    """Write `place/name/<result id>/events…` and return that folder."""
    folder = Path(place) / name / result.id
    moment = datetime.fromisoformat(result.created).timestamp()
    try:
        writer = EventFileWriter(str(folder))
        for summary in _summaries(result):
            writer.add_event(Event(wall_time=moment, step=0, summary=summary))
        writer.close()
    except OSError as error:
        raise OutputUnwritable(f"cannot write TensorBoard's events to {folder}: {error.strerror or error}") from error
    return str(folder)


def _summaries(result: Result) -> Iterator[Summary]:
    for name, figure in figures(result):
        yield Summary(value=[Summary.Value(tag=f"edgeprof/{name}", simple_value=figure)])
    columns = result.samples
    steady = [
        duration / batch
        for duration, batch, flags in zip(columns.duration_s, columns.batch, columns.flags, strict=True)
        if not flags & WARMUP
    ]
    if steady:
        yield histogram_pb("edgeprof/latency_s", np.asarray(steady))
    rows = {**facts(result), **{f"basis of {name}": basis for name, basis in bases(result).items()}}
    yield text_pb("edgeprof/result", "\n".join(f"- {key}: {value}" for key, value in rows.items()))
