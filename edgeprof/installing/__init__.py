"""A runtime for a board that has none that works: which wheels fit, fetching them here, and offering them to a session.

The board needs no internet: the wheels are downloaded on the host and unpacked by the agent into its own folder.
"""

from __future__ import annotations

from edgeprof.installing.choosing import BoardPython, Choice, Fitting, Unfit, board_python, choose_wheels
from edgeprof.installing.crashes import explain_crash, explained
from edgeprof.installing.fetching import WheelsUnavailable, download, gather
from edgeprof.installing.matrix import Matrix, RuntimeWheel, runtime_matrix
from edgeprof.installing.offering import install_hint, make_offer

__all__ = [
    "BoardPython", "Choice", "Fitting", "Matrix", "RuntimeWheel", "Unfit", "WheelsUnavailable", "board_python",
    "choose_wheels", "download", "explain_crash", "explained", "gather", "install_hint", "make_offer",
    "runtime_matrix",
]  # fmt: skip
