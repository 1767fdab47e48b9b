"""Every result kept in a database: SQLite in the user's data folder, or what EDGEPROF_DB names.

SQLAlchemy, so that a team can point EDGEPROF_DB at PostgreSQL (`postgresql+pg8000://user@host/name`); `off` keeps none.
"""

from __future__ import annotations
