"""Where edgeprof keeps things on this machine: what can be made again in the cache, what cannot in the state."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return where the agent, models and inputs are kept on this machine."""
    import platformdirs

    return Path(os.environ.get("EDGEPROF_CACHE") or platformdirs.user_cache_path("edgeprof"))


def state_folder() -> Path:
    """Return where journals and past results are kept on this machine."""
    import platformdirs

    return Path(os.environ.get("EDGEPROF_STATE") or platformdirs.user_state_path("edgeprof"))
