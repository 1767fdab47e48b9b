"""The tables, and the way to them. Nothing here is imported before a result is kept or asked for."""

from __future__ import annotations

import os
import sqlite3
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from edgeprof.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

VARIABLE = "EDGEPROF_DB"
OFF = "off"
BUSY_TIMEOUT_S = 60
HINT = (
    f"{VARIABLE}=sqlite:////path/to/history.db; pip install edgeprof[postgres] for postgresql+pg8000://user@host/name"
)

metadata = MetaData()
results = Table(
    "edgeprof_results",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created", String(40), nullable=False),
    Column("status", String(16), nullable=False),
    Column("model", String(255), nullable=False),
    Column("model_sha256", String(64)),
    Column("target", String(255), nullable=False),
    Column("board", String(255), nullable=False),
    Column("runtime", String(255), nullable=False),
    Column("threads", Integer, nullable=False),
    Column("series", String(64), nullable=False),
    Column("tag", String(255)),
    Column("result_group", String(64)),
    Column("variant", String(255)),
    Column("schema_version", String(32), nullable=False),
    Column("result", Text, nullable=False),
    Index("edgeprof_results_created", "created"),
    Index("edgeprof_results_series", "series", "created"),
)
"""`series`: a hash of what makes results comparable; `result`: the whole result as JSON, without its raw samples."""
metrics = Table(
    "edgeprof_metrics",
    metadata,
    Column("result_id", ForeignKey("edgeprof_results.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", Float, nullable=False),
    Column("low", Float),
    Column("high", Float),
    Column("basis", String(16), nullable=False),
)


def default_path() -> Path:
    """Return where the history lies when nobody says otherwise."""
    return Path(platformdirs.user_data_dir("edgeprof")) / "history.db"


def database_url() -> str | None:
    """Return the URL that EDGEPROF_DB names, else that of the user's own file; None where history is off."""
    asked = os.environ.get(VARIABLE, "")
    if asked.lower() == OFF:
        return None
    if asked and "://" not in asked:
        return f"sqlite:///{Path(asked).expanduser().absolute()}"
    return asked or f"sqlite:///{default_path()}"


def engine_for(url: str) -> Engine:
    """Return the engine of a database, its tables made; one engine a URL and process.

    Raises UsageError for a URL that is none, or whose driver is not installed.
    """
    return _engine(url, os.getpid())


@cache
def _engine(url: str, _process: int) -> Engine:
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _set_up_sqlite)
    else:
        engine = create_engine(parsed, pool_pre_ping=True)
    _make_tables(engine)
    return engine


def _make_tables(engine: Engine) -> None:
    """Make what is missing; another process may be doing the same, and then it is there at the second look."""
    try:
        metadata.create_all(engine)
    except DBAPIError:
        metadata.create_all(engine)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed.get_dialect().import_dbapi()
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"{VARIABLE} names no database: {_without_password(url)}", hint=HINT) from error
    except (NoSuchModuleError, ImportError) as error:
        raise UsageError(
            f"{VARIABLE} names a database whose driver is not installed: {_without_password(url)}", hint=HINT
        ) from error
    return parsed


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.split('://', 1)[0]}://…@{tail}" if at else url


def _set_up_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401  the driver's own connection
    """Let writers wait for each other instead of failing (sqlite.org/wal.html), and keep foreign keys."""
    cursor = connection.cursor()
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:  # switching the mode takes the whole file for a moment, and its busy handler is not asked
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
