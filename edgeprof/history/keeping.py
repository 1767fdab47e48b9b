"""Results into the database and out of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from edgeprof.errors import FileUnreadable, OutputUnwritable, UnknownName, did_you_mean
from edgeprof.history.database import HINT, database_url, engine_for, metrics, results
from edgeprof.metrics import metric_kind
from edgeprof.records.result import Result, Samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Row

NO_SAMPLES = Samples(launch=(), start_s=(), duration_s=(), batch=(), flags=())


class Filter(NamedTuple):
    """Which results: each word must occur in the field of its name; empty: all."""

    model: str = ""
    target: str = ""
    board: str = ""
    tag: str = ""
    limit: int = 50


class Entry(NamedTuple):
    """One kept result in short."""

    id: str
    created: str
    model: str
    target: str
    board: str
    runtime: str
    tag: str | None
    series: str
    status: str
    values: dict[str, float]


class Point(NamedTuple):
    """One result's figure in a trend."""

    id: str
    created: str
    tag: str | None
    value: float
    low: float | None
    high: float | None
    basis: str


def series_of(result: Result) -> str:
    """Return a hash of what makes results comparable over time: the same job on the same board, whatever the model.

    The model counts by its name, not its content: a trend is about how `kws.tflite` changes.
    """
    runtime = result.runtime
    parts = (
        result.model.name, result.model.format, result.target.name, result.board.id or result.board.name,
        result.board.power_mode or "", runtime.name if runtime else "", str(runtime.threads if runtime else 1),
        result.variant or "", "; ".join(str(list(x.shape or ())) for x in result.model.inputs),
    )  # fmt: skip
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def remember(result: Result, tag: str | None = None, url: str | None = None) -> bool:
    """Keep a result; return False where the history is off. A result that is there already stays as it is.

    Raises OutputUnwritable where the database does not take it.
    """
    place = url or database_url()
    if place is None:
        return False
    runtime = result.runtime
    row = {
        "id": result.id, "created": result.created, "status": result.status, "model": result.model.name[:255],
        "model_sha256": result.model.sha256, "target": result.target.name[:255], "board": result.board.name[:255],
        "runtime": f"{runtime.name} {runtime.version}".strip()[:255] if runtime else "",
        "threads": runtime.threads if runtime else 1, "series": series_of(result), "tag": tag,
        "result_group": result.group, "variant": result.variant, "schema_version": result.schema,
        "result": msgspec.json.encode(msgspec.structs.replace(result, samples=NO_SAMPLES)).decode(),
    }  # fmt: skip
    figures = [
        {"result_id": result.id, "name": name, "value": metric.value, "low": metric.low, "high": metric.high,
         "basis": metric.basis}
        for name, metric in result.metrics.items() if metric.value is not None
    ]  # fmt: skip
    try:
        with engine_for(place).begin() as connection:
            # The insert comes first: a transaction that has read cannot become a writer's while others write.
            connection.execute(insert(results), row)
            if figures:
                connection.execute(insert(metrics), figures)
    except IntegrityError:
        return True  # it is there already
    except (SQLAlchemyError, OSError) as error:
        raise OutputUnwritable(f"the history could not be written: {_said(error)}", hint=HINT) from error
    return True


def entries(asked: Filter, shown: Sequence[str] = ()) -> tuple[Entry, ...]:
    """Return kept results, newest first, with the figures named in `shown`."""
    chosen = select(results).order_by(results.c.created.desc(), results.c.id.desc())
    for name in ("model", "target", "board", "tag"):
        word = getattr(asked, name)
        if word:
            chosen = chosen.where(results.c[name].contains(word, autoescape=True))
    rows = _rows(chosen.limit(asked.limit))
    values: dict[str, dict[str, float]] = {row.id: {} for row in rows}
    if rows and shown:
        wanted = select(metrics).where(metrics.c.result_id.in_(list(values)), metrics.c.name.in_(list(shown)))
        for row in _rows(wanted):
            values[row.result_id][row.name] = row.value
    return tuple(
        Entry(row.id, row.created, row.model, row.target, row.board, row.runtime, row.tag, row.series, row.status,
              values[row.id])
        for row in rows
    )  # fmt: skip


def kept(name: str) -> Result:
    """Return the whole kept result whose id begins with `name`; its raw samples are not in the database."""
    rows = _rows(select(results.c.id, results.c.result).where(results.c.id.startswith(name, autoescape=True)).limit(3))
    if not rows:
        known = [row.id for row in _rows(select(results.c.id).order_by(results.c.created.desc()).limit(200))]
        raise UnknownName(
            f"no kept result has the id {name!r}", hint=did_you_mean(name, known) or "edgeprof history list"
        )
    if len(rows) > 1 and all(row.id != name for row in rows):
        raise UnknownName(f"{name!r} begins several ids", hint=", ".join(row.id for row in rows))
    chosen = next((row for row in rows if row.id == name), rows[0])
    return msgspec.json.decode(chosen.result, type=Result)


def best(metric: str, asked: Filter) -> tuple[tuple[Entry, float], ...]:
    """Return the results by one metric, the best first; partial ones do not count."""
    better = metric_kind(metric).better
    order = metrics.c.value.asc() if better == "less" else metrics.c.value.desc()
    chosen = (
        select(results, metrics.c.value.label("figure"))
        .join(metrics, metrics.c.result_id == results.c.id)
        .where(metrics.c.name == metric, results.c.status == "complete")
        .order_by(order)
    )
    for name in ("model", "target", "board", "tag"):
        word = getattr(asked, name)
        if word:
            chosen = chosen.where(results.c[name].contains(word, autoescape=True))
    return tuple(
        (Entry(row.id, row.created, row.model, row.target, row.board, row.runtime, row.tag, row.series, row.status,
               {metric: row.figure}), row.figure)
        for row in _rows(chosen.limit(asked.limit))
    )  # fmt: skip


def trend(metric: str, series: str, tag: str = "") -> tuple[Point, ...]:
    """Return one metric of one series of comparable results, oldest first; with `tag` of those whose tag holds it."""
    metric_kind(metric)
    chosen = (
        select(results.c.id, results.c.created, results.c.tag, metrics.c.value, metrics.c.low, metrics.c.high,
               metrics.c.basis)
        .join(metrics, metrics.c.result_id == results.c.id)
        .where(metrics.c.name == metric, results.c.series == series, results.c.status == "complete")
        .order_by(results.c.created, results.c.id)
    )  # fmt: skip
    if tag:
        chosen = chosen.where(results.c.tag.contains(tag, autoescape=True))
    return tuple(Point(r.id, r.created, r.tag, r.value, r.low, r.high, r.basis) for r in _rows(chosen))


def _rows(chosen: Any) -> Sequence[Row[Any]]:  # noqa: ANN401  a select of any columns
    place = database_url()
    if place is None:
        raise FileUnreadable("the history is off: EDGEPROF_DB=off", hint="unset EDGEPROF_DB to keep results again")
    try:
        with engine_for(place).connect() as connection:
            return connection.execute(chosen).all()
    except (SQLAlchemyError, OSError) as error:
        raise FileUnreadable(f"the history could not be read: {_said(error)}", hint=HINT) from error


def _said(error: Exception) -> str:
    """Return the driver's own words in one line, without SQL."""
    inner = getattr(error, "orig", None) or error
    return " ".join(str(inner).split())[:300]
